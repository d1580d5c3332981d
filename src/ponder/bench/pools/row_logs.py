"""Plain rows with many samples a prompt: JSON lines, JSON, CSV or Parquet, with columns named as you have them.

    {"prompt": "2 + 2?", "responses": ["4", "5"], "reference": "4", "scores": {"rm": [0.9, 0.1]}}   one row a prompt
    {"prompt": "2 + 2?", "response": "4", "reference": "4", "completion_tokens": 1}                 one row a sample

A prompt is text or a list of messages; a response is text or an object with "text" and what is known of it ("finish",
"prompt_tokens", "completion_tokens", "grade", "scores"). Rows of one id, or without ids of one prompt, belong together.
Source: our own. Cost: no model call. Needs: nothing beyond the base install for text files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ponder.bench.pools.importing import Foreign, Given
from ponder.core.errors import BadInput, ConfigError
from ponder.core.task import Message
from ponder.core.usage import Usage
from ponder.tasks.loaders.rows import SourceRow, read_source

__all__ = ["PoolColumns", "read_rows_of_samples"]


@dataclass(frozen=True, kw_only=True)
class PoolColumns:
    """Names of the columns; "" for one that is not to be read.

    Attributes:
        prompt: text, or a list of messages with "role" and "content".
        responses: a list of answers, or
        response: one answer.
        reference: gold.
        id: stable name of the prompt.
        scores: by verifier: one number, or a list beside `responses`. They must not be made with gold.
        grade: right or wrong: one value, or a list.
        prompt_tokens, completion_tokens: of one answer.
        model: who answered.
    """

    prompt: str = "prompt"
    responses: str = "responses"
    response: str = "response"
    reference: str = "reference"
    id: str = "id"
    scores: str = "scores"
    grade: str = "grade"
    prompt_tokens: str = "prompt_tokens"
    completion_tokens: str = "completion_tokens"
    model: str = "model"

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> PoolColumns:
        """Return the columns that a query names.

        Raises:
            ConfigError: no such column setting.
        """
        known = [item.name for item in fields(cls)]
        for name in settings:
            if name not in known:
                raise ConfigError(f"samples have no column setting {name!r}; there are {', '.join(known)}")
        return cls(**settings)


def read_rows_of_samples(file: Path | str, columns: PoolColumns | None = None) -> Iterator[Foreign]:
    """Yield the rows of a file.

    Raises:
        BadInput: the file cannot be read, or a row is of another form; the message names the line and the column.
    """
    names = columns or PoolColumns()
    for row in read_source(str(file)):
        reference = row.values.get(names.reference) if names.reference else None
        yield Foreign(
            where=row.where,
            family=Path(file).name.split(".")[0],
            key="" if row.values.get(names.id) is None else row.text(names.id),
            messages=_messages(row, names.prompt),
            answers=tuple(_answers(row, names)),
            reference=None if reference is None else row.text(names.reference),
            model=str(row.values.get(names.model) or ""),
        )


def _messages(row: SourceRow, column: str) -> tuple[Message, ...]:
    found = row.get(column)
    if isinstance(found, list):
        try:
            return tuple(Message(turn["role"], turn.get("content", turn.get("text"))) for turn in found)
        except (KeyError, TypeError, AttributeError) as err:
            raise row.fault(column, f"is no list of messages: {err!r}") from err
    return (Message("user", row.text(column)),)


def _answers(row: SourceRow, names: PoolColumns) -> Iterator[Given]:
    many = names.responses in row.values
    column = names.responses if many else names.response
    found = row.get(column)
    if many and (not isinstance(found, list) or not found):
        raise row.fault(column, f"needs a list of answers, got {found!r:.80}")
    answers = found if many else [found]
    for at, answer in enumerate(answers):
        body: Any = {"text": answer} if isinstance(answer, str) else answer
        if not isinstance(body, Mapping) or not isinstance(body.get("text"), str):
            raise row.fault(column, f"answer {at} is neither text nor an object with text: {answer!r:.80}")
        beside = {} if many else row.values
        scores = {**_scores(row, names.scores, at, len(answers), many), **dict(body.get("scores") or {})}
        yield Given(
            text=body["text"],
            finish="length" if body.get("finish", beside.get("finish")) == "length" else "stop",
            usage=_usage(row, names, body, beside),
            grade=_grade(row, names.grade, body.get("grade", _at(row, names.grade, at, len(answers), many))),
            scores={name: _number(row, names.scores, value) for name, value in scores.items()},
        )


def _at(row: SourceRow, column: str, at: int, count: int, many: bool) -> Any:
    """Return the value of answer `at` in a column that has one, or a list of them."""
    found = row.values.get(column) if column else None
    if not many or found is None:
        return found
    if not isinstance(found, list) or len(found) != count:
        raise row.fault(column, f"needs one value for each of the {count} answers")
    return found[at]


def _scores(row: SourceRow, column: str, at: int, count: int, many: bool) -> dict[str, Any]:
    found = row.values.get(column) if column else None
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise row.fault(column, f"needs scores by verifier, got {found!r:.80}")
    out = {}
    for name, values in found.items():
        if many and (not isinstance(values, list) or len(values) != count):
            raise row.fault(column, f"{name!r} needs one score for each of the {count} answers")
        out[name] = values[at] if many else values
    return out


def _number(row: SourceRow, column: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise row.fault(column, f"a score must be a number or null, got {value!r:.80}")
    return float(value)


def _grade(row: SourceRow, column: str, value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    if value in (0, 1):
        return bool(value)
    raise row.fault(column, f"a grade is true, false or null, got {value!r:.80}")


def _usage(row: SourceRow, names: PoolColumns, body: Mapping[str, Any], beside: Mapping[str, Any]) -> Usage | None:
    """Return the tokens of an answer; those of the prompt alone say too little."""
    written = body.get("completion_tokens", beside.get(names.completion_tokens))
    read = body.get("prompt_tokens", beside.get(names.prompt_tokens))
    if written is None:
        return None
    try:
        return Usage(calls=1, prompt_tokens=int(read or 0), completion_tokens=int(written), exact=read is not None)
    except (TypeError, ValueError) as err:
        raise BadInput(f"{row.where}: tokens must be whole numbers: {err}") from err
