"""Accuracy that saturates with the budget, F(N) = F_max (1 - (1 - p)^N), and the budget that is worth its cost.

Source: model of Wang et al. 2025, arXiv:2505.20522 (card 55): N samples of which one must be right and accepted, or N
rounds of rethinking of which one must repair the answer. Reconstructed: the model follows secondary sources; the stop
at a least gain, the fits, the mixtures over questions and the allocation are derived from it here.
Differs: questions may differ in p (`QuestionMix`, `BetaMix`), for the curve of the mean p promises far too much; rounds
may break right answers (`chain_accuracy`).
Cost: a fit some thousand evaluations of the curve. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import mul
from typing import NamedTuple, Protocol

from ponder.core.errors import BadInput, ConfigError

__all__ = [
    "Allocation",
    "BetaMix",
    "QuestionMix",
    "Saturating",
    "SaturationModel",
    "allocate",
    "chain_accuracy",
    "fit_weights",
    "gain_is_spent",
    "two_answer_vote",
]

# A gain that equals the least wanted one counts as not worth it, whatever the rounding.
_SLACK = 1 + 1e-12


# Logits of p that a fit tries first: 1 - p still differs from 1 and from 0.
_GRID = [-20 + 0.25 * step for step in range(161)]


class _Place(NamedTuple):
    """A chance p with the curve's share of its ceiling at each budget, as a fit and as `value` compute it."""

    p: float
    reached: list[float]
    risen: list[float]

    @classmethod
    def of(cls, logit: float, budgets: Sequence[float]) -> _Place:
        """Return the place of a logit."""
        p = 1 / (1 + math.exp(-logit))
        rate = math.log1p(-p)
        return cls(p, [-math.expm1(n * rate) for n in budgets], [1 - math.pow(1 - p, n) for n in budgets])


@lru_cache(maxsize=64)  # a bootstrap fits the same budgets a hundred times
def _grid(budgets: tuple[float, ...]) -> list[_Place]:
    return [_Place.of(logit, budgets) for logit in _GRID]


class Saturating(Protocol):
    """A curve whose gains fall with every unit."""

    def value(self, n: float) -> float:
        """Return the accuracy after n >= 0 units."""
        ...

    def gain(self, n: float) -> float:
        """Return what unit n + 1 adds to n units."""
        ...


