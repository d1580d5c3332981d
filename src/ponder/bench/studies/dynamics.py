"""How a verifier's rates depend on the difficulty of the problem and on who wrote the answer, and what filtering gains.

Source: Zhou et al. 2025, arXiv:2509.17995, and its released analysis (card 21): RQ1 (difficulty), RQ2 (generator), RQ3
(the verifier's own ability: correlation, line and LOWESS, over all problems and by difficulty), RQ4/5 (filtering).
Differs: the rates pool all sampled answers, not a balanced subsample of them (each rate is over one kind of answers, so
their ratio does not enter it; a problem with more answers of a kind weighs more). A score of any verifier becomes a
vote by a threshold; a score on it, or a missing one, is unreadable and has half credit. A verifier's ability is its
pass rate on all problems, also where the accuracy is that of one bin.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ponder.bench.rows import Row
from ponder.bench.studies.recording import samples_in_parallel
from ponder.core.errors import BadInput
from ponder.numerics.intervals import Interval, paired_difference
from ponder.numerics.power_laws import Line, fit_line
from ponder.numerics.smoothing import lowess
from ponder.numerics.verification import (
    Rates,
    Vote,
    balanced_accuracy,
    credit_interval,
    filtered_pass_rate,
    mean_difficulty,
    pass_rate_intervals,
    pick_rates,
    population_gain,
    quartiles,
    rates,
)

__all__ = [
    "ALL",
    "LEAST",
    "QUARTILES",
    "Ability",
    "Cell",
    "Dynamics",
    "Judged",
    "Trend",
    "analyse",
    "correlation",
    "read_judged",
    "trend",
    "vote",
]

ALL = "all"
LEAST = 3  # verifiers that a trend needs
QUARTILES = ("hardest", "hard", "easy", "easiest")


class Judged(NamedTuple):
    """All answers of one generator to one problem, with a verifier's votes and the labels from gold."""

    problem: str
    generator: str
    verifier: str
    votes: tuple[Vote, ...]
    labels: tuple[bool, ...]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A verifier on the answers of one generator (or all) to the problems of one bin (or all).

    Attributes:
        verifier, generator, bin: what it holds; `ALL` for every one.
        problems: how many.
        rates: pooled over the answers.
        unread: answers whose verdict cannot be read.
        tpr, tnr: with their Wilson intervals; None without an answer of that kind.
        before, after: pass rate of a random answer, and of one that the filter leaves; means over problems.
        gain: their difference, with the interval that resamples problems; the limits are None where all problems
            gained the same, about which resampling says nothing.
        expected: the gain that the pooled rates would give at the pass rate `before`; None without both rates.
    """

    verifier: str
    generator: str
    bin: str
    problems: int
    rates: Rates
    unread: int
    tpr: Interval | None
    tnr: Interval | None
    before: float
    after: float
    gain: tuple[float, float | None, float | None]
    expected: float | None

    @property
    def balanced(self) -> float | None:
        """Balanced accuracy."""
        tpr, tnr = self.rates.tpr, self.rates.tnr
        return None if tpr is None or tnr is None else balanced_accuracy(tpr, tnr)


class Ability(NamedTuple):
    """A verifier's balanced accuracy beside the pass rate of its model as a generator."""

    verifier: str
    pass_rate: float
    balanced: float


