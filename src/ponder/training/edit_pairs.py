"""Writing data from edits: a draft, what an editor made of it, and the editor's scores of both.

A line is {"draft": ..., "edited": ..., "draft_score": 4, "edited_score": 8}; scores may be missing, and so may the
edited text of a text that has a score alone ({"text": ..., "score": 9}), and {"p1": ..., "p2": ...,
"reference_preference": "2"} is a pair of which the preferred text counts as edited. A JSON list of such objects is read
as well. Other names that are read: original or preedit for draft, postedit for edited, initial_score and final_score,
zscore for score, paragraph for text, paragraph1 and paragraph2 for p1 and p2.
Source: the data of Chakrabarty et al. 2025, arXiv:2504.07532 (WQRM, card 01 A): pairs (P) in random order, single texts
with their scores (R), both (PR).
Differs: an edited text that is the same as its draft makes no pair.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ponder.core.errors import BadInput, ConfigError
from ponder.core.seeds import derive

__all__ = ["EditPair", "Items", "WritingItem", "read_pairs", "split_pairs", "writing_items"]

Items: TypeAlias = Literal["P", "R", "PR"]

_DRAFT = ("draft", "original", "text", "preedit", "paragraph")
_EDITED = ("edited", "postedit")
_DRAFT_SCORE = ("draft_score", "initial_score", "score", "zscore")
_EDITED_SCORE = ("edited_score", "final_score")
_FIRST, _SECOND = ("p1", "paragraph1"), ("p2", "paragraph2")
_LOW, _HIGH = 0.0, 10.0


@dataclass(frozen=True, kw_only=True)
class EditPair:
    """One edit.

    Attributes:
        draft: the text before.
        edited: the text after; None for a single text.
        draft_score, edited_score: quality in [0, 10]; None where not given.
    """

    draft: str
    edited: str | None = None
    draft_score: float | None = None
    edited_score: float | None = None


@dataclass(frozen=True, kw_only=True)
class WritingItem:
    """What the network learns from.

    Attributes:
        first, second: texts of a pair; a single text has no second one.
        label: 0 where the first is better, 1 where the second is, -1 for a single text.
        score: of a single text, in [0, 10].
    """

    first: str
    second: str | None = None
    label: int = -1
    score: float | None = None


def writing_items(pairs: Sequence[EditPair], kinds: Items = "PR", *, seed: int = 0) -> list[WritingItem]:
    """Return the items of these edits, shuffled; the edited text of a pair is the better one.

    Args:
        pairs: at least one.
        kinds: "P" for pairs, "R" for single texts with scores, "PR" for both.
        seed: of the sides and the order.

    Raises:
        BadInput: there is no item of these kinds.
        ConfigError: no such kinds.
    """
    if kinds not in ("P", "R", "PR"):
        raise ConfigError(f"kinds must be P, R or PR, got {kinds!r}")
    rng = derive(seed, "writing_items")
    items: list[WritingItem] = []
    for pair in pairs:
        if "P" in kinds and pair.edited is not None and pair.edited.strip() != pair.draft.strip():
            if rng.random() < 0.5:
                items.append(WritingItem(first=pair.edited, second=pair.draft, label=0))
            else:
                items.append(WritingItem(first=pair.draft, second=pair.edited, label=1))
        if "R" in kinds:
            if pair.draft_score is not None:
                items.append(WritingItem(first=pair.draft, score=pair.draft_score))
            if pair.edited is not None and pair.edited_score is not None:
                items.append(WritingItem(first=pair.edited, score=pair.edited_score))
    if not items:
        raise BadInput(f"the edits give no item of kind {kinds}: pairs need an edited text, rewards need scores")
    rng.shuffle(items)
    return items


def split_pairs(pairs: Sequence[EditPair], held_out: float, *, seed: int = 0) -> tuple[list[EditPair], list[EditPair]]:
    """Part edits at random into those to learn from and those held out, at least one each; equal drafts stay together.

    Raises:
        BadInput: fewer than two different drafts.
        ConfigError: held_out outside (0, 1).
    """
    if not 0 < held_out < 1:
        raise ConfigError(f"held_out must be in (0, 1), got {held_out!r}")
    drafts = list(dict.fromkeys(pair.draft for pair in pairs))
    if len(drafts) < 2:
        raise BadInput("two different drafts are needed: one to learn from and one to measure on")
    derive(seed, "split_pairs").shuffle(drafts)
    unseen = set(drafts[: min(len(drafts) - 1, max(1, round(len(drafts) * held_out)))])
    return [p for p in pairs if p.draft not in unseen], [p for p in pairs if p.draft in unseen]


def read_pairs(file: Path | str) -> list[EditPair]:
    """Read JSON lines, or one JSON list.

    Raises:
        BadInput: the file cannot be read, holds nothing, or an entry is no edit; the message names it.
    """
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise BadInput(f"cannot read {str(file)!r}: {err}") from err
    numbered: list[tuple[int, Any]] = []
    whole = text.lstrip().startswith("[")
    try:
        if whole:
            numbered = list(enumerate(json.loads(text), 1))
        else:
            for number, line in enumerate(text.splitlines(), 1):
                if line.strip():
                    numbered.append((number, json.loads(line)))
    except ValueError as err:
        where = "" if whole else f":{number}"
        raise BadInput(f"{file}{where}: not JSON: {err}") from err
    pairs = []
    for number, data in numbered:
        try:
            pairs.append(_pair(data))
        except BadInput as err:
            raise BadInput(f"{file}:{number}: no edit: {err}") from err
    if not pairs:
        raise BadInput(f"{str(file)!r} holds no edit")
    return pairs


def _pair(data: Any) -> EditPair:
    if not isinstance(data, Mapping):
        raise BadInput("not a JSON object")
    if "reference_preference" in data:
        return _preferred(data)
    draft, edited = _text(data, _DRAFT), _text(data, _EDITED)
    if draft is None:
        raise BadInput(f"there is no {' or '.join(_DRAFT)}")
    return EditPair(
        draft=draft,
        edited=edited,
        draft_score=_score(data, _DRAFT_SCORE),
        edited_score=_score(data, _EDITED_SCORE),
    )


def _preferred(data: Mapping[str, Any]) -> EditPair:
    first, second = _text(data, _FIRST), _text(data, _SECOND)
    if first is None or second is None:
        raise BadInput("a preference needs both texts, p1 and p2")
    preference = str(data["reference_preference"])
    if preference not in ("1", "2"):
        raise BadInput(f"reference_preference must be 1 or 2, got {preference[:40]!r}")
    better, other = (first, second) if preference == "1" else (second, first)
    return EditPair(draft=other, edited=better)


def _text(data: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    found = next((data[name] for name in names if data.get(name) is not None), None)
    if found is not None and (not isinstance(found, str) or not found.strip()):
        raise BadInput("a text is empty, or no text")
    return found


def _score(data: Mapping[str, Any], names: tuple[str, ...]) -> float | None:
    found = next((data[name] for name in names if data.get(name) is not None), None)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float) or not _LOW <= found <= _HIGH:
        raise BadInput(f"a score must be a number in [0, 10], got {found!r}")
    return float(found)
