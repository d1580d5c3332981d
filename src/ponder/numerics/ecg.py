"""Prepare electrocardiograms: length, broken samples, one common scale, and the order of leads.

Source: Liu et al. 2024, arXiv:2403.06659 (card 56), step 9.
Differs: shorter signals are padded with zeros whatever their set.
Shapes: L leads, T samples. Cost: a pass over the samples. Needs: torch (extra `torch`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ponder.core.errors import BadInput, ConfigError
from ponder.core.registry import need

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["mend", "prepare"]


def prepare(
    signal: Tensor, *, length: int = 5000, used: int | None = None, swap: tuple[int, int] | None = None
) -> Tensor:
    """Return a signal (L, T) as encoders take it, (L, length) in [0, 1]: one minimum and maximum over all leads.

    Args:
        signal: in any unit.
        length: samples of the result, >= 1; the first ones, or zeros behind.
        used: samples taken before padding, for example 2500; None for `length`.
        swap: two leads to exchange, such as (4, 5) where aVL and aVF stand the other way round than in training.

    Raises:
        BadInput: no signal of leads and samples.
        ConfigError: `length` below 1.
    """
    if signal.ndim != 2 or not signal.numel():
        raise BadInput(f"a signal is (leads, samples), got {tuple(signal.shape)}")
    if length < 1:
        raise ConfigError(f"length must be at least 1, got {length!r}")
    torch = need("torch", extra="torch", feature="preparing signals")
    kept = mend(signal)[:, : min(length, used or length)]
    low, high = kept.min(), kept.max()
    scaled = (kept - low) / (high - low + 1e-8)
    out: Tensor = torch.nn.functional.pad(scaled, (0, length - scaled.shape[1]))
    if swap is not None:
        order = list(range(len(out)))
        order[swap[0]], order[swap[1]] = order[swap[1]], order[swap[0]]
        out = out[order]
    return out


def mend(signal: Tensor, *, around: int = 6) -> Tensor:
    """Return the signal with values that are not finite replaced by the mean of the finite ones `around` them, or 0."""
    torch = need("torch", extra="torch", feature="preparing signals")
    good = torch.isfinite(signal)
    if bool(good.all()):
        return signal
    zeroed = torch.where(good, signal, torch.zeros_like(signal))
    width = 2 * around + 1
    pool = torch.nn.functional.avg_pool1d
    settings = {"kernel_size": width, "stride": 1, "padding": around}
    share = pool(good.to(signal.dtype)[None], **settings)[0]
    mean = pool(zeroed[None], **settings)[0] / share.clamp_min(1 / (2 * width))
    mended: Tensor = torch.where(good, signal, mean)
    return mended
