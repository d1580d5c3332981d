"""Streams that never stand still: each step is next to the one before, and the sum of severities stays."""

from __future__ import annotations

from itertools import pairwise

import pytest

from ponder.core.errors import BadInput, ConfigError
from ponder.tasks.changing import changing_domains, changing_severities


def test_steps_of_two_kinds_by_hand() -> None:
    assert changing_severities(("a", "b"), most=2) == [
        ("a", 2, "b", 0),
        ("a", 1, "b", 1),
        ("b", 2, "a", 0),
        ("b", 1, "a", 1),
        ("b", 0, "a", 2),
    ]


def test_a_step_moves_each_corruption_by_one_severity_and_keeps_the_sum() -> None:
    steps = changing_severities(("a", "b", "c"), rounds=2)
    held = [{old: fading, new: growing} for old, fading, new, growing in steps]
    assert all(sum(step.values()) == 5 for step in held)
    for one, two in pairwise(held):
        moved = [abs(two.get(name, 0) - one.get(name, 0)) for name in one.keys() | two.keys()]
        assert sorted(moved)[-2:] == [1, 1]
        assert sum(moved) == 2
    assert len(steps) == 2 * 3 * 5 + 1


@pytest.mark.parametrize(
    "settings", [{"kinds": ("a",)}, {"kinds": ("a", "b"), "most": 0}, {"kinds": "ab", "rounds": 0}]
)
def test_wrong_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        changing_severities(**settings)  # type: ignore[arg-type]


@pytest.mark.torch
def test_each_picture_comes_once_under_the_name_of_the_stronger_corruption() -> None:
    torch = pytest.importorskip("torch")
    from ponder.tasks.corruptions import corrupt
    from ponder.tasks.pictures import shapes

    data = shapes(60, seed=3)
    domains = changing_domains(data.x, data.y, ("contrast", "brightness"), seed=1)
    assert sum(len(domain.y) for domain in domains) == 60
    assert sorted(torch.cat([domain.y for domain in domains]).tolist()) == sorted(data.y.tolist())
    assert [domain.name for domain in domains] == 3 * ["contrast"] + 5 * ["brightness"] + 3 * ["contrast"]
    assert domains[0].x.equal(corrupt(data.x[0::11], "contrast", 5))
    both = corrupt(corrupt(data.x[1::11], "contrast", 4), "brightness", 1)
    assert domains[1].x.equal(both), "neither of these two is random"
    again = changing_domains(data.x, data.y, ("gaussian_noise", "frost"), seed=1)
    assert all(
        a.x.equal(b.x)
        for a, b in zip(again, changing_domains(data.x, data.y, ("gaussian_noise", "frost"), seed=1), strict=True)
    )
    with pytest.raises(BadInput):
        changing_domains(data.x[:5], data.y[:5], ("contrast", "brightness"))
    with pytest.raises(ConfigError, match="ponder or imagecorruptions"):
        changing_domains(data.x, data.y, ("contrast", "brightness"), by="magic")  # type: ignore[arg-type]