@dataclass(frozen=True)
class SaturationModel:
    """The curve of questions that are all alike.

    Attributes:
        p: chance of one unit to bring the right answer, in [0, 1].
        f_max: ceiling, in [0, 1].
    """

    p: float
    f_max: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.p <= 1 and 0 <= self.f_max <= 1):
            raise BadInput(f"p and f_max must be in [0, 1], got {self.p!r} and {self.f_max!r}")

    @classmethod
    def from_curve(
        cls, budgets: Sequence[float], accuracies: Sequence[float], weights: Sequence[float] | None = None
    ) -> SaturationModel:
        """Fit by weighted least squares with 0 < p < 1 and max(accuracies) <= f_max <= 1.

        For a given p the best f_max is known in closed form, so that only p is searched: on a grid of its logit, then
        by golden section beside the best of the grid.

        Args:
            budgets: at least two different ones, > 0.
            accuracies: measured there, in [0, 1].
            weights: >= 0, for example `fit_weights`; equal by default.

        Raises:
            BadInput: lengths, budgets, accuracies or weights that do not fit.
        """
        points = _points(budgets, accuracies, weights)
        seen, worth = [y for _, y, _ in points], [w for _, _, w in points]
        floor = max(accuracies)

        def tried(place: _Place) -> tuple[float, float]:
            """Return the miss of the best curve with this p, and its ceiling."""
            weighted = list(map(mul, worth, place.reached))
            norm = math.fsum(map(mul, weighted, place.reached))
            free = math.fsum(map(mul, weighted, seen)) / norm if norm > 0 else 1.0
            f_max = min(1.0, max(floor, free))
            missed = [w * (y - f_max * u) ** 2 for w, y, u in zip(worth, seen, place.risen, strict=True)]
            return math.fsum(missed), f_max

        grid = _grid(tuple(budgets))
        misses = [tried(place)[0] for place in grid]
        at = min(range(len(grid)), key=misses.__getitem__)
        middle = _GRID[at]
        refined = _golden(lambda logit: tried(_Place.of(logit, budgets))[0], middle - 0.25, middle + 0.25)
        ends = [_Place.of(refined, budgets), grid[at]]
        best = min(ends, key=lambda place: tried(place)[0])
        return cls(best.p, tried(best)[1])

    @classmethod
    def from_samples(cls, right: Sequence[int], drawn: Sequence[int]) -> SaturationModel:
        """Return the curve of the pooled share of right samples, with ceiling 1 (at least one of N is right).

        Args:
            right: right samples of each question.
            drawn: all samples of each question, >= 1.

        Raises:
            BadInput: counts that do not fit together.
        """
        _check_counts(right, drawn)
        return cls(sum(right) / sum(drawn))

    def value(self, n: float) -> float:
        """Return the accuracy after n >= 0 units, in [0, f_max]."""
        return self.f_max * (1 - math.pow(1 - self.p, n))

    def gain(self, n: float) -> float:
        """Return what unit n + 1 adds to n units: f_max p (1 - p)^n."""
        return self.f_max * self.p * math.pow(1 - self.p, n)

    def saturation(self, eps: float) -> int:
        """Return the smallest N >= 0 whose next unit adds at most `eps`: N units are worth it, one more is not.

        It is ceil(ln(eps / (f_max p)) / ln(1 - p)), or 0 where even the first unit adds no more than eps. A tiny p
        saturates at once: that is no success, so look at `value` as well.

        Args:
            eps: least gain wanted of a unit, > 0; with a cost per unit and a worth of accuracy, their ratio.

        Raises:
            ConfigError: eps is not above 0.
        """
        return _saturation(self, eps)

    def budget_for(self, share: float) -> int | None:
        """Return the smallest N that reaches this share of the ceiling, or None where p is 0: no N does.

        Raises:
            ConfigError: share outside (0, 1).
        """
        if not 0 < share < 1:
            raise ConfigError(f"share must be in (0, 1), got {share!r}")
        if self.p == 0:
            return None
        return _first(lambda n: (1 - self.p) ** n <= (1 - share) * _SLACK)


@dataclass(frozen=True)
class QuestionMix:
    """The mean curve of questions that differ: mean of 1 - (1 - p_q)^N.

    Attributes:
        p: of each question, in [0, 1], at least one.
    """

    p: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.p or not all(0 <= p <= 1 for p in self.p):
            raise BadInput("a mix needs the p of at least one question, each in [0, 1]")

    @classmethod
    def from_samples(cls, right: Sequence[int], drawn: Sequence[int]) -> QuestionMix:
        """Take the share of right samples of each question as its p (up to N = samples, `pass_at_k` has no bias).

        Raises:
            BadInput: counts that do not fit together.
        """
        _check_counts(right, drawn)
        return cls(tuple(c / n for c, n in zip(right, drawn, strict=True)))

    def value(self, n: float) -> float:
        """Return the accuracy after n >= 0 units."""
        return math.fsum(1 - (1 - p) ** n for p in self.p) / len(self.p)

    def gain(self, n: float) -> float:
        """Return what unit n + 1 adds to n units."""
        return math.fsum(p * (1 - p) ** n for p in self.p) / len(self.p)

    def saturation(self, eps: float) -> int:
        """Return the smallest N whose next unit adds at most `eps` > 0.

        Raises:
            ConfigError: eps is not above 0.
        """
        return _saturation(self, eps)

    def pooled(self) -> SaturationModel:
        """Return the curve of the mean p, which lies above this one."""
        return SaturationModel(math.fsum(self.p) / len(self.p))


