"""What a client asked for, put on each call that answers its question: schema, tools, log-probabilities, raw prompt.

Methods know nothing of these. The model that a run is given as its policy is wrapped in `Shaped`: a request whose
messages are the task's own gets the client's wishes; any other request (a critique, a judgement) passes as it is.
What comes of them as it is written goes through a `Relay`.

Source: our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ponder.core.errors import ProviderError
from ponder.core.model import Completion, Model, Request, Sink, TokenCount
from ponder.core.task import Message
from ponder.gateway.relay import Listener, Relay

__all__ = ["Shape", "Shaped"]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The client's wishes for each answer.

    Attributes:
        prompt: a raw prompt in place of the chat, or None.
        json_schema, tools, logprobs, extra: as in `Request`.
        seed: the client's own sampler seed, handed through (choice i gets it plus i); None derives one.
        fixed: whether this is a pass-through, which asks for nothing that the client did not.
    """

    prompt: str | tuple[int, ...] | None = None
    json_schema: Mapping[str, Any] | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    logprobs: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    fixed: bool = False

    def put_on(self, request: Request) -> Request:
        """Return the request as the client wants it."""
        changes: dict[str, Any] = {}
        if self.prompt is not None:
            changes |= {"messages": (), "prompt": self.prompt}
        if self.json_schema is not None:
            changes["json_schema"] = self.json_schema
        if self.tools:
            changes["tools"] = self.tools
        if self.logprobs is not None:
            changes["logprobs"] = max(self.logprobs, request.logprobs or 0)
        if self.extra:
            changes["extra"] = self.extra
        if self.seed is not None:
            changes["seed"] = self.seed + request.index
        if self.fixed and request.certainty:
            changes["certainty"] = False
        return replace(request, **changes) if changes else request


class Shaped:
    """A model under a client's wishes; one for each request.

    Attributes:
        failure: the last failure of a call, to answer with the right status.
    """

    def __init__(
        self,
        model: Model,
        shape: Shape,
        messages: tuple[Message, ...],
        *,
        listener: Listener | None = None,
        streams: bool = True,
        alone: bool = False,
    ) -> None:
        """Wrap a model.

        Args:
            model: the policy.
            shape: the client's wishes.
            messages: of the task: requests for them are shaped.
            listener: told the tokens of those requests while it is `live`.
            streams: ask for streams, so that a call that is broken off is counted and its part kept. Without, the
                reply comes whole, which takes less work where nobody reads along.
            alone: each call is the whole run, so nothing breaks it off but the end of the run.
        """
        self._model, self._shape, self._messages, self._listener = model, shape, messages, listener
        self._streams, self._alone = streams, alone
        self._plain_shape = shape == Shape()
        self.name, self.info = model.name, model.info
        self.access, self.determinism = model.access, model.determinism
        self.failure: ProviderError | None = None

    def count(self, request: Request) -> TokenCount:
        """Return the prompt tokens of the request as it will be sent."""
        return self._model.count(self._shaped(request))

    async def generate(self, request: Request, sink: Sink | None = None) -> list[Completion]:
        """Sample.

        Raises:
            ProviderError: the call failed.
        """
        ours = self._ours(request)
        asked = self._shaped(request)
        whole = not self._streams and (self._alone or request.n > 1)
        if whole:
            sink = None
        elif sink is not None:
            listener = self._listener if ours else None
            sink = Relay(sink, request.n, first=request.index, listener=listener)
        try:
            return await self._model.generate(asked, sink)
        except ProviderError as err:
            self.failure = err
            raise

    async def close(self) -> None:
        """Nothing is held: the model belongs to the gateway."""

    def _ours(self, request: Request) -> bool:
        return request.messages is self._messages or request.messages == self._messages

    def _shaped(self, request: Request) -> Request:
        return request if self._plain_shape or not self._ours(request) else self._shape.put_on(request)
