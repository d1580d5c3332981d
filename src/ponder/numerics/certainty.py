"""Certainty of a model in what it wrote, from its own next-token distributions.

Source: Kang et al. 2025, arXiv:2502.18581 (card 26). Self-certainty is the mean over the answer's tokens of KL(U || p),
U uniform over the V tokens of the vocabulary. All measures: nats, and higher is more certain; comparable only within
one model and prompt. Logits are raw: temperature 1, the whole vocabulary, nothing filtered (a logit of -inf makes the
divergence infinite).
Differs from the released code: that reads the distributions after each answer token instead of those that predict it;
`answer_rows(parity="released")` and `released_self_certainty` reproduce this.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Literal, NamedTuple

from ponder.core.errors import BadInput, ConfigError

__all__ = [
    "TokenCertainty",
    "answer_rows",
    "approximate_kl_from_top_k",
    "kl_from_uniform",
    "log_softmax",
    "lowest_window",
    "mean_certainty",
    "negative_perplexity",
    "released_self_certainty",
    "tail_mean",
    "token_certainty",
    "window_means",
]

# The mass that float32 log-probabilities leave to tokens not listed is known no finer than this.
_RESOLUTION = 1e-7


class TokenCertainty(NamedTuple):
    """The measures of one next-token distribution p.

    Attributes:
        kl: KL(U || p) = -mean ln p - ln V, >= 0 up to rounding.
        gini: sum of p^2, in [1/V, 1].
        negative_entropy: sum of p ln p, in [-ln V, 0].
        distributional_perplexity: -exp(entropy), in [-V, -1].
    """

    kl: float
    gini: float
    negative_entropy: float
    distributional_perplexity: float


def token_certainty(logits: Sequence[float]) -> TokenCertainty:
    """Return all measures of the distribution with these logits [V]."""
    shifted, norm = _shift(logits)
    logp = [x - norm for x in shifted]
    p = [math.exp(x) for x in logp]
    negative_entropy = sum(q * x for q, x in zip(p, logp, strict=True) if q)
    return TokenCertainty(
        kl=kl_from_uniform(norm, sum(shifted) / len(shifted), len(shifted)),
        gini=sum(q * q for q in p),
        negative_entropy=negative_entropy,
        distributional_perplexity=-math.exp(-negative_entropy),
    )


def kl_from_uniform(logsumexp: float, mean: float, vocabulary: int) -> float:
    """Return KL(U || p) from the log-sum-exp and the mean of a row of logits: all that sampling has to keep."""
    return logsumexp - mean - math.log(vocabulary)


def log_softmax(logits: Sequence[float]) -> list[float]:
    """Return the log-probabilities [V] of logits [V].

    Raises:
        BadInput: no logits.
    """
    shifted, norm = _shift(logits)
    return [x - norm for x in shifted]


def approximate_kl_from_top_k(logprobs: Sequence[float], vocabulary: int) -> float:
    """Return an approximation of KL(U || p) from the k largest log-probabilities; results must be flagged as such.

    The mass that is left is spread evenly over the other V - k tokens (our choice): a lower bound that grows with k,
    except that a left mass below 1e-7 counts as 1e-7, since log-probabilities tell it no finer.

    Raises:
        BadInput: none, or more than V.
    """
    k = len(logprobs)
    if not 0 < k <= vocabulary:
        raise BadInput(f"{k} log-probabilities of a vocabulary of {vocabulary}")
    total = sum(logprobs)
    if rest := vocabulary - k:
        left = max(1 - math.fsum(map(math.exp, logprobs)), _RESOLUTION)
        total += rest * math.log(left / rest)
    return -total / vocabulary - math.log(vocabulary)


def negative_perplexity(logprobs: Sequence[float]) -> float | None:
    """Return -exp(-mean) of the sampled tokens' log-probabilities; None without tokens."""
    mean = mean_certainty(logprobs)
    return None if mean is None else -math.exp(-mean)


def mean_certainty(per_token: Sequence[float], mask: Sequence[int] | None = None) -> float | None:
    """Return the mean over the tokens (those with a mask of 1), whatever measure it is; None without tokens.

    Masked values are not looked at. Of log-probabilities this is the average log-probability.
    """
    kept = per_token if mask is None else [x for x, keep in zip(per_token, mask, strict=True) if keep]
    return sum(kept) / len(kept) if kept else None


def answer_rows(prompt: int, answer: int, *, parity: Literal["paper", "released"] = "paper") -> range:
    """Return the rows of the logits that belong to an answer's tokens.

    Args:
        prompt: tokens before the answer, >= 1 (released: >= 0).
        answer: tokens of the answer, padding included.
        parity: "paper" takes the rows that predict each token; "released" those after it (off by one).

    Raises:
        BadInput: nothing before the answer, so that no row predicts its first token.
    """
    first = prompt if parity == "released" else prompt - 1
    if first < 0:
        raise BadInput("no distribution predicts the first token of an answer without a prompt")
    return range(first, first + answer)


def released_self_certainty(logprob_sums: Sequence[float], mask: Sequence[int], vocabulary: int) -> float:
    """Return self-certainty as the official code ends it, for parity: also where it is not a number.

    Args:
        logprob_sums: at each position the sum over the vocabulary of the log-probabilities.
        mask: 1 for tokens of the answer, 0 for padding.
        vocabulary: V.

    Returns:
        The mean over the mask; NaN if it is empty, or if a masked position holds an infinite sum.
    """
    if not any(mask):
        return math.nan
    # Masking by multiplication: infinity times 0 is not a number.
    kept = [(-s / vocabulary - math.log(vocabulary)) * keep for s, keep in zip(logprob_sums, mask, strict=True)]
    return sum(kept) / sum(mask)


def window_means(per_token: Sequence[float], width: int) -> list[float]:
    """Return the mean of each run of `width` tokens; one run of all tokens if there are fewer; finite values.

    Raises:
        ConfigError: width < 1.
    """
    if width < 1:
        raise ConfigError(f"width must be at least 1, got {width!r}")
    width = min(width, len(per_token))
    sums = list(accumulate(per_token, initial=0.0))
    return [(after - before) / width for before, after in zip(sums, sums[width:], strict=False)] if width else []


def lowest_window(per_token: Sequence[float], width: int) -> float | None:
    """Return the smallest of `window_means`: the passage where the model was least certain; None without tokens."""
    return min(window_means(per_token, width), default=None)


def tail_mean(per_token: Sequence[float], width: int) -> float | None:
    """Return the mean of the last `width` tokens (of all, if there are fewer); None without tokens.

    Raises:
        ConfigError: width < 1.
    """
    if width < 1:
        raise ConfigError(f"width must be at least 1, got {width!r}")
    return mean_certainty(per_token[-width:])


def _shift(logits: Sequence[float]) -> tuple[list[float], float]:
    """Return the logits less their maximum, and the log-sum-exp of these."""
    if not logits:
        raise BadInput("a distribution needs at least one logit")
    top = max(logits)
    shifted = [x - top for x in logits]
    return shifted, math.log(math.fsum(map(math.exp, shifted)))
