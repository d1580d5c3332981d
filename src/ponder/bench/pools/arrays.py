"""The arrays of a pool in one file beside its samples (arrays.npz), which opens at once.

Source: our own. A file that is torn, of another version or of other samples counts as missing.
Cost: no model call. Needs: numpy (extra `bench`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ponder.bench.pools.folder import ARRAYS
from ponder.bench.pools.pool import PLAIN, Block, Costs, Pool
from ponder.core.registry import need
from ponder.models.replay import PROBLEMS, SAMPLES, read_facts

__all__ = ["load", "save", "stamp"]

SCHEMA = 1


def stamp(path: Path) -> list[int] | None:
    """Return what changes when the pool does, or None where that cannot be told."""
    try:
        found = [(path / name).stat() for name in (SAMPLES, PROBLEMS)]
    except OSError:
        return None
    return [SCHEMA, *(number for stat in found for number in (stat.st_size, stat.st_mtime_ns))]


def save(pool: Pool, file: Path, now: list[int]) -> None:
    """Keep the arrays; where they cannot be kept, the next study reads the lines again."""
    np = need("numpy", extra="bench", feature="studying a pool")
    arrays: dict[str, Any] = {}
    shape: dict[str, Any] = {}
    for part in ("samples", "greedy"):
        block: Block = getattr(pool, part)
        arrays |= {f"{part}/{name}": getattr(block, name) for name in PLAIN}
        arrays |= dict(_cost_arrays(f"{part}/costs", block.costs))
        arrays |= {f"{part}/scores/{at}": array for at, array in enumerate(block.scores.values())}
        for at, roles in enumerate(block.judging.values()):
            for role, costs in enumerate(roles.values()):
                arrays |= dict(_cost_arrays(f"{part}/judging/{at}/{role}", costs))
        shape[part] = {
            "scores": list(block.scores),
            "judging": {label: list(roles) for label, roles in block.judging.items()},
        }
    names = ("ids", "families", "graders", "levels", "answers")
    body = {"stamp": now, "shape": shape, **{name: getattr(pool, name) for name in names}}
    new = file.with_name("arrays.new.npz")
    try:
        np.savez(new, head=np.frombuffer(json.dumps(body).encode(), dtype=np.uint8), **arrays)
        os.replace(new, file)
    except OSError:
        new.unlink(missing_ok=True)


def _cost_arrays(stem: str, costs: Costs) -> Iterator[tuple[str, Any]]:
    for item in fields(Costs):
        yield f"{stem}/{item.name}", getattr(costs, item.name)


def load(path: Path, now: list[int]) -> Pool | None:
    """Return the pool of a folder whose arrays are of this stamp, else None."""
    np = need("numpy", extra="bench", feature="studying a pool")
    try:
        with np.load(path / ARRAYS, allow_pickle=False) as file:
            body = json.loads(file["head"].tobytes())
            if body["stamp"] != now:
                return None
            blocks = {part: _loaded(file, part, body["shape"][part]) for part in ("samples", "greedy")}
    except Exception:  # torn, or of another kind: it is made anew
        return None
    return Pool(
        name=str(path),
        facts=read_facts(path),
        ids=tuple(body["ids"]),
        families=tuple(body["families"]),
        graders=tuple(body["graders"]),
        levels=tuple(body["levels"]),
        answers=tuple(body["answers"]),
        samples=blocks["samples"],
        greedy=blocks["greedy"],
    )


def _loaded(file: Any, part: str, shape: Mapping[str, Any]) -> Block:
    def costs(stem: str) -> Costs:
        return Costs(**{item.name: file[f"{stem}/{item.name}"] for item in fields(Costs)})

    return Block(
        **{name: file[f"{part}/{name}"] for name in PLAIN},
        costs=costs(f"{part}/costs"),
        scores={label: file[f"{part}/scores/{at}"] for at, label in enumerate(shape["scores"])},
        judging={
            label: {role: costs(f"{part}/judging/{at}/{place}") for place, role in enumerate(roles)}
            for at, (label, roles) in enumerate(shape["judging"].items())
        },
    )
