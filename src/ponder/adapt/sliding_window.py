"""Sliding window: samples that come one by one are predicted among the last few, and adapted to once a window is full.

Source: the buffer for batch norms of the benchmark of Marsden et al. 2024, arXiv:2306.00650 (card 00, protocol 5).
Differs: batches of any size; a sample that is not finite is predicted and then forgotten.
Cost: each batch is a forward of the whole window, so up to `window` times the passes at batch size 1; one update of the
adapter inside for `every` samples. Holds `window` inputs. Needs: nothing beyond the adapter inside.
When: batch norms where samples come singly or in small batches.
When not: group or layer norms, whose rows do not depend on each other: the window then only costs. Labels that stay the
same for longer than a window: the statistics are then of that label. The first samples are predicted among few others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from ponder.core.access import Access
from ponder.core.errors import ConfigError
from ponder.core.registry import adapters
from ponder.engines.online_calls import rows_of, take
from ponder.engines.online_plugin import Plugin

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SlidingWindow"]


@adapters(
    "sliding_window",
    paper="arXiv:2306.00650",
    fidelity="code",
    access=(Access.LOGITS,),
    needs=("torch",),
    tags={"what": ("adaptation",), "how": ("tuning",), "where": ("general",), "how_well": ("accuracy",)},
)
@dataclass(eq=False, repr=False, kw_only=True)
class SlidingWindow(Plugin):
    """Around an adapter: `SlidingWindow(BatchNorm(model), window=32)`.

    Attributes:
        window: samples that are looked at together, >= 1; a larger batch is its own window.
        every: samples between two updates of the adapter inside, >= 1; None for `window`.
        held: the last samples, at most `window`; None before the first.
    """

    window: int = 64
    every: int | None = None
    held: Any = field(init=False, default=None)
    _waiting: int = field(init=False, default=0)

    tensors_only: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.window < 1 or (self.every is not None and self.every < 1):
            raise ConfigError(f"window and every start at 1, got {self.window!r} and {self.every!r}")
        super().__post_init__()

    def _adapt(self, x: Any) -> Tensor:
        seen = self._among(x)
        self._waiting += rows_of(x)
        due = self._waiting >= (self.every or self.window)
        logits = self.host(seen) if due else super()._predict(seen)
        self._waiting = 0 if due else self._waiting
        self.held = _map(lambda part: part[-self.window :].clone(), take(seen, _finite(seen)))
        self.evidence = {"rows": rows_of(seen), "updated": due}
        return logits[-rows_of(x) :]

    def _predict(self, x: Any) -> Tensor:
        return super()._predict(self._among(x))[-rows_of(x) :]

    def _among(self, x: Any) -> Any:
        """Return the batch behind as many of the last samples as the window has room for."""
        room = self.window - rows_of(x)
        if self.held is None or room < 1:
            return _map(lambda part: part.clone(), x)
        import torch

        if isinstance(x, Mapping):
            return {name: torch.cat([self.held[name][-room:], part]) for name, part in x.items()}
        return torch.cat([self.held[-room:], x])

    def _memory(self) -> dict[str, Any]:
        return {**super()._memory(), "held": self.held, "waiting": self._waiting}

    def _remember(self, memory: dict[str, Any]) -> None:
        super()._remember(memory)
        self.held, self._waiting = memory["held"], memory["waiting"]


def _finite(x: Any) -> Tensor:
    """Return which rows (N,) hold finite numbers only."""
    parts = list(x.values()) if isinstance(x, Mapping) else [x]
    good = parts[0].isfinite().flatten(1).all(1) if parts[0].dim() > 1 else parts[0].isfinite()
    for part in parts[1:]:
        good = good & (part.isfinite().flatten(1).all(1) if part.dim() > 1 else part.isfinite())
    return good


def _map(change: Any, x: Any) -> Any:
    return {name: change(part) for name, part in x.items()} if isinstance(x, Mapping) else change(x)
