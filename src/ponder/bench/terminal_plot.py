"""Curves in a terminal: braille dots for the lines, one mark per point, accuracy upwards and tokens to the right.

Source: our own. Each cell says which series it belongs to, so that a caller with colours can use them; the marks tell
the series apart without. Where two marks meet, the later series is drawn.
Cost: no model call. Needs: a terminal that shows Unicode.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from ponder.bench.figure import Axis, Figure

__all__ = ["MARKS", "Cell", "draw"]

MARKS = "○●▲■◆✚"
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # by column, then row, of the 2 x 4 dots of a cell
_GUTTER = 6  # columns of the scale at the left


class Cell(NamedTuple):
    """One character, and the series that it belongs to (None: the frame)."""

    char: str
    series: int | None = None


def draw(figure: Figure, *, width: int = 72, height: int = 15) -> list[list[Cell]]:
    """Draw a figure.

    Args:
        figure: at least one spot.
        width: columns in all, >= 20.
        height: rows of the plotting area, >= 5; the scale of the x axis adds two.

    Returns:
        The rows, top first.
    """
    columns = width - _GUTTER
    axis = figure.axis
    dots: dict[tuple[int, int], tuple[int, int]] = {}  # cell -> (bits, series)
    marks: dict[tuple[int, int], int] = {}
    for number, series in enumerate(figure.series):
        spots = [(axis.place(spot.x) * (2 * columns - 1), (1 - spot.y) * (4 * height - 1)) for spot in series.spots]
        for (x0, y0), (x1, y1) in pairwise(spots):
            steps = max(1, round(max(abs(x1 - x0), abs(y1 - y0))))
            for step in range(steps + 1):
                x, y = (round(a + (b - a) * step / steps) for a, b in ((x0, x1), (y0, y1)))
                bits, _ = dots.get((x // 2, y // 4), (0, number))
                dots[x // 2, y // 4] = bits | _DOTS[x % 2][y % 4], number
        marks.update({(round(x) // 2, round(y) // 4): number for x, y in spots})

    rows = []
    for row in range(height):
        cells = _scale(row, height)
        for column in range(columns):
            if (mark := marks.get((column, row))) is not None:
                cells.append(Cell(MARKS[mark % len(MARKS)], mark))
            elif (dot := dots.get((column, row))) is not None:
                cells.append(Cell(chr(0x2800 + dot[0]), dot[1]))
            else:
                cells.append(Cell(" "))
        rows.append(cells)
    return [*rows, *_ticks(axis, columns)]


def _scale(row: int, height: int) -> list[Cell]:
    """Label the rows where 0, 0.25, ... 1 are drawn."""
    for quarter in range(5):
        if row == round((1 - quarter / 4) * (4 * height - 1)) // 4:
            return [Cell(char) for char in f"{quarter / 4:4.2f} ┤"]
    return [Cell(char) for char in "     │"]


def _ticks(axis: Axis, columns: int) -> list[list[Cell]]:
    line, labels = ["─"] * columns, [" "] * columns
    free = 0
    for tick in axis.ticks:
        place, text = round(axis.place(tick) * (columns - 1)), f"{tick:,}"
        start = min(max(0, place - len(text) // 2), columns - len(text))
        line[place] = "┬"
        if start >= free:
            labels[start : start + len(text)] = text
            free = start + len(text) + 1
    return [[Cell(char) for char in "     └" + "".join(line)], [Cell(char) for char in "      " + "".join(labels)]]
