"""From rows to what a report shows: points of curves with intervals, paired differences, the ledger.

Source: our own (DESIGN §4, reports). Intervals resample whole prompts (cluster bootstrap, 95 %), since the runs of one
prompt are not independent. Where every prompt came out the same, resampling would state no doubt at all: the Wilson
interval is given instead. A difference is called a gain or a loss only if its interval leaves out 0 and the exact
test on the prompts where the two disagree (McNemar) is below 0.05, which few prompts cannot reach.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ponder.bench.rows import Row
from ponder.core.usage import Usage, add_up
from ponder.numerics.intervals import Interval, cluster_bootstrap, paired_difference, wilson
from ponder.numerics.paired import mcnemar

__all__ = [
    "Accuracy",
    "Comparison",
    "CurvePoint",
    "Key",
    "Ledger",
    "Saving",
    "compare",
    "ledger",
    "saving",
    "summarise",
]

# A point of a family: its curve and n.
Key = tuple[str, int]
Verdict = Literal["clear gain", "clear loss", "no clear gain"]


class Accuracy(NamedTuple):
    """A share of prompts with its 95 % interval, and how that was found."""

    value: float
    low: float
    high: float
    kind: Literal["bootstrap", "wilson"]


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """All runs of one point.

    Attributes:
        family, curve, method, verifier, n: what was run.
        prompts: how many problems; over all seeds they had
        runs: so many runs, and of these were
        graded: with a grade.
        accuracy: over the graded ones; None where there is none.
        usage: nominal cost over all runs, by role.
        paid: what was really sent, by role.
        costs: nominal cost of a run in each unit that all of them state ("flops", "usd", ...), the mean.
        seconds: mean of a problem; None where one of them is unknown.
        measured: whether the seconds are the clock's.
        cut, unread, failed, flawed: shares of the sampled answers, in [0, 1]; `flawed` is any of them.
        self_graded: the method chose by the program that grades.
    """

    family: str
    curve: str
    method: str
    verifier: str
    n: int
    prompts: int
    runs: int
    graded: int
    accuracy: Accuracy | None
    usage: Mapping[str, Usage]
    paid: Mapping[str, Usage]
    costs: Mapping[str, float]
    seconds: float | None
    measured: bool
    cut: float
    unread: float
    failed: float
    flawed: float
    self_graded: bool

    def mean(self, kind: Literal["prompt_tokens", "completion_tokens"], role: str = "policy") -> float:
        """Return the mean nominal tokens of a run, of one kind and role."""
        used: int = getattr(self.usage.get(role, Usage()), kind)
        return used / self.runs

    @property
    def tokens(self) -> float:
        """Mean nominal tokens of the policy per problem, prompt and completion: the x axis of the curve.

        Other roles may be other models, whose tokens are not added to the policy's.
        """
        return self.mean("prompt_tokens") + self.mean("completion_tokens")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One point against another on the prompts that both have.

    Attributes:
        family: task family.
        better, base: what is compared, as (curve, n).
        difference: mean of (better - base), with its interval.
        won, lost: prompts that only the one, or only the other, answered rightly.
        p: two-sided exact McNemar test.
        cost: tokens of `better` per token of `base` (policy, nominal); None where `base` cost nothing.
        verdict: what may be said.
    """

    family: str
    better: Key
    base: Key
    difference: Interval
    won: int
    lost: int
    p: float
    cost: float | None
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """What all points of a family would cost if each were run alone, and what was really sent, by role."""

    family: str
    worth: Mapping[str, Usage]
    paid: Mapping[str, Usage]

    @property
    def ratio(self) -> float | None:
        """Policy tokens that the points are worth per policy token paid; None where nothing was paid."""
        paid = self.paid.get("policy", Usage()).tokens
        return self.worth.get("policy", Usage()).tokens / paid if paid else None


@dataclass(frozen=True, kw_only=True)
class Saving:
    """What an early stop saves against all n samples.

    Attributes:
        family, n: of the point.
        full, stopped: completion tokens of the policy over all prompts.
        same: prompts with the same answer, of
        prompts: how many.
    """

    family: str
    n: int
    full: int
    stopped: int
    same: int
    prompts: int

    @property
    def share(self) -> float:
        """Share of the completion tokens that is saved."""
        return 1 - self.stopped / self.full if self.full else 0.0


def summarise(rows: Iterable[Row], *, seed: int = 0) -> list[CurvePoint]:
    """Return the points of every curve: families and curves in order of appearance, n growing.

    Args:
        rows: one per run.
        seed: of the resampling.
    """
    groups: dict[tuple[str, str], dict[int, list[Row]]] = {}
    for row in rows:
        groups.setdefault((row.family, row.curve), {}).setdefault(row.n, []).append(row)
    return [_point(groups[key][n], seed) for key in groups for n in sorted(groups[key])]


