"""Read and write an editor's reply in three parts: problem spans, a rewriting of each, the whole text after them.

Source: the edit format of Chakrabarty et al. 2025, arXiv:2504.07532 (WQRM, card 01).
Differs: our own titles; spans and rewritings stand in back-ticks as in the paper. A whole text that is missing is made
from the draft by the rewritings.
Cost: one pass over the text. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["CATEGORIES", "Edit", "EditReply", "apply_edits", "read_edits", "write_edits"]

CATEGORIES = (
    "awkward word choice and phrasing",
    "poor sentence structure",
    "cliche",
    "unnecessary exposition",
    "lack of specificity and detail",
    "purple prose",
    "tense inconsistency",
)

_TITLE = re.compile(r"^[\s#*_>]*part\s*([123])\b[^\n]*$", re.IGNORECASE | re.MULTILINE)
_SPAN = re.compile(r"^\s*(?:[-*]|\d+[.)])?\s*`([^`\n]+)`\s*(?:[-:(\u2013\u2014]+\s*(.*?)\)?\s*)?$", re.MULTILINE)
_REWRITE = re.compile(r"`([^`\n]+)`\s*(?:->|=>|\u2192|:)\s*`([^`\n]*)`")


@dataclass(frozen=True)
class Edit:
    """One change: the span as it stands in the draft, what replaces it, and what is wrong with it ("" if not said)."""

    span: str
    rewrite: str
    category: str = ""


@dataclass(frozen=True, kw_only=True)
class EditReply:
    """A reply that was read.

    Attributes:
        edits: spans with a rewriting.
        whole: the third part; None where there is none.
    """

    edits: tuple[Edit, ...] = ()
    whole: str | None = None

    def revision(self, draft: str) -> str | None:
        """Return the third part, else the draft with the edits applied; None where that changes nothing."""
        if self.whole:
            return self.whole
        changed = apply_edits(draft, self.edits)
        return changed if changed != draft else None


def read_edits(text: str) -> EditReply:
    """Read a reply behind its thought; parts that are not there are empty."""
    body = text.rpartition("</think>")[2]
    titles = list(_TITLE.finditer(body))
    parts: dict[str, str] = {}
    for at, title in enumerate(titles):
        end = titles[at + 1].start() if at + 1 < len(titles) else len(body)
        parts[title[1]] = body[title.end() : end]  # a part that comes twice: the last one counts
    said = {match[1].strip(): (match[2] or "").strip() for match in _SPAN.finditer(parts.get("1", ""))}
    edits = tuple(
        Edit(span.strip(), rewrite.strip(), said.get(span.strip(), ""))
        for span, rewrite in _REWRITE.findall(parts.get("2", ""))
        if span.strip()
    )
    whole = parts.get("3", "").strip().strip("`").strip()
    return EditReply(edits=edits, whole=whole or None)


def apply_edits(draft: str, edits: Sequence[Edit]) -> str:
    """Return the draft with each span replaced where it stands first; overlapping and absent spans are left alone."""
    places: list[tuple[int, int, str]] = []
    for edit in edits:
        at = draft.find(edit.span)
        if at >= 0 and all(at >= end or at + len(edit.span) <= start for start, end, _ in places):
            places.append((at, at + len(edit.span), edit.rewrite))
    text = draft
    for start, end, rewrite in sorted(places, reverse=True):
        text = text[:start] + rewrite + text[end:]
    return text


def write_edits(draft: str, edits: Sequence[Edit]) -> str:
    """Return the reply that an editor would give (what `read_edits` reads), for training data."""
    spans = "\n".join(f"- `{edit.span}` - {edit.category}" for edit in edits)
    rewrites = "\n".join(f"- `{edit.span}` -> `{edit.rewrite}`" for edit in edits)
    whole = apply_edits(draft, edits)
    return f"Part 1: problems\n{spans}\n\nPart 2: rewritings\n{rewrites}\n\nPart 3: revised text\n{whole}\n"
