"""The compute-optimal curve of recorded runs: its price against a uniform rule, and the exchange with a larger model.

Source: Snell et al. 2024, arXiv:2408.03314 (card 04): the choice per bin and budget, cross-validated; the exchange of
inference against pretraining. Liu et al. 2025, arXiv:2502.06703 (card 13): absolute bins.
Differs: the probe that the difficulty is estimated from is charged (the paper does not): a configuration that samples
independently starts with the very samples of the probe, so it pays for the larger of both; any other one pays for both.
Verifier and judge are charged too. Budgets are those that hold the probe. A configuration may stop early (an accepted
sample, a vote that is decided): n is then the most that it samples, and each question bears what was really used.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from ponder.bench.rows import Row
from ponder.bench.studies.allocation import Outcome, Picked, Policy, Question, cross_fit, hindsight
from ponder.bench.studies.recording import samples_in_parallel
from ponder.bench.summary import CurvePoint, Key, summarise
from ponder.core.errors import BadInput, ConfigError
from ponder.core.usage import Usage
from ponder.numerics.exchange import inference_multiplier
from ponder.numerics.intervals import Interval, wilson
from ponder.numerics.paired import cost_ratio, paired_score_interval
from ponder.planning.difficulty import UNKNOWN, Difficulty

__all__ = [
    "LARGER",
    "OPTIMAL",
    "PROBE",
    "RATIOS",
    "Exchange",
    "Match",
    "Optimum",
    "exchange",
    "find_optimum",
]

PROBE, OPTIMAL, LARGER = "probe", "compute-optimal", "larger model"
RATIOS = (0.16, 0.79, 22.0, math.inf)  # the paper's, and inference alone


class Match(NamedTuple):
    """A point of the compute-optimal curve against the uniform point of equal accuracy.

    Attributes:
        budget: of the compute-optimal point.
        base: the cheapest uniform point that is at least as accurate; where none is, the most accurate one.
        reached: whether there is one.
        difference: accuracy, compute-optimal minus uniform, with its score interval.
        ratio: cost, compute-optimal over uniform, with its interval.
        shown: not worse by the margin or more: the interval of the difference stays above it.
    """

    budget: int
    base: Key
    reached: bool
    difference: Interval
    ratio: Interval
    shown: bool


class Exchange(NamedTuple):
    """The small model with more inference against a larger one, at equal FLOPs of training and inference.

    Attributes:
        ratio: R, inference tokens per pretraining token; infinite: inference alone.
        multiplier: by how much the small model may multiply its inference.
        budget: largest point of its compute-optimal curve that this affords; None where none is affordable.
        bin: of difficulty, or "all".
        small, large: accuracies on
        questions: how many.
        difference: small minus large, with its score interval.
    """

    ratio: float
    multiplier: float
    budget: int | None
    bin: str
    small: float | None
    large: float
    questions: int
    difference: Interval | None


@dataclass(frozen=True, kw_only=True)
class Optimum:
    """What the runs say.

    Attributes:
        questions: those that have every configuration, and how many
        dropped: have not.
        bins: names, easiest first; `UNKNOWN` last where it occurs.
        bin_of: by question, with bins learned on all of them: for tables, never for the choice.
        by_bin: accuracy with its Wilson interval, by configuration and bin.
        points: of every configuration and of the compute-optimal curve; costs of all roles, in policy tokens.
        picked: what was taken for each question at each budget.
        policies: by budget, the one used on each fold.
        ceiling: by budget, the share of questions that any configuration answers: hindsight, uses gold.
        probe: mean cost of the probe, in policy tokens.
        matches: against the uniform curve.
        uniform: name of that curve.
    """

    questions: tuple[Question, ...]
    dropped: int
    bins: tuple[str, ...]
    bin_of: Mapping[str, str]
    by_bin: Mapping[Key, Mapping[str, Interval]]
    points: tuple[CurvePoint, ...]
    picked: Mapping[int, Sequence[Picked]]
    policies: Mapping[int, tuple[Policy, Policy]]
    ceiling: Mapping[int, float]
    probe: float
    matches: tuple[Match, ...]
    uniform: str

    def point(self, curve: str, n: int) -> CurvePoint | None:
        """Return one point."""
        return next((point for point in self.points if (point.curve, point.n) == (curve, n)), None)


def find_optimum(
    rows: Sequence[Row],
    difficulty: Difficulty,
    *,
    uniform: str | None = None,
    weights: Mapping[str, float] | None = None,
    margin: float = 0.02,
    slack: float = 0.0,
    seed: int = 0,
) -> Optimum:
    """Return the compute-optimal curve of these rows, and what it is worth.

    Args:
        rows: graded runs of one policy; every (curve, n) but the probe is a configuration to choose from.
        difficulty: estimator and bins.
        uniform: the curve to compare with; by default that of best-of-N, else the one with most points.
        weights: what a token of each role costs in policy tokens; 1 where not named.
        margin: of non-inferiority, in accuracy, > 0.
        slack: accuracy that a choice may give up on its fold for a lower cost.
        seed: of folds and resampling.

    Raises:
        BadInput: too few questions have every configuration, or the rows hold nothing to estimate difficulty from.
        ConfigError: no such uniform curve, or a margin or slack out of range.
    """
    if not 0 < margin < 1 or not 0 <= slack < 1:
        raise ConfigError(f"margin must be in (0, 1) and slack in [0, 1), got {margin!r} and {slack!r}")
    weights = weights or {}
    table, probes, values = _sort(rows, difficulty)
    keys = list(dict.fromkeys(key for found in table.values() for key in found))
    complete = {name: found for name, found in table.items() if len(found) == len(keys)}
    if len(complete) < 4:
        raise BadInput(f"{len(complete)} of {len(table)} questions have every configuration: the folds need at least 4")
    _check_values({name: values.get(name) for name in complete}, difficulty)
    usages = {
        name: {key: _with_probe(row, None if difficulty.oracle else probes.get(name)) for key, row in found.items()}
        for name, found in complete.items()
    }
    questions = [
        Question(
            id=name,
            value=values.get(name),
            outcomes={
                key: Outcome(bool(complete[name][key].correct), _tokens(usages[name][key], weights)) for key in keys
            },
        )
        for name in complete
    ]
    least = 1 if difficulty.oracle else max(probes[name].n for name in complete if name in probes)
    budgets = sorted({n for _, n in keys if n >= least})
    if not budgets:
        raise BadInput(f"no budget holds the probe of {least} samples")
    picked, policies = cross_fit(questions, difficulty, budgets, seed=seed, slack=slack)
    plain = [_charged(row, row.usage, weights, *key) for found in complete.values() for key, row in found.items()]
    best = [
        _charged(complete[p.question][p.key], usages[p.question][p.key], weights, OPTIMAL, budget)
        for budget in budgets
        for p in picked[budget]
    ]
    points = summarise([*plain, *best], seed=seed)
    curve = _uniform(keys, complete, uniform)
    bins = difficulty.fit([question.value for question in questions])
    bin_of = {question.id: bins.of(question.value) for question in questions}
    names = (*bins.names, *([UNKNOWN] if UNKNOWN in bin_of.values() else []))
    spent = [_tokens(probes[name].usage, weights) for name in complete if name in probes and not difficulty.oracle]
    return Optimum(
        questions=tuple(questions),
        dropped=len(table) - len(complete),
        bins=names,
        bin_of=bin_of,
        by_bin={key: _by_bin({q.id: q.outcomes[key].correct for q in questions}, bin_of, names) for key in keys},
        points=tuple(points),
        picked=picked,
        policies=policies,
        ceiling={n: sum(hindsight(questions, n)) / len(questions) for n in budgets},
        probe=math.fsum(spent) / len(questions),
        matches=tuple(_match(n, picked[n], complete, curve, weights, margin, seed) for n in budgets),
        uniform=curve,
    )


def exchange(
    found: Optimum, larger: Iterable[Row], *, scale: float, ratios: Sequence[float] = RATIOS
) -> list[Exchange]:
    """Compare with a larger model that answers once, overall and by bin.

    The small model's inference is multiplied from one greedy answer (else the cheapest configuration).

    Args:
        found: of the small model.
        larger: graded rows of the larger one on the same questions.
        scale: its parameters over the small one's, > 0.
        ratios: R, inference tokens per pretraining token.

    Raises:
        BadInput: no common question.
    """
    right = {row.problem: bool(row.correct) for row in larger if row.correct is not None}
    shared = [q.id for q in found.questions if q.id in right]
    if not shared:
        raise BadInput("the larger model has no graded row on these questions")
    singles = [point for point in found.points if point.curve != OPTIMAL]
    one = min(singles, key=lambda point: (point.method != "greedy", point.tokens)).tokens
    out = []
    for ratio in ratios:
        multiplier = inference_multiplier(scale, ratio)
        affordable = [n for n in found.picked if _mean_cost(found.picked[n]) <= multiplier * one]
        budget = max(affordable, default=None)
        small = {} if budget is None else {p.question: p.outcome.correct for p in found.picked[budget]}
        for bin_ in ("all", *found.bins):
            members = [name for name in shared if bin_ in ("all", found.bin_of[name])]
            if members:
                out.append(_exchange(ratio, multiplier, budget, bin_, members, small, right))
    return out


def _exchange(
    ratio: float,
    multiplier: float,
    budget: int | None,
    bin_: str,
    members: Sequence[str],
    small: Mapping[str, bool],
    right: Mapping[str, bool],
) -> Exchange:
    count = len(members)
    ours = [small[name] for name in members] if small else None
    theirs = [right[name] for name in members]
    return Exchange(
        ratio=ratio,
        multiplier=multiplier,
        budget=budget,
        bin=bin_,
        small=None if ours is None else sum(ours) / count,
        large=sum(theirs) / count,
        questions=count,
        difference=None if ours is None else _difference(ours, theirs),
    )


def _sort(
    rows: Iterable[Row], difficulty: Difficulty
) -> tuple[dict[str, dict[Key, Row]], dict[str, Row], dict[str, float | None]]:
    """Return configurations, probe and estimate of each question."""
    table: dict[str, dict[Key, Row]] = {}
    probes: dict[str, Row] = {}
    pools: dict[str, Row] = {}
    for row in rows:
        if row.curve == PROBE:
            probes[row.problem] = row
        elif row.correct is not None:
            table.setdefault(row.problem, {})[row.curve, row.n] = row
        if row.evidence is not None and samples_in_parallel(row.method) and _whole(row):
            known = pools.get(row.problem)
            if known is None or known.evidence is None or len(row.evidence.groups) > len(known.evidence.groups):
                pools[row.problem] = row
    source = pools if difficulty.oracle else probes
    values = {name: difficulty.value(row.evidence) for name, row in source.items() if row.evidence is not None}
    return table, probes, values


def _whole(row: Row) -> bool:
    """Whether all samples were drawn: an early stop leaves the share of right ones biased."""
    return bool(row.settings.get("early_stop", "none") == "none")


def _check_values(values: Mapping[str, float | None], difficulty: Difficulty) -> None:
    if all(value is None for value in values.values()):
        what = "graded samples" if difficulty.oracle else f"a probe (rows of the curve {PROBE!r} with their evidence)"
        raise BadInput(f"the rows hold nothing to estimate difficulty by {difficulty.estimator} from: it needs {what}")


def _with_probe(row: Row, probe: Row | None) -> Mapping[str, Usage]:
    """Return the cost of a run whose configuration was chosen after a probe."""
    if probe is None:
        return row.usage
    # Samples that ask for top log-probabilities are other requests to the store than the probe's.
    joined = samples_in_parallel(row.method) and not row.settings.get("top_k")
    out = dict(row.usage)
    for role, used in probe.usage.items():
        ours = out.get(role, Usage())
        out[role] = max(ours, used, key=lambda usage: usage.tokens) if joined else ours + used
    return out


def _tokens(usage: Mapping[str, Usage], weights: Mapping[str, float]) -> float:
    return math.fsum(weights.get(role, 1.0) * used.tokens for role, used in usage.items())


def _charged(row: Row, usage: Mapping[str, Usage], weights: Mapping[str, float], curve: str, n: int) -> Row:
    """Return a row of one family whose policy bears the cost of all roles, in policy tokens."""
    prompt, written = (
        round(math.fsum(weights.get(role, 1.0) * getattr(used, kind) for role, used in usage.items()))
        for kind in ("prompt_tokens", "completion_tokens")
    )
    cost = Usage(calls=sum(u.calls for u in usage.values()), prompt_tokens=prompt, completion_tokens=written)
    return replace(row, family="all", curve=curve, n=n, usage={"policy": cost}, paid={})


def _uniform(keys: Sequence[Key], table: Mapping[str, Mapping[Key, Row]], wanted: str | None) -> str:
    first = next(iter(table.values()))
    curves = list(dict.fromkeys(curve for curve, _ in keys))
    if wanted is not None:
        if wanted not in curves:
            raise ConfigError(f"no curve is called {wanted!r}; there are: {', '.join(curves)}")
        return wanted
    many = max(curves, key=lambda curve: sum(name == curve for name, _ in keys))
    return next((curve for (curve, _), row in first.items() if _draws_all(row)), many)


def _draws_all(row: Row) -> bool:
    """Whether it is best-of-N as it is known: all samples are drawn, and the best one is taken."""
    return row.method == "best_of_n" and row.settings.get("accept") is None and not row.settings.get("weighted")


def _match(
    budget: int,
    picked: Sequence[Picked],
    table: Mapping[str, Mapping[Key, Row]],
    uniform: str,
    weights: Mapping[str, float],
    margin: float,
    seed: int,
) -> Match:
    ours = [p.outcome.correct for p in picked]
    keys = sorted({key for key in table[picked[0].question] if key[0] == uniform}, key=lambda key: key[1])
    right = {key: [bool(table[p.question][key].correct) for p in picked] for key in keys}
    cost = {key: [_tokens(table[p.question][key].usage, weights) for p in picked] for key in keys}
    equal = [key for key in keys if sum(right[key]) >= sum(ours)]
    base = min(equal or keys, key=lambda key: (0 if equal else -sum(right[key]), math.fsum(cost[key])))
    difference = _difference(ours, right[base])
    return Match(
        budget=budget,
        base=base,
        reached=bool(equal),
        difference=difference,
        ratio=cost_ratio([p.outcome.cost for p in picked], cost[base], seed=seed),
        shown=difference.low > -margin,
    )


def _difference(left: Sequence[bool], right: Sequence[bool]) -> Interval:
    won = sum(a and not b for a, b in zip(left, right, strict=True))
    lost = sum(b and not a for a, b in zip(left, right, strict=True))
    return paired_score_interval(won, lost, len(left))


def _by_bin(right: Mapping[str, bool], bin_of: Mapping[str, str], names: Sequence[str]) -> dict[str, Interval]:
    out = {}
    for name in names:
        members = [ok for question, ok in right.items() if bin_of[question] == name]
        if members:
            out[name] = wilson(sum(members), len(members))
    return out


def _mean_cost(picked: Sequence[Picked]) -> float:
    return math.fsum(p.outcome.cost for p in picked) / len(picked)
