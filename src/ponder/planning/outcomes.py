"""What was recorded, as arrays that a policy can be fitted on: options, their outcomes and costs, and probes.

Source: our own (DESIGN §6).
Cost: no model call. Needs: numpy (extra `bench`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ponder.core.errors import BadInput
from ponder.core.registry import need
from ponder.planning.policy import Choice, Probe

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Look", "Option", "Outcomes"]


@dataclass(frozen=True, kw_only=True)
class Option:
    """Something that a policy may run.

    Attributes:
        choice: what it is.
        shares: its samples begin with those of the probe, so that the dearer of both pays for both.
    """

    choice: Choice
    shares: bool


@dataclass(frozen=True, kw_only=True)
class Look:
    """A probe as it was recorded: [question] its estimate (nan: nothing to tell), and what it cost."""

    probe: Probe
    values: Floats
    costs: Floats


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """What was recorded.

    Attributes:
        questions: names, and
        families: of each.
        options: what was run on every question.
        correct: [question, option], 0 or 1.
        costs: [question, option], in one unit.
        looks: probes to choose from.
    """

    questions: tuple[str, ...]
    families: tuple[str, ...]
    options: tuple[Option, ...]
    correct: Floats
    costs: Floats
    looks: tuple[Look, ...] = ()

    def __post_init__(self) -> None:
        shape = (len(self.questions), len(self.options))
        if not all(shape) or self.correct.shape != shape or self.costs.shape != shape:
            raise BadInput(f"outcomes need one entry for each of {shape[0]} questions and {shape[1]} options")

    def charged(self, look: Look | None) -> Floats:
        """Return the costs [question, option] with a probe before each."""
        if look is None:
            return self.costs
        np = need("numpy", extra="bench", feature="tuning a policy")
        shares = np.array([option.shares for option in self.options])
        probe = look.costs[:, None]
        charged: Floats = np.where(shares[None, :], np.maximum(self.costs, probe), self.costs + probe)
        return charged
