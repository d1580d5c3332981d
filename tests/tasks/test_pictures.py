"""Pictures: seeded, in range, balanced or not as asked, and told apart by a human eye's simplest measure."""

from __future__ import annotations

import pytest

from ponder.core.errors import ConfigError
from ponder.tasks.pictures import SHAPES, digits, shapes

pytestmark = pytest.mark.torch


def test_shapes_follow_the_seed_and_stay_in_range() -> None:
    one, two, other = shapes(50, seed=1), shapes(50, seed=1), shapes(50, seed=2)
    assert one.x.equal(two.x)
    assert not one.x.equal(other.x)
    assert one.x.shape == (50, 1, 16, 16)
    assert 0 <= float(one.x.min()) <= float(one.x.max()) <= 1
    assert set(one.y.tolist()) <= set(range(len(SHAPES)))


def test_classes_differ_in_the_mean() -> None:
    data = shapes(2000, seed=1)
    means = [data.x[data.y == label].mean(0) for label in range(10)]
    assert all(float((a - b).abs().max()) > 0.05 for at, a in enumerate(means) for b in means[:at])


def test_shares_are_those_asked_for() -> None:
    tail = tuple(2.0**-at for at in range(10))
    counts = shapes(4000, seed=1, shares=tail).y.bincount(minlength=10).tolist()
    assert counts[0] == pytest.approx(4000 * tail[0] / sum(tail), rel=0.1)
    assert counts[0] > counts[2] > counts[5]


@pytest.mark.parametrize("settings", [{"count": 0}, {"count": 5, "size": 4}, {"count": 5, "shares": (1.0,)}])
def test_wrong_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        shapes(**settings)  # type: ignore[arg-type]


def test_digits_are_all_there() -> None:
    pytest.importorskip("sklearn", reason="needs scikit-learn: pip install 'ponder[adapt]'")
    data = digits()
    assert data.x.shape == (1797, 1, 16, 16)
    assert data.y.bincount().tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert 0 <= float(data.x.min()) <= float(data.x.max()) <= 1
