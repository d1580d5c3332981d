"""Source: predict with the model as it came and adapt nothing.

Source: the baseline of every protocol (card 00).
Differs: nothing.
Cost: one forward a batch. Needs: logits; any callable will do.
When: as the yardstick on each stream; where the shift is small; where a wrong update would be worse than none.
When not: batch norms under strong covariate shift, where fresh statistics alone help much.
"""

from __future__ import annotations

from dataclasses import dataclass

from ponder.core.access import Access
from ponder.core.registry import adapters
from ponder.engines.online import Adapter

__all__ = ["Source"]


@adapters(
    "source",
    access=(Access.LOGITS,),
    needs=("torch",),
    tags={"what": ("adaptation",), "how": ("generation",), "where": ("general",), "how_well": ("accuracy",)},
    since="0.1",
)
@dataclass(eq=False, repr=False)
class Source(Adapter):
    """Predicts, in evaluation mode."""