class Trend(NamedTuple):
    """How balanced accuracy goes with the ability of the verifier, on the problems of one bin (or all).

    Attributes:
        bin: which problems.
        abilities: weakest verifier first; two of them say nothing.
        r: Pearson's correlation, in [-1, 1]; None below `LEAST` verifiers, or where one side does not vary.
        line: least squares; None below `LEAST` verifiers, or where their abilities are alike.
        smooth: LOWESS at each ability; empty where there is no line.
    """

    bin: str
    abilities: tuple[Ability, ...]
    r: float | None
    line: Line | None
    smooth: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Dynamics:
    """The whole analysis.

    Attributes:
        verifiers, generators: names in order of appearance; generators from the weakest to the strongest.
        pass_rates: of each generator.
        problems: that every generator answered under every verifier, and
        dropped: that not all did.
        difficulty: mean pass rate by problem.
        cells: by quartile of difficulty, for each verifier and generator.
        intervals: by pass-rate interval of the problem, for all generators together.
        accepted, rejected: by verifier, the rates by generator on the problems that all generators share (RQ2); empty
            with one generator, or where they share none.
        abilities: of the verifiers whose model is a generator too (RQ3).
        trends: of these abilities, over all problems and in each bin; bins without any verifier's accuracy are left
            out.
    """

    verifiers: tuple[str, ...]
    generators: tuple[str, ...]
    pass_rates: Mapping[str, float]
    problems: tuple[str, ...]
    dropped: int
    difficulty: Mapping[str, float]
    cells: tuple[Cell, ...]
    intervals: tuple[Cell, ...]
    accepted: Mapping[str, Mapping[str, float]]
    rejected: Mapping[str, Mapping[str, float]]
    abilities: tuple[Ability, ...]
    trends: tuple[Trend, ...]

    def cell(self, verifier: str, generator: str = ALL, bin: str = ALL) -> Cell | None:
        """Return one cell, or None where it holds nothing."""
        wanted = verifier, generator, bin
        return next((c for c in self.cells if (c.verifier, c.generator, c.bin) == wanted), None)


def vote(score: float | None, threshold: float = 0.5) -> Vote:
    """Return the vote that a score casts: accepted above the threshold, rejected below it, else unreadable."""
    return None if score is None or score == threshold else score > threshold


def read_judged(rows: Iterable[Row], *, threshold: float = 0.5) -> list[Judged]:
    """Return what the rows hold: for each problem, model and curve the run with the most judged answers.

    Only runs with a verifier and independent samples count; answers without a grade are left out.
    """
    found: dict[tuple[str, str, str], Judged] = {}
    for row in rows:
        kept = row.evidence
        if kept is None or not row.verifier or not kept.scores or not samples_in_parallel(row.method):
            continue
        pairs = [(vote(s, threshold), g) for s, g in zip(kept.scores, kept.grades, strict=True) if g is not None]
        key = row.problem, row.model, row.curve
        if pairs and (key not in found or len(pairs) > len(found[key].votes)):
            found[key] = Judged(*key, tuple(v for v, _ in pairs), tuple(g for _, g in pairs))
    return list(found.values())


def analyse(judged: Sequence[Judged], *, bins: Sequence[str] = QUARTILES, seed: int = 0) -> Dynamics:
    """Return rates and gains in every cell.

    Args:
        judged: one entry per problem, generator and verifier; problems that lack one are dropped and counted.
        bins: names of the bins of equal counts, hardest first.
        seed: of the resampling and of the picks.

    Raises:
        BadInput: no problem has all of them.
    """
    table = {(entry.verifier, entry.generator, entry.problem): entry for entry in judged}
    verifiers, generators, seen = (list(dict.fromkeys(key[at] for key in table)) for at in range(3))
    problems = [p for p in seen if all((v, g, p) in table for v in verifiers for g in generators)]
    if not problems:
        raise BadInput("no problem was answered by every generator and judged by every verifier")
    passed = {g: [_share(table[verifiers[0], g, p].labels) for p in problems] for g in generators}
    level = {g: math.fsum(found) / len(found) for g, found in passed.items()}
    generators.sort(key=level.__getitem__)
    difficulty = mean_difficulty(passed)
    whole = {ALL: list(range(len(problems)))}
    ranked = {**whole, **dict(zip(bins, quartiles(difficulty, len(bins)), strict=True))}
    who = {ALL: generators, **({g: [g] for g in generators} if len(generators) > 1 else {})}

    def cell(verifier: str, generator: str, bin_: str, members: Sequence[int]) -> Cell:
        entries = [table[verifier, g, problems[at]] for at in members for g in who[generator]]
        return _cell(verifier, generator, bin_, len(members), entries, seed)

    cells = [cell(v, g, b, ids) for v in verifiers for g in who for b, ids in ranked.items() if ids]
    intervals = [cell(v, ALL, b, ids) for v in verifiers for b, ids in pass_rate_intervals(difficulty).items() if ids]
    answers = {
        v: {
            g: [list(zip(table[v, g, p].votes, table[v, g, p].labels, strict=True)) for p in problems]
            for g in generators
        }
        for v in verifiers
    }
    return Dynamics(
        verifiers=tuple(verifiers),
        generators=tuple(generators),
        pass_rates=level,
        problems=tuple(problems),
        dropped=len(seen) - len(problems),
        difficulty=dict(zip(problems, difficulty, strict=True)),
        cells=tuple(cells),
        intervals=tuple(intervals),
        accepted=_picks(answers, right=True, seed=seed),
        rejected=_picks(answers, right=False, seed=seed),
        abilities=tuple(_abilities(cells, level, ALL)),
        trends=tuple(trend(able, bin=name) for name in ranked if (able := tuple(_abilities(cells, level, name)))),
    )


