"""Any OpenAI-compatible endpoint: chat and raw completions over HTTP, counted, paced and retried.

Spelling: `openai:MODEL` with an option `base_url`, or in one piece `openai:URL#MODEL`, as in
`openai:http://127.0.0.1:8000/v1#Qwen/Qwen3-8B`. Without an address it is OPENAI_BASE_URL or else OpenAI itself, and
only there OPENAI_API_KEY is sent; every other endpoint names its key (`api_key_env` or `api_key_file`).
Cost: one request for n siblings where the server has `n`, else n requests side by side. Given a sink it streams, so
that a cancelled call is counted. What an attempt cost that broke after its answer had begun is in the `sent` of the
completion that replaced it, as an upper bound; its tokens have been reported to the sink too.
Differs: what a server refuses by name (temperature on a reasoning model, say) is left out from then on; `learned`
shows it, access and determinism shrink accordingly, and the log warns once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import InitVar, dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from ponder.core.access import Access
from ponder.core.errors import ConfigError, ProviderError, ProviderTimeout, RequestRefused
from ponder.core.model import Completion, Determinism, ModelInfo, Request, Sink, TokenCount
from ponder.core.registry import models
from ponder.core.tasks import gather_all
from ponder.core.usage import Usage
from ponder.models._bills import prompt_bound, usage_bound
from ponder.models._http import Resolver, Secret, Transport, TransportOptions
from ponder.models._limiter import Limiter, Limits, Retry, limiter_for, renew_limits
from ponder.models._quirks import KINDS, Kind, Refusal, body, kind_of, rejected
from ponder.models._replies import Reply, completions
from ponder.models._streams import Stream

if TYPE_CHECKING:
    from ponder.models._probe import Probe

__all__ = ["OpenAI"]

logger = logging.getLogger(__name__)

OPENAI_URL = "https://api.openai.com/v1"

# What servers refused, by (endpoint, model): parameter -> what the server said. Shared by all objects of one process.
_LEARNED: dict[tuple[str, str], dict[str, str]] = {}
# What a refused parameter takes away.
_TAKES = {
    "seed": {Access.SEED},
    "n": {Access.N},
    "logprobs": {Access.LOGPROBS, Access.TOP_LOGPROBS},
    "top_logprobs": {Access.TOP_LOGPROBS},
}


@models(
    "openai",
    access=(
        Access.TEXT,
        Access.PREFIX,
        Access.LOGPROBS,
        Access.TOP_LOGPROBS,
        Access.SEED,
        Access.N,
        Access.SCHEMA,
    ),
)
@dataclass(kw_only=True, eq=False)
class OpenAI:
    """A model behind an OpenAI-compatible HTTP interface.

    Attributes:
        model: the server's name of the model.
        base_url: address up to and including `/v1`; "" for OPENAI_BASE_URL or OpenAI itself.
        kind: family of the server: openai, vllm, sglang, llamacpp, ollama or compatible; "" guesses by the address.
        gives: levels of access in place of those that the kind promises (`ponder doctor --endpoint` finds them out).
        api_key_env: name of the environment variable that holds the key.
        api_key_file: file that holds the key.
        connections: most requests in flight at the endpoint.
        requests_per_minute, tokens_per_minute: pace of the endpoint, or None.
        timeout: seconds for one attempt, waiting for a slot not included.
        retries: most further attempts after a failure that may pass (2 after a timeout or without a connection).
        backoff: seconds before the second attempt, doubling.
        longest_wait: most seconds to wait between attempts; a longer Retry-After ends the call.
        max_reply_bytes: longest reply that is read.
        template_tokens: most tokens that the server's chat template adds to a prompt (a system prompt of its own, say).
        context: most tokens of prompt and completion together, where known.
        usd_per_prompt_token, usd_per_cached_token, usd_per_completion_token: prices, where known.
        api_key: the key itself, from a program; kept nowhere in sight.
        tls: TLS settings, for a private authority.
        resolver: resolves host names (for tests and special networks).
    """

    model: str
    base_url: str = ""
    kind: str = ""
    gives: tuple[str, ...] = ()
    api_key_env: str = ""
    api_key_file: str = ""
    connections: int = 64
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    timeout: float = 300.0
    retries: int = 6
    backoff: float = 0.5
    longest_wait: float = 60.0
    max_reply_bytes: int = 32 * 2**20
    template_tokens: int = 96
    context: int | None = None
    usd_per_prompt_token: float | None = None
    usd_per_cached_token: float | None = None
    usd_per_completion_token: float | None = None
    api_key: InitVar[str | None] = None
    tls: InitVar[ssl.SSLContext | None] = None
    resolver: InitVar[Resolver | None] = None
    name: str = field(init=False)
    access: frozenset[Access] = field(init=False, repr=False)
    determinism: Determinism = field(init=False, repr=False)
    info: ModelInfo = field(init=False, repr=False)

    def __post_init__(self, api_key: str | None, tls: ssl.SSLContext | None, resolver: Resolver | None) -> None:
        if not self.model:
            raise ConfigError("an endpoint needs the name of a model: openai:MODEL or openai:URL#MODEL")
        if not self.timeout > 0 or self.max_reply_bytes < 1:
            raise ConfigError("timeout and max_reply_bytes must be greater than 0")
        home = os.environ.get("OPENAI_BASE_URL") or OPENAI_URL
        self.base_url = _address(self.base_url or home)
        key = _key(api_key, self.api_key_env, self.api_key_file, default=self.base_url in (_address(home), OPENAI_URL))
        self.kind = self.kind or kind_of(self.base_url)
        if self.kind not in KINDS:
            raise ConfigError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        self._kind = KINDS[self.kind]
        try:
            self._promised = frozenset(map(Access, self.gives)) or self._kind.access
        except ValueError as err:
            raise ConfigError(f"gives: {err}; there are {', '.join(Access)}") from err
        self._limits = Limits(
            connections=self.connections,
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
        )
        self._limiters: WeakKeyDictionary[asyncio.AbstractEventLoop, Limiter] = WeakKeyDictionary()
        self._retry = Retry(times=self.retries, first=self.backoff, longest=self.longest_wait)
        self._transport = Transport(
            self.base_url,
            TransportOptions(key=key, timeout=self.timeout, max_bytes=self.max_reply_bytes, ssl=tls, resolver=resolver),
        )
        self._learned = _LEARNED.setdefault((self.base_url, self.model), {})
        self.name = f"openai:{self.base_url}#{self.model}"
        self.info = ModelInfo(
            fingerprint=f"{self.base_url}#{self.model}",
            context=self.context,
            usd_per_prompt_token=self.usd_per_prompt_token,
            usd_per_cached_token=self.usd_per_cached_token,
            usd_per_completion_token=self.usd_per_completion_token,
        )
        self._refresh()

    @classmethod
    def from_spec(cls, rest: str, **options: Any) -> OpenAI:
        """Build the model from what follows `openai:` in a spec.

        Args:
            rest: "MODEL", or "URL#MODEL".
            options: attributes of the class.

        Raises:
            ConfigError: unknown options, or values that make no sense.
        """
        if rest.startswith(("http://", "https://")):
            address, _, rest = rest.partition("#")
            if not rest:
                raise ConfigError(f"which model? Write openai:{_address(address)}#MODEL")
            if options.setdefault("base_url", address) != address:
                raise ConfigError("base_url is given twice, in the spec and as an option")
        if "gives" in options:
            options["gives"] = tuple(options["gives"])
        try:
            return cls(model=rest, **options)
        except TypeError as err:
            raise ConfigError(f"openai:{rest}: {err}") from err

    @property
    def learned(self) -> Mapping[str, str]:
        """Parameters that this server refused for this model, with its words; they are no longer sent."""
        return MappingProxyType(self._learned)

    def count(self, request: Request) -> TokenCount:
        """Return an upper bound of the prompt's tokens (exact for a prompt of token ids). Makes no call."""
        return prompt_bound(request, template=self.template_tokens)

    async def generate(self, request: Request, sink: Sink | None = None) -> list[Completion]:
        """Sample `request.n` completions, in one request where the server can, else side by side.

        Raises:
            ProviderError: the call failed, after the retries. Of siblings asked for side by side all have ended.
        """
        self._refresh()
        done = await self._ask(request, sink, 0) if request.n == 1 or "n" not in self._learned else []
        if len(done) == request.n:
            return done
        if done:
            self._learn("n", f"{len(done)} choices came back where {request.n} were asked for")
        return done + await self._side_by_side(request, sink, len(done))

    async def probe(self) -> Probe:
        """Ask the server what it can do, with a dozen short requests.

        Raises:
            ProviderError: it does not even answer a plain prompt.
        """
        from ponder.models._probe import probe

        return await probe(self, self._transport)

    async def relay(self, path: str, data: Mapping[str, Any]) -> Any:
        """Return the server's reply to a POST of `data` below the base URL, for routes that generate nothing.

        Raises:
            ProviderError: the call failed, after the retries.
        """
        return await self._limiter().run(lambda: self._transport.json(path, data), retry=self._retry)

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def _side_by_side(self, request: Request, sink: Sink | None, first: int) -> list[Completion]:
        async def one(index: int) -> Completion | ProviderError:
            try:
                return (await self._ask(request.sibling(index), sink, index))[0]
            except ProviderError as err:
                return err  # the others have been paid for: let them end

        results = await gather_all([partial(one, index) for index in range(first, request.n)])
        done = []
        for result in results:
            if isinstance(result, ProviderError):
                raise result
            done.append(result)
        return done

    async def _ask(self, request: Request, sink: Sink | None, base: int) -> list[Completion]:
        """Return the siblings of one request; none where the server refuses n, one where it ignores n."""
        bound = self.count(request).tokens
        broken: list[Usage] = []
        try:
            done = await self._limiter().run(
                lambda: self._attempt(request, sink, base, bound, broken),
                tokens=bound + request.n * request.sampling.max_tokens,
                spent=lambda result: sum((c.sent or c.usage).tokens for c in result),
                retry=self._retry,
            )
        except ProviderError as err:
            err.spent = sum(broken, Usage()) if broken else Usage(calls=1)
            raise
        if done and broken:
            done[0] = replace(done[0], sent=sum(broken, done[0].sent or done[0].usage))
        if sink is not None:
            for index, completion in enumerate(done):
                sink.done(base + index, completion)
        return done

    async def _attempt(
        self, request: Request, sink: Sink | None, base: int, bound: int, broken: list[Usage]
    ) -> list[Completion]:
        rendered = await self.render(request, self._kind) if request.prefix else None
        # llama.cpp's plain usage counts one of n choices; its stream counts each.
        stream = sink is not None or (self._kind.counts_one and request.n > 1)
        while request.n == 1 or "n" not in self._learned:
            call = body(
                request, model=self.model, kind=self._kind, without=self._learned, stream=stream, rendered=rendered
            )
            growing = Stream(request.n, kind=self._kind, raw=call.path == "/completions")
            try:
                if stream:
                    reply = await self._stream(call.path, call.body, growing, sink, base)
                else:
                    reply = Reply.of(await self._transport.json(call.path, call.body), request.n)
                return completions(reply, request, kind=self._kind, bound=bound)
            except Refusal as err:
                refused = rejected(err.status or 0, err.text, call.body)
                if refused is None or {refused, *self._learned} >= {"max_tokens", "max_completion_tokens"}:
                    raise
                self._learn(refused, str(err))
            except ProviderError as err:
                if err.status == 200 or (isinstance(err, ProviderTimeout) and err.status is None):
                    counts = growing.counts if any(growing.counts) else None
                    broken.append(usage_bound(request, prompt=growing.prompt_tokens or bound, counts=counts))
                raise
        return []

    async def _stream(self, path: str, data: dict[str, Any], growing: Stream, sink: Sink | None, base: int) -> Reply:
        told = False
        detail = getattr(sink, "detail", None)
        async with aclosing(self._transport.events(path, data)) as events:
            async for event in events:
                for delta in growing.feed(event):
                    if delta.more is not None and detail is not None:
                        detail(base + delta.sibling, delta.text, delta.tokens, delta.more)
                    elif sink is not None and (delta.tokens or delta.text):
                        sink.token(base + delta.sibling, delta.text, delta.tokens)
                if sink is not None and not told and growing.prompt_tokens:
                    told = True
                    for index in range(len(growing.counts)):
                        sink.prompt(base + index, growing.prompt_tokens)
        return growing.reply()

    async def render(self, request: Request, kind: Kind) -> str | None:
        """Return the chat as a raw prompt with the prefix at its end, where that is how `kind` continues; else None.

        Raises:
            RequestRefused: servers of this kind cannot continue a given text.
        """
        if not request.prefix or request.prompt is not None:
            return None
        if kind.prefix is None:
            raise RequestRefused(f"{self.name} (kind {kind.name}) cannot continue a given prefix")
        if kind.prefix == "chat":
            return None
        plain = body(replace(request, prefix=""), model=self.model, kind=kind).body
        asked: dict[str, Any] = {name: plain[name] for name in ("messages", "tools") if name in plain}
        data = await self._transport.json(self.base_url.removesuffix("/v1") + "/apply-template", asked)
        prompt = data.get("prompt") if isinstance(data, dict) else None
        if not isinstance(prompt, str):
            raise RequestRefused(f"{self.base_url}: /apply-template returned no prompt")
        return prompt + request.prefix

    def take_over(self) -> None:
        """Make this model's limits those of the endpoint, in the running event loop.

        Models that have called the endpoint or taken it over before keep theirs.
        """
        renew_limits(self.base_url, self._limits)
        self._limiter()

    def _limiter(self) -> Limiter:
        """Return the endpoint's limiter in the running event loop; a model keeps the one that it began with."""
        loop = asyncio.get_running_loop()
        kept = self._limiters.get(loop)
        if kept is None:
            kept = self._limiters[loop] = limiter_for(self.base_url, self._limits)
        return kept

    def _learn(self, parameter: str, why: str) -> None:
        if parameter in self._learned:
            return
        self._learned[parameter] = why
        logger.warning("%s refuses %r, which is left out from now on: %s", self.name, parameter, why)
        self._refresh()

    def _refresh(self) -> None:
        lost = {level for parameter in self._learned for level in _TAKES.get(parameter, ())}
        self.access = self._promised - lost
        self.determinism = "best_effort" if Access.SEED in self.access else "none"


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError("an endpoint's address must begin with http:// or https:// and name a host")
    if parts.username is not None or parts.query or parts.fragment:
        # Such a part often is a key, and the address is shown and stored.
        raise ConfigError("an endpoint's address must hold no user, password, query or fragment")
    return url.rstrip("/")


def _key(given: str | None, env: str, file: str, *, default: bool) -> Secret:
    if sum((given is not None, bool(env), bool(file))) > 1:
        raise ConfigError("give the key in one way: api_key_env or api_key_file")
    source, key = "api_key", given or ""
    if env:
        source = f"the environment variable {env}"
        if env not in os.environ:
            raise ConfigError(f"{source} (api_key_env) is not set")
        key = os.environ[env]
    elif file:
        source = file
        try:
            key = Path(file).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as err:
            raise ConfigError(f"api_key_file {file} cannot be read: {type(err).__name__}") from err
    elif given is None and default:
        source, key = "OPENAI_API_KEY", os.environ.get("OPENAI_API_KEY", "")
    key = key.strip()
    if not all("!" <= character <= "~" for character in key):
        raise ConfigError(f"the key from {source} holds characters that no key has (spaces, line breaks, non-ASCII)")
    return Secret(key)
