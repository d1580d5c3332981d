"""Computation allocation: accuracy of retrieval over documents, demonstrations and rounds, and the best under a budget.

sigma^-1(P) = (a + b * i) . log(theta + eps) + c for theta = (k documents, m demonstrations, n rounds); P is accuracy
normalised per task, i says what one document and one demonstration alone are worth on the task. A point's `settings`
name "k", "m" and "n" (rounds), and its "task" where there are several; its own `n` is the budget, in tokens of context.
Paper: Yue et al. 2024, arXiv:2410.04343, section 5 and appendix F (card 20); no code was released.
Differs: how sigmoid and least squares take turns is ours (`ponder.numerics.rag_allocation`). i is measured on the
normalised scale from the points (0, 0, 1), (1, 0, 1) and (0, 1, 1) of a task, and is 0 where it lacks one of them;
b is known only if it is not 0 everywhere (`rank` 6). A task that the fit did not see takes over the mean spread of
those that it saw, and its level from a few cheap points. A setting longer than `reach` times the longest that was
fitted is not chosen.
Cost: no model call. Needs: numpy and scipy (extra `bench`).
When: documents, examples and rounds compete for one context budget. When not: points without these three numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

from ponder.core.errors import BadInput, ConfigError
from ponder.core.registry import laws
from ponder.numerics.rag_allocation import (
    Alternation,
    Inform,
    Theta,
    best_setting,
    fit_alternating,
    informativeness,
    normalise,
    r_squared,
    setting_length,
)
from ponder.planning.laws.law import Observation, Settings, goodness

__all__ = ["Allocated", "ComputationAllocation", "FittedAllocation", "TaskScale"]

_PROBES: tuple[Theta, ...] = ((0, 0, 1), (1, 0, 1), (0, 1, 1))


class TaskScale(NamedTuple):
    """How a task's accuracy is normalised, and what one document and one demonstration are worth there."""

    mean: float
    spread: float
    inform: Inform


class Allocated(NamedTuple):
    """A setting, the accuracy predicted there and its length in tokens."""

    theta: Theta
    accuracy: float
    length: float


@laws("computation_allocation", card=20, paper="arXiv:2410.04343", fidelity="paper")
@dataclass(frozen=True, kw_only=True)
class ComputationAllocation:
    """Log-linear in documents, demonstrations and rounds, behind a sigmoid.

    Attributes:
        dimensions: settings that each point must have.
        turns: of sigmoid and least squares, at most; 0 leaves the sigmoid out.
        document: tokens of a document, for the length of a setting, > 0.
        question: tokens of all else in a prompt, >= 0.
        window: most tokens of one call, > 0.
        reach: how many times longer than the longest fitted setting a chosen one may be, >= 1.
    """

    dimensions: ClassVar[tuple[str, ...]] = ("k", "m", "n")

    turns: int = 10
    document: int = 1024
    question: int = 50
    window: float = 1e6
    reach: float = 8.0

    def __post_init__(self) -> None:
        if self.turns < 0 or self.document < 1 or self.question < 0:
            raise ConfigError("turns and question must be at least 0, and document at least 1")
        if not (self.window > 0 and self.reach >= 1):
            raise ConfigError(f"need window > 0 and reach >= 1, got {self.window!r} and {self.reach!r}")

    def fit(self, points: Sequence[Observation]) -> FittedAllocation:
        """Fit all tasks together.

        Raises:
            BadInput: fewer than two different settings, or a point without "k", "m" and "n".
            MissingExtra: numpy or scipy is not installed.
        """
        points = tuple(sorted(points, key=_order))
        if len({_theta(point.settings) for point in points}) < 2:
            raise BadInput("the computation allocation model needs at least two different settings")
        tasks: dict[str, list[Observation]] = {}
        for point in points:
            tasks.setdefault(_task(point.settings), []).append(point)
        scales = {task: _scale(members) for task, members in tasks.items()}
        target = [normal for members in tasks.values() for normal in normalise([p.accuracy for p in members])]
        together = [point for members in tasks.values() for point in members]
        fit = fit_alternating(
            [_theta(point.settings) for point in together],
            [scales[_task(point.settings)].inform for point in together],
            target,
            rounds=self.turns,
        )
        return FittedAllocation(law=self, fit=fit, scales=scales, points=points)

    def length(self, theta: Theta) -> float:
        """Return the tokens of a setting, all calls together."""
        return setting_length(theta, document=self.document, question=self.question)


