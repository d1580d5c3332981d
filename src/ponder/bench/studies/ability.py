"""What a verifier's own ability has to do with its accuracy: points, line and LOWESS, of all problems and by bin.

Source: RQ3 of Zhou et al. 2025, arXiv:2509.17995 (card 21). The numbers are those of `dynamics.Trend`.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from ponder.bench.studies.dynamics import ALL, LEAST, Dynamics, Trend
from ponder.bench.studies.page import Picture, Section, Table
from ponder.bench.studies.trend_plot import Scatter, draw_trends

__all__ = ["ability_section"]

_TITLE = "A verifier and its own ability"


def ability_section(found: Dynamics) -> Section:
    """Return what is known of verifiers whose model is a generator too; trends from `LEAST` of them on."""
    by_bin = {one.bin: {able.verifier: able.balanced for able in one.abilities} for one in found.trends}
    table = Table(
        head=("verifier", "its pass rate as a generator", "balanced accuracy", *(b for b in by_bin if b != ALL)),
        rows=tuple(
            (able.verifier, f"{able.pass_rate:.0%}", *(_share(by_bin[b].get(able.verifier)) for b in by_bin))
            for able in found.abilities
        ),
    )
    drawn = [one for one in found.trends if one.line is not None]
    if not drawn:
        few = f"{LEAST} verifiers that generate too, with different pass rates, would show a trend"
        return Section(title=_TITLE, lines=(few,), tables=(table,))
    axes = {"x": "pass rate of the verifier's model as a generator", "y": "balanced accuracy"}
    whole = [one for one in drawn if one.bin == ALL]
    pictures = [
        Picture(
            svg=draw_trends(
                [
                    Scatter(label="verifiers", points=_points(one)),
                    Scatter(label="straight line", line=tuple((x, one.line.at(x)) for x in _ends(one))),
                    Scatter(label="LOWESS", line=_curve(one)),
                ],
                title="Balanced accuracy by the verifier's own ability",
                **axes,
            ),
            labels=("verifiers", "straight line", "LOWESS"),
            caption="All problems, all generators.",
        )
        for one in whole
        if one.line is not None
    ]
    if binned := [one for one in drawn if one.bin != ALL]:
        pictures.append(
            Picture(
                svg=draw_trends(
                    [Scatter(label=one.bin, points=_points(one), line=_curve(one)) for one in binned],
                    title="Balanced accuracy by the verifier's own ability and by difficulty",
                    **axes,
                ),
                labels=tuple(one.bin for one in binned),
                caption="By difficulty, with LOWESS; the ability is that on all problems.",
            )
        )
    trends = Table(
        title="Trends",
        head=("problems", "verifiers", "Pearson r", "slope", "intercept"),
        rows=tuple(
            (one.bin, str(len(one.abilities)), *(f"{v:.2f}" if v is not None else "–" for v in _numbers(one)))
            for one in drawn
        ),
    )
    return Section(title=_TITLE, pictures=tuple(pictures), tables=(table, trends))


def _points(one: Trend) -> tuple[tuple[float, float, str], ...]:
    return tuple((able.pass_rate, able.balanced, able.verifier) for able in one.abilities)


def _curve(one: Trend) -> tuple[tuple[float, float], ...]:
    return tuple((able.pass_rate, height) for able, height in zip(one.abilities, one.smooth, strict=True))


def _ends(one: Trend) -> tuple[float, float]:
    return one.abilities[0].pass_rate, one.abilities[-1].pass_rate


def _numbers(one: Trend) -> tuple[float | None, float | None, float | None]:
    return one.r, *((None, None) if one.line is None else (one.line.slope, one.line.intercept))


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"
