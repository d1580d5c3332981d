"""The embedded model: any GGUF file, run by llama.cpp inside this process.

A chat is rendered with the model's own template and tokenized; what is sent is always the token ids, so that the
count is exact and a given prefix is continued to the letter. Siblings are one request: the prompt is read once and
copied into their slots.

Source: `xllamacpp` (llama.cpp). Measured on two cores with SmolLM2-135M: 8 or 16 slots make some 180 tokens a
second, 4 slots 155, one slot 85; a busy neighbour process cuts that to a third or far less.
Differs: samplers run in the order penalties, temperature, top-k, top-p, min-p, as in the other back-ends (llama.cpp
has temperature last); penalties read the whole text, prompt included; log-probabilities are of the raw law. Slots
that run together change each other's last digits: a seed repeats long texts only with slots=1 and prompt_cache=False.
A token that ends inside a character has id -1 and log-probability NaN. Keys and values stay in 16 bits: 8 would save
85 MB and moved log-probabilities by up to 0.16 nats on one text.
Cost: with its defaults SmolLM2 takes some 350 MB of memory. Needs: the extra `local`.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from ponder.core.access import Access
from ponder.core.errors import BadInput, ConfigError, EndpointDown, ProviderError, RequestRefused
from ponder.core.model import Completion, Determinism, ModelInfo, Request, Sink, TokenCount
from ponder.core.registry import models
from ponder.core.task import Message
from ponder.core.tasks import gather_all
from ponder.models import fetch
from ponder.models._llama_choice import Choice
from ponder.models._llama_request import body, check, checked, encodable
from ponder.models._llama_server import LlamaServer
from ponder.models._llama_slots import Slots
from ponder.models.convert import sha256
from ponder.models.gguf import Gguf, read
from ponder.models.shapes import shape_of_gguf, with_shape

__all__ = ["LlamaCpp"]

_ACCESS = (
    Access.TEXT,
    Access.PREFIX,
    Access.LOGPROBS,
    Access.TOP_LOGPROBS,
    Access.EMBED,
    Access.SEED,
    Access.N,
    Access.SCHEMA,
)
_REMEMBERED = 256  # prompts whose token ids are kept


@models("llamacpp", access=_ACCESS, needs=("local",))
class LlamaCpp:
    """A GGUF file as a text model.

    Attributes:
        name: as in the spec, "llamacpp:smollm2".
        access: what it gives.
        determinism: "exact" with one slot and no prompt cache, else "best_effort".
        info: facts from the file; the fingerprint is that of the weights.
    """

    def __init__(
        self,
        file: Path,
        *,
        name: str = "",
        slots: int = 8,
        context: int = 1024,
        threads: int = 0,
        prompt_cache: bool = True,
    ) -> None:
        """Load a model; this takes about a second for a small one.

        Args:
            file: a GGUF file.
            name: how it is called in results; by default after the file.
            slots: answers written at the same time, >= 1.
            context: most tokens of a prompt and its answer together, >= 1; the server rounds it up to 256.
            threads: computing threads; 0 leaves it to llama.cpp, which takes every core.
            prompt_cache: keep what a slot has read, so that a later prompt that begins alike is read faster.

        Raises:
            BadInput: the file is missing, cut short, or no model that llama.cpp knows.
            ConfigError: a setting out of range.
            MissingExtra: the extra `local` is not installed.
        """
        if slots < 1 or context < 1 or threads < 0:
            raise ConfigError("slots and context must be at least 1, and threads at least 0")
        self._file, self._threads, self._prompt_cache = file, threads, prompt_cache
        self._header = read(file)
        self._server = LlamaServer(file, slots=slots, context=context, threads=threads, prompt_cache=prompt_cache)
        self._width = slots
        self._slots = Slots(slots)
        self._pool = ThreadPoolExecutor(slots, thread_name_prefix="llamacpp")
        self._closed = threading.Event()
        self._known: OrderedDict[str, tuple[int, ...]] = OrderedDict()
        self._embedder: LlamaServer | None = None
        self._embedder_lock = threading.Lock()  # so that two first calls do not both load the model
        self.name = name or f"llamacpp:{file}"
        self.access = frozenset(_ACCESS)
        self.determinism: Determinism = "exact" if slots == 1 and not prompt_cache else "best_effort"
        self.info = _info(self._header, sha256(file), self._server.context)

    @classmethod
    def from_spec(cls, rest: str, **options: Any) -> LlamaCpp:
        """Open "smollm2" (fetched by `ponder models get`) or the path of a GGUF file.

        Args:
            rest: what follows `llamacpp:` in a spec.
            options: of the constructor.

        Raises:
            BadInput, ConfigError, MissingExtra: as the constructor does.
        """
        file = fetch.path(rest) if rest in fetch.SOURCES else Path(rest).expanduser()
        return cls(file, **{"name": f"llamacpp:{rest}", **options})

    def count(self, request: Request) -> TokenCount:
        """Return the exact number of prompt tokens.

        Raises:
            BadInput: the prompt cannot be rendered.
            ProviderError: the model is closed.
        """
        return TokenCount(len(self._ids(request)), True)

    async def generate(self, request: Request, sink: Sink | None = None) -> list[Completion]:
        """Sample `request.n` completions; more than there are slots are asked for in several requests.

        Cancelled, it waits until the server has stopped (a few tokens), so that each token was reported.

        Raises:
            BadInput: the prompt cannot be rendered, or leaves no room for an answer.
            ProviderError: the server refuses the request, or is gone.
        """
        check(request)
        ids = self._ids(request)
        room = (self.info.context or 0) - len(ids)
        if room < 1:
            raise BadInput(f"the prompt has {len(ids)} tokens, and {self.name} takes {self.info.context} in all")
        if sink is not None:
            for index in range(request.n):
                sink.prompt(index, len(ids))
        starts = range(0, request.n, self._width)
        groups = [range(start, min(start + self._width, request.n)) for start in starts]
        bodies = [body(request, ids, group=group, room=room, prompt_cache=self._prompt_cache) for group in groups]
        calls = [partial(self._group, request, sent, group, sink) for sent, group in zip(bodies, groups, strict=True)]
        parts = await gather_all(calls)
        return [completion for part in parts for completion in part]

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector of length 1 per text; the model is loaded a second time for this, on first use.

        Raises:
            BadInput: a text is empty or longer than the context.
            ProviderError: the server is gone.
        """
        if not texts:
            return []
        self._check_open()
        for text in texts:
            length = len(self._tokenize(text, begin=True))
            if not text or length > (self.info.context or 0):
                raise BadInput(f"a text of {length} tokens cannot be embedded: 1 to {self.info.context} are taken")
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._embed, texts)

    async def close(self) -> None:
        """End what runs and free the model."""
        if self._closed.is_set():
            return
        self._closed.set()
        await asyncio.to_thread(self._pool.shutdown)
        self._server.close()
        if self._embedder is not None:
            self._embedder.close()

    # -- prompts ---------------------------------------------------------------------------------------------------

    def _ids(self, request: Request) -> tuple[int, ...]:
        """Return the prompt's token ids, prefix included."""
        self._check_open()
        messages = [message.to_json() for message in request.messages]
        key = json.dumps([messages, request.prompt, request.prefix])
        if (known := self._known.get(key)) is not None:
            self._known.move_to_end(key)
            return known
        if isinstance(request.prompt, tuple):
            ids = request.prompt + (self._tokenize(request.prefix, begin=False) if request.prefix else ())
        else:
            text = self._render(request.messages) if request.prompt is None else request.prompt
            ids = self._tokenize(text + request.prefix, begin=True)
        if not ids:
            raise BadInput("the prompt is empty")
        self._known[key] = ids
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return ids

    def _render(self, messages: Sequence[Message]) -> str:
        if any(message.images for message in messages):
            raise BadInput(f"{self.name} reads text only, and a message has an image")
        chat = [{"role": message.role, "content": encodable(message.text)} for message in messages]
        try:
            return str(self._server.ask("/apply-template", {"messages": chat})["prompt"])
        except RequestRefused as err:
            raise BadInput(f"the chat does not fit the model's template: {err}") from err

    def _tokenize(self, text: str, *, begin: bool) -> tuple[int, ...]:
        ask = {"content": encodable(text), "add_special": begin, "parse_special": begin}
        return tuple(self._server.ask("/tokenize", ask)["tokens"])

    # -- requests --------------------------------------------------------------------------------------------------

    async def _group(self, request: Request, sent: dict[str, Any], group: range, sink: Sink | None) -> list[Completion]:
        """Ask for the siblings of one group, as soon as that many slots are free."""
        # Sent earlier, the request would wait inside the server, where it cannot be cancelled.
        await self._slots.take(len(group))
        stop = threading.Event()
        loop = asyncio.get_running_loop()
        report = None if sink is None else _Report(loop, sink, group.start)
        try:
            self._check_open()
            future = loop.run_in_executor(self._pool, self._run, request, sent, stop, report)
        except ProviderError:
            self._slots.give(len(group))
            raise
        future.add_done_callback(partial(self._free, len(group)))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait([future])
            raise

    def _free(self, count: int, future: asyncio.Future[list[Completion]]) -> None:
        """Give the slots back when the thread has ended, and not before, however the task ended."""
        self._slots.give(count)
        if not future.cancelled():
            future.exception()  # seen, so that asyncio does not complain of it after a cancellation

    def _run(
        self, request: Request, sent: dict[str, Any], stop: threading.Event, report: _Report | None
    ) -> list[Completion]:
        """Make the request; runs in a thread of the pool."""
        prompt, law, count = len(sent["prompt"]), request.sampling, int(sent["n"])
        choices = [Choice(prompt=prompt, logprobs=request.logprobs, first=index == 0) for index in range(count)]
        done: dict[int, Completion] = {}

        def take(chunk: dict[str, Any]) -> bool:
            if "prompt_progress" not in chunk:
                index = int(chunk["choices"][0]["index"])
                choice = choices[index]
                text, tokens = choice.add(chunk)
                if choice.finish is not None and law.stop:
                    text += choice.restore(self._spell)
                if report is not None and (tokens or text):
                    report.token(index, text, tokens)
                if choice.finish is not None:
                    done[index] = checked(choice.completion(choice.stopped_by(self._spell, law.stop)), request)
                    if report is not None:
                        report.done(index, done[index])
            return stop.is_set() or self._closed.is_set()

        self._server.stream(sent, take)
        if len(done) < count:
            raise EndpointDown(f"{self.name} stopped in the middle of an answer")
        return [done[index] for index in range(count)]

    def _spell(self, ids: Sequence[int]) -> str:
        return str(self._server.ask("/detokenize", {"tokens": list(ids)})["content"])

    def _embed(self, texts: Sequence[str]) -> list[list[float]]:
        with self._embedder_lock:
            if self._embedder is None:
                pooling = "own" if self._header.whole("pooling_type") else "mean"
                context = self.info.context or 0
                self._embedder = LlamaServer(
                    self._file, slots=1, context=context, threads=self._threads, pooling=pooling
                )
        return self._embedder.embed(texts)

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise EndpointDown(f"{self.name} is closed")


class _Report:
    """Carries progress from a thread of the pool to the sink, which lives in the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sink: Sink, start: int) -> None:
        self._loop, self._sink, self._start = loop, sink, start

    def token(self, index: int, text: str, count: int) -> None:
        self._loop.call_soon_threadsafe(self._sink.token, self._start + index, text, count)

    def done(self, index: int, completion: Completion) -> None:
        self._loop.call_soon_threadsafe(self._sink.done, self._start + index, completion)


def _info(header: Gguf, digest: str, context: int) -> ModelInfo:
    trained = header.whole("context_length")
    info = ModelInfo(
        fingerprint=f"llamacpp:{digest}",
        context=context if trained is None else min(context, trained),
        parameters=header.parameters,
        vocabulary=header.vocabulary,
    )
    shape = shape_of_gguf(header)
    return info if shape is None else with_shape(info, shape)
