"""Recorded runs as a report reads them: rows, answers, prompts and where the traces are.

Source: our own. Cost: no model call. Needs: run folders, or files of rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ponder.bench.rows import CandidateRow, Row, read_candidates, read_rows
from ponder.bench.run_folder import CANDIDATES, PROBLEMS, ROWS, TRACES
from ponder.core.errors import BadInput
from ponder.tasks.problem import Problem

__all__ = ["Runs", "read_runs"]


@dataclass(frozen=True, kw_only=True)
class Runs:
    """What a report is about.

    Attributes:
        rows: of all runs.
        candidates: of all runs; may be empty.
        prompts: text of each problem, by id; may be empty.
        traces: files of traces; runs whose trace was kept are in one of them.
        names: of the folders or files.
    """

    rows: tuple[Row, ...]
    candidates: tuple[CandidateRow, ...] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)
    traces: tuple[Path, ...] = ()
    names: tuple[str, ...] = ()


def read_runs(paths: Sequence[Path]) -> Runs:
    """Read run folders, or files of rows.

    Args:
        paths: folders and files.

    Raises:
        BadInput: one cannot be read.
    """
    rows: list[Row] = []
    candidates: list[CandidateRow] = []
    prompts: dict[str, str] = {}
    traces: list[Path] = []
    for path in paths:
        if not path.is_dir():
            rows += read_rows(path)
            continue
        rows += read_rows(path / ROWS)
        if (path / CANDIDATES).exists():
            candidates += read_candidates(path / CANDIDATES)
        if (path / PROBLEMS).exists():
            prompts |= _read_prompts(path / PROBLEMS)
        if (path / TRACES).exists():
            traces.append(path / TRACES)
    return Runs(
        rows=tuple(rows),
        candidates=tuple(candidates),
        prompts=prompts,
        traces=tuple(traces),
        names=tuple(str(path) for path in paths),
    )


def _read_prompts(file: Path) -> dict[str, str]:
    prompts = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            task = Problem.from_json(json.loads(line)).task
        except (ValueError, KeyError, TypeError) as err:
            raise BadInput(f"{file}:{number}: not a problem: {err}") from err
        prompts[task.id] = task.prompt
    return prompts
