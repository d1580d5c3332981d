"""What translation under a budget and post-editing share.

Source: Li et al. 2025, arXiv:2510.06471 (card 03).
"""

from __future__ import annotations

from ponder.engines.thinking import Pace

__all__ = ["ENDS", "GUARD", "pace_of"]

GUARD = 5  # thinking tokens before a model may be told to wait

# Texts that end a translation, by markers: models that put it between tags of its own.
ENDS = {"thought": ("</output>",)}


def pace_of(thinking: int, *, wait: bool = False, cue: str = "wait", guard: int = GUARD) -> Pace | None:
    """Return how much is thought; None for a budget of 0.

    Raises:
        ConfigError: values out of range.
    """
    pace = Pace(budget=max(1, thinking), cues=int(wait), cue=cue, guard=guard)
    return pace if thinking else None
