"""Which steps of a reasoning trace to drop: importance by perplexity, and pruning by kind of step.

Source: PIR of Xiao et al. 2025, arXiv:2505.19187 (LIMOPro, card 59), algorithm 1: PIR(step) = log(PPL of the answer
without the step / PPL with it), and of each kind of functional step the share `ratio` with the lowest PIR goes;
progressive steps stay. Baselines: RULE drops as many at random, SPIRIT ranks all steps.
Differs: a share is rounded half up, and of equal steps the later one goes first (our choice, the paper does not say).
Cost: closed forms. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

from ponder.core.errors import BadInput, ConfigError

__all__ = [
    "FUNCTIONAL",
    "Kind",
    "accuracy_per_token",
    "greedy_removals",
    "importance",
    "perplexity",
    "prune",
    "prune_any",
    "prune_at_random",
    "removals",
    "undecided",
    "whole",
]

# Progressive, verification, multi-method validation, error correction.
Kind: TypeAlias = Literal["P", "V", "M", "E"]
FUNCTIONAL: tuple[Kind, ...] = ("V", "M", "E")

_SLACK = 1e-9  # 0.3 * 5 is below 1.5 in binary


def perplexity(logprobs: Sequence[float]) -> float:
    """Return exp(-mean), in [1, inf], of the log-probabilities (nats) of an answer's tokens.

    Raises:
        BadInput: there is no token.
    """
    return math.exp(-_mean(logprobs))


def importance(full: Sequence[float], without: Sequence[float]) -> float:
    """Return PIR in nats: > 0 where the step helps the answer.

    Args:
        full: log-probabilities of the answer's tokens after all steps.
        without: the same with the step left out.

    Raises:
        BadInput: no token, or different numbers of them.
    """
    if len(full) != len(without):
        raise BadInput(f"the answer has {len(full)} tokens after all steps and {len(without)} without one")
    return _mean(full) - _mean(without)


def removals(count: int, ratio: float) -> int:
    """Return how many of `count` steps go: `ratio` of them, rounded half up.

    Raises:
        ConfigError: ratio outside [0, 1].
    """
    if not 0 <= ratio <= 1:
        raise ConfigError(f"ratio must be in [0, 1], got {ratio!r}")
    return math.floor(ratio * count + 0.5 + _SLACK)


def undecided(kinds: Sequence[str], ratio: float) -> tuple[int, ...]:
    """Return the places of the functional steps whose scores decide what goes, in order.

    Of a kind of which no step goes, or every one, the scores decide nothing: `prune` gives the same without them, where
    steps of a kind that goes whole are given any score.

    Args:
        kinds: of each step, "P", "V", "M" or "E".
        ratio: share of each functional kind that goes, in [0, 1].

    Raises:
        ConfigError: ratio outside [0, 1].
    """
    counts = {kind: sum(one == kind for one in kinds) for kind in FUNCTIONAL}
    open_ = {kind for kind, count in counts.items() if 0 < removals(count, ratio) < count}
    return tuple(at for at, kind in enumerate(kinds) if kind in open_)


def whole(kinds: Sequence[str], ratio: float) -> dict[int, float]:
    """Return a score of 0 for each step of a kind that goes whole, which `prune` needs and nothing has to measure."""
    counts = {kind: sum(one == kind for one in kinds) for kind in FUNCTIONAL}
    gone = {kind for kind, count in counts.items() if count and removals(count, ratio) == count}
    return {at: 0.0 for at, kind in enumerate(kinds) if kind in gone}


def prune(kinds: Sequence[str], scores: Mapping[int, float], ratio: float) -> tuple[int, ...]:
    """Return the places of the steps that stay, in order.

    Args:
        kinds: of each step, "P", "V", "M" or "E".
        scores: PIR of the functional steps, by place; one without a score stays, and its share is not filled by others.
        ratio: share of each functional kind that goes, in [0, 1].

    Raises:
        BadInput: there is no such kind.
        ConfigError: ratio outside [0, 1].
    """
    if unknown := set(kinds) - {"P", *FUNCTIONAL}:
        raise BadInput(f"kinds of steps are P, V, M and E, not {', '.join(sorted(unknown))}")
    gone: set[int] = set()
    for kind in FUNCTIONAL:
        places = [at for at, one in enumerate(kinds) if one == kind]
        known = [at for at in places if at in scores]
        gone.update(_lowest(known, scores, removals(len(places), ratio)))
    return tuple(at for at in range(len(kinds)) if at not in gone)


def greedy_removals(kinds: Sequence[str], read: Callable[[Sequence[int]], Sequence[float]]) -> list[tuple[int, float]]:
    """Return the functional steps in the order in which they go when all are scored anew after each removal.

    An extension (ours): scores against the whole trace may drop two checks of the same fact, since each looks
    superfluous beside the other. It costs n (n + 1) / 2 readings for n functional steps.

    Args:
        kinds: of each step.
        read: from the places that are left to the log-probabilities of the answer's tokens after these steps.

    Returns:
        Places with the PIR at their removal.
    """
    left = list(range(len(kinds)))
    gone: list[tuple[int, float]] = []
    while functional := [at for at in left if kinds[at] != "P"]:
        full = read(left)
        scores = {at: importance(full, read([other for other in left if other != at])) for at in functional}
        (lowest,) = _lowest(functional, scores, 1)
        gone.append((lowest, scores[lowest]))
        left.remove(lowest)
    return gone


def prune_any(scores: Sequence[float], count: int) -> tuple[int, ...]:
    """Return what stays when the `count` lowest steps go, whatever their kind (baseline SPIRIT)."""
    gone = _lowest(list(range(len(scores))), dict(enumerate(scores)), count)
    return tuple(at for at in range(len(scores)) if at not in gone)


def prune_at_random(kinds: Sequence[str], ratio: float, rng: random.Random) -> tuple[int, ...]:
    """Return what stays when as many functional steps as `prune` drops go at random (baseline RULE)."""
    return prune(kinds, {at: rng.random() for at, kind in enumerate(kinds) if kind != "P"}, ratio)


def accuracy_per_token(accuracy: float, tokens: float) -> float:
    """Return accuracy (a share in [0, 1]) per response token (EFF).

    Raises:
        BadInput: accuracy is no share, or tokens are not above 0.
    """
    if not 0 <= accuracy <= 1 or not tokens > 0:
        raise BadInput("accuracy must be in [0, 1] and tokens above 0")
    return accuracy / tokens


def _lowest(places: Sequence[int], scores: Mapping[int, float], count: int) -> set[int]:
    return set(sorted(places, key=lambda at: (scores[at], -at))[:count])


def _mean(logprobs: Sequence[float]) -> float:
    if not logprobs:
        raise BadInput("the answer has no token")
    return math.fsum(logprobs) / len(logprobs)
