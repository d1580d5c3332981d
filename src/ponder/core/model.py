"""The seam between methods and text models: requests, completions and the `Model` protocol.

A back-end is any object with these attributes and `generate`; the metered proxy in `context` is the only caller.
Sampler fields are all explicit, so that no server's hidden defaults change the law that is sampled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from ponder.core.access import Access
from ponder.core.errors import ConfigError
from ponder.core.task import Message
from ponder.core.usage import Usage

__all__ = [
    "Completion",
    "Determinism",
    "Embedder",
    "Finish",
    "Model",
    "ModelInfo",
    "Request",
    "Sampling",
    "Scorer",
    "Sink",
    "TokenCount",
    "Tokens",
]

Determinism = Literal["exact", "best_effort", "none"]
Finish = Literal["stop", "length", "tool_calls", "content_filter", "cancelled"]


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """The law that is sampled from; every field is sent.

    Attributes:
        temperature: >= 0; 0 is greedy.
        top_p: nucleus mass in (0, 1]; 1 is off.
        top_k: number of most likely tokens kept; 0 is off.
        min_p: in [0, 1); 0 is off.
        repeat_penalty: > 0; 1 is off.
        presence_penalty: OpenAI-style; 0 is off.
        frequency_penalty: OpenAI-style; 0 is off.
        max_tokens: most completion tokens of one answer, >= 1.
        stop: strings that end the answer and are not part of it.
    """

    temperature: float = 0.8
    top_p: float = 0.95
    top_k: int = 0
    min_p: float = 0.0
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    max_tokens: int = 512
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.temperature >= 0:
            raise ConfigError(f"temperature must be at least 0, got {self.temperature!r}")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p must be in (0, 1], got {self.top_p!r}")
        if self.top_k < 0 or not 0 <= self.min_p < 1 or not self.repeat_penalty > 0:
            raise ConfigError("top_k must be >= 0, min_p in [0, 1) and repeat_penalty > 0")
        if self.max_tokens < 1:
            raise ConfigError(f"max_tokens must be at least 1, got {self.max_tokens!r}")
        if any(not stop for stop in self.stop):
            raise ConfigError("an empty stop string would end every answer at once")


@dataclass(frozen=True, kw_only=True)
class Request:
    """One generation request: `n` siblings of the same prompt under the same law.

    Attributes:
        messages: the chat to answer; or
        prompt: a raw prompt (text or token ids) to continue. Exactly one of the two is given.
        prefix: partial answer to continue exactly (needs `Access.PREFIX`); not repeated in the completion.
        n: number of siblings; sibling i is drawn with seed `seed + i`.
        seed: sampler seed of the first sibling.
        index: place of the first sibling among all samples of its seed path (recorded pools are read by it).
        sampling: the law.
        logprobs: None for none; 0 for the sampled tokens; k > 0 adds the k most likely tokens at each step.
        certainty: accumulate full-vocabulary certainty while sampling (needs `Access.LOGITS`).
        json_schema: constrain the answer (needs `Access.SCHEMA`).
        tools: tool definitions, passed through untouched.
        extra: further fields of an OpenAI-style request, sent as they are by back-ends that speak that format.
        thinking: all that is written is thinking, and booked as such (a thought that is continued piece by piece).
    """

    messages: tuple[Message, ...] = ()
    prompt: str | tuple[int, ...] | None = None
    prefix: str = ""
    n: int = 1
    seed: int = 0
    index: int = 0
    sampling: Sampling = field(default_factory=Sampling)
    logprobs: int | None = None
    certainty: bool = False
    json_schema: Mapping[str, Any] | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    thinking: bool = False

    def __post_init__(self) -> None:
        if bool(self.messages) == (self.prompt is not None):
            raise ConfigError("a request has either messages or a raw prompt")
        if self.n < 1:
            raise ConfigError(f"n must be at least 1, got {self.n!r}")

    def sibling(self, index: int) -> Request:
        """Return the request for sibling `index` alone."""
        return self.siblings(index, 1)

    def siblings(self, first: int, count: int) -> Request:
        """Return the request for `count` siblings from `first` on."""
        if first == 0 and count == self.n:
            return self
        return replace(self, n=count, seed=self.seed + first, index=self.index + first)

    def identity(self) -> dict[str, Any]:
        """Return what fixes the reply of sibling 0, for the store's key: everything but `n` and `max_tokens`.

        Whether it is thinking is a matter of booking, not of the reply.
        """
        sampling = asdict(self.sampling)
        del sampling["max_tokens"]
        identity = {
            "messages": [message.to_json() for message in self.messages],
            "prompt": self.prompt,
            "prefix": self.prefix,
            "seed": self.seed,
            "sampling": sampling,
            "logprobs": self.logprobs,
            "certainty": self.certainty,
            "json_schema": self.json_schema,
            "tools": [dict(tool) for tool in self.tools],
        }
        return identity | {"extra": dict(self.extra)} if self.extra else identity


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """The tokens of a completion, where the back-end tells them; all tuples have the same length T.

    Attributes:
        ids: token ids.
        texts: the text of each token, so that the first t of them spell the answer cut at t tokens.
        logprobs: raw (temperature-1) log-probability of each sampled token, nats, <= 0.
        top: at each step the most likely tokens as (id or -1, text, logprob), likeliest first.
    """

    ids: tuple[int, ...]
    texts: tuple[str, ...]
    logprobs: tuple[float, ...] | None = None
    top: tuple[tuple[tuple[int, str, float], ...], ...] | None = None

    def head(self, count: int) -> Tokens:
        """Return the first `count` tokens."""
        return Tokens(
            ids=self.ids[:count],
            texts=self.texts[:count],
            logprobs=None if self.logprobs is None else self.logprobs[:count],
            top=None if self.top is None else self.top[:count],
        )

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return {"ids": self.ids, "texts": self.texts, "logprobs": self.logprobs, "top": self.top}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Tokens:
        """Rebuild tokens from their fields as JSON lists."""
        logprobs, top = data["logprobs"], data["top"]
        return cls(
            ids=tuple(data["ids"]),
            texts=tuple(data["texts"]),
            logprobs=None if logprobs is None else tuple(logprobs),
            top=None if top is None else tuple(tuple((i, text, p) for i, text, p in step) for step in top),
        )


@dataclass(frozen=True, kw_only=True)
class Completion:
    """One answer of a model.

    Attributes:
        message: the assistant's message.
        finish: why it ended; "length" means cut by `max_tokens`, "cancelled" by us.
        usage: cost of this sibling alone (its prompt included, `calls` = 1).
        tokens: ids, texts and log-probabilities where known.
        certainty: per-token KL(uniform || model) in nats, where asked for (card 26).
        sent: what was really paid for it when that differs from `usage` (a prompt shared by siblings).
        stop: the stop string that ended it (and is not part of the text); empty where the model ended it by itself;
            None where it was cut, or the back-end does not say.
    """

    message: Message
    finish: Finish
    usage: Usage
    tokens: Tokens | None = None
    certainty: tuple[float, ...] | None = None
    sent: Usage | None = None
    stop: str | None = None

    @property
    def text(self) -> str:
        """The answer's text."""
        return self.message.text

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object; what was really sent belongs to one run and is left out."""
        return {
            "message": self.message.to_json(),
            "finish": self.finish,
            "usage": self.usage.to_json(),
            "tokens": None if self.tokens is None else self.tokens.to_json(),
            "certainty": self.certainty,
            "stop": self.stop,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Completion:
        """Rebuild a completion from `to_json`."""
        tokens, certainty = data.get("tokens"), data.get("certainty")
        return cls(
            message=Message.from_json(data["message"]),
            finish=data["finish"],
            usage=Usage(**data["usage"]),
            tokens=None if tokens is None else Tokens.from_json(tokens),
            certainty=None if certainty is None else tuple(certainty),
            stop=data.get("stop"),
        )


class TokenCount(NamedTuple):
    """Tokens of a rendered prompt: `exact`, or an upper bound."""

    tokens: int
    exact: bool


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """Facts about the model behind a back-end; None where unknown.

    Attributes:
        fingerprint: what identifies weights or endpoint in the store's key.
        context: most tokens of prompt and completion together.
        parameters: number of weights.
        active: those that each token is multiplied with (not an input embedding of its own, nor experts not used).
        layers, heads, kv_heads, head_size, hidden, vocabulary: shape.
        usd_per_prompt_token, usd_per_cached_token, usd_per_completion_token: prices.
        flops: cost function (prompt_tokens, completion_tokens) -> floating-point operations.
    """

    fingerprint: str
    context: int | None = None
    parameters: int | None = None
    active: int | None = None
    layers: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    head_size: int | None = None
    hidden: int | None = None
    vocabulary: int | None = None
    usd_per_prompt_token: float | None = None
    usd_per_cached_token: float | None = None
    usd_per_completion_token: float | None = None
    flops: Callable[[int, int], float] | None = None

    def usd(self, prompt: int, completion: int, cached: int = 0) -> float | None:
        """Return the price in dollars of so many tokens (`cached` is a part of `prompt`), or None."""
        if self.usd_per_prompt_token is None or self.usd_per_completion_token is None:
            return None
        cheap = self.usd_per_prompt_token if self.usd_per_cached_token is None else self.usd_per_cached_token
        fresh = (prompt - cached) * self.usd_per_prompt_token
        return fresh + cached * cheap + completion * self.usd_per_completion_token

    def price(self, usage: Usage) -> Usage:
        """Return `usage` with dollars and FLOPs filled in where they are known."""
        usd = self.usd(usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens)
        flops = None if self.flops is None else self.flops(usage.prompt_tokens, usage.completion_tokens)
        return usage if (usd, flops) == (usage.usd, usage.flops) else usage.priced(usd=usd, flops=flops)


class Sink(Protocol):
    """Where a back-end reports progress while it generates; sibling indices count from 0 within the request."""

    def token(self, index: int, text: str, count: int = 1) -> None:
        """Sibling `index` got `count` more tokens that read `text`."""

    def prompt(self, index: int, tokens: int) -> None:
        """The prompt of sibling `index` was counted by the server."""

    def done(self, index: int, completion: Completion) -> None:
        """Sibling `index` is finished; the others may still run."""


@runtime_checkable
class Model(Protocol):
    """A text model. `generate` returns the n siblings in order and reports to `sink` on the way.

    Cancelling the task that awaits `generate` stops the work at the server as well as the back-end can.
    Failures are raised as `ProviderError`; siblings already reported through `sink.done` are kept by the caller.
    """

    name: str
    access: frozenset[Access]
    determinism: Determinism
    info: ModelInfo

    async def generate(self, request: Request, sink: Sink | None = None) -> list[Completion]:
        """Sample `request.n` completions.

        Raises:
            ProviderError: the call failed.
        """

    def count(self, request: Request) -> TokenCount:
        """Return the number of prompt tokens of one sibling, exact or as an upper bound. Makes no model call."""

    async def close(self) -> None:
        """Release what the back-end holds; calling it twice is harmless."""


@runtime_checkable
class Scorer(Protocol):
    """A model that gives the log-probabilities of a given text (`Access.SCORE`)."""

    async def score(self, request: Request, text: str) -> Completion:
        """Return `text` as if it had been sampled after `request`, with its tokens' log-probabilities."""


@runtime_checkable
class Embedder(Protocol):
    """A model that embeds texts (`Access.EMBED`)."""

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector per text, all of the same length."""
