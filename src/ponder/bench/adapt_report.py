"""Comparisons of adapters inside the report of recorded runs: read from their folders, and drawn as sections of it.

Source: our own. Cost: drawing. Needs: folders that `ponder adapt bench` has written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ponder.bench.adapt_page import NAME, NOTES, adapt_sections, adapt_study
from ponder.bench.studies.page import Study
from ponder.core.errors import BadInput

__all__ = ["read_comparisons", "with_comparisons"]

_TABLE = "table.json"


def read_comparisons(paths: Sequence[Path]) -> dict[Path, dict[str, Any]]:
    """Return the plain values of those paths that are folders of `ponder adapt bench`; others are left out.

    Raises:
        BadInput: such a folder's table cannot be read.
    """
    found = {}
    for path in paths:
        file = path / _TABLE
        if not file.is_file():
            continue
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as err:
            raise BadInput(f"cannot read {str(file)!r}: {err}") from err
        if isinstance(data, dict) and data.get("study") == NAME:
            if "planned" not in data:
                raise BadInput(f"{str(file)!r} is of an older ponder: run `ponder adapt bench` again")
            found[path] = data
    return found


def with_comparisons(study: Study | None, found: Sequence[Mapping[str, Any]]) -> Study:
    """Return the report with sections for each comparison behind its own; without a report, one of these alone.

    Args:
        study: of the recorded runs, or None without any.
        found: as `read_comparisons` returns them, at least one where there is no study.
    """
    if study is None and len(found) == 1:
        return adapt_study(found[0])
    sections = [section for data in found for section in adapt_sections(data, named=True)]
    if study is None:
        return Study(
            name="report",
            title="Adaptation at test time",
            facts=tuple(data["subject"] for data in found),
            sections=tuple(sections),
            notes=NOTES,
            data={"adapt": list(found)},
        )
    return (
        replace(
            study,
            sections=(*study.sections, *sections),
            notes=(*study.notes, *(f"Adaptation: {note}" for note in NOTES)),
            data={**study.data, "adapt": list(found)},
        )
        if found
        else study
    )
