"""What adaptation costs: counters of passes, updates and seconds.

Source: the units of card 00. Cost: none. Needs: nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["Cost"]


@dataclass(kw_only=True)
class Cost:
    """What an adapter has done since it was made (a reset does not clear it).

    Attributes:
        batches, samples: that were predicted.
        forwards, forward_samples: passes through the model, and rows in them.
        backwards, backward_samples: the same of backward passes; masked rows count, since they are computed.
        updates: optimiser steps.
        skipped: updates that were due but not made: a loss that is not finite, or a batch on which a guard abstained.
        seconds: in calls of the adapter, by the wall clock; work that a GPU still has in its queue is not in it.
        pass_seconds: of them, in forward and backward passes.
        step_seconds: of them, in optimiser steps.
    """

    batches: int = 0
    samples: int = 0
    forwards: int = 0
    forward_samples: int = 0
    backwards: int = 0
    backward_samples: int = 0
    updates: int = 0
    skipped: int = 0
    seconds: float = 0.0
    pass_seconds: float = 0.0
    step_seconds: float = 0.0

    def since(self, earlier: Cost) -> Cost:
        """Return what came on top of an earlier copy."""
        return Cost(**{f.name: getattr(self, f.name) - getattr(earlier, f.name) for f in fields(self)})