@dataclass(frozen=True, kw_only=True)
class FittedAllocation:
    """The fitted model.

    Attributes:
        law: that was fitted.
        fit: both parts.
        scales: by task.
        points: that it was fitted to.
    """

    law: ComputationAllocation
    fit: Alternation
    scales: Mapping[str, TaskScale]
    points: tuple[Observation, ...] = field(repr=False)

    def predict(self, n: float, settings: Settings | None = None) -> float:
        """Return the accuracy at "k", "m" and "n" of `settings` on its "task"; the budget `n` follows from these.

        Raises:
            BadInput: a setting is missing, or the task is not known (see `learn`).
        """
        return self._accuracy(_theta(settings or {}), self._known(_task(settings or {})))

    def learn(self, task: str, points: Sequence[Observation]) -> FittedAllocation:
        """Return the law with a further task, from its points at (0, 0, 1), (1, 0, 1) and (0, 1, 1), and any others.

        Raises:
            BadInput: one of the three is missing.
        """
        spread = math.fsum(scale.spread for scale in self.scales.values()) / len(self.scales)
        seen = {_theta(point.settings): point.accuracy for point in points}
        if any(probe not in seen for probe in _PROBES):
            raise BadInput("a new task needs its accuracy without anything, with one document, and with one shot")
        raw = informativeness(*(seen[probe] for probe in _PROBES))
        inform = (raw[0] / spread, raw[1] / spread) if spread > 0 else (0.0, 0.0)
        level = math.fsum(y - spread * self.fit.value(theta, inform) for theta, y in seen.items()) / len(seen)
        return replace(self, scales={**self.scales, task: TaskScale(level, spread, inform)})

    def best(self, budget: float, task: str = "", *, grid: Sequence[Theta] | None = None) -> Allocated | None:
        """Return the setting that is predicted best among those whose length fits; the first of equal ones.

        Args:
            budget: most tokens of all calls to a question, > 0.
            task: which.
            grid: settings in order; by default the paper's.

        Returns:
            The setting, or None where none fits.

        Raises:
            BadInput: the task is not known.
        """
        scale = self._known(task)
        longest = self.law.reach * max(self.law.length(_theta(point.settings)) for point in self.points)
        theta = best_setting(
            self.fit.model,
            scale.inform,
            min(budget, longest),
            grid=grid,
            window=self.law.window,
            length=self.law.length,
        )
        return None if theta is None else Allocated(theta, self._accuracy(theta, scale), self.law.length(theta))

    def report(self) -> dict[str, Any]:
        """Return the parameters, what tasks are worth, and the fit, as JSON values.

        `r2_normalised` is the share of variance explained on the scale that was fitted; `identified` says whether the
        points fix all six parameters.
        """
        model, sigmoid = self.fit.model, self.fit.sigmoid
        seen, said = [], []
        for task, scale in self.scales.items():
            members = [point for point in self.points if _task(point.settings) == task]
            seen += normalise([point.accuracy for point in members]) if members else []
            said += [self.fit.value(_theta(point.settings), scale.inform) for point in members]
        return {
            "a": list(model.a),
            "b": list(model.b),
            "c": model.c,
            "sigmoid": None
            if sigmoid is None
            else {
                "height": sigmoid.height,
                "slope": sigmoid.slope,
                "centre": sigmoid.centre,
                "floor": sigmoid.floor,
            },
            "rank": self.fit.rank,
            "identified": self.fit.rank == 6,
            "tasks": {task: {**scale._asdict(), "inform": list(scale.inform)} for task, scale in self.scales.items()},
            "r2_normalised": r_squared(seen, said),
            **goodness(self.points, self),
        }

    def _known(self, task: str) -> TaskScale:
        if task not in self.scales:
            raise BadInput(f"the task {task!r} is not known here: `learn` it from its three cheap points")
        return self.scales[task]

    def _accuracy(self, theta: Theta, scale: TaskScale) -> float:
        return min(1.0, max(0.0, scale.mean + scale.spread * self.fit.value(theta, scale.inform)))


def _theta(settings: Settings) -> Theta:
    try:
        return (float(settings["k"]), float(settings["m"]), float(settings["n"]))
    except KeyError as err:
        raise BadInput(
            "a point of the computation allocation model has the settings k (documents), m (demonstrations) and"
            f" n (rounds); {err.args[0]} is missing"
        ) from err
    except ValueError as err:
        raise BadInput(f"k, m and n of a point must be numbers: {err}") from err


def _task(settings: Settings) -> str:
    return str(settings.get("task", ""))


def _order(point: Observation) -> tuple[object, ...]:
    return _task(point.settings), _theta(point.settings), point.accuracy, point.n, point.questions


def _scale(points: Sequence[Observation]) -> TaskScale:
    """Return mean and spread of a task, and what a document and a demonstration are worth on that scale."""
    seen = [point.accuracy for point in points]
    mean = math.fsum(seen) / len(seen)
    spread = math.sqrt(math.fsum((y - mean) ** 2 for y in seen) / len(seen))
    normal = dict(zip((_theta(point.settings) for point in points), normalise(seen), strict=True))
    probes = [normal.get(probe) for probe in _PROBES]
    known = [value for value in probes if value is not None]
    return TaskScale(mean, spread, informativeness(*known) if len(known) == len(_PROBES) else (0.0, 0.0))
