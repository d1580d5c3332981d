"""Fit a policy on recorded outcomes: for each bin of difficulty, the option that serves the aim.

For each bin an option is chosen so that accuracy is highest at a mean cost, or the cost lowest at an accuracy
(objective); a bin with few questions takes the robust default: the best single option under the same objective. What a
fit shows on the questions that it was made from is too hopeful; `planning.cross_fit` says what it is worth on others,
and chooses how difficulty is probed and binned, and how far above its mark a fit must stand.
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
from typing import TYPE_CHECKING, NamedTuple

from ponder.core.errors import BadInput, ConfigError
from ponder.core.registry import need
from ponder.numerics.budget_mix import Mix, cheapest_mix, frontier, richest_mix
from ponder.planning.difficulty import UNKNOWN, Bins
from ponder.planning.outcomes import Outcomes
from ponder.planning.policy import Objective

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Indices = NDArray[np.int64]

__all__ = ["Aim", "Fit", "Spec", "even_bins", "fit", "fit_margins", "fixed", "take"]


@dataclass(frozen=True, kw_only=True)
class Aim:
    """What a policy is for.

    Attributes:
        objective: "accuracy": the most accuracy within the budget; "cost": the least cost at the accuracy of the best
            fixed option within the budget.
        budget: most mean cost of a question, or None.
        slack: accuracy that either may give up for a lower cost, in [0, 1): differences that small are chance.
        sure: how sure the accuracy of a choice for the least cost must be, in (0, 1).
        thin: fewest questions of a bin that is given a choice of its own.
    """

    objective: Objective = "accuracy"
    budget: float | None = None
    slack: float = 0.01
    sure: float = 0.95
    thin: int = 20

    def __post_init__(self) -> None:
        if self.objective not in ("accuracy", "cost"):
            raise ConfigError(f"objective must be accuracy or cost, got {self.objective!r}")
        if self.budget is not None and not self.budget > 0:
            raise ConfigError(f"the budget must be greater than 0, got {self.budget!r}")
        if not 0 <= self.slack < 1 or not 0 < self.sure < 1 or self.thin < 1:
            raise ConfigError("need 0 <= slack < 1, 0 < sure < 1 and thin >= 1")


class Spec(NamedTuple):
    """How difficulty is seen, and how cautious a fit is.

    Attributes:
        look: which probe; None for none at all.
        bins: how many.
        margin: accuracy by which a fit for the least cost must stand above its mark on its own training questions, in
            [0, 1]; 1 asks for the most accurate.
    """

    look: int | None
    bins: int
    margin: float = 0.0


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


def fit(data: Outcomes, rows: Sequence[int], spec: Spec, aim: Aim) -> Fit:
    """Learn a policy on some of the questions.

    Args:
        data: all outcomes.
        rows: indices of the questions to learn from, at least one.
        spec: how difficulty is seen, and the margin.
        aim: what for.

    Raises:
        BadInput: no question.
    """
    (made,) = fit_margins(data, rows, spec, aim, [spec.margin])
    return made


def fit_margins(data: Outcomes, rows: Sequence[int], spec: Spec, aim: Aim, margins: Sequence[float]) -> list[Fit]:
    """Return the `fit` of one spec at each of several margins; what they share is worked out once.

    Raises:
        BadInput: no question.
    """
    if not len(rows):
        raise BadInput("a policy needs at least one question to learn from")
    np = need("numpy", extra="bench", feature="tuning a policy")
    at = np.asarray(rows)
    defaults = [fixed(data, rows, aim, margin) for margin in margins]
    everything = Bins(edges=(), names=("all",))
    look = None if spec.look is None else data.looks[spec.look]
    values = [] if look is None else [None if math.isnan(v) else float(v) for v in look.values[at]]
    if look is None or all(value is None for value in values):
        return [
            Fit(spec=spec._replace(margin=margin), bins=everything, otherwise=default)
            for margin, default in zip(margins, defaults, strict=True)
        ]
    bins = even_bins([value for value in values if value is not None], spec.bins)
    names = np.array([bins.of(value) for value in values])
    counts = {name: int((names == name).sum()) for name in dict.fromkeys(names.tolist())}
    rich = [name for name, count in counts.items() if count >= aim.thin and name != UNKNOWN]
    charged = data.charged(look)[at]
    correct = data.correct[at]
    inside = [names == name for name in rich]
    accuracies = [correct[part].mean(axis=0).tolist() for part in inside]
    costs = [charged[part].mean(axis=0).tolist() for part in inside]
    weights = [float(part.mean()) for part in inside]
    rest = ~np.isin(names, rich)
    top = _top(data, at, aim)
    known: dict[int, list[Mix]] = {}  # by default option
    out = []
    for margin, default in zip(margins, defaults, strict=True):
        if default not in known:
            more: list[list[list[float]]] = [[], []]
            if rest.any():  # questions that take the default count towards accuracy and cost, but are no choice
                more = [[[float(part[rest, default].mean())]] for part in (correct, charged)]
            known[default] = frontier(
                accuracies + more[0], costs + more[1], weights + [float(rest.mean())] * len(more[0])
            )
        mixes = known[default]
        best = (
            richest_mix(mixes, aim.budget)
            if aim.objective == "accuracy"
            else cheapest_mix(mixes, top - aim.slack + margin)
        )
        table = dict(zip(rich, best.picks, strict=False))  # the rest stands behind them
        made = Fit(spec=spec._replace(margin=margin), bins=bins, table=table, otherwise=default, counts=counts)
        out.append(made)
    return out


def fixed(data: Outcomes, rows: Sequence[int], aim: Aim, margin: float = 0.0) -> int:
    """Return the single option that serves the aim best on these questions.

    That is the cheapest within the budget that is at most the slack, less the margin, below the most accurate one; with
    a margin above the slack the most accurate one itself, of equals the dearest: that a cheaper one did as well on a
    few questions is no proof. Where the budget pays for none, it is the cheapest of all.
    """
    np = need("numpy", extra="bench", feature="tuning a policy")
    at = np.asarray(rows)
    accuracy, cost = data.correct[at].mean(axis=0), data.costs[at].mean(axis=0)
    every = range(len(data.options))
    within = [o for o in every if aim.budget is None or cost[o] <= aim.budget * (1 + 1e-12)]
    if not within:
        return min(every, key=lambda o: (cost[o], -accuracy[o]))
    least = max(accuracy[o] for o in within) - max(0.0, aim.slack - margin)
    good = [o for o in within if accuracy[o] >= least - 1e-12]
    if margin > aim.slack:
        return max(good, key=lambda o: cost[o])
    return min(good, key=lambda o: (cost[o], -accuracy[o]))


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


def _top(data: Outcomes, at: Indices, aim: Aim) -> float:
    """Return the accuracy of the best fixed option on these questions."""
    return float(data.correct[at, fixed(data, at.tolist(), aim, 1.0)].mean())
