"""Replies of the embedded model to the prompts of methods that plan, as they came, with what a person makes of them.

Each file of `tests/fixtures/bad_outputs` holds the model and rows of part, question, seed, law, reply, and by hand:
`usable`, whether the reply is in the form and says something of its own, and `kind`, what is wrong with it if not. Of
a part that asks for an answer the form is that a number can be read. `record_bad_outputs` asks for new ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ponder.core import registry
from ponder.core.errors import BadInput
from ponder.engines.asking import prompts
from ponder.engines.replies import repeats

__all__ = ["FOLDER", "number", "recorded", "usable"]

FOLDER = Path(__file__).parents[1] / "fixtures" / "bad_outputs"
Row = Mapping[str, Any]
Readers = Mapping[str, Callable[[str], Any]]


def recorded(method: str) -> pytest.MarkDecorator:
    """Run a test with every recorded reply to a method's prompts, as its argument `row`."""
    found = json.loads((FOLDER / f"{method}.json").read_text(encoding="utf-8"))["rows"]
    ids = [f"{at}-{row['part']}-{row['kind']}" for at, row in enumerate(found)]
    return pytest.mark.parametrize("row", found, ids=ids)


def number(text: str) -> str:
    """Return the number that is read as the answer, or refuse a text without one."""
    found: str | None = registry.answer_types.get("number").make().extract(text)
    if found is None:
        raise BadInput("there is no number in it")
    return found


def usable(method: str, row: Row, readers: Readers, *, package: str = "ponder.strategies") -> bool:
    """Return whether a method would use the reply."""
    try:
        readers[row["part"]](row["reply"])
    except BadInput:
        return False
    return not repeats(row["reply"], prompts(package, method)[row["part"]].template)
