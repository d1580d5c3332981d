"""Translations: rows with a source text, a reference, and the names of both languages.

Source: our own columns; WMT-style files carry the same under other names, which are read as well.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from ponder.tasks.loaders.rows import SourceRow
from ponder.tasks.problem import Problem
from ponder.tasks.translation import LANGUAGES, translation_problem

__all__ = ["translation"]


def translation(row: SourceRow) -> Problem:
    """`source` (or `src`), `reference` (`ref`, `target`, `tgt`), `source_language`, `target_language`, maybe `id`.

    Languages are names or the codes en, de, fr, es; `lp` ("en-de") stands for both.
    """
    if "lp" in row.values and "source_language" not in row.values:
        given, dash, wanted = row.text("lp").partition("-")
        if not dash:
            raise row.fault("lp", f"needs two languages such as en-de, got {row.text('lp')!r:.80}")
    else:
        given, wanted = (row.text(f"{side}_language", f"{side}_lang") for side in ("source", "target"))
    source, reference = row.text("source", "src"), row.text("reference", "ref", "target", "tgt")
    for column, text in (("source", source), ("reference", reference)):
        if not text.strip():
            raise row.fault(column, "is empty")
    return translation_problem(
        source,
        reference,
        source_language=LANGUAGES.get(given.lower(), given),
        target_language=LANGUAGES.get(wanted.lower(), wanted),
        identity=str(row.values.get("id") or ""),
    )
