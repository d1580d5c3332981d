"""llama.cpp inside this process, blocking: start it, talk to it, stop it.

Source: the `xllamacpp` wheel and replies seen from it. It always opens an HTTP port, which is the only way to its
tokenizer and chat template; so it gets a random key, a random port on loopback, and no foreign web page may call it.
Needs: the extra `local`.
"""

from __future__ import annotations

import http.client
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ponder.core.errors import BadInput, EndpointDown, ProviderError, RequestRefused
from ponder.core.registry import need

__all__ = ["LlamaServer"]

# Prompts are read in pieces of so many tokens: between two of them a call can be cancelled, others go on generating,
# and the buffers stay small. Larger pieces read no faster on a CPU.
_PIECE = 128
_TIMEOUT = 120.0


class LlamaServer:
    """One loaded model with its slots; its methods may be called from several threads.

    Attributes:
        context: most tokens of prompt and completion together in one slot (the server rounds it up).
    """

    def __init__(
        self, file: Path, *, slots: int, context: int, threads: int, prompt_cache: bool = True, pooling: str = ""
    ) -> None:
        """Load `file`; with a `pooling` ("mean", or "own" for the model's) it embeds and does not generate.

        Raises:
            MissingExtra: the extra `local` is not installed.
            BadInput: llama.cpp cannot load the file.
        """
        xllamacpp = need("xllamacpp", extra="local", feature="the embedded model")
        params = xllamacpp.CommonParams()
        params.model.path = str(file)
        params.n_ctx, params.n_parallel = context * slots, slots
        params.fit_params = False  # else it may lower the context without a word
        params.n_batch = params.n_ubatch = _PIECE
        params.cache_prompt = prompt_cache
        params.cache_ram_mib = 0  # its default keeps up to 8 GB of old prompts
        params.prefill_assistant = False  # a chat that ends with an assistant's message is not a prefix to continue
        if threads:
            params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.verbosity = -1
        if pooling:
            kinds = xllamacpp.llama_pooling_type
            params.embedding = True
            params.n_batch = params.n_ubatch = context  # a text that is embedded must fit into one piece
            if pooling == "mean":
                params.pooling_type = kinds.LLAMA_POOLING_TYPE_MEAN
        self._key = secrets.token_urlsafe(32)
        params.hostnames, params.port, params.api_keys = ["127.0.0.1"], 0, [self._key]
        params.cors_origins, params.cors_credentials = "", False
        params.ui = params.endpoint_slots = False
        try:
            self._server = xllamacpp.Server(params)
        except RuntimeError as err:
            raise BadInput(f"llama.cpp cannot load {str(file)!r}: broken, or of an unknown architecture") from err
        self._address = urlsplit(self._server.listening_address)
        self.context = int(self.ask("/props")["default_generation_settings"]["n_ctx"])

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the server's JSON answer to a GET, or to a POST of `body`.

        Raises:
            ProviderError: it refuses, fails or does not answer.
        """
        # Not urllib: it would send loopback calls through a proxy named in the environment.
        connection = http.client.HTTPConnection(str(self._address.hostname), self._address.port, timeout=_TIMEOUT)
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        try:
            data = None if body is None else json.dumps(body)
            connection.request("GET" if data is None else "POST", path, body=data, headers=headers)
            reply = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError) as err:
            raise EndpointDown(f"the embedded server does not answer: {err}") from err
        finally:
            connection.close()
        if "error" in reply:
            raise _failure(reply["error"])
        return dict(reply)

    def stream(self, body: Mapping[str, Any], each: Callable[[dict[str, Any]], bool]) -> None:
        """Complete a raw prompt; blocks until it is done, or until `each`, called with every chunk, returns True.

        Raises:
            ProviderError: the server refuses the request, or fails.
        """
        failures: list[Exception] = []

        def chunk(data: dict[str, Any]) -> bool:
            # An exception must not pass through the C++ that calls this: it would be lost there.
            try:
                if "error" in data:
                    raise _failure(data["error"])
                return each(data)
            except Exception as err:
                failures.append(err)
                return True

        self._call(self._server.handle_completions, dict(body), chunk)
        if failures:
            raise failures[0]

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the embedding of each text.

        Raises:
            ProviderError: the server refuses a text (too long, say), or fails.
        """
        reply = self._call(self._server.handle_embeddings, {"input": list(texts)})
        if "error" in reply:
            raise _failure(reply["error"])
        return [item["embedding"] for item in sorted(reply["data"], key=lambda item: int(item["index"]))]

    def close(self) -> None:
        """Free the model. No call may be running."""
        self._server = None

    def _call(self, method: Callable[..., Any], *args: Any) -> Any:
        try:
            return method(*args)
        except RuntimeError as err:
            raise EndpointDown(f"the embedded server failed: {err}") from err


def _failure(error: Mapping[str, Any]) -> ProviderError:
    """Return the error that the server's error object stands for."""
    code, text = error.get("code"), str(error.get("message", "no reason given"))
    status = code if isinstance(code, int) else None
    if status is not None and 400 <= status < 500:
        return RequestRefused(f"the embedded server refuses: {text}", status=status)
    if status == 503:
        return EndpointDown(f"the embedded server is not available: {text}", status=status)
    return ProviderError(f"the embedded server failed: {text}", status=status)
