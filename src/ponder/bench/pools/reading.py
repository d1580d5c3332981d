"""Read a pool into arrays: once from its JSON lines, then from the arrays that are kept beside them.

Source: our own. Only the contiguous samples 0, 1, 2, ... of a problem count; of several lines for one the last does.
Cost: no model call. Needs: numpy (extra `bench`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ponder.bench.curve import _level
from ponder.bench.grading import grader_name
from ponder.bench.job import Named
from ponder.bench.pools.arrays import load, save, stamp
from ponder.bench.pools.folder import ARRAYS, read_problems
from ponder.bench.pools.pool import FINISHES, Block, Costs, Pool
from ponder.core.errors import BadInput
from ponder.core.registry import need
from ponder.models.replay import SAMPLES, read_facts, read_lines
from ponder.numerics.certainty import mean_certainty

__all__ = ["read_arrays"]


def read_arrays(path: Path | str) -> Pool:
    """Read a pool, a folder or a file; of a folder from its arrays where they are up to date.

    Raises:
        BadInput: it cannot be read, holds nothing, or holds no extracted answers; the message says where.
        MissingExtra: numpy is not installed.
    """
    path = Path(path)
    folder = path.is_dir()
    now = stamp(path) if folder else None
    if now is not None and (pool := load(path, now)) is not None:
        return pool
    pool = _build(path, read_problems(path) if folder else [])
    if now is not None:
        save(pool, path / ARRAYS, now)
    return pool


def _build(path: Path, named: list[Named]) -> Pool:
    lines: dict[tuple[str, bool], dict[int, dict[str, Any]]] = {}
    answers: dict[str, int] = {}
    ids = {one.problem.task.id: None for one in named}
    file = path / SAMPLES if path.is_dir() else path
    for number, body in read_lines(path):
        if "problem" not in body or not body["problem"]:
            raise BadInput(
                f"{file}:{number}: no problem is named, so it has no answers to choose among: record it anew"
            )
        try:
            at, problem, kept = int(body["index"]), str(body["problem"]), _slim(body, answers)
            lines.setdefault((problem, bool(body["greedy"])), {})[at] = kept
        except (KeyError, TypeError, ValueError, AttributeError) as err:
            raise BadInput(f"{file}:{number}: not a recorded answer: {err!r}") from err
        ids.setdefault(problem)
    ids = dict.fromkeys(name for name in ids if (name, False) in lines or (name, True) in lines)
    if not ids:
        raise BadInput(f"the pool {str(path)!r} holds no samples")
    known = {one.problem.task.id: one for one in named}
    return Pool(
        name=str(path),
        facts=read_facts(path),
        ids=tuple(ids),
        families=tuple(known[name].family if name in known else path.stem for name in ids),
        graders=tuple(grader_name(known[name].problem) if name in known else "reference" for name in ids),
        levels=tuple(_level(known[name].problem) if name in known else None for name in ids),
        answers=tuple(answers),
        samples=_block([_run(lines.get((name, False), {})) for name in ids]),
        greedy=_block([_run(lines.get((name, True), {})) for name in ids]),
    )


def _slim(body: Mapping[str, Any], answers: dict[str, int]) -> dict[str, Any]:
    """Return what the arrays need of a line; the texts are let go."""
    done, answer, tokens = body["completion"], body.get("answer"), body["completion"].get("tokens")
    logprobs = None if tokens is None else tokens["logprobs"]
    certainty = done.get("certainty")
    return {
        "code": -1 if answer is None else answers.setdefault(answer, len(answers)),
        "group": -1 if body.get("group") is None else int(body["group"]),
        "grade": -1 if body.get("grade") is None else int(bool(body["grade"])),
        "certainty": None if certainty is None else mean_certainty(certainty),
        "logprob": math.fsum(logprobs) / len(logprobs) if logprobs else None,
        "finish": FINISHES.index(done["finish"]),
        "usage": {**done["usage"], "exact": done["usage"].get("exact", True) and body.get("counted", True)},
        "scores": {label: score["value"] for label, score in body.get("scores", {}).items()},
        "judging": body.get("judging", {}),
    }


def _run(lines: Mapping[int, dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while len(found) in lines:
        found.append(lines[len(found)])
    return found


def _block(problems: list[list[dict[str, Any]]]) -> Block:
    np = need("numpy", extra="bench", feature="studying a pool")
    tasks, width = len(problems), max(map(len, problems), default=0)
    whole = {name: np.full((tasks, width), -1, dtype=np.int32) for name in ("code", "group")}
    small = {name: np.full((tasks, width), -1, dtype=np.int8) for name in ("grade", "finish")}
    real = {name: np.full((tasks, width), math.nan) for name in ("certainty", "logprob")}
    scores: dict[str, Any] = {}
    judging: dict[str, dict[str, Costs]] = {}
    costs = Costs.empty(tasks, width)
    for task, found in enumerate(problems):
        for at, line in enumerate(found):
            for arrays in (whole, small):
                for name, array in arrays.items():
                    array[task, at] = line[name]
            for name, array in real.items():
                if line[name] is not None:
                    array[task, at] = line[name]
            costs.put(task, at, line["usage"])
            for label, value in line["scores"].items():
                if label not in scores:
                    scores[label] = np.full((tasks, width), math.nan)
                if value is not None:
                    scores[label][task, at] = float(value)
            for label, roles in line["judging"].items():
                for role, usage in roles.items():
                    by = judging.setdefault(label, {})
                    by.setdefault(role, Costs.empty(tasks, width)).put(task, at, usage)
    return Block(
        present=np.array([len(found) for found in problems], dtype=np.int64),
        codes=whole["code"],
        groups=whole["group"],
        grades=small["grade"],
        certainty=real["certainty"],
        logprob=real["logprob"],
        finishes=small["finish"],
        costs=costs,
        scores=scores,
        judging=judging,
    )
