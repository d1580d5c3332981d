"""The compute-optimal curve as sections of a study's page, and as the data beside it.

Source: our own; what is shown is worked out by `optimum`.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ponder.bench.figure import figures
from ponder.bench.findings import percent
from ponder.bench.studies.allocation import Picked
from ponder.bench.studies.optimum import OPTIMAL, Exchange, Match, Optimum
from ponder.bench.studies.page import Picture, Section, Table
from ponder.bench.studies.share_plot import Shares, draw_shares
from ponder.bench.summary import Key
from ponder.bench.svg_plot import draw_svg
from ponder.numerics.intervals import Interval
from ponder.planning.difficulty import Difficulty

__all__ = ["bins_section", "curves_section", "exchange_section", "optimum_data"]


def curves_section(found: Optimum, margin: float) -> Section:
    """Return the curves, and what each budget costs against the uniform rule."""
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


def bins_section(found: Optimum) -> Section:
    """Return accuracy and choices by bin of difficulty."""
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


def exchange_section(found: Sequence[Exchange], scale: float) -> Section:
    """Return what inference buys against a model that is `scale` times as large, at equal FLOPs."""
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


def optimum_data(
    found: Optimum, exchanged: Sequence[Exchange], difficulty: Difficulty, *, margin: float, slack: float
) -> dict[str, Any]:
    """Return everything that the page shows, as a JSON object."""
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
