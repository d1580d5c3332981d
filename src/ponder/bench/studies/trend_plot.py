"""Points and curves over two shares as one SVG picture: what goes with what.

Source: our own; colours and marks are those of `ponder.bench.svg_plot`. Both axes run from 0 to 100 %; what lies
outside is drawn at the edge.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from ponder.bench.svg_plot import COLOURS, mark

__all__ = ["Scatter", "draw_trends"]

_WIDTH, _HEIGHT = 480, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 20, 28, 46
_ROOM = 14  # units that a number needs


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """One series.

    Attributes:
        label: of the series.
        points: x and y in [0, 1], and the name of each.
        line: corners of a curve, x and y.
    """

    label: str
    points: tuple[tuple[float, float, str], ...] = ()
    line: tuple[tuple[float, float], ...] = ()


def draw_trends(
    series: Sequence[Scatter], parts_of_x: Sequence[tuple[float, str]] = (), /, *, title: str, x: str, y: str
) -> str:
    """Return the picture.

    Args:
        series: at least one.
        parts_of_x: shares of the horizontal axis one after the other, with their names: borders are drawn, and a number
            where there is room; the name shows under the pointer.
        title: description for those who cannot see it.
        x: what the horizontal axis is.
        y: what the vertical one is.
    """
    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(title)}" class="plot">']
    for quarter in range(5):
        share, name = quarter / 4, f"{quarter * 25}%"
        parts.append(f'<path class="grid" d="M{_LEFT} {_y(share):.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text class="tick" x="{_LEFT - 7}" y="{_y(share) + 4:.1f}" text-anchor="end">{name}</text>')
        parts.append(f'<path class="grid" d="M{_x(share):.1f} {_y(0):.1f}v5"/>')
        place = f'x="{_x(share):.1f}" y="{_y(0) + 18:.1f}" text-anchor="middle"'
        parts.append(f'<text class="tick" {place}>{name}</text>')
    parts += _borders(parts_of_x)
    for number, shown in enumerate(series):
        parts.append(f'<g class="curve c{number % COLOURS}">')
        if len(shown.line) > 1:
            corners = " ".join(f"{_x(a):.1f},{_y(b):.1f}" for a, b in shown.line)
            parts.append(
                f'<polyline class="line" points="{corners}"><title>{html.escape(shown.label)}</title></polyline>'
            )
        for a, b, name in shown.points:
            note = html.escape(f"{shown.label}, {name}: {x} {a:.0%}, {y} {b:.0%}")
            parts.append(f"<g><title>{note}</title>{mark(number, _x(a), _y(b))}</g>")
        parts.append("</g>")
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text class="label" x="{_LEFT - 36}" y="{_TOP - 14}">{html.escape(y)}</text>')
    place = f'x="{middle:.0f}" y="{_HEIGHT - 8}" text-anchor="middle"'
    parts.append(f'<text class="label" {place}>{html.escape(x)}</text></svg>')
    return "".join(parts)


def _borders(parts_of_x: Sequence[tuple[float, str]]) -> list[str]:
    found, at = [], 0.0
    for number, (share, name) in enumerate(parts_of_x, 1):
        left, right = _x(at), _x(at + share)
        note = f"<title>{number}: {html.escape(name)}</title>"
        if right - left >= _ROOM:
            place = f'x="{(left + right) / 2:.1f}" y="{_TOP - 4}" text-anchor="middle"'
            found.append(f'<text class="tick" {place}>{number}{note}</text>')
        if number < len(parts_of_x):
            found.append(f'<path class="grid" stroke-dasharray="3 3" d="M{right:.1f} {_y(1):.1f}V{_y(0):.1f}"/>')
        at += share
    return found


def _x(share: float) -> float:
    return _LEFT + min(1.0, max(0.0, share)) * (_WIDTH - _LEFT - _RIGHT)


def _y(share: float) -> float:
    return _TOP + (1 - min(1.0, max(0.0, share))) * (_HEIGHT - _TOP - _BOTTOM)
