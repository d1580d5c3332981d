"""One confidence per candidate, from the certainty that the back-end accumulated while sampling.

Source: Kang et al. 2025, arXiv:2502.18581 (card 26): self-certainty, the mean over the answer's tokens of KL(U || p).
Cost: nothing beyond sampling; no second pass.
"""

from __future__ import annotations

from ponder.core.access import Access
from ponder.core.candidate import Candidate, Score
from ponder.numerics.certainty import approximate_kl_from_top_k, mean_certainty

__all__ = ["needed_access", "self_certainty"]


def needed_access(top_k: int) -> frozenset[Access]:
    """Return the access that `self_certainty` needs: full logits, or k log-probabilities for the approximation."""
    return frozenset({Access.TEXT, Access.TOP_LOGPROBS if top_k else Access.LOGITS})


def self_certainty(candidate: Candidate, *, top_k: int = 0, vocabulary: int | None = None) -> Score:
    """Return the self-certainty of a candidate in nats, missing where its tokens are not known.

    Args:
        candidate: with its completion.
        top_k: 0 for the exact value; k > 0 for the approximation from the k likeliest tokens (the score says so).
        vocabulary: V, for the approximation.
    """
    completion = candidate.completion
    if completion is None:
        return Score.missing(candidate.error or "no completion")
    if not top_k:
        if completion.certainty is None:
            return Score.missing("the back-end gave no certainty")
        return _score(mean_certainty(completion.certainty), "")
    top = None if completion.tokens is None else completion.tokens.top
    if top is None or vocabulary is None:
        return Score.missing("the back-end gave no top log-probabilities, or its vocabulary is not known")
    per_token = [approximate_kl_from_top_k([p for _, _, p in step], vocabulary) for step in top if step]
    return _score(mean_certainty(per_token), f"approximated from the top {top_k} tokens")


def _score(value: float | None, reason: str) -> Score:
    return Score.missing("the answer has no tokens") if value is None else Score(value=value, reason=reason)