def _point(rows: Sequence[Row], seed: int) -> CurvePoint:
    first = rows[0]
    answers = sum(row.candidates for row in rows)
    times = [row.seconds for row in rows if row.seconds is not None]

    def share(count: Callable[[Row], int]) -> float:
        return sum(map(count, rows)) / answers if answers else 0.0

    graded = [row for row in rows if row.correct is not None]
    return CurvePoint(
        family=first.family,
        curve=first.curve,
        method=first.method,
        verifier=first.verifier,
        n=first.n,
        prompts=len({row.problem for row in rows}),
        runs=len(rows),
        graded=len(graded),
        accuracy=_accuracy([float(bool(r.correct)) for r in graded], [r.problem for r in graded], seed),
        usage=add_up(row.usage for row in rows),
        paid=add_up(row.paid for row in rows),
        costs={
            unit: math.fsum(row.costs[unit] for row in rows) / len(rows)
            for unit in first.costs
            if all(unit in row.costs for row in rows)
        },
        seconds=sum(times) / len(rows) if len(times) == len(rows) else None,
        measured=all(row.measured for row in rows),
        cut=share(lambda row: row.cut),
        unread=share(lambda row: row.unread),
        failed=share(lambda row: row.failed),
        flawed=share(lambda row: row.flawed),
        self_graded=any(row.self_graded for row in rows),
    )


def compare(rows: Iterable[Row], family: str, better: Key, base: Key, *, seed: int = 0) -> Comparison | None:
    """Compare two points of a family, given as (curve, n), on the prompts that both graded; None without any.

    Runs are paired by prompt and seed; `won`, `lost` and the test take each pair as one.
    """
    sides: dict[Key, dict[tuple[str, int], Row]] = {better: {}, base: {}}
    for row in rows:
        if row.family == family and (row.curve, row.n) in sides and row.correct is not None:
            sides[row.curve, row.n][row.problem, row.seed] = row
    both = [pair for pair in sides[better] if pair in sides[base]]
    if not both:
        return None
    shared = [problem for problem, _ in both]
    pairs = [(sides[better][pair], sides[base][pair]) for pair in both]
    scores = [(float(bool(left.correct)), float(bool(right.correct))) for left, right in pairs]
    won, lost = scores.count((1.0, 0.0)), scores.count((0.0, 1.0))
    difference = paired_difference([s for s, _ in scores], [s for _, s in scores], shared, seed=seed)
    p = mcnemar(won, lost)
    verdict: Verdict = "no clear gain"
    if p < 0.05 and difference.low > 0:
        verdict = "clear gain"
    elif p < 0.05 and difference.high < 0:
        verdict = "clear loss"
    spent, before = (sum(pair[side].usage.get("policy", Usage()).tokens for pair in pairs) for side in (0, 1))
    return Comparison(
        family=family,
        better=better,
        base=base,
        difference=difference,
        won=won,
        lost=lost,
        p=p,
        cost=spent / before if before else None,
        verdict=verdict,
    )


def ledger(rows: Iterable[Row]) -> list[Ledger]:
    """Return what the points of each family are worth and what was paid for them."""
    families: dict[str, list[Row]] = {}
    for row in rows:
        families.setdefault(row.family, []).append(row)
    return [
        Ledger(family=family, worth=add_up(r.usage for r in found), paid=add_up(r.paid for r in found))
        for family, found in families.items()
    ]


def saving(rows: Iterable[Row], family: str, full: Key, stopped: Key) -> Saving | None:
    """Return what the point `stopped` saves against `full`, on the prompts that both ran; None without any."""
    sides: dict[Key, dict[str, Row]] = {full: {}, stopped: {}}
    for row in rows:
        if row.family == family and (row.curve, row.n) in sides:
            sides[row.curve, row.n][row.problem] = row
    pairs = [(row, sides[stopped][problem]) for problem, row in sides[full].items() if problem in sides[stopped]]
    if not pairs:
        return None
    return Saving(
        family=family,
        n=full[1],
        full=sum(left.usage.get("policy", Usage()).completion_tokens for left, _ in pairs),
        stopped=sum(right.usage.get("policy", Usage()).completion_tokens for _, right in pairs),
        same=sum(left.answer == right.answer for left, right in pairs),
        prompts=len(pairs),
    )


def _accuracy(values: Sequence[float], prompts: Sequence[str], seed: int) -> Accuracy | None:
    if not values:
        return None
    if len(set(values)) == 1:
        return Accuracy(*wilson(round(sum(values)), len(values)), kind="wilson")
    return Accuracy(*cluster_bootstrap(values, prompts, seed=seed), kind="bootstrap")
