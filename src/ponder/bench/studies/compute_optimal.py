"""Compute-optimal scaling: which configuration pays for which difficulty, and what choosing by difficulty saves.

Paper: Snell et al. 2024, arXiv:2408.03314 (card 04); Liu et al. 2025, arXiv:2502.06703 (card 13). The analysis is in
`optimum`; here is what is run and shown.
Differs: difficulty is estimated from a probe of a few samples (the paper draws 2048), and the probe is charged.
Cost: the largest point of each curve, and the probe where its samples are not among them. Needs: a model, or recorded
rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ponder.bench.curve import Point
from ponder.bench.figure import figures
from ponder.bench.findings import percent
from ponder.bench.rows import Row
from ponder.bench.studies.allocation import Picked
from ponder.bench.studies.optimum import LARGER, OPTIMAL, PROBE, Exchange, Match, Optimum, exchange, find_optimum
from ponder.bench.studies.page import Picture, Section, Study, Table
from ponder.bench.studies.recording import Turn
from ponder.bench.studies.share_plot import Shares, draw_shares
from ponder.bench.summary import Key
from ponder.bench.svg_plot import draw_svg
from ponder.core import registry
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Model
from ponder.numerics.intervals import Interval
from ponder.planning.difficulty import Absolute, Difficulty

__all__ = ["NAME", "Configuration", "compute_optimal", "compute_optimal_points", "compute_optimal_turns"]

NAME = "compute-optimal"

_NOTES = (
    "Compute-optimal: for each bin of difficulty and budget, the configuration of at most so many samples that was most"
    " accurate on the other half of the questions (equal accuracy: the cheaper one). Bins are learned there too. A"
    " question takes part in nothing that is decided about it.",
    "Tokens are nominal, prompt + written, of all roles; the probe that difficulty is estimated from is charged: a"
    " configuration that samples independently starts with the probe's samples, any other one pays for both.",
    "Accuracies by bin and differences have 95 % score intervals (Wilson; Tango for pairs). Points of curves and ratios"
    " of tokens have intervals that resample questions (* marks Wilson, where every question came out the same). They"
    " take the choices as they were made: another split of the questions would choose a little differently.",
    "Not worse is said only where the interval of the difference stays above the margin, which takes some two hundred"
    " questions at a margin of 2 points; with fewer the study can show what things cost, hardly that they are equal.",
    "Bins in tables by difficulty are learned on all questions, for reading only.",
    "Hindsight is the share of questions that any configuration within the budget answers: no choice can do better. It"
    " uses gold and is no method.",
)
_ORACLE = (
    "Difficulty is the oracle's: pass@1 by gold, from samples that are also measured. The curve is optimistic, and no"
    " method can follow it."
)


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """A method to run at several sizes.

    Attributes:
        method: registered name.
        settings: all but n.
    """

    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Its curve's name."""
        return " ".join([self.method, *(f"{name}={value}" for name, value in self.settings.items())])


def compute_optimal_points(
    configurations: Sequence[Configuration],
    sizes: Sequence[int],
    *,
    difficulty: Difficulty,
    probe: int = 4,
    verifier: str | None = None,
    judging: Mapping[str, Any] | None = None,
) -> tuple[Point, ...]:
    """Return what one policy runs: the probe, and each configuration at each size.

    Args:
        configurations: methods; one without a setting n runs once.
        sizes: numbers of samples.
        difficulty: says what the probe must show; the oracle has none.
        probe: samples of the probe, >= 1.
        verifier: registered name, for methods and estimators that need one.
        judging: its settings.

    Raises:
        ConfigError: settings that no method takes, curves of one name, or a verifier that is missing.
    """
    if probe < 1 or not sizes or min(sizes) < 1:
        raise ConfigError(f"the probe and all sizes must be at least 1, got {probe!r} and {sizes!r}")
    if not difficulty.oracle and probe > max(sizes):
        raise ConfigError(f"a probe of {probe} samples does not fit into {max(sizes)}: take fewer, or larger sizes")
    if len({c.label for c in configurations}) < len(configurations):
        raise ConfigError("two configurations are the same")
    points = []
    for made in configurations:
        entry = registry.strategies.get(made.method)
        judged = "verifier" in entry.needs
        if judged and verifier is None:
            raise ConfigError(f"method {made.method!r} needs a verifier")
        sized = "n" in registry.parameters(entry.make(**made.settings))
        for n in sorted({*sizes}) if sized else [1]:
            settings = {**made.settings, **({"n": n} if sized else {})}
            entry.make(**settings)
            points.append(
                Point(
                    curve=made.label,
                    method=made.method,
                    settings=settings,
                    verifier=verifier if judged else None,
                    judging=(judging or {}) if judged else {},
                )
            )
    if difficulty.oracle:
        return tuple(points)
    if difficulty.estimator == "verifier":
        if verifier is None:
            raise ConfigError("difficulty by the verifier's mean needs a verifier")
        first = Point(curve=PROBE, method="best_of_n", settings={"n": probe}, verifier=verifier, judging=judging or {})
    else:
        first = Point(curve=PROBE, method="self_consistency", settings={"n": probe, "early_stop": "none"})
    return (first, *points)


