"""Fifteen corruptions of pictures at five severities, and two more to tune on, on tensors.

Source: the kinds and their groups are those of ImageNet-C, Hendrycks and Dietterich 2019, arXiv:1903.12261.
Differs: written anew for small pictures of any number of channels: lengths scale with the picture, frost and snow are
generated instead of pasted, and jpeg quantises 8 x 8 cosine blocks without chroma. Errors are not comparable with
published ones.
Cost: linear in pixels (elastic and glass a few passes). Needs: the extra `torch`. Same seed, same corruption.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ponder.core.errors import BadInput, ConfigError, UnknownName
from ponder.core.seeds import derive_seed
from ponder.numerics.stream_orders import gradual_severities
from ponder.tasks.streams import Domain

if TYPE_CHECKING:
    from torch import Generator, Tensor

__all__ = ["CORRUPTIONS", "HELD_OUT", "corrupt", "corrupted_domains", "gradual_domains"]


def corrupt(x: Tensor, kind: str, severity: int, *, seed: int = 0) -> Tensor:
    """Return corrupted pictures.

    Args:
        x: (N, C, H, W) in [0, 1], floating point; H and W at least 4.
        kind: one of `CORRUPTIONS` or `HELD_OUT`.
        severity: 1 to 5; 0 returns the pictures as they are.
        seed: of what is random.

    Raises:
        UnknownName: no such kind.
        ConfigError: severity out of range.
        BadInput: not a batch of pictures.
    """
    if kind not in _KINDS:
        raise UnknownName(f"no corruption is called {kind!r}. There are: {', '.join(_KINDS)}.")
    if not 0 <= severity <= 5:
        raise ConfigError(f"severity is 0 to 5, got {severity!r}")
    if x.dim() != 4 or min(x.shape[-2:]) < 4 or not x.is_floating_point():
        raise BadInput(f"corruptions need pictures (N, C, H, W) of floats, 4 x 4 at least, got {tuple(x.shape)}")
    if severity == 0:
        return x.clone()
    import torch

    generator = torch.Generator().manual_seed(derive_seed(seed, "corruption", kind, severity))
    function, levels = _KINDS[kind]
    out: Tensor = function(x.detach().cpu().float(), levels[severity - 1], generator)
    return out.clamp(0, 1).to(x)


def corrupted_domains(
    x: Tensor, y: Any, kinds: Sequence[str] | None = None, *, severity: int = 5, seed: int = 0
) -> list[Domain]:
    """Return the same pictures once for each corruption (by default all fifteen)."""
    names = tuple(CORRUPTIONS) if kinds is None else kinds
    return [Domain(name=name, x=corrupt(x, name, severity, seed=seed), y=y) for name in names]


def gradual_domains(x: Tensor, y: Any, kinds: Sequence[str] | None = None, *, seed: int = 0) -> list[Domain]:
    """Return, for each corruption, nearly equal parts of the pictures at severities 1, 2, 3, 4, 5, 4, 3, 2, 1."""
    severities = gradual_severities()
    domains = []
    for name in tuple(CORRUPTIONS) if kinds is None else kinds:
        for at, severity in enumerate(severities):
            rows = slice(at, None, len(severities))
            part = corrupt(x[rows], name, severity, seed=derive_seed(seed, at))
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

    radius = level * x.shape[-1] / 32
    reach = max(1, math.ceil(radius))
    grid = torch.arange(-reach, reach + 1).float()
    far = (grid[:, None].square() + grid[None].square()).sqrt()
    return _filter(x, (radius + 0.5 - far).clamp(0, 1))


def _gaussian_blur(x: Tensor, level: float, generator: Generator) -> Tensor:
    return _smooth(x, level * x.shape[-1] / 32)


def _glass_blur(x: Tensor, level: float, generator: Generator) -> Tensor:
    import torch

    out = _smooth(x, 0.4 * x.shape[-1] / 32)
    reach = level * x.shape[-1] / 32
    for _ in range(2):  # each pixel takes that of a near place
        moves = (2 * torch.rand(len(x), 2, *x.shape[-2:], generator=generator) - 1) * reach
        out = _shift(out, moves, mode="nearest")
    return _smooth(out, 0.4 * x.shape[-1] / 32)


def _motion_blur(x: Tensor, level: float, generator: Generator) -> Tensor:
    import torch

    length = max(1, round(level * x.shape[-1] / 32))
    angle = float(torch.rand((), generator=generator)) * math.pi
    steps = [(t * math.cos(angle), t * math.sin(angle)) for t in range(-length, length + 1)]
    moved = [_shift(x, torch.tensor(step).view(1, 2, 1, 1).expand(1, 2, *x.shape[-2:])) for step in steps]
    return torch.stack(moved).mean(0)


def _zoom_blur(x: Tensor, level: float, generator: Generator) -> Tensor:
    import torch

    zooms = torch.linspace(1, 1 + level, 6)
    grid = _grid(x)
    parts = [torch.nn.functional.grid_sample(x, _many(grid / z, x), align_corners=False) for z in zooms.tolist()]
    return torch.stack(parts).mean(0)


def _snow(x: Tensor, level: float, generator: Generator) -> Tensor:
    import torch

    flakes = (torch.rand(len(x), 1, *x.shape[-2:], generator=generator) < level * 0.25).float()
    streak = torch.stack([torch.roll(flakes, (k, k), (2, 3)) * (1 - 0.25 * k) for k in range(3)]).amax(0)
    pale = (1 - 0.3 * level) * x + 0.3 * level * (0.5 * x + 0.5).clamp(max=1)
    return torch.maximum(pale, streak * (0.7 + 0.3 * level))


def _frost(x: Tensor, level: float, generator: Generator) -> Tensor:
    ice = _plasma(x, generator, decay=1.4)
    crystals = (1 - (2 * ice - 1).abs() * 3).clamp(min=0)
    return (1 - 0.5 * level) * x + level * crystals


def _fog(x: Tensor, level: float, generator: Generator) -> Tensor:
    top = x.amax((1, 2, 3), keepdim=True)
    return (x + level * _plasma(x, generator, decay=1.9)) * top / (top + level).clamp(min=1e-6)


def _brightness(x: Tensor, level: float, generator: Generator) -> Tensor:
    return x + level


def _contrast(x: Tensor, level: float, generator: Generator) -> Tensor:
    mean = x.mean((2, 3), keepdim=True)
    return (x - mean) * level + mean


def _elastic(x: Tensor, level: float, generator: Generator) -> Tensor:
    import torch

    moves = _smooth(2 * torch.rand(len(x), 2, *x.shape[-2:], generator=generator) - 1, 2.0 * x.shape[-1] / 32)
    scale = moves.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-6)
    return _shift(x, moves / scale * level * x.shape[-1] / 32)


def _pixelate(x: Tensor, level: float, generator: Generator) -> Tensor:
    import torch

    size = [max(2, round(side * level)) for side in x.shape[-2:]]
    small = torch.nn.functional.interpolate(x, size=size, mode="area")
    return torch.nn.functional.interpolate(small, size=tuple(x.shape[-2:]), mode="nearest-exact")


def _jpeg(x: Tensor, level: float, generator: Generator) -> Tensor:
    import torch

    high, wide = x.shape[-2:]
    padded = torch.nn.functional.pad(x, (0, -wide % 8, 0, -high % 8), mode="replicate")
    n, c, rows, columns = padded.shape
    at = torch.arange(8).float()
    basis = torch.cos(math.pi / 8 * (at[None] + 0.5) * at[:, None]) * math.sqrt(2 / 8)
    basis[0] /= math.sqrt(2)
    blocks = padded.view(n, c, rows // 8, 8, columns // 8, 8).transpose(3, 4)
    waves = basis @ (255 * (blocks - 0.5)) @ basis.T
    step = level * (1 + at[:, None] + at[None])  # high frequencies are kept less exactly
    back = basis.T @ ((waves / step).round() * step) @ basis / 255 + 0.5
    return back.transpose(3, 4).reshape(n, c, rows, columns)[..., :high, :wide]


def _normal(x: Tensor, generator: Generator) -> Tensor:
    import torch

    return torch.randn(x.shape, generator=generator)


def _filter(x: Tensor, kernel: Tensor) -> Tensor:
    """Convolve each channel, with edges repeated."""
    import torch

    high, wide = kernel.shape
    channels = x.shape[1]
    pads = (wide // 2, wide // 2, high // 2, high // 2)
    weight = (kernel / kernel.sum()).expand(channels, 1, high, wide).contiguous()
    return torch.nn.functional.conv2d(torch.nn.functional.pad(x, pads, mode="replicate"), weight, groups=channels)


def _smooth(x: Tensor, sigma: float) -> Tensor:
    import torch

    reach = max(1, math.ceil(2.5 * sigma))
    line = torch.exp(-torch.arange(-reach, reach + 1).float().square() / (2 * sigma**2))
    return _filter(x, line[:, None] * line[None])


def _grid(x: Tensor) -> Tensor:
    """Places of pixel centres in [-1, 1], (H, W, 2), x first."""
    import torch

    high, wide = x.shape[-2:]
    ys, xs = ((torch.arange(side) + 0.5) * 2 / side - 1 for side in (high, wide))
    return torch.stack(torch.meshgrid(xs, ys, indexing="xy"), dim=-1)


def _many(grid: Tensor, x: Tensor) -> Tensor:
    return grid.expand(len(x), *grid.shape[-3:])


def _shift(x: Tensor, moves: Tensor, mode: str = "bilinear") -> Tensor:
    """Take each pixel from where `moves` (N or 1, 2, H, W), in pixels, points."""
    import torch

    high, wide = x.shape[-2:]
    scale = torch.tensor([2 / wide, 2 / high])
    places = _grid(x) + moves.permute(0, 2, 3, 1) * scale
    return torch.nn.functional.grid_sample(x, _many(places, x), mode=mode, padding_mode="border", align_corners=False)


def _plasma(x: Tensor, generator: Generator, decay: float) -> Tensor:
    """Clouds in [0, 1], (N, 1, H, W): noise at doubling sizes, each stronger than the finer one."""
    import torch

    total = torch.zeros(len(x), 1, *x.shape[-2:])
    size, weight = 2, 1.0
    while size <= max(x.shape[-2:]):
        noise = torch.rand(len(x), 1, size, size, generator=generator)
        total += weight * torch.nn.functional.interpolate(
            noise, size=tuple(x.shape[-2:]), mode="bilinear", align_corners=False
        )
        size, weight = 2 * size, weight / decay
    low, high = total.amin((2, 3), keepdim=True), total.amax((2, 3), keepdim=True)
    return (total - low) / (high - low).clamp(min=1e-6)


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
