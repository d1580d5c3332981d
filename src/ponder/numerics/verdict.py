"""The probability of a yes from the log-probabilities at the place of the verdict.

Source: Zhao et al. 2025, arXiv:2504.00891 (card 57): r = p_yes / (p_yes + p_no); `released_reward` is what
RyanLiu112/GenPRM computes.
Differs from the released code: spellings of a word (case, a space before it) are added up, and the ratio does not
underflow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ponder.numerics.aggregation import two_token_score

__all__ = ["released_reward", "yes_probability"]


def yes_probability(top: Sequence[tuple[str, float]]) -> float | None:
    """Return the probability of "yes" against "no", in [0, 1].

    Args:
        top: the likeliest tokens at the place of the verdict with their log-probabilities (nats), the sampled one
            among them. Where one of the words is not among them, the smallest log-probability stands in for it.

    Returns:
        The probability, or None where neither word is there.
    """
    words: dict[str, list[float]] = {"yes": [], "no": []}
    for text, logprob in top:
        if (word := text.strip(" \t\n{}").lower()) in words:
            words[word].append(logprob)
    if not words["yes"] and not words["no"]:
        return None
    least = min(logprob for _, logprob in top)
    yes, no = (_log_sum(words[word]) if words[word] else least for word in ("yes", "no"))
    if yes == no:  # both may be minus infinity
        return 0.5
    return two_token_score(yes, no)


def _log_sum(values: Sequence[float]) -> float:
    most = max(values)
    if most == -math.inf:
        return most
    return most + math.log(math.fsum(math.exp(value - most) for value in values))


def released_reward(
    text: str, ids: Sequence[int], logprobs: Sequence[Mapping[int, float]], *, yes: int, no: int
) -> float:
    """Return the reward as the released code does, sentinels included.

    Args:
        text: the verification; the first "yes}" or "no}" in it is the verdict, whatever stands before.
        ids: its tokens; the last one that equals the verdict's id is read.
        logprobs: log-probabilities (nats) by token id, at each position.
        yes: id of the token "Yes".
        no: id of the token "No".

    Raises:
        ValueError: no token has the verdict's id.
    """
    lowered = text.lower()
    places = {token: at for token, word in ((yes, "yes}"), (no, "no}")) if (at := lowered.find(word)) >= 0}
    if not places:
        return 0.5
    at = len(ids) - 1 - list(reversed(ids)).index(min(places, key=places.__getitem__))
    least = min(logprobs[at].values())
    good, bad = (math.exp(logprobs[at].get(token, least)) for token in (yes, no))
    return good / (good + bad) if good + bad > 0 else 0.5
