"""Risk and coverage, and card 25's split of two models' attempts (check 6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.abstention import area_under_risk, compare_attempts, coverage_at, risk_coverage

answers = st.lists(st.tuples(st.sampled_from([0.1, 0.5, 0.8, 0.9, 1.0]), st.booleans()), min_size=1)


def test_a_known_curve() -> None:
    points = risk_coverage([0.9, 0.9, 0.5, 0.2], [True, True, False, True], questions=5)
    assert [tuple(point) for point in points] == [(0.9, 0.4, 0.0), (0.5, 0.6, pytest.approx(1 / 3)), (0.2, 0.8, 0.25)]
    assert area_under_risk(points) == pytest.approx((0.2 / 3 + 0.2 * 0.25) / 0.8)
    assert coverage_at(points, 0.3) == points[2]
    assert coverage_at(points, 0.1) == points[0]
    assert area_under_risk([]) is None
    assert coverage_at([], 0.5) is None


@given(answers)
def test_each_point_is_what_is_left_above_its_threshold(pairs: list[tuple[float, bool]]) -> None:
    points = risk_coverage([c for c, _ in pairs], [y for _, y in pairs])
    assert points[-1].coverage == 1
    for point in points:
        given_ = [y for c, y in pairs if c >= point.threshold]
        assert point.coverage == pytest.approx(len(given_) / len(pairs))
        assert point.risk == pytest.approx(1 - sum(given_) / len(given_))
    area = area_under_risk(points)
    assert area is not None
    assert 0 <= area <= 1


def test_one_threshold_is_the_plain_share_of_wrong_answers() -> None:
    assert area_under_risk(risk_coverage([0.9] * 4, [True, True, True, False])) == pytest.approx(0.25)


@given(st.dictionaries(st.text(max_size=3), st.tuples(st.booleans(), st.booleans())))
def test_shared_and_only_are_what_the_second_attempted(asked: dict[str, tuple[bool, bool]]) -> None:
    found = compare_attempts({q: a for q, (a, _) in asked.items()}, {q: b for q, (_, b) in asked.items()})
    assert len(found.shared) + len(found.only) == sum(b for _, b in asked.values())
    assert len(found.shared) + len(found.only) + len(found.neither) == len(asked)
    assert all(asked[q] == (True, True) for q in found.shared)


def test_bad_input_is_refused() -> None:
    with pytest.raises(BadInput):
        risk_coverage([0.5], [])
    with pytest.raises(BadInput):
        risk_coverage([0.5, 0.5], [True, True], questions=1)
    with pytest.raises(BadInput):
        compare_attempts({"a": True}, {"b": True})
    with pytest.raises(ConfigError):
        coverage_at([], 1.5)
