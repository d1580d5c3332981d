"""LOWESS: closed forms, a twin by weighted least squares, its invariances, outliers, bad input."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput
from ponder.numerics.power_laws import fit_line
from ponder.numerics.smoothing import lowess

NUMBERS = st.floats(-100, 100).map(lambda value: round(value, 3))
POINTS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=3, max_size=12, unique_by=lambda point: point[0])


def twin(x: list[float], y: list[float], near: int) -> list[float]:
    """Each point's line from the nearest points alone, by the general weighted fit; no robust pass."""
    out = []
    for place in x:
        kept = sorted(zip(x, y, strict=True), key=lambda point: abs(point[0] - place))[:near]
        width = max(abs(a - place) for a, _ in kept)
        weighed = [(a, b, (1 - (abs(a - place) / width) ** 3) ** 3) for a, b in kept]
        inside = [entry for entry in weighed if entry[2] > 0]
        if len({a for a, _, _ in inside}) < 2:
            out.append(math.fsum(b * w for _, b, w in inside) / math.fsum(w for *_, w in inside))
            continue
        columns = list(zip(*inside, strict=True))
        out.append(fit_line(*map(list, columns)).at(place))
    return out


@given(points=POINTS, fraction=st.sampled_from([0.3, 0.6, 0.65, 1.0]))
def test_every_point_has_the_line_of_its_nearest_points(points: list[tuple[float, float]], fraction: float) -> None:
    x, y = map(list, zip(*points, strict=True))
    near = max(2, math.floor(fraction * len(x) + 1e-10))
    scale = max(1.0, *map(abs, y))
    gaps = [abs(a - b) for a in x for b in x if a != b]
    if min(gaps) < 1e-2 * max(gaps):
        return  # the slope of two points next to each other magnifies rounding
    assert lowess(x, y, fraction=fraction, robust=0) == pytest.approx(twin(x, y, near), abs=1e-6 * scale)


@given(points=POINTS, slope=NUMBERS, height=NUMBERS, robust=st.integers(0, 3))
def test_a_straight_line_stays_what_it_is(
    points: list[tuple[float, float]], slope: float, height: float, robust: int
) -> None:
    x = [a for a, _ in points]
    y = [height + slope * a for a in x]
    assert lowess(x, y, robust=robust) == pytest.approx(y, rel=1e-6, abs=1e-6 * (1 + abs(slope) * 100 + abs(height)))


@given(points=POINTS, order=st.randoms(use_true_random=False))
def test_the_order_of_the_points_does_not_matter(points: list[tuple[float, float]], order) -> None:
    mixed = points[:]
    order.shuffle(mixed)
    one = dict(zip([a for a, _ in points], lowess(*zip(*points, strict=True)), strict=True))
    other = dict(zip([a for a, _ in mixed], lowess(*zip(*mixed, strict=True)), strict=True))
    assert one == pytest.approx(other)


def test_value_in_the_middle_of_three_by_hand() -> None:
    """All three points are near; those at the rim weigh nothing, so the middle keeps its own value."""
    assert lowess([0, 1, 2], [0.0, 3.0, 0.0], fraction=1.0, robust=0)[1] == pytest.approx(3.0)
    # At 0 the point at 2 is the rim: the line through the other two passes through both.
    assert lowess([0, 1, 2], [0.0, 3.0, 0.0], fraction=1.0, robust=0)[0] == pytest.approx(0.0)


def test_five_points_by_hand() -> None:
    """The middle of five: weights (1 - 1/8)^3 on either side and 1 in the middle; the slope is 0 by symmetry."""
    side = (1 - 1 / 8) ** 3
    found = lowess([-2, -1, 0, 1, 2], [9.0, 1.0, 0.0, 1.0, 9.0], fraction=1.0, robust=0)
    assert found[2] == pytest.approx(2 * side / (1 + 2 * side))


def test_robust_passes_take_no_notice_of_an_outlier() -> None:
    x = [float(at) for at in range(15)]
    y = [0.1 * a for a in x]
    y[7] += 10
    clean = 0.7
    assert abs(lowess(x, y, robust=0)[7] - clean) > 1
    assert lowess(x, y, robust=3)[7] == pytest.approx(clean, abs=0.05)


def test_points_at_one_place_have_their_mean() -> None:
    assert lowess([2, 2, 2, 2], [0.0, 1.0, 2.0, 5.0], robust=0) == pytest.approx([2.0] * 4)
    assert lowess([1.0], [0.25]) == [0.25]


@pytest.mark.parametrize(
    ("x", "y", "options"),
    [
        ([], [], {}),
        ([1.0], [], {}),
        ([1.0, 2.0], [1.0, math.nan], {}),
        ([1.0, math.inf], [1.0, 2.0], {}),
        ([1.0, 2.0], [1.0, 2.0], {"fraction": 0.0}),
        ([1.0, 2.0], [1.0, 2.0], {"fraction": 1.1}),
        ([1.0, 2.0], [1.0, 2.0], {"robust": -1}),
    ],
)
def test_what_has_no_curve_is_refused(x: list[float], y: list[float], options: dict) -> None:
    with pytest.raises(BadInput):
        lowess(x, y, **options)
