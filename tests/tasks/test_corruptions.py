"""Corruptions: in range, seeded, stronger with severity; each does what its name says on a picture made for it.

Also on photographs of any size, floats and bytes; and the published functions where the package is there.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from typing import Any

import pytest

from ponder.core.errors import BadInput, ConfigError, UnknownName
from ponder.tasks._picture_filters import span
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
        corrupt((255 * x).long(), "fog", 1)
    with pytest.raises(BadInput, match="before they are normalised"):
        corrupt(2 * x, "shot_noise", 1)
    with pytest.raises(BadInput, match="before they are normalised"):
        corrupt(x * float("nan"), "shot_noise", 1)
    with pytest.raises(BadInput):
        corrupt(x[:0], "fog", 1)
    with pytest.raises(ConfigError, match="ponder or imagecorruptions"):
        corrupt(x, "fog", 1, by="magic")  # type: ignore[arg-type]


@lru_cache(maxsize=8)
def photographs(size: int) -> Any:
    """Both photographs of scikit-learn, square, as bytes (2, 3, size, size)."""
    import torch

    images = pytest.importorskip("sklearn.datasets", reason="needs ponder[adapt]").load_sample_images().images
    x = torch.stack([torch.from_numpy(image.copy()[:, 100:527]) for image in images]).permute(0, 3, 1, 2)
    small = torch.nn.functional.interpolate(x.float(), size=(size, size), mode="area")
    return small.round().to(torch.uint8)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("size", [32, 96, 224])
def test_photographs_of_any_size_get_worse_with_severity(kind: str, size: int) -> None:
    import torch

    x = photographs(size)
    found = [corrupt(x, kind, severity, seed=5) for severity in range(6)]
    assert all(y.dtype == torch.uint8 and y.shape == x.shape for y in found)
    assert found[0].equal(x)
    far = [float((y.float() - x.float()).square().mean().sqrt()) / 255 for y in found]
    assert 0.01 < far[1] < far[5]
    assert all(b > 0.8 * a for a, b in pairwise(far)), far


@pytest.mark.parametrize("kind", ALL)
def test_bytes_are_the_floats_rounded(kind: str) -> None:
    x = photographs(32)
    as_floats = corrupt(x.float() / 255, kind, 4, seed=2)
    assert int((corrupt(x, kind, 4, seed=2).int() - (255 * as_floats).round().int()).abs().max()) <= 1


def test_lengths_follow_the_side_up_to_32_and_its_root_beyond() -> None:
    import torch

    found = [span(torch.zeros(1, 1, *size)) for size in ((16, 16), (32, 64), (128, 128), (224, 300))]
    assert found == pytest.approx([0.5, 1.0, 2.0, 7**0.5])


def test_blur_of_a_point_is_as_wide_as_its_radius() -> None:
    import torch

    for size in (32, 128, 224):
        point = torch.zeros(1, 1, size, size)
        point[..., size // 2, size // 2] = 1
        radius = CORRUPTIONS["defocus_blur"][1][4] * span(point)
        area = int((corrupt(point, "defocus_blur", 5) > 0).sum())
        assert area == pytest.approx(math.pi * (radius + 0.5) ** 2, rel=0.1)


def test_brightness_of_colours_keeps_hue_and_saturation() -> None:
    import torch

    x = torch.tensor([[0.4, 0.2, 0.1], [0.0, 0.0, 0.0], [0.9, 0.45, 0.9]]).view(3, 3, 1, 1).expand(3, 3, 4, 4)
    level = CORRUPTIONS["brightness"][1][1]
    found = corrupt(x, "brightness", 2)[..., 0, 0]
    assert found[0].tolist() == pytest.approx([0.4 + level, 0.2 + level / 2, 0.1 + level / 4])
    assert found[1].tolist() == pytest.approx([level] * 3)
    assert found[2].tolist() == pytest.approx([1.0, 0.5, 1.0])


def test_jpeg_keeps_flat_colours_and_loses_fine_ones_before_fine_light() -> None:
    import torch

    flat = torch.tensor([0.8, 0.3, 0.1]).view(1, 3, 1, 1).expand(1, 3, 17, 23)
    assert corrupt(flat, "jpeg", 1).allclose(flat, atol=0.02)
    board = ((torch.arange(16)[:, None] + torch.arange(16)) % 2).float()
    colours = torch.stack([board, 1 - board * 0.299 / 0.587, board]).mul(0.3).add(0.3).unsqueeze(0)
    greys = board.expand(1, 3, 16, 16) * 0.3 + 0.3
    lost = [float((corrupt(x, "jpeg", 1) - x).square().mean()) / float(x.var((2, 3)).mean()) for x in (colours, greys)]
    assert lost[0] > 2 * lost[1]


def test_large_pictures_are_taken_a_few_at_a_time() -> None:
    """Nothing of a batch is held as often as it is moved; parts and whole agree."""
    x = photographs(224).float() / 255
    for kind in ("motion_blur", "zoom_blur"):
        whole = corrupt(x.repeat(16, 1, 1, 1), kind, 2, seed=1)
        assert whole[:2].allclose(corrupt(x, kind, 2, seed=1), atol=1e-6)


def test_the_published_functions_can_be_called() -> None:
    import numpy

    pytest.importorskip(
        "imagecorruptions", reason="needs ponder[corruptions] and the Debian package libgl1", exc_type=ImportError
    )
    x = photographs(48)
    for kind in ALL:
        numpy.random.seed(1)
        wanted = numpy.random.random()
        numpy.random.seed(1)
        one, two = (corrupt(x, kind, 3, seed=4, by="imagecorruptions") for _ in range(2))
        assert one.equal(two)
        assert numpy.random.random() == wanted, "the global stream is left alone"
        assert one.shape == x.shape
        assert not one.equal(x)
    single = corrupt(x[:, :1].float() / 255, "contrast", 2, by="imagecorruptions")
    assert single.shape == (2, 1, 48, 48)
    mean = x[:, :1].float().mean((2, 3), keepdim=True) / 255
    assert single.allclose((x[:, :1].float() / 255 - mean) * 0.3 + mean, atol=1 / 255), "the published factor is 0.3"
    assert [d.name for d in corrupted_domains(x, [0, 1], ["fog", "jpeg"], by="imagecorruptions")] == ["fog", "jpeg"]
    with pytest.raises(BadInput, match="32 pixels"):
        corrupt(x[..., :31], "fog", 1, by="imagecorruptions")
    with pytest.raises(BadInput, match="1 or 3 channels"):
        corrupt(x[:, :2], "fog", 1, by="imagecorruptions")