def compute_optimal_turns(
    model: Model, points: Sequence[Point], *, judge: Model | None = None, larger: Model | None = None
) -> list[Turn]:
    """Return who runs what: the policy all points, a larger model one greedy answer."""
    turns = [Turn(model=model, points=tuple(points), roles={} if judge is None else {"judge": judge})]
    if larger is not None:
        turns.append(Turn(model=larger, points=(Point(curve=LARGER, method="greedy"),)))
    return turns


def compute_optimal(
    rows: Sequence[Row],
    difficulty: Difficulty,
    *,
    uniform: str | None = None,
    weights: Mapping[str, float] | None = None,
    scale: float | None = None,
    margin: float = 0.02,
    slack: float = 0.0,
    seed: int = 0,
    facts: Sequence[str] = (),
    warning: str = "",
) -> Study:
    """Return the study of these rows.

    Args:
        rows: graded runs of one policy, with the probe's; those of a larger model under the curve "larger model".
        difficulty: estimator and bins.
        uniform: curve to compare with; by default that of best-of-N.
        weights: what a token of each role costs in policy tokens.
        scale: parameters of the larger model over the policy's; needed where the rows hold one.
        margin: of non-inferiority.
        slack: accuracy that a choice may give up on its fold for a lower cost.
        seed: of folds and resampling.
        facts: more on how the rows were made, for the page.
        warning: what a reader must not overlook.

    Raises:
        BadInput: the rows do not hold what it takes.
        ConfigError: a setting without sense.
    """
    larger = [row for row in rows if row.curve == LARGER]
    own = [row for row in rows if row.curve != LARGER]
    models = sorted({row.model for row in own})
    if len(models) > 1:
        raise BadInput(f"the rows are of several policies: {', '.join(models)}")
    found = find_optimum(own, difficulty, uniform=uniform, weights=weights, margin=margin, slack=slack, seed=seed)
    if larger and scale is None:
        raise ConfigError("the exchange needs the scale: parameters of the larger model over the policy's")
    exchanged = exchange(found, larger, scale=scale) if larger and scale is not None else []
    dropped = f"questions left out because they lack a configuration: {found.dropped}" if found.dropped else ""
    same = _same_program(own)
    return Study(
        name=NAME,
        title="Compute-optimal scaling",
        facts=(
            f"policy {', '.join(models)}",
            ", ".join(sorted({row.family for row in own})),
            f"{len(found.questions)} questions",
            *facts,
            _describe(difficulty),
        ),
        warning=". ".join(filter(None, (warning, dropped, same, _ORACLE if difficulty.oracle else ""))),
        sections=(
            _curves(found, margin),
            _bins(found),
            *([_exchange(exchanged, scale)] if exchanged and scale is not None else []),
        ),
        notes=_NOTES,
        data=_data(found, exchanged, difficulty, margin=margin, slack=slack),
    )


def _same_program(rows: Sequence[Row]) -> str:
    return (
        "The verifier is the grader: curves that choose by it show what it can find"
        if any(row.self_graded for row in rows)
        else ""
    )


def _describe(difficulty: Difficulty) -> str:
    binning = difficulty.binning
    if isinstance(binning, Absolute):
        bins = f"bins {', '.join(binning.names)} at {', '.join(f'{edge:g}' for edge in binning.thresholds)}"
    else:
        bins = f"{binning.bins} bins of equal counts"
    return f"difficulty by {difficulty.estimator}, {bins}"


def _curves(found: Optimum, margin: float) -> Section:
    pictures = tuple(
        Picture(
            svg=draw_svg(
                figure,
                title="Accuracy against tokens",
                axis_label="tokens per problem, all roles, probe included (log scale)",
            ),
            labels=tuple(series.label for series in figure.series),
            caption="Uniform curves take one configuration for every question. Bars: 95 % intervals.",
        )
        for figure in figures(found.points)
    )
    rows = []
    for point in found.points:
        ceiling = f"{found.ceiling[point.n]:.0%}" if point.curve == OPTIMAL else ""
        rows.append((point.curve, str(point.n), percent(point.accuracy), f"{point.tokens:,.0f}", ceiling))
    return Section(
        title="Accuracy against tokens",
        note=f"The probe alone costs {found.probe:,.0f} tokens a question.",
        pictures=pictures,
        lines=tuple(_spell_match(match, margin) for match in found.matches),
        tables=(Table(head=("curve", "n", "accuracy", "tokens", "hindsight"), rows=tuple(rows)),),
    )


def _spell_match(match: Match, margin: float) -> str:
    ratio, change = match.ratio, match.difference
    curve, n = match.base
    against = f"{curve} @ {n}" + ("" if match.reached else " (its best, which is less accurate)")
    said = "not worse" if match.shown else "worse" if change.high < 0 else "not shown to be as good"
    return (
        f"at most {match.budget} samples: {ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}] x the tokens of"
        f" {against}, {100 * change.value:+.1f} points [{100 * change.low:+.1f}, {100 * change.high:+.1f}]: {said}"
        f" at a margin of {100 * margin:g} points"
    )


