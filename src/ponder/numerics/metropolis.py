"""Metropolis-Hastings over whole answers: the acceptance rule, the law of the cut, and what to return from the chain.

The chain cuts the answer y at a random token and lets the model p write the rest again. With the target
pi(y) ~ p(y) exp(r(y) / beta) the model's probabilities cancel, and a proposal y' is accepted with probability
min(1, exp((r' - r) / beta) |y| / |y'|). The lengths count the end-of-text token: it can be cut off like any other.

Source: Faria & Smith 2025, arXiv:2504.03790 (QAlign), and its sampler library quest-decoding (card 02).
Cuts in blocks of more than one token follow the released rule, which does not check that the cut can be drawn from the
new answer too, so that detailed balance can fail there; the engine cuts in blocks of one, where it always can.
Effective sample size: Geyer 1992, initial positive sequence.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence

from ponder.core.errors import BadInput, ConfigError

__all__ = [
    "CLAMP",
    "acceptance",
    "checkpoints",
    "cut_log_probability",
    "cut_support",
    "effective_sample_size",
    "held_states",
    "log_acceptance",
    "log_quest_acceptance",
    "mbr_pick",
    "rouge1_f1",
    "softmax_weights",
    "unigram_overlap",
]

CLAMP = 20.0  # the released clip of the log ratio: the worst proposal is accepted with 2e-9


def cut_support(length: int, block: int | None = 1) -> range:
    """Return the cuts that can be drawn from an answer of `length` tokens, the end of text counted.

    Args:
        length: |y| >= 1.
        block: cuts stand at multiples of it, {0, B, ..., (floor(|y| / B) - 1) B}; None cuts at 0 only, so that every
            proposal is a fresh sample.

    Raises:
        BadInput: length < 1, or shorter than one block.
        ConfigError: block < 1.
    """
    if block is None:
        return range(1)
    if block < 1:
        raise ConfigError(f"a block has at least one token, got {block!r}")
    if length < block:
        raise BadInput(f"an answer of {length} tokens has no cut in blocks of {block}")
    return range(0, (length // block) * block, block)


def cut_log_probability(length: int, block: int | None = 1) -> float:
    """Return the log-probability (nats) of each cut in `cut_support`: they are all equally likely."""
    return -math.log(len(cut_support(length, block)))


def log_acceptance(
    reward_old: float,
    reward_new: float,
    *,
    beta: float,
    length_old: int,
    length_new: int,
    block: int | None = 1,
    clamp: float = CLAMP,
) -> float:
    """Return the log of the acceptance ratio, clipped to [-clamp, clamp].

    Args:
        reward_old: reward of the state, in the units of `beta`.
        reward_new: reward of the proposal.
        beta: temperature of the reward, > 0; small ones follow the reward, large ones the model.
        length_old: tokens of the state, the end of text counted, >= 1.
        length_new: tokens of the proposal, likewise.
        block: law of the cut (see `cut_support`).
        clamp: > 0.

    Raises:
        ConfigError: beta or clamp not above 0.
        BadInput: a length without any cut.
    """
    _check(beta, clamp)
    cut_ratio = cut_log_probability(length_new, block) - cut_log_probability(length_old, block)
    return _clip((reward_new - reward_old) / beta + cut_ratio, clamp)


def log_quest_acceptance(
    reward_old: float,
    reward_new: float,
    *,
    beta: float,
    logprobs_old: Sequence[float],
    logprobs_new: Sequence[float],
    cut: int,
    clamp: float = CLAMP,
) -> float:
    """Return the log ratio of QUEST, the ancestor, whose target exp(r / beta) leaves the model out.

    The released code takes the mean, not the sum, of the log-probabilities after the cut; so does this.

    Raises:
        ConfigError: beta or clamp not above 0.
        BadInput: the cut leaves no token on one side.
    """
    old, new = logprobs_old[cut:], logprobs_new[cut:]
    if not old or not new:
        raise BadInput(f"nothing is left after the cut at {cut}")
    _check(beta, clamp)
    lengths = math.log(len(logprobs_old)) - math.log(len(logprobs_new))
    suffixes = math.fsum(old) / len(old) - math.fsum(new) / len(new)
    return _clip((reward_new - reward_old) / beta + lengths + suffixes, clamp)


def acceptance(log_ratio: float) -> float:
    """Return the acceptance probability min(1, exp(log_ratio))."""
    return math.exp(min(0.0, log_ratio))


def held_states(accepted: Sequence[bool]) -> list[int]:
    """Return for each step the index of the state held after it: the last accepted one, repeated on rejection.

    Raises:
        BadInput: the first one, the start of the chain, is not accepted.
    """
    held: list[int] = []
    for index, accept in enumerate(accepted):
        if not accept and not held:
            raise BadInput("a chain starts with an accepted state")
        held.append(index if accept else held[-1])
    return held


def rouge1_f1(left: Sequence[Hashable], right: Sequence[Hashable]) -> float:
    """Return the ROUGE-1 F1 of two token lists, in [0, 1]: their overlap with repeats; 0 where nothing is shared."""
    shared = (Counter(left) & Counter(right)).total()
    if not shared:
        return 0.0
    recall, precision = shared / len(left), shared / len(right)
    return 2 * recall * precision / (recall + precision)


def unigram_overlap(left: Sequence[Hashable], right: Sequence[Hashable], vocabulary: int) -> float:
    """Return the unigram consistency score: distinct tokens that both have, over the size of the vocabulary."""
    if vocabulary < 1:
        raise ConfigError(f"a vocabulary has at least one token, got {vocabulary!r}")
    return len(set(left) & set(right)) / vocabulary


def mbr_pick(
    states: Sequence[Sequence[Hashable]],
    utility: Callable[[Sequence[Hashable], Sequence[Hashable]], float] = rouge1_f1,
    counts: Sequence[int] | None = None,
) -> int | None:
    """Return the index of the state with the largest mean utility over all states, itself included.

    Args:
        states: token lists.
        utility: symmetric; called once for each pair.
        counts: how often the chain holds each state (by default once).

    Returns:
        The first largest one; None without states.
    """
    counts = [1] * len(states) if counts is None else counts
    sums = [0.0] * len(states)
    for i, left in enumerate(states):
        for j in range(i, len(states)):
            value = utility(left, states[j])
            sums[i] += value * counts[j]
            if i != j:
                sums[j] += value * counts[i]
    return max(range(len(sums)), key=sums.__getitem__, default=None)


def softmax_weights(rewards: Sequence[float], beta: float) -> list[float]:
    """Return exp(r / beta), normalised: the weights of a weighted vote over independent samples.

    Raises:
        ConfigError: beta not above 0.
    """
    _check(beta, CLAMP)
    highest = max(rewards, default=0.0)
    weights = [math.exp((reward - highest) / beta) for reward in rewards]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def checkpoints(limit: int, every: int) -> list[int]:
    """Return the chain lengths at which curves are drawn: powers of two below `every`, then its multiples to `limit`.

    As released: the powers of two are not cut at the limit.
    """
    powers = [2**k for k in range(max(every - 1, 0).bit_length())]
    return [*powers, *range(every, limit + 1, every)]


def effective_sample_size(values: Sequence[float]) -> float:
    """Return how many independent draws a chain's values are worth, in [1, n]; n for a constant trace.

    The autocorrelations are summed in pairs for as long as the pairs are positive.
    """
    n = len(values)
    mean = math.fsum(values) / n if n else 0.0
    centred = [value - mean for value in values]
    variance = math.fsum(c * c for c in centred)
    if n < 2 or variance <= 0:
        return float(n)

    def correlation(lag: int) -> float:
        return math.fsum(a * b for a, b in zip(centred, centred[lag:], strict=False)) / variance

    total = 0.0
    for lag in range(0, n - 1, 2):
        pair = correlation(lag) + correlation(lag + 1)
        if pair <= 0:
            break
        total += pair
    return min(float(n), n / max(2 * total - 1, 1.0))


def _clip(value: float, clamp: float) -> float:
    return min(clamp, max(-clamp, value))


def _check(beta: float, clamp: float) -> None:
    if not beta > 0 or not clamp > 0:
        raise ConfigError(f"beta and clamp must be above 0, got beta={beta!r}, clamp={clamp!r}")
