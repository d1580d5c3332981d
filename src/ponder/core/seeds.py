"""Seeds by name: one seed enters at the top, every place derives its own stream from it.

Adding a draw in one place moves nothing elsewhere, and the order in which calls come back does not matter.
Source: our own convention (S17); SHA-256 of the printed path, so it is the same on every platform.
"""

from __future__ import annotations

import hashlib
import random

__all__ = ["derive", "derive_seed", "sample_seed"]

# llama.cpp and others read 0xFFFFFFFF as "draw a random seed", and OpenAI-style servers take signed 32 bits.
_SPACE = 2**31 - 2**16


def derive_seed(seed: int, *path: str | int) -> int:
    """Return an integer in [0, 2**31 - 2**16) that depends on `seed` and on the whole `path`."""
    digest = hashlib.sha256(repr((seed, *path)).encode()).digest()
    return int.from_bytes(digest[:8], "big") % _SPACE


def derive(seed: int, *path: str | int) -> random.Random:
    """Return an independent random stream for the place named by `path`."""
    return random.Random(derive_seed(seed, *path))


def sample_seed(seed: int, index: int, *path: str | int) -> int:
    """Return the sampler seed of sibling `index` (>= 0) under `path`: consecutive for consecutive siblings.

    Servers give the n choices of one request the seeds s, s+1, ...; so sibling k has the same seed whether it
    was asked alone or in a group, and a curve over N costs only its largest point.
    """
    return derive_seed(seed, *path) + index % 2**16