@dataclass(frozen=True)
class BetaMix:
    """The curve of questions whose p is spread as Beta(a, b); also the belief about one p after counted trials.

    Attributes:
        a, b: above 0.
    """

    a: float
    b: float

    def __post_init__(self) -> None:
        if not (0 < self.a < math.inf and 0 < self.b < math.inf):
            raise BadInput(f"a and b must be above 0, got {self.a!r} and {self.b!r}")

    @classmethod
    def from_curve(
        cls, budgets: Sequence[float], accuracies: Sequence[float], weights: Sequence[float] | None = None
    ) -> BetaMix:
        """Fit a and b by weighted least squares: a grid of their logarithms, then smaller and smaller steps around it.

        Args: as `SaturationModel.from_curve`; a and b are sought between 1e-3 and 1e4.

        Raises:
            BadInput: lengths, budgets, accuracies or weights that do not fit.
        """
        points = _points(budgets, accuracies, weights)

        def miss(at: tuple[float, float]) -> float:
            return _miss(cls(math.exp(at[0]), math.exp(at[1])), points)

        low, high = math.log(1e-3), math.log(1e4)
        ticks = [low + (high - low) * step / 24 for step in range(25)]
        best = min(((x, y) for x in ticks for y in ticks), key=miss)
        step = (high - low) / 24
        while step > 1e-7:
            around = [
                (min(high, max(low, best[0] + dx * step)), min(high, max(low, best[1] + dy * step)))
                for dx in (-1, 0, 1)
                for dy in (-1, 0, 1)
            ]
            closer = min(around, key=miss)
            if miss(closer) < miss(best):
                best = closer
            else:
                step /= 2
        return cls(math.exp(best[0]), math.exp(best[1]))

    @property
    def mean(self) -> float:
        """Mean of p."""
        return self.a / (self.a + self.b)

    def seen(self, right: int, wrong: int = 0) -> BetaMix:
        """Return the belief after further trials."""
        return BetaMix(self.a + right, self.b + wrong)

    def value(self, n: float) -> float:
        """Return the accuracy after n >= 0 units: 1 - B(a, b + n) / B(a, b)."""
        return -math.expm1(_log_beta(self.a, self.b + n) - _log_beta(self.a, self.b))

    def gain(self, n: float) -> float:
        """Return the expected p (1 - p)^n, what unit n + 1 adds: B(a + 1, b + n) / B(a, b)."""
        return math.exp(_log_beta(self.a + 1, self.b + n) - _log_beta(self.a, self.b))

    def saturation(self, eps: float) -> int:
        """Return the smallest N whose next unit adds at most `eps` > 0.

        Raises:
            ConfigError: eps is not above 0.
        """
        return _saturation(self, eps)


class Allocation(NamedTuple):
    """Units of each group, and the sum of their accuracies."""

    units: tuple[int, ...]
    total: float


def allocate(groups: Sequence[Saturating], budget: int, *, eps: float = 0.0) -> Allocation:
    """Give units one by one to the group that gains most (equal gains: the first), until none gains above `eps`.

    Optimal for the sum of the accuracies less eps per unit, since the gains of each group fall.

    Raises:
        ConfigError: budget or eps below 0.
    """
    if budget < 0 or not eps >= 0:
        raise ConfigError(f"budget and eps cannot be below 0, got {budget!r} and {eps!r}")
    units = [0] * len(groups)
    queue = [(-group.gain(0), at) for at, group in enumerate(groups)]
    heapq.heapify(queue)
    for _ in range(budget):
        if not queue or -queue[0][0] <= eps * _SLACK:
            break
        at = queue[0][1]
        units[at] += 1
        heapq.heapreplace(queue, (-groups[at].gain(units[at]), at))
    return Allocation(tuple(units), math.fsum(g.value(n) for g, n in zip(groups, units, strict=True)))


def gain_is_spent(answers: Sequence[Hashable | None], *, eps: float = 0.01, prior: BetaMix | None = None) -> bool:
    """Return whether one more sample is expected to add at most `eps`, when agreement stands for being right.

    Samples with the most frequent answer count as successes of the others (None as a failure); under the belief that
    they leave, the next unit adds the expected p (1 - p)^n. A stop rule for any sampler; it needs no gold.

    Args:
        answers: so far; equal answers are equal values.
        eps: least gain wanted of a sample, > 0.
        prior: belief before any sample, uniform by default.

    Raises:
        ConfigError: eps is not above 0.
    """
    if not eps > 0:
        raise ConfigError(f"eps must be above 0, got {eps!r}")
    agreed = max(Counter(answer for answer in answers if answer is not None).values(), default=0)
    belief = (prior or BetaMix(1.0, 1.0)).seen(agreed, len(answers) - agreed)
    return belief.gain(len(answers)) <= eps * _SLACK