def _bins(found: Optimum) -> Section:
    counts = {name: sum(at == name for at in found.bin_of.values()) for name in found.bins}
    last = dict(sorted(found.by_bin, key=lambda key: key[1]))  # the largest point of each curve
    series = [
        Shares(label=f"{curve} @ {n}" if n > 1 else curve, values=_across(found, (curve, n)))
        for curve, n in last.items()
    ]
    axis = "questions by estimated difficulty, easiest first"
    picture = Picture(
        svg=draw_shares(found.bins, series, title="Accuracy by difficulty", axis=axis, joined=True),
        labels=tuple(shown.label for shown in series),
        caption="The largest point of each curve. Bars: 95 % Wilson intervals.",
    )
    head = ("curve", "n", *(f"{name} ({counts[name]})" for name in found.bins))
    accuracy = tuple(
        (curve, str(n), *(_spell(value) for value in _across(found, (curve, n)))) for curve, n in found.by_bin
    )
    chosen = tuple(
        (f"at most {budget}", f"{fold + 1}", *_choices(found, budget, fold))
        for budget in found.policies
        for fold in (0, 1)
    )
    return Section(
        title="By difficulty",
        note="Bins from the easiest; in brackets, how many questions.",
        pictures=(picture,),
        tables=(
            Table(title="Accuracy", head=head, rows=accuracy),
            Table(
                title="What was chosen, on the questions of the other fold",
                head=("samples", "fold", *found.bins),
                rows=chosen,
            ),
        ),
    )


def _across(found: Optimum, key: Key) -> tuple[Interval | None, ...]:
    return tuple(found.by_bin[key].get(name) for name in found.bins)


def _choices(found: Optimum, budget: int, fold: int) -> tuple[str, ...]:
    policy = found.policies[budget][fold]
    cells = []
    for name in found.bins:
        choice = policy.table.get(name)
        taken = choice or policy.otherwise
        curve, n = taken.key
        cells.append(f"{curve} @ {n} ({taken.questions})" if choice else f"{curve} @ {n} (no question; over all bins)")
    return tuple(cells)


def _exchange(found: Sequence[Exchange], scale: float) -> Section:
    rows = tuple(
        (
            "inference alone" if math.isinf(entry.ratio) else f"R = {entry.ratio:g}",
            f"{entry.multiplier:.1f}",
            "none" if entry.budget is None else f"at most {entry.budget} samples",
            entry.bin,
            str(entry.questions),
            "–" if entry.small is None else f"{entry.small:.0%}",
            "–" if entry.large is None else f"{entry.large:.0%}",
            "–" if entry.difference is None else _points(entry.difference),
        )
        for entry in found
    )
    return Section(
        title="Exchange with a larger model",
        note=f"The larger model has {scale:.3g} x the parameters and answers once, greedily. R: inference tokens over"
        " pretraining tokens. At equal FLOPs the small model may multiply its inference so much; it takes the largest"
        " affordable point of its compute-optimal curve.",
        tables=(
            Table(
                head=("R", "multiplier", "affordable", "bin", "questions", "small", "larger", "difference, points"),
                rows=rows,
            ),
        ),
    )


def _data(
    found: Optimum, exchanged: Sequence[Exchange], difficulty: Difficulty, *, margin: float, slack: float
) -> dict[str, Any]:
    return {
        "difficulty": {"estimator": difficulty.estimator, "oracle": difficulty.oracle, "bins": list(found.bins)},
        "margin": margin,
        "slack": slack,
        "uniform": found.uniform,
        "probe_tokens": found.probe,
        "dropped": found.dropped,
        "points": [
            {
                "curve": point.curve,
                "n": point.n,
                "accuracy": None if point.accuracy is None else point.accuracy._asdict(),
                "tokens": point.tokens,
            }
            for point in found.points
        ],
        "by_bin": [
            {"curve": curve, "n": n, "bin": name, **value._asdict()}
            for (curve, n), across in found.by_bin.items()
            for name, value in across.items()
        ],
        "questions": {question.id: question.value for question in found.questions},
        "picked": {budget: [_picked(entry) for entry in entries] for budget, entries in found.picked.items()},
        "hindsight": dict(found.ceiling),
        "matches": [
            {**m._asdict(), "difference": m.difference._asdict(), "ratio": m.ratio._asdict()} for m in found.matches
        ],
        "exchange": [
            {
                **e._asdict(),
                "ratio": None if math.isinf(e.ratio) else e.ratio,
                "difference": None if e.difference is None else e.difference._asdict(),
            }
            for e in exchanged
        ],
    }


def _picked(entry: Picked) -> dict[str, Any]:
    return {**entry._asdict(), "outcome": entry.outcome._asdict()}


def _spell(value: Interval | None) -> str:
    return "–" if value is None else f"{value.value:.0%} [{100 * value.low:.0f}, {100 * value.high:.0f}]"


def _points(value: Interval) -> str:
    return f"{100 * value.value:+.0f} [{100 * value.low:+.0f}, {100 * value.high:+.0f}]"
