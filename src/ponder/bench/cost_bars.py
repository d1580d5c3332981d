"""What each role cost, as horizontal stacked bars: one bar a configuration, one colour a role.

Source: our own; colours are those of `ponder.bench.svg_plot`.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from ponder.bench.svg_plot import COLOURS

__all__ = ["Bar", "draw_bars"]

_WIDTH, _LEFT, _RIGHT, _TOP, _STEP, _THICK = 480, 190, 62, 8, 24, 14


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One configuration.

    Attributes:
        label: of the configuration.
        parts: cost of each role, >= 0, in the order of the roles.
    """

    label: str
    parts: tuple[float, ...]


def draw_bars(bars: Sequence[Bar], roles: Sequence[str], *, title: str, unit: str) -> str:
    """Return the picture.

    Args:
        bars: at least one, each with as many parts as there are roles.
        roles: names, first at the left.
        title: description for those who cannot see it.
        unit: of the costs.
    """
    most = max((sum(bar.parts) for bar in bars), default=0.0) or 1.0
    height = _TOP + _STEP * len(bars) + 4
    parts = [f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{html.escape(title)}" class="plot">']
    for row, bar in enumerate(bars):
        y, x = _TOP + _STEP * row, float(_LEFT)
        label = bar.label if len(bar.label) <= 30 else f"{bar.label[:29]}…"
        parts.append(
            f'<text class="tick" x="{_LEFT - 8}" y="{y + _THICK - 3}" text-anchor="end">{html.escape(label)}'
            f"<title>{html.escape(bar.label)}</title></text>"
        )
        for number, (role, cost) in enumerate(zip(roles, bar.parts, strict=True)):
            width = (_WIDTH - _LEFT - _RIGHT) * cost / most
            if width <= 0:
                continue
            note = html.escape(f"{bar.label}, {role}: {cost:,.4g} {unit}")
            parts.append(
                f'<g class="curve c{number % COLOURS}"><rect class="mark" x="{x:.1f}" y="{y}" width="{width:.1f}"'
                f' height="{_THICK}"><title>{note}</title></rect></g>'
            )
            x += width
        parts.append(f'<text class="tick" x="{x + 6:.1f}" y="{y + _THICK - 3}">{sum(bar.parts):,.4g}</text>')
    return "".join([*parts, "</svg>"])
