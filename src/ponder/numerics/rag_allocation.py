"""How many documents, demonstrations and rounds to spend a context budget on: a log-linear model behind a sigmoid.

sigma^-1(P) = (a + b * i) . log(theta + eps) + c, where theta = (documents, demonstrations, rounds) and i says how much
one document and one demonstration are worth on the task. P is the metric normalised per task.
Paper: Yue et al. 2024, arXiv:2410.04343, section 5 and appendix F (card 20); no code was released.
Differs: how sigmoid and least squares take turns is not stated there; here the linear part is fitted first, then a
sigmoid to what it predicts, and both again until nothing changes. b of the rounds is not a parameter: i has no part
for them.
Cost: a least-squares solution with six columns a round. Needs: numpy for fits, scipy for the sigmoid (extra `bench`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

from ponder.core.errors import BadInput
from ponder.core.registry import need

__all__ = [
    "EPS",
    "PAPER_MODEL",
    "PAPER_SIGMOID",
    "Alternation",
    "Inform",
    "LogLinear",
    "Sigmoid",
    "Theta",
    "best_setting",
    "design_row",
    "effective_length",
    "fit_alternating",
    "fit_log_linear",
    "fit_sigmoid",
    "informativeness",
    "mean_squared_error",
    "normalise",
    "paper_grid",
    "r_squared",
    "setting_length",
]

Theta: TypeAlias = tuple[float, float, float]  # documents, demonstrations, rounds; >= 0
Inform: TypeAlias = tuple[float, float]  # what a document and a demonstration are worth

EPS = 0.01  # so that no documents have a logarithm; a depends on it
_INSIDE = 1e-3  # how far inside the open range of the sigmoid a value is moved before it is inverted
_FLAT = 1e-9


@dataclass(frozen=True)
class Sigmoid:
    """height / (1 + exp(-slope (x - centre))) + floor.

    Attributes:
        height: > 0.
        slope: > 0.
        centre: where half the height is reached.
        floor: lower end of the open range.
    """

    height: float
    slope: float
    centre: float
    floor: float

    def __post_init__(self) -> None:
        if not (self.height > 0 and self.slope > 0):
            raise BadInput(f"height and slope of a sigmoid must be above 0, got {self.height!r} and {self.slope!r}")

    def value(self, x: float) -> float:
        """Return the value at x."""
        z = self.slope * (x - self.centre)
        share = 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))
        return self.height * share + self.floor

    def inverse(self, y: float) -> float:
        """Return where the value is `y`.

        Raises:
            BadInput: `y` is not inside the open range.
        """
        if not self.floor < y < self.floor + self.height:
            raise BadInput(f"{y!r} is outside the range of the sigmoid")
        return self.centre - math.log(self.height / (y - self.floor) - 1) / self.slope

    def clip(self, y: float) -> float:
        """Return `y` moved inside the open range."""
        inside = min(_INSIDE, self.height / 4)
        return min(self.floor + self.height - inside, max(self.floor + inside, y))


@dataclass(frozen=True)
class LogLinear:
    """The linear part.

    Attributes:
        a: slopes for documents, demonstrations and rounds.
        b: what a worthwhile document or demonstration adds to its slope.
        c: intercept.
    """

    a: tuple[float, float, float]
    b: tuple[float, float]
    c: float

    def value(self, theta: Theta, inform: Inform = (0.0, 0.0)) -> float:
        """Return the value at a setting, before the sigmoid."""
        return math.fsum(
            weight * cell for weight, cell in zip((*self.a, *self.b, self.c), design_row(theta, inform), strict=True)
        )


PAPER_SIGMOID = Sigmoid(3.30, 1.81, -0.46, -2.18)
PAPER_MODEL = LogLinear((0.325, 0.101, 0.177), (-0.067, -0.008), -0.730)


def design_row(theta: Theta, inform: Inform = (0.0, 0.0)) -> tuple[float, ...]:
    """Return the columns of a setting: three logarithms, two of them times `inform`, and 1.

    Raises:
        BadInput: an amount below 0.
    """
    if not min(theta) >= 0:
        raise BadInput(f"documents, demonstrations and rounds must be at least 0, got {theta!r}")
    k, m, n = (math.log(amount + EPS) for amount in theta)
    return (k, m, n, inform[0] * k, inform[1] * m, 1.0)


def fit_log_linear(
    thetas: Sequence[Theta], informs: Sequence[Inform], target: Sequence[float]
) -> tuple[LogLinear, int]:
    """Fit by ordinary least squares.

    Args:
        thetas: settings.
        informs: of the task of each.
        target: of each.

    Returns:
        The model, and the rank of the design: below 6 the points do not fix all parameters, and the shortest are given.

    Raises:
        BadInput: lengths that differ, or no points.
        MissingExtra: numpy is not installed.
    """
    if not thetas or not len(thetas) == len(informs) == len(target):
        raise BadInput("a fit needs points, and an informativeness and a target for each setting")
    np = need("numpy", extra="bench", feature="the computation allocation model")
    rows = np.array([design_row(theta, inform) for theta, inform in zip(thetas, informs, strict=True)])
    solution, _, rank, _ = np.linalg.lstsq(rows, np.array(target, dtype=float), rcond=None)
    a1, a2, a3, b1, b2, c = (float(value) for value in solution)
    return LogLinear((a1, a2, a3), (b1, b2), c), int(rank)


def fit_sigmoid(x: Sequence[float], y: Sequence[float]) -> Sigmoid | None:
    """Fit a rising sigmoid by least squares, from several starts.

    Returns:
        The best one, or None where x or y do not vary.

    Raises:
        BadInput: lengths that differ, or no points.
        MissingExtra: numpy or scipy is not installed.
    """
    if not x or len(x) != len(y):
        raise BadInput("a sigmoid needs points, and a y for each x")
    wide, tall = max(x) - min(x), max(y) - min(y)
    if min(wide, tall) < _FLAT:
        return None
    np = need("numpy", extra="bench", feature="the computation allocation model")
    optimize = need("scipy.optimize", extra="bench", feature="the computation allocation model")
    at, seen = np.array(x, dtype=float), np.array(y, dtype=float)

    def miss(parameters: Sequence[float]) -> object:
        height, slope, centre, floor = parameters
        return height / (1 + np.exp(np.clip(-slope * (at - centre), -500, 500))) + floor - seen

    # The limits keep nearly straight data from running off to an endless height.
    low = (tall / 1000, 1e-3 / wide, min(x) - 3 * wide, min(y) - 10 * tall)
    high = (20 * tall, 1e3 / wide, max(x) + 3 * wide, max(y))
    starts = (
        (scale * tall, steep / wide, float(np.median(at)), min(y) - (scale - 1) / 2 * tall)
        for scale, steep in ((1.05, 4.0), (1.5, 2.0), (1.05, 12.0))
    )
    found = [optimize.least_squares(miss, start, bounds=(low, high), x_scale=np.abs(start) + 0.1) for start in starts]
    best = min(found, key=lambda fit: float(fit.cost))
    return Sigmoid(*(float(value) for value in best.x))


@dataclass(frozen=True)
class Alternation:
    """Both parts of a fitted model.

    Attributes:
        model: the linear part.
        sigmoid: what it passes through, or None where there is nothing to bend: values do not vary.
        rank: of the design, 6 where the points fix all parameters.
    """

    model: LogLinear
    sigmoid: Sigmoid | None
    rank: int

    def value(self, theta: Theta, inform: Inform = (0.0, 0.0)) -> float:
        """Return the normalised metric expected at a setting."""
        linear = self.model.value(theta, inform)
        return linear if self.sigmoid is None else self.sigmoid.value(linear)


def fit_alternating(
    thetas: Sequence[Theta], informs: Sequence[Inform], target: Sequence[float], *, rounds: int = 10
) -> Alternation:
    """Fit linear part and sigmoid in turns; the best of all rounds is returned.

    Args:
        thetas: settings.
        informs: of the task of each.
        target: normalised metric of each.
        rounds: at most; it ends when the squared error no longer falls.

    Raises:
        BadInput: lengths that differ, or no points.
        MissingExtra: numpy or scipy is not installed.
    """
    model, rank = fit_log_linear(thetas, informs, target)
    best = Alternation(model, None, rank)
    error = _error(best, thetas, informs, target)
    for _ in range(rounds):
        linear = [model.value(theta, inform) for theta, inform in zip(thetas, informs, strict=True)]
        sigmoid = fit_sigmoid(linear, target)
        if sigmoid is None:
            break
        model, _ = fit_log_linear(thetas, informs, [sigmoid.inverse(sigmoid.clip(y)) for y in target])
        tried = Alternation(model, sigmoid, rank)
        missed = _error(tried, thetas, informs, target)
        if not missed < error * (1 - 1e-9):
            break
        best, error = tried, missed
    return best


def _error(fit: Alternation, thetas: Sequence[Theta], informs: Sequence[Inform], target: Sequence[float]) -> float:
    return mean_squared_error(target, [fit.value(*at) for at in zip(thetas, informs, strict=True)])


def informativeness(nothing: float, document: float, shot: float) -> Inform:
    """Return what one document and one demonstration add to the metric, each alone."""
    return (document - nothing, shot - nothing)


def normalise(values: Sequence[float]) -> list[float]:
    """Return the values of one task with mean 0 and standard deviation 1 (of the population); zeros if all are equal.

    Raises:
        BadInput: no values.
    """
    if not values:
        raise BadInput("there is nothing to normalise")
    mean = math.fsum(values) / len(values)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    return [0.0 if spread < _FLAT else (value - mean) / spread for value in values]


def effective_length(calls: Iterable[int]) -> int:
    """Return the context that a question took: the prompt tokens of all its calls."""
    return sum(calls)


def paper_grid() -> list[Theta]:
    """Return the settings that the paper tried: 11 numbers of documents, 10 of demonstrations, up to 5 rounds."""
    documents = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
    return list(product(documents, (0, *(2**i for i in range(9))), range(1, 6)))


def setting_length(theta: Theta, *, document: int = 1024, question: int = 50) -> float:
    """Return the tokens of a setting in which each demonstration has as many documents as the question."""
    documents, demonstrations, rounds = theta
    return rounds * (demonstrations + 1) * (document * documents + question)


def best_setting(
    model: LogLinear,
    inform: Inform,
    budget: float,
    *,
    grid: Sequence[Theta] | None = None,
    window: float = 1e6,
    length: Callable[[Theta], float] = setting_length,
) -> Theta | None:
    """Return the setting with the highest expected value whose length fits; the first of equal ones.

    Args:
        model: what is expected.
        inform: of the task.
        budget: most tokens of all calls.
        grid: settings in order; by default `paper_grid`.
        window: most tokens of one call.
        length: tokens of a setting, all calls together.

    Returns:
        The setting, or None where none fits.
    """
    fitting = [
        theta
        for theta in (paper_grid() if grid is None else grid)
        if length(theta) <= budget and length((theta[0], theta[1], 1)) <= window
    ]
    return max(fitting, key=lambda theta: model.value(theta, inform), default=None)


def mean_squared_error(seen: Sequence[float], said: Sequence[float]) -> float:
    """Return the mean squared difference.

    Raises:
        BadInput: lengths that differ, or no values.
    """
    if not seen or len(seen) != len(said):
        raise BadInput("an error needs as many predictions as values")
    return math.fsum((a - b) ** 2 for a, b in zip(seen, said, strict=True)) / len(seen)


def r_squared(seen: Sequence[float], said: Sequence[float]) -> float | None:
    """Return the share of the variance explained, or None where the values do not vary.

    Raises:
        BadInput: lengths that differ, or no values.
    """
    missed = mean_squared_error(seen, said)
    mean = math.fsum(seen) / len(seen)
    spread = math.fsum((value - mean) ** 2 for value in seen) / len(seen)
    return 1 - missed / spread if spread > _FLAT**2 else None
