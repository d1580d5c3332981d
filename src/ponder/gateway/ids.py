"""Names and seeds that nobody has used before, without asking the operating system for each one.

Source: our own. One generator is seeded from the operating system when the process starts (and again in a child of a
fork); a call of `os.urandom` for each request takes longer than routing it. These are names, not secrets: keys of
clients are made in `keys.py`.
"""

from __future__ import annotations

import os
import random

__all__ = ["fresh_id", "fresh_seed"]

_draw = random.Random(os.urandom(32))
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _draw.seed(os.urandom(32)))


def fresh_id(bits: int = 64) -> str:
    """Return a name of so many random bits, in hexadecimal digits."""
    return f"{_draw.getrandbits(bits):0{bits // 4}x}"


def fresh_seed() -> int:
    """Return a seed in [0, 2**31)."""
    return _draw.getrandbits(31)
