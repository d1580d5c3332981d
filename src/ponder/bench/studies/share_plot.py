"""Shares by category as one SVG picture: a mark with its 95 % interval for each series in each category.

Source: our own; colours and marks are those of `ponder.bench.svg_plot`. Neighbouring categories are joined by a thin
line where both are known, because categories of difficulty are ordered.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from ponder.bench.svg_plot import COLOURS, mark
from ponder.numerics.intervals import Interval

__all__ = ["Shares", "draw_shares"]

_WIDTH, _HEIGHT = 480, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 12, 46
_APART = 7.0  # units between the series of one category


@dataclass(frozen=True, kw_only=True)
class Shares:
    """One series.

    Attributes:
        label: of the series.
        values: one per category, in [0, 1]; None where nothing is known.
    """

    label: str
    values: tuple[Interval | None, ...]


def draw_shares(categories: Sequence[str], series: Sequence[Shares], *, title: str, axis: str, joined: bool) -> str:
    """Return the picture.

    Args:
        categories: names, left to right, at least one.
        series: with one value per category.
        title: description for those who cannot see it.
        axis: what the categories are, below them.
        joined: draw a line from each category to the next.
    """
    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(title)}" class="plot">']
    for quarter in range(5):
        y = _y(quarter / 4)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text class="tick" x="{_LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{quarter * 25}%</text>')
    step = (_WIDTH - _LEFT - _RIGHT) / len(categories)
    centres = [_LEFT + step * (at + 0.5) for at in range(len(categories))]
    letters = max(4, int(step / 6.5))
    for x, name in zip(centres, categories, strict=True):
        text = name if len(name) <= letters else f"{name[: letters - 1]}…"
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{_y(0) + 18:.1f}" text-anchor="middle">{html.escape(text)}'
            f"<title>{html.escape(name)}</title></text>"
        )
    middle = (len(series) - 1) / 2
    for number, shown in enumerate(series):
        places = [x + (number - middle) * _APART for x in centres]
        parts.append(f'<g class="curve c{number % COLOURS}">')
        known = [(x, value) for x, value in zip(places, shown.values, strict=True) if value is not None]
        if joined and len(known) > 1:
            line = " ".join(f"{x:.1f},{_y(value.value):.1f}" for x, value in known)
            parts.append(f'<polyline class="line" points="{line}"/>')
        for x, value, name in zip(places, shown.values, categories, strict=True):
            if value is None:
                continue
            low, high = _y(value.low), _y(value.high)
            note = f"{shown.label}, {name}: {value.value:.0%} [{value.low:.0%}, {value.high:.0%}]"
            bar = f"M{x:.1f} {low:.1f}V{high:.1f}M{x - 3:.1f} {low:.1f}h6M{x - 3:.1f} {high:.1f}h6"
            parts.append(f'<g><title>{html.escape(note)}</title><path class="bar" d="{bar}"/>')
            parts.append(f"{mark(number, x, _y(value.value))}</g>")
        parts.append("</g>")
    middle_x = (_LEFT + _WIDTH - _RIGHT) / 2
    place = f'x="{middle_x:.0f}" y="{_HEIGHT - 8}" text-anchor="middle"'
    parts.append(f'<text class="label" {place}>{html.escape(axis)}</text></svg>')
    return "".join(parts)


def _y(value: float) -> float:
    return _TOP + (1 - value) * (_HEIGHT - _TOP - _BOTTOM)
