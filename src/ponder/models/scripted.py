"""A model that answers as told: the public test double for methods, budgets and schedulers.

Source: our own. It keeps the whole contract of a back-end (seeds, siblings, cancellation, progress) and can be told
to be slow, to fail, to lie about its usage, or to die; every call is in its log.
Cost: nothing. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ponder.core.access import Access
from ponder.core.errors import ConfigError, EndpointDown, ProviderError
from ponder.core.model import Completion, Determinism, ModelInfo, Request, Sink, TokenCount, Tokens
from ponder.core.registry import models
from ponder.core.seeds import derive
from ponder.core.task import Message
from ponder.core.usage import Usage

__all__ = ["Call", "ScriptedModel"]

Reply = str | ProviderError | Completion


@dataclass(frozen=True)
class Call:
    """One sibling as the model saw it."""

    number: int
    seed: int
    prompt: str
    max_tokens: int
    reply: str


_ACCESS = (Access.TEXT, Access.PREFIX, Access.LOGPROBS, Access.TOP_LOGPROBS, Access.LOGITS, Access.SEED)


@models(
    "scripted",
    access=_ACCESS,
    since="0.1",
)
@dataclass(kw_only=True)
class ScriptedModel:
    """Answers from a script; a token is a word.

    Attributes:
        replies: texts (or errors to raise), chosen by the sibling's seed modulo their number, so that the same seed
            has the same reply in any order; or a function (request of one sibling, call number) -> reply.
        latency: seconds a call takes, or (low, high) drawn from the seed.
        fail_every: each k-th call fails with a `ProviderError`; 0 for none.
        dies_after: calls after which every call fails with `EndpointDown`; None for never.
        lie: added to the completion tokens that are reported.
        exact_prompt: whether `count` is exact or an upper bound (twice the words).
        name, access, determinism, info: of the `Model` protocol.
        log: every sibling that was answered, in order of arrival.
        stream: report each token to the sink as it "comes" during the latency.
    """

    replies: Sequence[Reply] | Callable[[Request, int], Reply] = ("42",)
    latency: float | tuple[float, float] = 0.0
    fail_every: int = 0
    dies_after: int | None = None
    lie: int = 0
    exact_prompt: bool = True
    stream: bool = False
    name: str = "scripted"
    access: frozenset[Access] = frozenset(_ACCESS)
    determinism: Determinism = "exact"
    info: ModelInfo = field(default_factory=lambda: ModelInfo(fingerprint="", vocabulary=100, flops=_flops))
    log: list[Call] = field(default_factory=list)
    calls: int = 0
    cancelled: int = 0

    def __post_init__(self) -> None:
        if not self.info.fingerprint:  # another script is another model to the response store
            digest = hashlib.sha256(repr(self.replies).encode("utf-8", "surrogatepass")).hexdigest()
            self.info = replace(self.info, fingerprint=f"scripted:{digest[:32]}")

    @classmethod
    def from_spec(cls, rest: str, **options: Any) -> ScriptedModel:
        """Make a model from "scripted:reply one|reply two"."""
        return cls(replies=tuple(rest.split("|")), **options)

    def count(self, request: Request) -> TokenCount:
        """Count the words of the prompt."""
        words = len(_prompt(request).split())
        return TokenCount(words if self.exact_prompt else 2 * words, self.exact_prompt)

    async def generate(self, request: Request, sink: Sink | None = None) -> list[Completion]:
        """Answer each sibling from the script."""
        if request.n > 1 and Access.N not in self.access:
            raise ConfigError("this scripted model takes one sibling at a time: give it Access.N for more")
        out = []
        for index in range(request.n):
            completion = await self._one(request.sibling(index), index, sink)
            if sink is not None:
                sink.done(index, completion)
            out.append(completion)
        return out

    async def _one(self, request: Request, index: int, sink: Sink | None) -> Completion:
        number = self.calls
        self.calls += 1
        reply = self._reply(request, number)
        try:
            await self._wait(reply, request, index, sink)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.dies_after is not None and number >= self.dies_after:
            raise EndpointDown("the scripted model has died")
        if self.fail_every and (number + 1) % self.fail_every == 0:
            raise ProviderError(f"scripted failure of call {number}")
        if isinstance(reply, ProviderError):
            raise reply
        if isinstance(reply, Completion):
            return reply
        reply, stop = _until_stop(reply, request.sampling.stop)
        words = _words(reply)
        finished = len(words) <= request.sampling.max_tokens
        kept = words[: request.sampling.max_tokens]
        text = "".join(kept)
        self.log.append(Call(number, request.seed, _prompt(request), request.sampling.max_tokens, text))
        draw = derive(request.seed, "logprobs")
        logprobs = tuple(-draw.random() for _ in kept)
        return Completion(
            message=Message("assistant", text),
            finish="stop" if finished else "length",
            usage=Usage(
                calls=1,
                prompt_tokens=len(_prompt(request).split()),
                completion_tokens=len(kept) + self.lie,
            ),
            tokens=Tokens(
                ids=tuple(range(len(kept))),
                texts=tuple(kept),
                logprobs=logprobs,
                top=tuple(((0, word, p),) for word, p in zip(kept, logprobs, strict=True))
                if request.logprobs
                else None,
            ),
            certainty=tuple(-value for value in logprobs) if request.certainty else None,
            stop=stop if finished else None,
        )

    def _reply(self, request: Request, number: int) -> Reply:
        if callable(self.replies):
            return self.replies(request, number)
        return self.replies[request.seed % len(self.replies)]

    async def _wait(self, reply: Reply, request: Request, index: int, sink: Sink | None) -> None:
        latency = self.latency
        if not isinstance(latency, int | float):  # a list, where it comes from JSON
            latency = derive(request.seed, "latency").uniform(*latency)
        if self.stream and sink is not None and isinstance(reply, str):
            words = _words(_until_stop(reply, request.sampling.stop)[0])[: request.sampling.max_tokens]
            for word in words:
                await asyncio.sleep(latency / len(words))
                sink.token(index, word)
        elif latency:
            await asyncio.sleep(latency)

    async def close(self) -> None:
        """Nothing is held."""


def _prompt(request: Request) -> str:
    if request.prompt is not None:
        text = request.prompt if isinstance(request.prompt, str) else " ".join(map(str, request.prompt))
    else:
        text = "\n".join(message.text for message in request.messages)
    return text + request.prefix


def _until_stop(text: str, stops: Sequence[str]) -> tuple[str, str]:
    """Cut the text at the first stop string and say which one it was; empty for none."""
    found = [(text.find(stop), stop) for stop in stops if stop in text]
    if not found:
        return text, ""
    place, stop = min(found)
    return text[:place], stop


def _words(text: str) -> list[str]:
    """Split into words that keep the space before them, so that they spell the text when joined."""
    words: list[str] = []
    for piece in text.split(" "):
        words.append(piece if not words else " " + piece)
    return words


def _flops(prompt: int, completion: int) -> float:
    return 2.0 * (prompt + completion)
