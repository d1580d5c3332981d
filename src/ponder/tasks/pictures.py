"""Small pictures to train and test classifiers on: drawn shapes, as many as wanted, and the digits of scikit-learn.

Source: our own drawings; digits: Alpaydin and Kaynak 1998 (UCI), as shipped with scikit-learn.
Cost: 10,000 shapes in about a second. Needs: the extra `torch`; digits also scikit-learn. Same seed, same pictures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ponder.core.errors import ConfigError
from ponder.core.registry import need
from ponder.core.seeds import derive_seed

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SHAPES", "Pictures", "digits", "shapes"]

SHAPES = (
    *("disc", "ring", "square", "frame", "triangle", "plus", "cross", "horizontal bars", "vertical bars", "checkers"),
)


class Pictures(NamedTuple):
    """Pictures and their classes.

    Attributes:
        x: (N, 1, H, W) in [0, 1].
        y: (N,) classes.
    """

    x: Tensor
    y: Tensor


def shapes(count: int, *, size: int = 16, seed: int = 0, shares: tuple[float, ...] | None = None) -> Pictures:
    """Draw pictures of the ten `SHAPES` at random places, sizes, turns and shades.

    Args:
        count: how many, >= 1.
        size: height and width, >= 8.
        seed: of everything random.
        shares: of the classes, ten numbers that sum to 1; by default equal.

    Raises:
        ConfigError: a size or count too small, or shares that are not ten.
    """
    import torch

    if count < 1 or size < 8 or (shares is not None and len(shares) != len(SHAPES)):
        raise ConfigError(f"need count >= 1, size >= 8 and {len(SHAPES)} shares, got {count!r}, {size!r}, {shares!r}")
    generator = torch.Generator().manual_seed(derive_seed(seed, "shapes", size))
    weights = torch.ones(len(SHAPES)) if shares is None else torch.tensor(shares)
    y = torch.multinomial(weights, count, replacement=True, generator=generator)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, 1, 1, generator=generator)

    centre_x, centre_y, radius = uniform(-0.25, 0.25), uniform(-0.25, 0.25), uniform(0.45, 0.75)
    turn, ink, paper = uniform(-0.2, 0.2), uniform(0.65, 1.0), uniform(0.0, 0.25)
    line = (torch.arange(size) + 0.5) * 2 / size - 1
    dx, dy = (line[None, None, :] - centre_x) / radius, (line[None, :, None] - centre_y) / radius
    u, v = dx * turn.cos() + dy * turn.sin(), dy * turn.cos() - dx * turn.sin()
    far, box = (u.square() + v.square()).sqrt(), torch.maximum(u.abs(), v.abs())
    soft = 6.0 * size / 16  # how quickly an edge fades, in units of the radius

    def edge(inside: Tensor) -> Tensor:
        return (inside * soft + 0.5).clamp(0, 1)

    bars = 2 * torch.pi / 0.8
    drawn = torch.stack(
        [
            edge(0.9 - far),
            edge(0.25 - (far - 0.75).abs()),
            edge(0.8 - box),
            edge(0.2 - (box - 0.7).abs()),
            edge(torch.minimum(0.75 - v, (v + 0.9) * 0.5 - u.abs())),
            edge(torch.minimum(0.28 - torch.minimum(u.abs(), v.abs()), 0.95 - box)),
            edge(torch.minimum(0.3 - torch.minimum((u - v).abs(), (u + v).abs()), 0.9 - box)),
            edge(torch.minimum((v * bars).cos() * 0.3, 0.9 - box)),
            edge(torch.minimum((u * bars).cos() * 0.3, 0.9 - box)),
            edge(torch.minimum((v * bars).cos() * (u * bars).cos() * 0.5, 0.9 - box)),
        ]
    )
    picture = drawn[y, torch.arange(count)]
    noise = 0.02 * torch.randn(picture.shape, generator=generator)
    return Pictures((paper + (ink - paper) * picture + noise).clamp(0, 1).unsqueeze(1), y)


def digits(*, size: int = 16) -> Pictures:
    """Return the 1797 handwritten digits of scikit-learn, 8 x 8, scaled to `size`, in their order.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    import torch

    data = need("sklearn.datasets", extra="adapt", feature="the digits").load_digits()
    x = torch.from_numpy(data.images).float().unsqueeze(1) / 16
    x = torch.nn.functional.interpolate(x, size=(size, size), mode="bilinear", align_corners=False)
    return Pictures(x, torch.from_numpy(data.target).long())
