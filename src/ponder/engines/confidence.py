"""One confidence per candidate, from the certainty that the back-end accumulated while sampling.

Source: Kang et al. 2025, arXiv:2502.18581 (card 26): self-certainty, the mean over the answer's tokens of KL(U || p).
Cost: nothing beyond sampling; no second pass.
"""

from __future__ import annotations

from typing import NamedTuple

from ponder.core.access import Access
from ponder.core.candidate import Candidate, Score
from ponder.core.context import Context
from ponder.core.task import Task
from ponder.engines.sample import Samples, sample
from ponder.numerics.certainty import approximate_kl_from_top_k, mean_certainty

__all__ = ["Confident", "needed_access", "sample_with_confidence", "self_certainty"]


class Confident(NamedTuple):
    """Samples with the model's certainty of each.

    Attributes:
        drawn: the samples.
        candidates: the same with a score "self_certainty".
        values: its value for each; None where it is missing, or the candidate was broken off.
    """

    drawn: Samples
    candidates: list[Candidate]
    values: list[float | None]


async def sample_with_confidence(task: Task, ctx: Context, *, n: int, top_k: int) -> Confident:
    """Draw `n` answers and score each by `self_certainty` (exact, or approximated from `top_k` > 0 tokens)."""
    drawn = await sample(task, ctx, n=n, top_logprobs=top_k)
    vocabulary = ctx.model().info.vocabulary
    scores = [self_certainty(candidate, top_k=top_k, vocabulary=vocabulary) for candidate in drawn.candidates]
    candidates = [c.scored("self_certainty", score) for c, score in zip(drawn.candidates, scores, strict=True)]
    values = [None if c.finish == "cancelled" else s.value for c, s in zip(candidates, scores, strict=True)]
    return Confident(drawn, candidates, values)


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
