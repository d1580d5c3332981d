"""The metered proxy: the only way in which a method or verifier reaches a model.

Source: our own (DESIGN, principle 1). What happens to a request on the way is in `ponder.core.siblings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ponder.core.access import Access
from ponder.core.errors import AccessDenied
from ponder.core.model import Completion, Determinism, Model, ModelInfo, Request, Sampling, TokenCount
from ponder.core.siblings import Draw, Run, Siblings, Until
from ponder.core.task import Message
from ponder.core.tasks import plain

__all__ = ["Metered"]


class Metered:
    """A model under a context's meter, store and trace.

    Attributes:
        role: "policy", "judge", ...: under which its cost is booked.
    """

    def __init__(self, model: Model, role: str, context: Run) -> None:
        self._model, self.role, self._context = model, role, context

    @property
    def name(self) -> str:
        """Name of the model."""
        return self._model.name

    @property
    def access(self) -> frozenset[Access]:
        """What the back-end gives."""
        return self._model.access

    @property
    def determinism(self) -> Determinism:
        """Whether equal seeds give equal texts."""
        return self._model.determinism

    @property
    def info(self) -> ModelInfo:
        """Facts about the model."""
        return self._model.info

    def require(self, *levels: Access, what: str) -> None:
        """Refuse a use that the back-end does not allow.

        Raises:
            AccessDenied: naming what is missing.
        """
        missing = [level for level in levels if level not in self._model.access]
        if missing:
            raise AccessDenied(f"{what} needs {', '.join(missing)}, which {self.name} does not give")

    def count(self, request: Request) -> TokenCount:
        """Return the prompt tokens of a request; costs nothing."""
        return self._model.count(request)

    async def sample(
        self, request: Request, *, path: Sequence[str | int], first: int = 0, until: Until | None = None
    ) -> list[Draw]:
        """Sample `request.n` siblings under the seeds of `path`, concurrently.

        Args:
            request: its `seed` is set here: sibling k of `path` gets seed base(path) + k.
            path: names the place of the draw, for example ("sample", task.id).
            first: index of the first sibling, for sampling in several rounds.
            until: called with the draws 0..m for m = 1, 2, ... in index order; True ends the sampling there.

        Returns:
            The draws in index order: all n of them, or those up to where `until` said True.

        Raises:
            BadInput: the prompt does not fit the model's context.
        """
        try:
            return await Siblings(self._model, self.role, self._context, request, path, first, until).run()
        except BaseExceptionGroup as group:
            raise plain(group) from None

    async def ask(
        self, messages: Sequence[Message], *, path: Sequence[str | int], sampling: Sampling, **options: Any
    ) -> Completion:
        """Make one call and return its completion.

        Args:
            messages: the chat.
            path: names the place of the draw.
            sampling: the law.
            options: further fields of `Request`.

        Raises:
            ProviderError: the call failed.
            Interrupted: it was not admitted, or the run ended during it.
        """
        request = Request(messages=tuple(messages), sampling=sampling, **options)
        (draw,) = await self.sample(request, path=path)
        if draw.error is not None:
            raise draw.error
        if draw.interrupted is not None:
            raise draw.interrupted
        assert draw.completion is not None
        return draw.completion
