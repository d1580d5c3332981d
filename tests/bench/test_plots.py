from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.bench.figure import Axis, Figure, Series, Spot, figures
from ponder.bench.summary import summarise
from ponder.bench.svg_plot import draw_svg
from ponder.bench.terminal_plot import MARKS, draw
from tests.bench.bench_doubles import row


def spot(x, y, n=1):
    return Spot(x=x, y=y, low=max(0, y - 0.1), high=min(1, y + 0.1), n=n)


def figure(*curves):
    series = tuple(Series(label=f"<curve {i}>", spots=tuple(spots)) for i, spots in enumerate(curves))
    return Figure(family="stories", series=series)


def test_figures_hold_what_has_accuracy_and_cost():
    rows = [row("a", True, n=2), row("a", False, n=4), row("a", None, curve="ungraded"), row("b", True, usage={}, n=8)]
    (found,) = figures(summarise(rows))
    assert [s.label for s in found.series] == ["vote"]
    assert [s.x for s in found.series[0].spots] == [30, 60]


@given(st.lists(st.floats(0.5, 1e7), min_size=1, max_size=8))
def test_axis_holds_its_values_and_marks_it_with_ticks(values):
    axis = Axis.around(values)
    assert all(0 < axis.place(value) < 1 for value in values)
    assert all(0 <= axis.place(tick) <= 1 for tick in axis.ticks)


@given(
    st.lists(st.lists(st.tuples(st.floats(1, 1e5), st.floats(0, 1)), min_size=1, max_size=6), min_size=1, max_size=4),
    st.integers(20, 120),
    st.integers(5, 30),
)
def test_terminal_plot_keeps_its_size_and_shows_the_last_series(curves, width, height):
    rows = draw(figure(*[[spot(x, y) for x, y in curve] for curve in curves]), width=width, height=height)
    assert len(rows) == height + 2
    assert {len(cells) for cells in rows} == {width}
    last = len(curves) - 1
    assert any(cell.series == last and cell.char == MARKS[last] for cells in rows for cell in cells)


def test_terminal_plot_puts_accuracy_upwards_on_its_scale():
    rows = draw(figure([spot(10, 1.0), spot(100, 0.0)]), width=60, height=15)
    lines = ["".join(cell.char for cell in cells) for cells in rows]
    assert lines[0].startswith("1.00 ┤")
    assert MARKS[0] in lines[0]
    assert lines[14].startswith("0.00 ┤")
    assert MARKS[0] in lines[14]
    assert lines[0].index(MARKS[0]) < lines[14].index(MARKS[0])
    assert " 50 " in lines[16]


def test_svg_is_well_formed_and_names_each_point():
    text = draw_svg(figure([spot(40, 0.3), spot(640, 0.9, n=16)], [spot(40, 0.2)]), title='a "title" & more')
    root = ElementTree.fromstring(text)
    titles = [node.text or "" for node in root.iter("title")]
    assert titles[1] == "<curve 0>, n = 16: 90% [80%, 100%] at 640 tokens a problem"
    assert len(titles) == 3
    assert root.attrib["aria-label"] == 'a "title" & more'


def test_svg_draws_the_interval_where_it_is():
    root = ElementTree.fromstring(draw_svg(figure([Spot(x=10, y=0.5, low=0.0, high=1.0, n=1)]), title="t"))
    (bar,) = [node for node in root.iter("path") if node.attrib.get("class") == "bar"]
    grid = [node.attrib["d"] for node in root.iter("path") if node.attrib.get("class") == "grid"]
    bottom, top = (float(line.split()[1].split("H")[0]) for line in (grid[0], grid[4]))
    _, low, high = bar.attrib["d"].replace("V", " ").replace("M", " ").split()[:3]
    assert float(low) == pytest.approx(bottom)
    assert float(high) == pytest.approx(top)
