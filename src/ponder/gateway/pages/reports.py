"""The report of a bench as JSON, made in a process of its own: it is seconds of work for thousands of rows.

In the gateway's process it would take the interpreter from the requests, so `in_process` starts this module as a
program, below the others in priority.
Source: our own; reports are those of `ponder.bench.run_report`. Needs: what `ponder report` needs (extra `bench`).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ponder.bench.studies.page import Fold, Section, Study, Table
from ponder.core.errors import BadInput, PonderError
from ponder.core.trace import finite

__all__ = ["in_process", "main", "report_json"]

_FOLDS = 40  # of one section or fold
_TEXT = 4000  # characters of a text to unfold
_NICE = 10


async def in_process(folder: Path) -> dict[str, Any]:
    """Return the report of a folder.

    Raises:
        BadInput: it cannot be made; the message says why.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ponder.gateway.pages.reports",
        str(folder),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        lines = err.decode("utf-8", "replace").strip().splitlines() or ["it ended without a word"]
        raise BadInput(f"the report of {folder.name!r} cannot be made: {lines[-1][:500]}")
    made: dict[str, Any] = json.loads(out)
    return made


def main(arguments: Sequence[str]) -> int:
    """Write the report of a folder to standard output as JSON; return the exit status."""
    if hasattr(os, "nice"):
        os.nice(_NICE)
    try:
        sys.stdout.write(json.dumps(finite(report_json(Path(arguments[0])))))
    except PonderError as err:
        sys.stderr.write(f"{err}\n")
        return 1
    return 0


def report_json(folder: Path) -> dict[str, Any]:
    """Return the report of a folder.

    Raises:
        BadInput: its rows cannot be read.
    """
    from ponder.bench.recorded_runs import read_runs
    from ponder.bench.report_sections import front_section, laws_section, metrics_section
    from ponder.bench.run_report import run_report

    study = run_report(read_runs([folder]), more=(front_section, metrics_section, laws_section), traces=1)
    return _study(study)


def _study(study: Study) -> dict[str, Any]:
    return {
        "title": study.title,
        "facts": list(study.facts),
        "warning": study.warning,
        "notes": list(study.notes),
        "points": study.data.get("points", []),
        "sections": [_section(section) for section in study.sections],
    }


def _section(section: Section) -> dict[str, Any]:
    return {
        "title": section.title,
        "note": section.note,
        "lines": list(section.lines),
        "tables": [_table(table) for table in section.tables],
        "folds": _folds(section.folds),
    }


def _table(table: Table) -> dict[str, Any]:
    return {"title": table.title, "head": list(table.head), "rows": [list(row) for row in table.rows]}


def _folds(folds: Sequence[Fold]) -> list[dict[str, Any]]:
    shown = [
        {
            "summary": fold.summary,
            "text": fold.text if len(fold.text) <= _TEXT else f"{fold.text[:_TEXT]}…",
            "tables": [_table(table) for table in fold.tables],
            "folds": _folds(fold.folds),
        }
        for fold in folds[:_FOLDS]
    ]
    if left := len(folds) - len(shown):
        more = f"{left:,} more: `ponder report` writes a page with all of them"
        shown.append({"summary": more, "text": "", "tables": [], "folds": []})
    return shown


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
