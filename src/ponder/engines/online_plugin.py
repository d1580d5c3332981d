"""The contract of adapters that other adapters wear: a guard, a window, a change of the head.

Source: our own. How to write one: a dataclass on `Plugin` that overrides `_adapt`, and, where it has them, `_memory`
and `_remember` (together with those of `Plugin`, which are the host's).
Cost: that of the adapter inside, and what the plug-in does. Needs: nothing beyond the adapter inside.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ponder.core.errors import ConfigError
from ponder.engines.online import Adapter
from ponder.engines.online_calls import plain_tensors, rows_of, tensors_in
from ponder.engines.online_cost import Cost

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Plugin"]


@dataclass(eq=False, repr=False)
class Plugin(Adapter):
    """An adapter that another one wears: `Guard(Tent(model))`. Around a plain model it wears one that only predicts.

    The host's counters are the plug-in's: what both do is counted once, in `cost` of the outermost.

    Attributes:
        host: the adapter inside.
    """

    def __post_init__(self) -> None:
        if self.predict != "before" or self.episodic:
            raise ConfigError("predict and episodic belong to the adapter inside: set them there")
        self.host = self.model if isinstance(self.model, Adapter) else Adapter(self.model)
        try:
            super().__post_init__()
        except BaseException:
            if self.host is not self.model:
                self.host._undo.close()
            raise
        self.cost = self.host.cost

    def __call__(self, x: Any) -> Tensor:
        """Predict a batch and adapt to it."""
        self._refuse_odd(x)
        if self._is_frozen:
            return self._predict(x)
        before = self.cost.since(Cost())
        began = time.perf_counter()
        with plain_tensors():
            logits = self._adapt(x).detach()
        self.cost.batches, self.cost.samples = before.batches + 1, before.samples + rows_of(x)
        self.cost.seconds = before.seconds + time.perf_counter() - began
        return logits

    def _configure(self) -> None:
        """Leave the model to the host."""

    def _adapt(self, x: Any) -> Tensor:
        return self.host(x)

    def _predict(self, x: Any) -> Tensor:
        with self.host._held():
            return self.host(x)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Inside, calls only predict, through every adapter within."""
        cost = self.cost
        try:
            with self._held(), self.host.frozen():
                self.cost = self.host.cost
                yield
        finally:
            self.cost = cost

    @contextmanager
    def _as_source(self) -> Iterator[None]:
        with self.host._as_source():
            yield

    def _tensors(self) -> dict[str, Tensor]:
        return self.host._tensors()

    def _memory(self) -> dict[str, Any]:
        return {"host": self.host._memory()}

    def _remember(self, memory: dict[str, Any]) -> None:
        self.host._remember(memory["host"])

    def state_bytes(self) -> int:
        """Return the bytes held beside the model: by the plug-in and by the adapter inside."""
        own = {name: part for name, part in self._memory().items() if name != "host"}
        held = [*self._start.values(), *tensors_in(own), *tensors_in(self._fresh)]
        ours: int = sum(tensor.numel() * tensor.element_size() for tensor in held)
        return self.host.state_bytes() + ours

    def restore(self) -> None:
        """Give the model back as it came."""
        super().restore()
        self.host.restore()
