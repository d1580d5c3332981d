"""What a thought from outside saves and risks: tokens decoded with a share of fall-backs, accuracy of one that obeys.

Source: ThoughtMani, arXiv:2504.13626 (card 23); the accounting and the two-model world are the card's.
Cost: closed forms. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from ponder.core.errors import BadInput

__all__ = ["accuracy_with_outline", "decoded_tokens"]


def decoded_tokens(fallback: float, answer: float, thought: float) -> float:
    """Return the mean tokens that the large model decodes for a question.

    Args:
        fallback: share of questions for which it thinks itself, in [0, 1].
        answer: tokens of an answer, >= 0.
        thought: tokens of a thought of its own, >= 0.

    Raises:
        BadInput: out of range.
    """
    if not 0 <= fallback <= 1 or not min(answer, thought) >= 0:
        raise BadInput("fallback is in [0, 1], tokens are at least 0")
    return answer + fallback * thought


def accuracy_with_outline(obeys: float, outline: float, alone: float, *, gives_up: bool = False) -> float:
    """Return the accuracy of a model that follows an outline with some chance and else solves the question alone.

    Args:
        obeys: chance of following, in [0, 1].
        outline: chance that the outline is right, in [0, 1].
        alone: accuracy without one, in [0, 1].
        gives_up: the outline's writer gives up exactly where it would be wrong.

    Raises:
        BadInput: out of range.
    """
    if not all(0 <= value <= 1 for value in (obeys, outline, alone)):
        raise BadInput("chances are in [0, 1]")
    if gives_up:
        return outline * (obeys + (1 - obeys) * alone) + (1 - outline) * alone
    return obeys * outline + (1 - obeys) * alone
