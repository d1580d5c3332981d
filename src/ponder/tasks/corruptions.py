"""Fifteen corruptions of pictures at five severities, and two more to tune on, on tensors.

Source: the kinds and their groups are those of ImageNet-C, Hendrycks and Dietterich 2019, arXiv:1903.12261.
Differs: written anew, since the kept library (imagecorruptions-imaug) refuses pictures below 32 pixels, takes them one
by one, and has its lengths for 224 pixels whatever the size; `by="imagecorruptions"` calls it where it fits. Ours take
any number of channels, lengths follow the picture's size, frost and snow are generated instead of pasted, jpeg rounds
8 x 8 cosine blocks, a motion blur has one direction for all pictures of a call, and severities are made for 16 to 32
pixels. Errors are not comparable with published ones. Of the published four to tune on, spatter and saturate are left
out: saturation needs colours.
Cost: linear in pixels (elastic, glass, motion and zoom take several passes). Needs: the extra `torch`. Same seed, same
corruption.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ponder.core.errors import BadInput, ConfigError, UnknownName
from ponder.core.seeds import derive_seed
from ponder.numerics.stream_orders import gradual_severities
from ponder.tasks._picture_filters import blurred, clouds, filtered, in_parts, jpeg_of, moved, places, span
from ponder.tasks.streams import Domain

if TYPE_CHECKING:
    from torch import Generator, Tensor

__all__ = ["CORRUPTIONS", "HELD_OUT", "By", "corrupt", "corrupted_domains", "gradual_domains"]

By: TypeAlias = Literal["ponder", "imagecorruptions"]


def corrupt(x: Tensor, kind: str, severity: int, *, seed: int = 0, by: By = "ponder") -> Tensor:
    """Return corrupted pictures, of the type and shape that came.

    Args:
        x: (N, C, H, W), floating point in [0, 1] or bytes in 0..255; H and W at least 4. Before any normalisation.
        kind: one of `CORRUPTIONS` or `HELD_OUT`.
        severity: 1 to 5; 0 returns the pictures as they are.
        seed: of what is random.
        by: our own, or the published functions of the package imagecorruptions-imaug (32 pixels at least, one channel
            or three).

    Raises:
        UnknownName: no such kind.
        ConfigError: severity or `by` out of range.
        BadInput: not a batch of pictures, or values out of range.
        MissingExtra: the package is not installed.
    """
    import torch

    if kind not in _KINDS:
        raise UnknownName(f"no corruption is called {kind!r}. There are: {', '.join(_KINDS)}.")
    if not 0 <= severity <= 5:
        raise ConfigError(f"severity is 0 to 5, got {severity!r}")
    if by not in ("ponder", "imagecorruptions"):
        raise ConfigError(f"by is ponder or imagecorruptions, got {by!r}")
    whole = x.dtype == torch.uint8
    if x.dim() != 4 or not len(x) or min(x.shape[-2:]) < 4 or not (whole or x.is_floating_point()):
        raise BadInput(f"corruptions need pictures (N, C, H, W), floats or bytes, 4 x 4 at least, got {tuple(x.shape)}")
    if not whole and not (float(x.min()) >= -_SLACK and float(x.max()) <= 1 + _SLACK):
        raise BadInput("pictures of floats must be in [0, 1]: corrupt them before they are normalised")
    if severity == 0:
        return x.clone()
    levelled = x.detach().cpu().float() / (255 if whole else 1)
    own = derive_seed(seed, "corruption", kind, severity)
    if by == "ponder":
        function, levels = _KINDS[kind]
        out: Tensor = function(levelled.clamp(0, 1), levels[severity - 1], torch.Generator().manual_seed(own))
    else:
        from ponder.tasks._published_corruptions import published

        out = published(levelled, kind, severity, own)
    out = out.clamp(0, 1)
    return (255 * out).round().to(x) if whole else out.to(x)


def corrupted_domains(
    x: Tensor, y: Any, kinds: Sequence[str] | None = None, *, severity: int = 5, seed: int = 0, by: By = "ponder"
) -> list[Domain]:
    """Return the same pictures once for each corruption (by default all fifteen)."""
    names = tuple(CORRUPTIONS) if kinds is None else kinds
    return [Domain(name=name, x=corrupt(x, name, severity, seed=seed, by=by), y=y) for name in names]


def gradual_domains(
    x: Tensor, y: Any, kinds: Sequence[str] | None = None, *, seed: int = 0, by: By = "ponder"
) -> list[Domain]:
    """Return, for each corruption, nearly equal parts of the pictures at severities 1, 2, 3, 4, 5, 4, 3, 2, 1."""
    severities = gradual_severities()
    domains = []
    for name in tuple(CORRUPTIONS) if kinds is None else kinds:
        for at, severity in enumerate(severities):
            rows = slice(at, None, len(severities))
            part = corrupt(x[rows], name, severity, seed=derive_seed(seed, at), by=by)
            domains.append(Domain(name=f"{name} {severity}", x=part, y=y[rows]))
    return domains


def _gaussian_noise(x: Tensor, level: float, generator: Generator) -> Tensor:
    return x + level * _normal(x, generator)


def _speckle_noise(x: Tensor, level: float, generator: Generator) -> Tensor:
    return x + x * level * _normal(x, generator)


def _shot_noise(x: Tensor, level: float, generator: Generator) -> Tensor:
    import torch

    return torch.poisson(x * level, generator=generator) / level


def _impulse_noise(x: Tensor, level: float, generator: Generator) -> Tensor:
    import torch

    drawn = torch.rand(x.shape, generator=generator)
    return torch.where(drawn < level / 2, 0.0, torch.where(drawn < level, 1.0, x))


def _defocus_blur(x: Tensor, level: float, generator: Generator) -> Tensor:
    import torch

    radius = level * span(x)
    reach = max(1, math.ceil(radius))
    grid = torch.arange(-reach, reach + 1).float()
    far = (grid[:, None].square() + grid[None].square()).sqrt()
    return filtered(x, (radius + 0.5 - far).clamp(0, 1))


def _gaussian_blur(x: Tensor, level: float, generator: Generator) -> Tensor:
    return blurred(x, level * span(x))


def _glass_blur(x: Tensor, level: float, generator: Generator) -> Tensor:
    import torch

    out = blurred(x, 0.4 * span(x))
    for _ in range(2):  # each pixel takes that of a near place
        moves = (2 * torch.rand(len(x), 2, *x.shape[-2:], generator=generator) - 1) * level * span(x)
        out = moved(out, moves, mode="nearest")
    return blurred(out, 0.4 * span(x))


def _motion_blur(x: Tensor, level: float, generator: Generator) -> Tensor:
    import torch

    length = max(1, round(level * span(x)))
    angle = float(torch.rand((), generator=generator)) * math.pi
    steps = [(t * math.cos(angle), t * math.sin(angle)) for t in range(-length, length + 1)]
    moves = [torch.tensor(step).view(1, 2, 1, 1).expand(1, 2, *x.shape[-2:]) for step in steps]
    return in_parts(x, lambda part: torch.stack([moved(part, move) for move in moves]).mean(0))


def _zoom_blur(x: Tensor, level: float, generator: Generator) -> Tensor:
    import torch

    most = level / _grown(x)
    count = max(6, math.ceil(most * min(x.shape[-2:]) / 4))  # large: edges move by two pixels a step
    grids = [(places(x) / zoom) for zoom in torch.linspace(1, 1 + most, count).tolist()]
    look = torch.nn.functional.grid_sample

    def zoomed(part: Tensor) -> Tensor:
        many = [grid.expand(len(part), *grid.shape) for grid in grids]
        return torch.stack([look(part, grid, align_corners=False) for grid in many]).mean(0)

    return in_parts(x, zoomed)


def _snow(x: Tensor, level: float, generator: Generator) -> Tensor:
    import torch

    cell = max(1, round(span(x)))  # pixels of a flake
    size = [-(-side // cell) for side in x.shape[-2:]]
    flakes = (torch.rand(len(x), 1, *size, generator=generator) < level * 0.25).float()
    streak = torch.stack([torch.roll(flakes, (k, k), (2, 3)) * (1 - 0.25 * k) for k in range(3)]).amax(0)
    if cell > 1:
        large = torch.nn.functional.interpolate(streak, scale_factor=float(cell), mode="nearest")
        streak = blurred(large, cell / 3)[..., : x.shape[-2], : x.shape[-1]]
    pale = (1 - 0.3 * level) * x + 0.3 * level * (0.5 * x + 0.5).clamp(max=1)
    return torch.maximum(pale, streak * (0.7 + 0.3 * level))


def _frost(x: Tensor, level: float, generator: Generator) -> Tensor:
    crystals = (1 - (2 * clouds(x, generator, decay=1.4) - 1).abs() * 3).clamp(min=0)
    return (1 - 0.5 * level) * x + level * crystals


def _fog(x: Tensor, level: float, generator: Generator) -> Tensor:
    top = x.amax((1, 2, 3), keepdim=True)
    return (x + level * clouds(x, generator, decay=1.9)) * top / (top + level).clamp(min=1e-6)


def _brightness(x: Tensor, level: float, generator: Generator) -> Tensor:
    if x.shape[1] != 3:
        return x + level
    import torch

    value = x.amax(1, keepdim=True)  # of hue, saturation and value, only the value rises
    raised = (value + level).clamp(max=1)
    return torch.where(value > 0, x / value.clamp(min=1e-6) * raised, raised)


def _contrast(x: Tensor, level: float, generator: Generator) -> Tensor:
    mean = x.mean((2, 3), keepdim=True)
    return (x - mean) * level + mean


def _elastic(x: Tensor, level: float, generator: Generator) -> Tensor:
    import torch

    moves = blurred(2 * torch.rand(len(x), 2, *x.shape[-2:], generator=generator) - 1, 2.0 * span(x))
    scale = moves.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-6)
    return moved(x, moves / scale * level * span(x))


def _pixelate(x: Tensor, level: float, generator: Generator) -> Tensor:
    import torch

    size = [max(2, round(side * level / _grown(x))) for side in x.shape[-2:]]
    small = torch.nn.functional.interpolate(x, size=size, mode="area")
    return torch.nn.functional.interpolate(small, size=tuple(x.shape[-2:]), mode="nearest-exact")


def _jpeg(x: Tensor, level: float, generator: Generator) -> Tensor:
    return jpeg_of(x, level)


def _normal(x: Tensor, generator: Generator) -> Tensor:
    import torch

    return torch.randn(x.shape, generator=generator)


def _grown(x: Tensor) -> float:
    """By how much shares of the side shrink above 32 pixels."""
    return math.sqrt(max(1.0, span(x)))


_SLACK = 1e-3  # beyond [0, 1], as filters leave
_Levels = tuple[float, float, float, float, float]
CORRUPTIONS: dict[str, tuple[Callable[[Any, float, Any], Any], _Levels]] = {
    "gaussian_noise": (_gaussian_noise, (0.06, 0.1, 0.15, 0.22, 0.3)),
    "shot_noise": (_shot_noise, (80.0, 40.0, 18.0, 9.0, 5.0)),
    "impulse_noise": (_impulse_noise, (0.02, 0.04, 0.07, 0.11, 0.16)),
    "defocus_blur": (_defocus_blur, (1.4, 1.8, 2.2, 2.7, 3.2)),
    "glass_blur": (_glass_blur, (0.8, 1.1, 1.5, 2.0, 2.6)),
    "motion_blur": (_motion_blur, (1.0, 2.0, 3.0, 4.5, 6.0)),
    "zoom_blur": (_zoom_blur, (0.1, 0.18, 0.28, 0.4, 0.6)),
    "snow": (_snow, (0.1, 0.18, 0.28, 0.38, 0.5)),
    "frost": (_frost, (0.15, 0.25, 0.35, 0.5, 0.65)),
    "fog": (_fog, (0.2, 0.4, 0.6, 0.9, 1.3)),
    "brightness": (_brightness, (0.1, 0.18, 0.26, 0.34, 0.42)),
    "contrast": (_contrast, (0.5, 0.38, 0.28, 0.2, 0.14)),
    "elastic": (_elastic, (1.0, 1.7, 2.5, 3.5, 4.5)),
    "pixelate": (_pixelate, (0.85, 0.7, 0.6, 0.5, 0.4)),
    "jpeg": (_jpeg, (6.0, 12.0, 20.0, 32.0, 50.0)),
}
HELD_OUT: dict[str, tuple[Callable[[Any, float, Any], Any], _Levels]] = {
    "speckle_noise": (_speckle_noise, (0.15, 0.25, 0.4, 0.55, 0.75)),
    "gaussian_blur": (_gaussian_blur, (0.7, 1.1, 1.6, 2.2, 3.0)),
}
_KINDS = {**CORRUPTIONS, **HELD_OUT}
