"""Curves as one SVG picture that stands inside an HTML page: lines, marks, and the 95 % interval of each point.

Source: our own. Colours are CSS variables of the page (`--curve-0`, ...), so that light and dark share one picture;
marks differ in shape too. Intervals are moved sideways by a few units where curves share a cost.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import html
from collections.abc import Callable

from ponder.bench.figure import Axis, Figure

__all__ = ["COLOURS", "TOKENS", "draw_svg", "legend_mark", "mark"]

COLOURS = 6
TOKENS = "policy tokens per problem, prompt + completion (log scale)"
_WIDTH, _HEIGHT = 480, 330  # user units: small, so that the text stays readable on a narrow screen
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 12, 46
_APART = 5.0  # units between the intervals of neighbouring curves


def draw_svg(figure: Figure, *, title: str, axis_label: str = TOKENS) -> str:
    """Return the picture of a figure with at least one spot.

    Args:
        figure: what to draw.
        title: its description for those who cannot see it.
        axis_label: what the x axis counts.
    """
    axis = figure.axis
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(title)}" class="plot">',
        *_frame(axis, axis_label),
    ]
    middle = (len(figure.series) - 1) / 2
    for number, series in enumerate(figure.series):
        shift = (number - middle) * _APART
        places = [(_x(axis, spot.x) + shift, _y(spot.y)) for spot in series.spots]
        parts.append(f'<g class="curve c{number % COLOURS}">')
        if len(places) > 1:
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            parts.append(f'<polyline class="line" points="{line}"/>')
        for spot, (x, y) in zip(series.spots, places, strict=True):
            low, high = _y(spot.low), _y(spot.high)
            note = (
                f"{series.label}, n = {spot.n}: {spot.y:.0%} [{spot.low:.0%}, {spot.high:.0%}]"
                f" at {spot.x:,.0f} tokens a problem"
            )
            bar = f"M{x:.1f} {low:.1f}V{high:.1f}M{x - 3:.1f} {low:.1f}h6M{x - 3:.1f} {high:.1f}h6"
            parts.append(f'<g><title>{html.escape(note)}</title><path class="bar" d="{bar}"/>')
            parts.append(f"{mark(number, x, y)}</g>")
        parts.append("</g>")
    parts.append("</svg>")
    return "".join(parts)


def legend_mark(number: int) -> str:
    """Return the mark of series `number` as a small picture."""
    return (
        f'<svg viewBox="0 0 26 14" class="key" aria-hidden="true"><g class="curve c{number % COLOURS}">'
        f'<path class="line" d="M1 7h24"/>{mark(number, 13, 7)}</g></svg>'
    )


def _x(axis: Axis, value: float) -> float:
    return _LEFT + axis.place(value) * (_WIDTH - _LEFT - _RIGHT)


def _y(value: float) -> float:
    return _TOP + (1 - value) * (_HEIGHT - _TOP - _BOTTOM)


def _frame(axis: Axis, label: str) -> list[str]:
    out = []
    for quarter in range(5):
        y = _y(quarter / 4)
        out.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
        out.append(f'<text class="tick" x="{_LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{quarter * 25}%</text>')
    free = 0.0
    for tick in axis.ticks:
        x, text = _x(axis, tick), f"{tick:,}"
        out.append(f'<path class="grid" d="M{x:.1f} {_y(0):.1f}v5"/>')
        half = 4.0 * len(text)
        if x - half >= free and x + half <= _WIDTH:
            out.append(f'<text class="tick" x="{x:.1f}" y="{_y(0) + 18:.1f}" text-anchor="middle">{text}</text>')
            free = x + half + 4
    out.append(
        f'<text class="label" x="{(_LEFT + _WIDTH - _RIGHT) / 2:.0f}" y="{_HEIGHT - 8}" text-anchor="middle">'
        f"{html.escape(label)}</text>"
    )
    return out


def _circle(x: float, y: float) -> str:
    return f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'


def _square(x: float, y: float) -> str:
    return f'<rect class="mark" x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"/>'


def _triangle(x: float, y: float) -> str:
    return f'<path class="mark" d="M{x:.1f} {y - 5.5:.1f}l5 9h-10z"/>'


def _diamond(x: float, y: float) -> str:
    return f'<path class="mark" d="M{x:.1f} {y - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z"/>'


_SHAPES: tuple[Callable[[float, float], str], ...] = (_circle, _square, _triangle, _diamond)


def mark(number: int, x: float, y: float) -> str:
    """Return the mark of series `number` at a place of the picture; series differ in shape as well as in colour."""
    return _SHAPES[number % len(_SHAPES)](x, y)
