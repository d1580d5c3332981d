"""Sample logs of lm-evaluation-harness (`--log_samples`): samples_TASK_DATE.jsonl, one line for each document.

Read of a line: doc_id, target, arguments (the prompt, or a chat as JSON), resps (all repeats).
Source: the format of EleutherAI's lm-evaluation-harness 0.4.x, both spellings of its arguments. Differs: what its
filters took out of an answer is not read, answers are extracted here; a document that is listed once for each filter
is read once. Multiple choice by likelihood has no samples and is refused.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ponder.bench.pools.importing import Foreign, Given
from ponder.core.errors import BadInput
from ponder.core.task import Message
from ponder.tasks.loaders.rows import SourceRow, read_source

__all__ = ["read_lm_eval"]

_NAME = re.compile(r"samples_(?P<task>.+?)(?:_\d{4}-\d\d-\d\dT[\d:.\-]+)?$")


def read_lm_eval(file: Path | str) -> Iterator[Foreign]:
    """Yield the documents of a log.

    Raises:
        BadInput: the file cannot be read, or a line is no generated sample; the message names the line.
    """
    path = Path(file)
    named = _NAME.match(path.name.split(".jsonl")[0])
    family = named["task"] if named else path.name.split(".jsonl")[0]
    filters: dict[str, str] = {}
    for row in read_source(str(path)):
        key, used = row.text("doc_id"), str(row.values.get("filter", ""))
        if filters.setdefault(key, used) != used:
            continue
        prompt = _prompt(row)
        texts = list(_texts(row, row.get("resps")))
        if not texts:
            raise row.fault("resps", "holds no answer")
        yield Foreign(
            where=row.where,
            family=family,
            key=key,
            messages=_chat(prompt),
            answers=tuple(Given(text=text) for text in texts),
            reference=_reference(row),
        )


def _prompt(row: SourceRow) -> str:
    """Return the prompt of [[prompt, settings]], [prompt, settings] or {"gen_args_0": {"arg_0": prompt, ...}}."""
    given = row.get("arguments")
    if isinstance(given, Mapping):
        given = next(iter(given.values()), None)
        given = list(given.values()) if isinstance(given, Mapping) else given
    elif isinstance(given, list) and given and isinstance(given[0], list):
        given = given[0]
    if not (isinstance(given, list) and given and isinstance(given[0], str)):
        raise row.fault("arguments", f"holds no prompt: {given!r:.80}")
    if len(given) > 1 and not isinstance(given[1], Mapping):
        raise row.fault("arguments", "is a likelihood, not a generated answer: there are no samples to choose among")
    return given[0]


def _texts(row: SourceRow, found: Any) -> Iterator[str]:
    if isinstance(found, str):
        yield found
    elif isinstance(found, list):
        for one in found:
            yield from _texts(row, one)
    else:
        raise row.fault("resps", f"holds what is no text: {found!r:.80}")


def _chat(prompt: str) -> tuple[Message, ...]:
    """Return the prompt as messages; chat back-ends log the chat as JSON."""
    if prompt.lstrip().startswith("[{"):
        try:
            return tuple(Message(turn["role"], turn["content"]) for turn in json.loads(prompt))
        except (ValueError, KeyError, TypeError, BadInput):
            pass  # a text that begins so
    return (Message("user", prompt),)


def _reference(row: SourceRow) -> str | None:
    found = row.values.get("target")
    if isinstance(found, list):
        if len(found) != 1:
            raise row.fault("target", f"has {len(found)} references, one can be compared")
        found = found[0]
    if found is None or found == "":
        return None
    if not isinstance(found, str | int | float):
        raise row.fault("target", f"is no text: {found!r:.80}")
    return str(found)
