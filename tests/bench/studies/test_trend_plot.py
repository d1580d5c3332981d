from __future__ import annotations

from xml.etree import ElementTree

from ponder.bench.studies.trend_plot import Scatter, draw_trends


def drawn(*series):
    return ElementTree.fromstring(draw_trends(series, title="a < b", x="x & y", y="height"))


def corners(picture):
    return [
        [tuple(map(float, corner.split(","))) for corner in line.get("points").split()]
        for line in picture.iter("polyline")
    ]


def test_every_point_has_a_mark_with_its_name_and_shares():
    picture = drawn(Scatter(label="verifiers", points=((0.25, 0.75, "a <small> one"), (0.5, 0.5, "other"))))
    notes = [node.text for node in picture.iter("title")]
    assert notes == ["verifiers, a <small> one: x & y 25%, height 75%", "verifiers, other: x & y 50%, height 50%"]
    assert len(list(picture.iter("circle"))) == 2


def test_a_curve_goes_through_its_corners_and_one_corner_is_none():
    picture = drawn(Scatter(label="up", line=((0.0, 0.0), (1.0, 1.0))), Scatter(label="dot", line=((0.5, 0.5),)))
    (((x0, y0), (x1, y1)),) = corners(picture)
    assert x0 < x1
    assert y0 > y1


def test_what_lies_outside_is_drawn_at_the_edge():
    inside, outside = corners(
        drawn(Scatter(label="a", line=((0, 0), (1, 1))), Scatter(label="b", line=((0, -1), (1, 3))))
    )
    assert inside == outside


def test_parts_of_the_axis_have_borders_between_them_and_numbers_where_there_is_room():
    parts = [(0.5, "fog"), (0.49, "snow & ice"), (0.01, "thin")]
    series = [Scatter(label="up", line=((0.0, 0.0), (1.0, 1.0)))]
    picture = ElementTree.fromstring(draw_trends(series, parts, title="t", x="x", y="y"))
    plain = ElementTree.fromstring(draw_trends(series, title="t", x="x", y="y"))
    assert [node.text for node in picture.iter("title")][:2] == ["1: fog", "2: snow & ice"]
    assert len(list(picture.iter("path"))) - len(list(plain.iter("path"))) == 2
