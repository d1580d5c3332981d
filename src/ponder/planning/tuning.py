"""Fit a policy on recorded outcomes, and say with held-out questions what it is worth against one fixed choice.

For each bin of difficulty an option is chosen so that accuracy is highest at a mean cost, or the cost lowest at an
accuracy (objective); a bin with few questions takes the robust default: the best single option under the same
objective. How difficulty is probed and binned is chosen by cross-validation, and the whole procedure, this choice
included, is scored on folds that took no part in it.
Source: our own (DESIGN §6), after Snell et al. 2024, arXiv:2408.03314, section 3 (card 04), with bins fitted within
the training folds.
Differs: the paper fixes a budget for every question; here the mean over questions is limited, so that hard questions
may get what easy ones leave.
Cost: no model call. Needs: numpy (extra `bench`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ponder.core.errors import BadInput, ConfigError
from ponder.core.registry import need
from ponder.core.seeds import derive
from ponder.numerics.budget_mix import Mix, cheapest_mix, frontier, richest_mix
from ponder.planning.difficulty import UNKNOWN, Bins
from ponder.planning.policy import Choice, Objective, Probe

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Indices = NDArray[np.int64]

__all__ = [
    "Aim",
    "Fit",
    "HeldOut",
    "Look",
    "Option",
    "Outcomes",
    "Spec",
    "cross_validate",
    "even_bins",
    "fit",
    "select",
    "take",
]


@dataclass(frozen=True, kw_only=True)
class Option:
    """Something that a policy may run.

    Attributes:
        choice: what it is.
        shares: its samples begin with those of the probe, so that the dearer of both pays for both.
    """

    choice: Choice
    shares: bool


@dataclass(frozen=True, kw_only=True)
class Look:
    """A probe as it was recorded: [question] its estimate (nan: nothing to tell), and what it cost."""

    probe: Probe
    values: Floats
    costs: Floats


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """What was recorded.

    Attributes:
        questions: names, and
        families: of each.
        options: what was run on every question.
        correct: [question, option], 0 or 1.
        costs: [question, option], in one unit.
        looks: probes to choose from.
    """

    questions: tuple[str, ...]
    families: tuple[str, ...]
    options: tuple[Option, ...]
    correct: Floats
    costs: Floats
    looks: tuple[Look, ...] = ()

    def __post_init__(self) -> None:
        shape = (len(self.questions), len(self.options))
        if not all(shape) or self.correct.shape != shape or self.costs.shape != shape:
            raise BadInput(f"outcomes need one entry for each of {shape[0]} questions and {shape[1]} options")

    def charged(self, look: Look | None) -> Floats:
        """Return the costs [question, option] with a probe before each."""
        if look is None:
            return self.costs
        np = need("numpy", extra="bench", feature="tuning a policy")
        shares = np.array([option.shares for option in self.options])
        probe = look.costs[:, None]
        charged: Floats = np.where(shares[None, :], np.maximum(self.costs, probe), self.costs + probe)
        return charged


@dataclass(frozen=True, kw_only=True)
class Aim:
    """What a policy is for.

    Attributes:
        objective: "accuracy": the most accuracy within the budget; "cost": the least cost at the accuracy of the best
            fixed option within the budget.
        budget: most mean cost of a question, or None.
        slack: accuracy that either may give up for a lower cost, in [0, 1): differences that small are chance.
        thin: fewest questions of a bin that is given a choice of its own.
    """

    objective: Objective = "accuracy"
    budget: float | None = None
    slack: float = 0.01
    thin: int = 20

    def __post_init__(self) -> None:
        if self.objective not in ("accuracy", "cost"):
            raise ConfigError(f"objective must be accuracy or cost, got {self.objective!r}")
        if self.budget is not None and not self.budget > 0:
            raise ConfigError(f"the budget must be greater than 0, got {self.budget!r}")
        if not 0 <= self.slack < 1 or self.thin < 1:
            raise ConfigError("need 0 <= slack < 1 and thin >= 1")

    def best(self, mixes: Sequence[Mix], top: float) -> Mix:
        """Return the mixture that serves the aim; `top` is the accuracy of the best fixed option."""
        return (
            richest_mix(mixes, self.budget) if self.objective == "accuracy" else cheapest_mix(mixes, top - self.slack)
        )


class Spec(NamedTuple):
    """How difficulty is seen: which probe (None: not at all) and how many bins."""

    look: int | None
    bins: int


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A policy by indices of options.

    Attributes:
        spec: how difficulty is seen.
        bins: learned.
        table: option by name of a bin.
        otherwise: option of every other question.
        counts: training questions by bin.
    """

    spec: Spec
    bins: Bins
    table: dict[str, int] = field(default_factory=dict)
    otherwise: int
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Outcomes on questions that took no part in the fit, [question] each, in the order of the questions.

    Attributes:
        correct, costs: of the policies.
        fixed_correct, fixed_costs: of the single option that serves the same aim best on the same training questions.
        even_correct, even_costs: of the best single option that costs at most what the policy was expected to cost.
        equal_correct, equal_costs: of the cheapest single option that was at least as accurate as the policy was
            expected to be; where none was, the most accurate.
        picks: option of each question.
        bins: of each question.
        specs: chosen on each fold.
    """

    correct: Floats
    costs: Floats
    fixed_correct: Floats
    fixed_costs: Floats
    even_correct: Floats
    even_costs: Floats
    equal_correct: Floats
    equal_costs: Floats
    picks: Indices
    bins: tuple[str, ...]
    specs: tuple[Spec, ...]


def fit(data: Outcomes, rows: Sequence[int], spec: Spec, aim: Aim) -> Fit:
    """Learn a policy on some of the questions.

    Args:
        data: all outcomes.
        rows: indices of the questions to learn from, at least one.
        spec: how difficulty is seen.
        aim: what for.

    Raises:
        BadInput: no question.
    """
    if not len(rows):
        raise BadInput("a policy needs at least one question to learn from")
    np = need("numpy", extra="bench", feature="tuning a policy")
    at = np.asarray(rows)
    otherwise = _fixed(data, at, aim)
    everything = Bins(edges=(), names=("all",))
    if spec.look is None:
        return Fit(spec=spec, bins=everything, otherwise=otherwise)
    look = data.looks[spec.look]
    values = [None if math.isnan(v) else float(v) for v in look.values[at]]
    if all(value is None for value in values):
        return Fit(spec=spec, bins=everything, otherwise=otherwise)
    bins = even_bins([value for value in values if value is not None], spec.bins)
    names = np.array([bins.of(value) for value in values])
    counts = {name: int((names == name).sum()) for name in dict.fromkeys(names.tolist())}
    rich = [name for name, count in counts.items() if count >= aim.thin and name != UNKNOWN]
    charged = data.charged(look)[at]
    correct = data.correct[at]
    overall = correct.mean(axis=0)
    inside = [names == name for name in rich]
    accuracies = [correct[part].mean(axis=0) for part in inside]
    costs = [charged[part].mean(axis=0) for part in inside]
    weights = [float(part.mean()) for part in inside]
    rest = ~np.isin(names, rich)
    if rest.any():  # questions that take the default count towards accuracy and cost, but are no choice
        accuracies.append(correct[rest].mean(axis=0)[[otherwise]])
        costs.append(charged[rest].mean(axis=0)[[otherwise]])
        weights.append(float(rest.mean()))
    mixes = frontier([a.tolist() for a in accuracies], [c.tolist() for c in costs], weights)
    best = aim.best(mixes, float(overall[otherwise]))
    table = dict(zip(rich, best.picks, strict=False))  # the rest stands behind them
    return Fit(spec=spec, bins=bins, table=table, otherwise=otherwise, counts=counts)


def even_bins(values: Sequence[float], count: int) -> Bins:
    """Return at most `count` bins, "1" the easiest, that hold about as many of these values each.

    A probe of few samples takes few values: an edge goes between two of them, to the place that halves best, and where
    there are fewer places than edges there are fewer bins.

    Args:
        values: high is easy; at least one.
        count: bins, >= 1.
    """
    ordered = sorted(values, reverse=True)
    places = [at for at in range(1, len(ordered)) if ordered[at] < ordered[at - 1]]
    wanted = [len(ordered) * number / count for number in range(1, count)]
    chosen = sorted({min(places, key=lambda at: (abs(at - want), at)) for want in wanted if places})
    edges = tuple((ordered[at - 1] + ordered[at]) / 2 for at in chosen)
    return Bins(edges=edges, names=tuple(str(number) for number in range(1, len(edges) + 2)))


def take(data: Outcomes, rows: Sequence[int], policy: Fit) -> tuple[Indices, tuple[str, ...], Floats, Floats]:
    """Return what a policy does on some questions: options, bins, correct, costs; [question] each."""
    np = need("numpy", extra="bench", feature="tuning a policy")
    at = np.asarray(rows)
    if policy.spec.look is None:
        picks = np.full(len(at), policy.otherwise)
        return picks, ("all",) * len(at), data.correct[at, picks], data.costs[at, picks]
    look = data.looks[policy.spec.look]
    names = tuple(policy.bins.of(None if math.isnan(v) else float(v)) for v in look.values[at])
    picks = np.array([policy.table.get(name, policy.otherwise) for name in names], dtype=np.int64)
    return picks, names, data.correct[at, picks], data.charged(look)[at, picks]


def select(data: Outcomes, rows: Sequence[int], specs: Sequence[Spec], aim: Aim, *, folds: int, seed: int) -> Spec:
    """Return how difficulty is best seen, by cross-validation on some of the questions; of equals the first."""
    parts = _folds(data, rows, folds, seed)
    scored = []
    for spec in specs:
        correct = costs = 0.0
        for part in parts:
            inside = set(part)
            made = fit(data, [row for row in rows if row not in inside], spec, aim)
            _, _, right, paid = take(data, part, made)
            correct += float(right.sum())
            costs += float(paid.sum())
        scored.append((correct / len(rows), costs / len(rows)))
    if aim.objective == "accuracy":
        # A mean over other questions passes a tight budget a little by chance.
        within = [i for i, (_, cost) in enumerate(scored) if aim.budget is None or cost <= 1.02 * aim.budget]
        top = max(scored[i][0] for i in within or range(len(specs)))
        best = next(i for i in within or range(len(specs)) if scored[i][0] >= top - aim.slack - 1e-9)
    else:
        top = scored[0][0] if specs[0].look is None else max(accuracy for accuracy, _ in scored)
        good = [i for i, (accuracy, _) in enumerate(scored) if accuracy >= top - aim.slack - 1e-9]
        best = min(good, key=lambda i: (scored[i][1], -scored[i][0]))
    return specs[best]


def cross_validate(data: Outcomes, specs: Sequence[Spec], aim: Aim, *, folds: int = 5, seed: int = 0) -> HeldOut:
    """Run the whole procedure on all folds but one and measure it on that one, for each.

    Args:
        data: all outcomes.
        specs: ways of seeing difficulty to choose from, the one without a probe first.
        aim: what for.
        folds: how many, >= 2; within a training part the specs are chosen by as many folds again, at most 3.
        seed: of the folds.

    Raises:
        BadInput: fewer questions than folds.
    """
    np = need("numpy", extra="bench", feature="tuning a policy")
    count = len(data.questions)
    every = list(range(count))
    arrays = {name: np.zeros(count) for name in ("policy", "fixed", "even", "equal")}
    paid = {name: np.zeros(count) for name in arrays}
    picks = np.zeros(count, dtype=np.int64)
    bins = [""] * count
    chosen = []
    for number, part in enumerate(_folds(data, every, folds, seed)):
        inside = set(part)
        training = [row for row in every if row not in inside]
        spec = select(data, training, specs, aim, folds=min(3, folds), seed=seed + 1 + number)
        chosen.append(spec)
        made = fit(data, training, spec, aim)
        held = np.asarray(part)
        picks[held], names, arrays["policy"][held], paid["policy"][held] = take(data, part, made)
        for row, name in zip(part, names, strict=True):
            bins[row] = name
        _, _, right, cost = take(data, training, made)
        among = np.asarray(training)
        for name, option in (
            ("fixed", _fixed(data, among, aim)),
            ("even", _fixed(data, among, Aim(budget=float(cost.mean())))),
            ("equal", _at_least(data, among, float(right.mean()))),
        ):
            arrays[name][held] = data.correct[held, option]
            paid[name][held] = data.costs[held, option]
    return HeldOut(
        correct=arrays["policy"],
        costs=paid["policy"],
        fixed_correct=arrays["fixed"],
        fixed_costs=paid["fixed"],
        even_correct=arrays["even"],
        even_costs=paid["even"],
        equal_correct=arrays["equal"],
        equal_costs=paid["equal"],
        picks=picks,
        bins=tuple(bins),
        specs=tuple(chosen),
    )


def _fixed(data: Outcomes, at: Any, aim: Aim) -> int:
    """Return the single option that serves the aim best on these questions."""
    accuracy, cost = data.correct[at].mean(axis=0), data.costs[at].mean(axis=0)
    every = range(len(data.options))
    within = [o for o in every if aim.budget is None or cost[o] <= aim.budget * (1 + 1e-12)]
    if not within:
        return min(every, key=lambda o: (cost[o], -accuracy[o]))
    top = max(accuracy[o] for o in within)
    return min((o for o in within if accuracy[o] >= top - aim.slack - 1e-12), key=lambda o: (cost[o], -accuracy[o]))


def _at_least(data: Outcomes, at: Any, least: float) -> int:
    accuracy, cost = data.correct[at].mean(axis=0), data.costs[at].mean(axis=0)
    every = range(len(data.options))
    good = [o for o in every if accuracy[o] >= least - 1e-12]
    if not good:
        return max(every, key=lambda o: (accuracy[o], -cost[o]))
    return min(good, key=lambda o: (cost[o], -accuracy[o]))


def _folds(data: Outcomes, rows: Sequence[int], folds: int, seed: int) -> list[list[int]]:
    """Deal the questions of each family out to the folds, at random."""
    if folds < 2 or len(rows) < folds:
        raise BadInput(f"{len(rows)} questions cannot be dealt out to {folds} folds of at least one, and two at least")
    rng = derive(seed, "tuning", "folds")
    order = sorted(rows, key=lambda row: (data.families[row], rng.random()))
    return [order[start::folds] for start in range(folds)]
