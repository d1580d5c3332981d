"""Small recorded pools on the scripted model of the bench."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from ponder.bench.pools.recorder import Recording, record_pool
from ponder.bench.pools.scoring import Judge
from ponder.bench.runner import Done
from ponder.core.model import Sampling
from tests.bench.job_worlds import small

LAW = Sampling(max_tokens=40)


def recording(**fields: Any) -> Recording:
    """Four stories, six samples each, scored by the arithmetic checker."""
    base: dict[str, Any] = {
        "model": "scripted:small",
        "tasks": ("multiplication_stories",),
        "count": 4,
        "n": 6,
        "sampling": LAW,
        "judges": (Judge(name="arithmetic"),),
    }
    return Recording(**{**base, **fields})


def made(path: Path, *, opener: Any = small, more: dict[str, Any] | None = None, **fields: Any) -> Done:
    """Record a pool."""
    return asyncio.run(record_pool(recording(**fields), path, opener=opener, **(more or {})))
