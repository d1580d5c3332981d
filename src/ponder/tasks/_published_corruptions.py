"""The published corruptions of pictures, by the kept package imagecorruptions-imaug.

Source: the functions of ImageNet-C, Hendrycks and Dietterich 2019, arXiv:1903.12261, as the package has them.
Differs: seeded; the package draws from NumPy's global stream, which is left as it was.
Cost: one call a picture. Needs: the package (with OpenCV, numba and scikit-image); pictures of 32 pixels at least.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ponder.core.errors import BadInput
from ponder.core.registry import need
from ponder.core.seeds import derive_seed

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["published"]

_NAMES = {"elastic": "elastic_transform", "jpeg": "jpeg_compression"}
_SEEDED = ("glass_blur", "impulse_noise")  # these take a seed of their own


def published(x: Tensor, kind: str, severity: int, seed: int) -> Tensor:
    """Return corrupted pictures (N, 1 or 3, H, W) in [0, 1], rounded to 255ths as the published ones are.

    Args:
        x: in [0, 1].
        kind: our name of it.
        severity: 1 to 5.
        seed: each picture derives its own.

    Raises:
        BadInput: pictures that the package does not take.
        MissingExtra: it is not installed.
    """
    if x.shape[1] not in (1, 3) or min(x.shape[-2:]) < 32:
        raise BadInput(f"imagecorruptions takes 1 or 3 channels and 32 pixels at least, got {tuple(x.shape[1:])}")
    package = need("imagecorruptions", extra="corruptions", feature="the published corruptions")
    import numpy
    import torch

    rows: list[Any] = []
    kept = numpy.random.get_state()
    try:
        for at, picture in enumerate((255 * x).round().byte().permute(0, 2, 3, 1).numpy()):
            own = derive_seed(seed, at) % 2**32
            numpy.random.seed(own)
            more = {"seed": own} if kind in _SEEDED else {}
            name = _NAMES.get(kind, kind)
            rows.append(package.corrupt(picture.copy(), severity=severity, corruption_name=name, **more))
    finally:
        numpy.random.set_state(kept)
    out = torch.from_numpy(numpy.stack(rows)).permute(0, 3, 1, 2)[:, : x.shape[1]]  # one channel comes back as three
    return out.float() / 255