def correlation(abilities: Sequence[Ability]) -> float | None:
    """Return Pearson's r of pass rate and balanced accuracy; None below three verifiers, or where one does not vary."""
    left, right = [a.pass_rate for a in abilities], [a.balanced for a in abilities]
    if len(abilities) < LEAST or len(set(left)) == 1 or len(set(right)) == 1:
        return None
    return statistics.correlation(left, right)


def trend(abilities: Iterable[Ability], *, bin: str = ALL) -> Trend:
    """Return the correlation, the line and the curve through the verifiers of one bin."""
    able = tuple(sorted(abilities, key=lambda one: one.pass_rate))
    x, y = [one.pass_rate for one in able], [one.balanced for one in able]
    if len(able) < LEAST or len(set(x)) == 1:
        return Trend(bin, able, None, None, ())
    return Trend(bin, able, correlation(able), fit_line(x, y), tuple(lowess(x, y)))


def _cell(verifier: str, generator: str, bin_: str, problems: int, entries: Sequence[Judged], seed: int) -> Cell:
    pooled = rates([v for e in entries for v in e.votes], [label for e in entries for label in e.labels])
    after = [filtered_pass_rate(entry.votes, entry.labels) for entry in entries]
    before = [_share(entry.labels) for entry in entries]
    mean_after, mean_before = (math.fsum(found) / len(found) for found in (after, before))
    gain = paired_difference(after, before, [entry.problem for entry in entries], seed=seed)
    limits: tuple[float | None, float | None] = (gain.low, gain.high) if gain.low < gain.high else (None, None)
    tpr, tnr = pooled.tpr, pooled.tnr
    return Cell(
        verifier=verifier,
        generator=generator,
        bin=bin_,
        problems=problems,
        rates=pooled,
        unread=sum(cast is None for entry in entries for cast in entry.votes),
        tpr=credit_interval(pooled.accepted, pooled.right) if pooled.right else None,
        tnr=credit_interval(pooled.rejected, pooled.wrong) if pooled.wrong else None,
        before=mean_before,
        after=mean_after,
        gain=(gain.value, *limits),
        expected=None if tpr is None or tnr is None else population_gain(mean_before, tpr, tnr),
    )


def _picks(
    answers: Mapping[str, Mapping[str, Sequence[Sequence[tuple[Vote, bool]]]]], *, right: bool, seed: int
) -> dict[str, dict[str, float]]:
    """Return the rates on the problems where every generator has such an answer; nothing where there are none."""
    out = {}
    for verifier, found in answers.items():
        columns = zip(*found.values(), strict=True)
        shared = [all(any(label == right for _, label in given) for given in column) for column in columns]
        if len(found) > 1 and any(shared):
            out[verifier] = pick_rates(found, wanted="right" if right else "wrong", seed=seed)
    return out


def _abilities(cells: Iterable[Cell], level: Mapping[str, float], bin_: str) -> Iterable[Ability]:
    for found in cells:
        model = found.verifier.partition("@")[2]
        here = found.generator == ALL and found.bin == bin_
        if here and model in level and found.balanced is not None:
            yield Ability(found.verifier, level[model], found.balanced)


def _share(labels: Sequence[bool]) -> float:
    return sum(labels) / len(labels)