def chain_accuracy(p01: float, p10: float, rounds: int, *, start: float = 0.0) -> float:
    """Return the chance to be right after some rounds that repair wrong answers and break right ones.

    Args:
        p01: chance that a round turns wrong into right, in [0, 1].
        p10: chance that it turns right into wrong; 0 is `SaturationModel(p01).value(rounds)`.
        rounds: >= 0.
        start: chance to be right before the first.

    Raises:
        BadInput: a chance outside [0, 1], or rounds below 0.
    """
    if not all(0 <= chance <= 1 for chance in (p01, p10, start)) or rounds < 0:
        raise BadInput(f"not chances, or rounds below 0: {p01!r}, {p10!r}, {start!r}, {rounds!r}")
    if p01 + p10 == 0:
        return start
    limit = p01 / (p01 + p10)
    return limit + (start - limit) * (1 - p01 - p10) ** rounds


def two_answer_vote(p: float, n: int) -> float:
    """Return how often the majority of n samples is right when there are two answers only, one right with chance p.

    Below p = 1/2 it falls with n: a vote follows no saturating curve there.

    Raises:
        BadInput: p outside [0, 1], or n not odd and above 0.
    """
    if not 0 <= p <= 1 or n < 1 or n % 2 == 0:
        raise BadInput(f"need p in [0, 1] and an odd n, got {p!r} and {n!r}")
    return math.fsum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n // 2 + 1, n + 1))


def fit_weights(accuracies: Sequence[float], questions: Sequence[float]) -> list[float]:
    """Return weights near the inverse variance of measured shares: questions / (y (1 - y) + 0.001)."""
    return [n / (y * (1 - y) + 1e-3) for y, n in zip(accuracies, questions, strict=True)]


def _saturation(curve: Saturating, eps: float) -> int:
    if not eps > 0:
        raise ConfigError(f"eps must be above 0, got {eps!r}")
    return _first(lambda n: curve.gain(n) <= eps * _SLACK)


def _first(holds: Callable[[int], bool]) -> int:
    """Return the smallest n >= 0 for which a condition holds that stays true once it is."""
    if holds(0):
        return 0
    below, above = 0, 1
    while not holds(above):
        below, above = above, 2 * above
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (below, middle) if holds(middle) else (middle, above)
    return above


def _points(
    budgets: Sequence[float], accuracies: Sequence[float], weights: Sequence[float] | None
) -> list[tuple[float, float, float]]:
    weights = [1.0] * len(budgets) if weights is None else weights
    if not len(budgets) == len(accuracies) == len(weights) or len(set(budgets)) < 2:
        raise BadInput("a curve needs an accuracy and a weight for each budget, and at least two different budgets")
    points = list(zip(budgets, accuracies, weights, strict=True))
    if not all(0 < n < math.inf and 0 <= y <= 1 and 0 <= w < math.inf for n, y, w in points):
        raise BadInput("a curve needs budgets above 0, accuracies in [0, 1] and weights not below 0")
    return points


def _miss(curve: Saturating, points: Sequence[tuple[float, float, float]]) -> float:
    return math.fsum(w * (y - curve.value(n)) ** 2 for n, y, w in points)


def _golden(miss: Callable[[float], float], low: float, high: float) -> float:
    """Return the place of the least value between the ends, of a function with one minimum there."""
    ratio = (math.sqrt(5) - 1) / 2
    inner, outer = high - ratio * (high - low), low + ratio * (high - low)
    left, right = miss(inner), miss(outer)
    for _ in range(80):
        if left <= right:
            high, outer, right = outer, inner, left
            inner = high - ratio * (high - low)
            left = miss(inner)
        else:
            low, inner, left = inner, outer, right
            outer = low + ratio * (high - low)
            right = miss(outer)
    return inner if left <= right else outer


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _check_counts(right: Sequence[int], drawn: Sequence[int]) -> None:
    if not drawn or len(right) != len(drawn):
        raise BadInput("each question, of at least one, needs its right samples and all its samples")
    if not all(0 <= c <= n and n >= 1 for c, n in zip(right, drawn, strict=True)):
        raise BadInput("a question needs at least one sample, and no more right ones than samples")
