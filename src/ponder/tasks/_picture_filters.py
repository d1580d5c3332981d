"""What corruptions of pictures are made of: lengths, filters, moved pixels, clouds, and quantised cosine blocks.

Source: textbook forms. The law of `span` is ours: it meets the lengths that ImageNet-C has at 224 pixels.
Cost: linear in pixels and in taps. Needs: the extra `torch`. Shapes: x is (N, C, H, W).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor

__all__ = ["blurred", "clouds", "filtered", "in_parts", "jpeg_of", "moved", "places", "quantised", "span"]

_AT_ONCE = 2**22  # numbers held several times over by `in_parts`


def span(x: Tensor) -> float:
    """Return by how much lengths given for 32 pixels grow: with the shorter side up to 32, then with its root."""
    side = min(x.shape[-2:]) / 32
    return float(side if side <= 1 else math.sqrt(side))


def in_parts(x: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Return `change` of all pictures, a few at a time where they are large."""
    import torch

    return torch.cat([change(part) for part in x.split(max(1, _AT_ONCE // x[0].numel()))])


def filtered(x: Tensor, kernel: Tensor) -> Tensor:
    """Convolve each channel with the kernel scaled to sum 1, edges repeated."""
    import torch

    high, wide = kernel.shape
    channels = x.shape[1]
    pads = (wide // 2, wide // 2, high // 2, high // 2)
    weight = (kernel / kernel.sum()).expand(channels, 1, high, wide).contiguous()
    return torch.nn.functional.conv2d(torch.nn.functional.pad(x, pads, mode="replicate"), weight, groups=channels)


def blurred(x: Tensor, sigma: float) -> Tensor:
    """Filter with a Gaussian of `sigma` pixels."""
    import torch

    reach = max(1, math.ceil(2.5 * sigma))
    line = torch.exp(-torch.arange(-reach, reach + 1).float().square() / (2 * sigma**2))
    return filtered(x, line[:, None] * line[None])


def places(x: Tensor) -> Tensor:
    """Return where pixel centres are in [-1, 1], (H, W, 2), x first."""
    import torch

    high, wide = x.shape[-2:]
    ys, xs = ((torch.arange(side) + 0.5) * 2 / side - 1 for side in (high, wide))
    return torch.stack(torch.meshgrid(xs, ys, indexing="xy"), dim=-1)


def moved(x: Tensor, moves: Tensor, mode: str = "bilinear") -> Tensor:
    """Take each pixel from where `moves` (N or 1, 2, H, W), in pixels, points."""
    import torch

    high, wide = x.shape[-2:]
    scale = torch.tensor([2 / wide, 2 / high])
    grid = (places(x) + moves.permute(0, 2, 3, 1) * scale).expand(len(x), high, wide, 2)
    return torch.nn.functional.grid_sample(x, grid, mode=mode, padding_mode="border", align_corners=False)


def clouds(x: Tensor, generator: Generator, decay: float) -> Tensor:
    """Return clouds in [0, 1], (N, 1, H, W): noise at doubling sizes, each `decay` times as strong as the finer."""
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


def quantised(x: Tensor, step: float) -> Tensor:
    """Round the cosine coefficients of 8 x 8 blocks to multiples of step (1 + row + column), in 255ths."""
    import torch

    high, wide = x.shape[-2:]
    padded = torch.nn.functional.pad(x, (0, -wide % 8, 0, -high % 8), mode="replicate")
    n, c, rows, columns = padded.shape
    at = torch.arange(8).float()
    basis = torch.cos(math.pi / 8 * (at[None] + 0.5) * at[:, None]) * math.sqrt(2 / 8)
    basis[0] /= math.sqrt(2)
    blocks = padded.view(n, c, rows // 8, 8, columns // 8, 8).transpose(3, 4)
    waves = basis @ (255 * (blocks - 0.5)) @ basis.T
    steps = step * (1 + at[:, None] + at[None])  # high frequencies are kept less exactly
    back = basis.T @ ((waves / steps).round() * steps) @ basis / 255 + 0.5
    return back.transpose(3, 4).reshape(n, c, rows, columns)[..., :high, :wide]


def jpeg_of(x: Tensor, step: float) -> Tensor:
    """Quantise; red, green and blue as brightness and two colour differences, these at half the size."""
    import torch

    if x.shape[1] != 3:
        return quantised(x, step)
    red, green, blue = x.split(1, 1)
    light = 0.299 * red + 0.587 * green + 0.114 * blue
    colours = torch.cat([(blue - light) / 1.772, (red - light) / 1.402], 1) + 0.5
    halves = torch.nn.functional.avg_pool2d(colours, 2, ceil_mode=True)
    size = tuple(x.shape[-2:])
    back = torch.nn.functional.interpolate(quantised(halves, step), size=size, mode="bilinear", align_corners=False)
    light, (toward_blue, toward_red) = quantised(light, step), (back - 0.5).split(1, 1)
    red, blue = light + 1.402 * toward_red, light + 1.772 * toward_blue
    return torch.cat([red, (light - 0.299 * red - 0.114 * blue) / 0.587, blue], 1)
