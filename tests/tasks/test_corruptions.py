"""Corruptions: in range, seeded, stronger with severity, and each does what its name says on a picture made for it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from ponder.core.errors import BadInput, ConfigError, UnknownName
from ponder.tasks.corruptions import CORRUPTIONS, HELD_OUT, corrupt, corrupted_domains, gradual_domains

pytestmark = pytest.mark.torch
ALL = [*CORRUPTIONS, *HELD_OUT]


def pictures(count: int = 24, size: int = 16, channels: int = 1) -> Any:
    from ponder.tasks.pictures import shapes

    return shapes(count, size=size, seed=3).x.repeat(1, channels, 1, 1)


def test_there_are_fifteen_and_two_to_tune_on() -> None:
    assert len(CORRUPTIONS) == 15
    assert not CORRUPTIONS.keys() & HELD_OUT.keys()


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(("size", "channels"), [(16, 1), (33, 3), (12, 2)])
def test_pictures_stay_pictures_and_follow_the_seed(kind: str, size: int, channels: int) -> None:
    x = pictures(6, size, channels)
    kept = x.clone()
    one, two = corrupt(x, kind, 3, seed=1), corrupt(x, kind, 3, seed=1)
    assert one.shape == x.shape
    assert one.dtype == x.dtype
    assert one.isfinite().all()
    assert 0 <= float(one.min()) <= float(one.max()) <= 1
    assert one.equal(two)
    assert x.equal(kept)
    assert not one.equal(x)


@pytest.mark.parametrize("kind", ALL)
def test_severity_takes_pictures_further_away(kind: str) -> None:
    x = pictures()
    far = [float((corrupt(x, kind, severity) - x).square().mean()) for severity in range(6)]
    assert far[0] == 0
    assert far[5] > far[1] > 0
    assert all(b > 0.8 * a for a, b in pairwise(far)), far


@pytest.mark.parametrize("kind", ["gaussian_noise", "shot_noise", "impulse_noise", "snow", "frost", "fog", "elastic"])
def test_what_is_random_differs_by_seed(kind: str) -> None:
    x = pictures()
    assert not corrupt(x, kind, 3, seed=1).equal(corrupt(x, kind, 3, seed=2))


@pytest.mark.parametrize("kind", ["defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "gaussian_blur", "jpeg"])
def test_a_flat_picture_stays_flat_under_blur(kind: str) -> None:
    import torch

    flat = torch.full((2, 1, 16, 16), 0.5)
    middle = corrupt(flat, kind, 5)[..., 6:10, 6:10]
    assert middle.allclose(torch.full_like(middle, 0.5), atol=0.02)


def test_blur_lowers_differences_of_neighbours() -> None:
    x = pictures()
    for kind in ("defocus_blur", "motion_blur", "gaussian_blur", "pixelate"):
        y = corrupt(x, kind, 4)
        assert float((y[..., 1:] - y[..., :-1]).square().mean()) < float((x[..., 1:] - x[..., :-1]).square().mean())


def test_contrast_and_brightness_do_what_they_say() -> None:
    x = pictures()
    assert corrupt(x, "contrast", 3).var() < x.var()
    assert float(corrupt(x, "contrast", 3).mean()) == pytest.approx(float(x.mean()), abs=1e-4)
    assert corrupt(x, "brightness", 3).mean() > x.mean()


def test_impulse_noise_hits_the_stated_share() -> None:
    import torch

    grey = torch.full((50, 1, 32, 32), 0.5)
    hit = (corrupt(grey, "impulse_noise", 5) != 0.5).float().mean()
    assert float(hit) == pytest.approx(CORRUPTIONS["impulse_noise"][1][4], abs=0.01)


def test_gaussian_noise_has_the_stated_spread() -> None:
    import torch

    grey = torch.full((50, 1, 32, 32), 0.5)
    assert float(corrupt(grey, "gaussian_noise", 1).std()) == pytest.approx(
        CORRUPTIONS["gaussian_noise"][1][0], rel=0.03
    )


def test_gradual_domains_rise_and_fall_and_use_each_picture_once() -> None:
    import torch

    x = pictures(27)
    found = gradual_domains(x, torch.arange(27), ["contrast", "fog"])
    assert [d.name for d in found[:9]] == [f"contrast {s}" for s in (1, 2, 3, 4, 5, 4, 3, 2, 1)]
    assert sorted(int(y) for d in found[:9] for y in d.y) == list(range(27))


def test_domains_are_one_for_each_kind() -> None:
    import torch

    assert [d.name for d in corrupted_domains(pictures(4), torch.arange(4))] == list(CORRUPTIONS)


def test_bad_input_is_refused() -> None:
    x = pictures(2)
    with pytest.raises(UnknownName):
        corrupt(x, "rain", 1)
    with pytest.raises(ConfigError):
        corrupt(x, "fog", 6)
    with pytest.raises(BadInput):
        corrupt(x[0], "fog", 1)
    with pytest.raises(BadInput):
        corrupt((255 * x).byte(), "fog", 1)
