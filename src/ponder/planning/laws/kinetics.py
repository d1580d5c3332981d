"""Kinetics: coverage of N answers of a length, its cost with memory counted, and the best setting under a cost cap.

A point is the accuracy of n answers; its `settings` may name the "model", the "length" at which answers are cut and the
"kv_budget" of keys that a step may read, and its cost is that of a question, in one unit for all points (eFLOPs by
`ponder.numerics.cost_laws`). From recorded answers, `ponder.numerics.cost_allocation` makes the options and `points_of`
the points. `best` and `frontier` then choose model, trials, length and key budget.
Paper: Sadhukhan et al. 2025, arXiv:2506.05333 (card 54).
Differs: the paper reads accuracies off recorded answers, as the oracle of `ponder.numerics.cost_allocation` does, and
has no formula for accuracy beyond them. Here a question's chance is spread as a Beta law (so coverage is
1 - B(a, b + N) / B(a, b)), and the logit of its mean is a line in the logarithm of the length, for each model and key
budget apart. The cost of a setting is a line in the number of trials, which is exact for the dense and the top-k law.
The paper's cap binds every question; `best` holds it against the mean cost of a setting, and `best_setting` of
`ponder.numerics.cost_allocation` counts what overruns it as wrong. Coverage is what a perfect verifier would reach:
with a real one accuracy is lower.
Cost: no model call. Needs: scipy (extra `bench`) where lengths differ.
When: model, samples, length and sparse attention compete for one cost. When not: one curve of one method; a saturating
law has the same points and a ceiling.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ponder.core.errors import BadInput, ConfigError
from ponder.core.registry import laws, need
from ponder.numerics.cost_allocation import TRIALS, Chosen, Option, Setting
from ponder.numerics.power_laws import Line, fit_line
from ponder.numerics.saturation import BetaMix, fit_weights
from ponder.planning.laws.law import Observation, Settings, goodness

__all__ = ["FittedKinetics", "Kinetics", "points_of"]

_INSIDE = 1e-6  # a mean chance of exactly 0 or 1 has no logit
_SPREAD = (1e-3, 1e4)  # of a + b


class _Group(NamedTuple):
    model: str
    kv_budget: int | None


class _Curve(NamedTuple):
    """intercept + slope ln(length) is the logit of the mean chance; `spread` is a + b, None where nothing shows it."""

    intercept: float
    slope: float
    spread: float | None

    def value(self, n: float, length: float | None) -> float:
        mean = _logistic(self.intercept + (self.slope * math.log(length) if length and self.slope else 0.0))
        if self.spread is None:  # all points at one n: what more answers would add is not known
            return mean
        return BetaMix(mean * self.spread, (1 - mean) * self.spread).value(n)


@laws("kinetics", card=54, paper="arXiv:2506.05333", fidelity="reconstructed")
@dataclass(frozen=True, kw_only=True)
class Kinetics:
    """Coverage over trials and length, with costs.

    Attributes:
        trials: numbers of answers that a plan may choose, each >= 1.
        tolerance: accuracies within this share of the best count as good as it, and the cheapest is taken, in [0, 1).
    """

    trials: tuple[int, ...] = TRIALS
    tolerance: float = 0.001

    def __post_init__(self) -> None:
        object.__setattr__(self, "trials", tuple(self.trials))
        if not self.trials or min(self.trials) < 1:
            raise ConfigError(f"trials must hold numbers of at least 1, got {self.trials!r}")
        if not 0 <= self.tolerance < 1:
            raise ConfigError(f"tolerance must be in [0, 1), got {self.tolerance!r}")

    def fit(self, points: Sequence[Observation]) -> FittedKinetics:
        """Fit each model and key budget apart, points weighing by the inverse variance of their accuracy.

        Raises:
            BadInput: a model and key budget with fewer than two different (n, length), or with a length at some of its
                points only.
            MissingExtra: lengths differ, and scipy is not installed.
        """
        if not points:
            raise BadInput("a law needs points")
        points = tuple(sorted(points, key=_order))
        groups: dict[_Group, list[Observation]] = {}
        for point in points:
            groups.setdefault(_group(point.settings), []).append(point)
        return FittedKinetics(
            law=self,
            curves={group: _curve(group, members) for group, members in groups.items()},
            costs=_costs(points),
            points=points,
        )


@dataclass(frozen=True, kw_only=True)
class FittedKinetics:
    """Fitted curves.

    Attributes:
        law: that was fitted.
        curves: by model and key budget.
        costs: cost of a question as a line in its trials, by setting with 1 trial; settings of unknown cost are not in.
        points: that it was fitted to.
    """

    law: Kinetics
    curves: Mapping[_Group, _Curve]
    costs: Mapping[Setting, Line]
    points: tuple[Observation, ...] = field(repr=False)

    def predict(self, n: float, settings: Settings | None = None) -> float:
        """Return the coverage of n > 0 answers of the model, length and key budget in `settings`.

        Raises:
            BadInput: nothing was fitted for that model and key budget, or the length matters and is not given.
        """
        group, length = _group(settings or {}), _length(settings or {})
        if group not in self.curves:
            raise BadInput(f"no point was of the model {group.model!r} with a key budget of {group.kv_budget}")
        curve = self.curves[group]
        if length is None and curve.slope:
            raise BadInput("accuracy depends on the length here: settings must say it")
        return min(1.0, max(0.0, curve.value(n, length)))

    def cost(self, setting: Setting) -> float | None:
        """Return the cost of a question at a setting, or None where its points had none."""
        line = self.costs.get(setting._replace(trials=1))
        return None if line is None else max(0.0, line.at(setting.trials))

    def plans(self) -> list[Chosen]:
        """Return every setting of known cost, at all trials of the law, with its predicted accuracy."""
        found = []
        for base in self.costs:
            for n in self.law.trials:
                setting = base._replace(trials=n)
                accuracy = self.predict(n, _settings(setting))
                found.append(Chosen(setting, accuracy, self.cost(setting) or 0.0))
        return found

    def best(self, cap: float) -> Chosen | None:
        """Return the setting with the highest predicted accuracy of those whose mean cost is at most `cap`, or None.

        Raises:
            BadInput: no point had a cost.
        """
        if not self.costs:
            raise BadInput("a plan under a cost needs points with costs")
        fitting = [plan for plan in self.plans() if plan.cost <= cap]
        if not fitting:
            return None
        most = max(plan.accuracy for plan in fitting)
        good = (plan for plan in fitting if plan.accuracy >= most * (1 - self.law.tolerance))
        return min(good, key=lambda plan: plan.cost)

    def frontier(self, caps: Iterable[float]) -> list[tuple[float, Chosen | None]]:
        """Return `best` for each cap.

        Raises:
            BadInput: no point had a cost.
        """
        return [(cap, self.best(cap)) for cap in caps]

    def report(self) -> dict[str, Any]:
        """Return the curve of each model and key budget, and the fit, as JSON values."""
        curves = [
            {
                "model": group.model,
                "kv_budget": group.kv_budget,
                "intercept": curve.intercept,
                "slope_of_log_length": curve.slope,
                "spread": curve.spread,
            }
            for group, curve in self.curves.items()
        ]
        only = next(iter(self.curves.values())) if len(self.curves) == 1 else None
        facts = {} if only is None or only.slope else {"mean_p": _logistic(only.intercept), "spread": only.spread}
        return {**facts, "curves": curves, "priced_settings": len(self.costs), **goodness(self.points, self)}


def points_of(options: Sequence[Option]) -> list[Observation]:
    """Return the mean accuracy and cost of each setting over the questions that it was tried on, as points."""
    tried: dict[Setting, list[Option]] = {}
    for option in options:
        tried.setdefault(option.setting, []).append(option)
    return [
        Observation(
            n=setting.trials,
            accuracy=math.fsum(option.accuracy for option in found) / len(found),
            questions=len(found),
            cost=math.fsum(option.cost for option in found) / len(found),
            settings=_settings(setting),
        )
        for setting, found in tried.items()
    ]


def _settings(setting: Setting) -> dict[str, float | str]:
    numbers = {"length": setting.length, "kv_budget": setting.kv_budget}
    return {"model": setting.model, **{name: value for name, value in numbers.items() if value is not None}}


def _group(settings: Settings) -> _Group:
    budget = settings.get("kv_budget")
    return _Group(str(settings.get("model", "")), None if budget is None else int(budget))


def _length(settings: Settings) -> float | None:
    length = settings.get("length")
    if length is None:
        return None
    if not float(length) > 0:
        raise BadInput(f"a length must be above 0, got {length!r}")
    return float(length)


def _order(point: Observation) -> tuple[object, ...]:
    cost = -1.0 if point.cost is None else point.cost
    group, length = _group(point.settings), _length(point.settings) or 0.0
    return group.model, group.kv_budget or 0, length, point.n, point.accuracy, point.questions, cost


def _curve(group: _Group, points: Sequence[Observation]) -> _Curve:
    lengths = [_length(point.settings) for point in points]
    trials, seen = [point.n for point in points], [point.accuracy for point in points]
    if len(set(zip(trials, lengths, strict=True))) < 2:
        name = f" of the model {group.model!r}" if group.model else ""
        raise BadInput(f"the points{name} are all at one budget: at least two different ones fix a curve")
    weights = fit_weights(seen, [point.questions for point in points])
    if len(set(lengths)) == 1:
        mix = BetaMix.from_curve(trials, seen, weights)
        return _Curve(_logit(mix.mean), 0.0, mix.a + mix.b)
    if None in lengths:
        raise BadInput(f"some points of the model {group.model!r} say their length and others do not")
    return _surface(trials, [math.log(length) for length in lengths if length is not None], seen, weights)


def _surface(trials: Sequence[float], logs: Sequence[float], seen: Sequence[float], weights: Sequence[float]) -> _Curve:
    """Fit accuracy over trials and length: a line of the logits first, then all by least squares from there."""
    optimize = need("scipy.optimize", extra="bench", feature="accuracy over lengths")
    centre = math.fsum(logs) / len(logs)
    line = fit_line([log - centre for log in logs], [_logit(y) for y in seen], weights)
    several = len(set(trials)) > 1
    root = [math.sqrt(weight) for weight in weights]
    low, high = (math.log(value) for value in _SPREAD)

    def made(x: Sequence[float]) -> _Curve:
        spread = math.exp(min(high, max(low, x[2]))) if several else None
        return _Curve(float(x[0]) - float(x[1]) * centre, float(x[1]), spread)

    def miss(x: Sequence[float]) -> list[float]:
        curve = made(x)
        return [w * (curve.value(n, math.exp(log)) - y) for w, n, log, y in zip(root, trials, logs, seen, strict=True)]

    starts = [[line.intercept, line.slope, *spread] for spread in ([[0.0], [2.0]] if several else [[]])]
    found = [optimize.least_squares(miss, start, x_scale="jac") for start in starts]
    return made([float(value) for value in min(found, key=lambda one: float(one.cost)).x])


def _costs(points: Sequence[Observation]) -> dict[Setting, Line]:
    """Return the cost over trials of each setting all of whose points have one."""
    known: dict[Setting, list[Observation]] = {}
    for point in points:
        group, length = _group(point.settings), _length(point.settings)
        setting = Setting(group.model, 1, None if length is None else round(length), group.kv_budget)
        known.setdefault(setting, []).append(point)
    lines = {}
    for setting, members in known.items():
        pairs = [(point.n, point.cost) for point in members if point.cost is not None]
        if len(pairs) < len(members):
            continue
        trials, costs = [n for n, _ in pairs], [cost for _, cost in pairs]
        one = Line(0.0, math.fsum(costs) / math.fsum(trials))  # in proportion, where one number of trials was measured
        lines[setting] = fit_line(trials, costs) if len(set(trials)) > 1 else one
    return lines


def _logistic(x: float) -> float:
    share = 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
    return min(1 - _INSIDE, max(_INSIDE, share))


def _logit(share: float) -> float:
    inner = min(1 - _INSIDE, max(_INSIDE, share))
    return math.log(inner / (1 - inner))
