"""Make a problem of a row by naming its columns: a prompt template, the reference, the type of the answer, an id.

Source: our own. Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ponder.core import registry
from ponder.core.errors import BadInput, ConfigError
from ponder.core.task import Message, Task
from ponder.tasks.loaders.rows import SourceRow
from ponder.tasks.problem import Grader, Problem

__all__ = ["Columns", "Template", "make_problem"]


@dataclass(frozen=True)
class Template:
    """Text with columns in braces: "{question} Reply with a number."; a brace itself is written twice.

    Raises:
        ConfigError: no template; or a field is not the plain name of a column.
    """

    text: str

    def __post_init__(self) -> None:
        try:
            fields = [part[1:] for part in string.Formatter().parse(self.text) if part[1] is not None]
        except ValueError as err:
            raise ConfigError(f"cannot read the template {self.text!r}: {err}") from err
        for name, layout, conversion in fields:
            if not name or layout or conversion:
                raise ConfigError(f"the template {self.text!r} may hold names of columns in braces and nothing else")

    def fill(self, row: SourceRow) -> str:
        """Return the text with the row's values.

        Raises:
            BadInput: the row lacks a column, or its value is no text.
        """
        parts = string.Formatter().parse(self.text)
        return "".join(text + (row.text(name) if name is not None else "") for text, name, _, _ in parts)


@dataclass(frozen=True, kw_only=True)
class Columns:
    """How the rows of a user's file become problems.

    Attributes:
        prompt: template of the question.
        reference: column of the gold answer; "" where there is none (the prompt's rules are graded then).
        answer: answer type, or a column that holds it, in braces: "{type}".
        id: column with a stable name; "" for a digest of the prompt.
    """

    prompt: str = "{prompt}"
    reference: str = "reference"
    answer: str = "text"
    id: str = ""

    def problem(self, row: SourceRow) -> Problem:
        """Return the problem of a row.

        Raises:
            BadInput: a column is missing or cannot be used; the message names file, row and column.
        """
        kind = Template(self.answer).fill(row)
        reference = row.text(self.reference) if self.reference else None
        identity = row.text(self.id) if self.id else ""
        prompt = Template(self.prompt).fill(row)
        return make_problem(
            row, prompt, reference=reference, answer=kind, identity=identity, column=self.reference, metadata={}
        )


def make_problem(
    row: SourceRow,
    prompt: str,
    *,
    answer: str,
    column: str,
    metadata: Mapping[str, Any],
    reference: str | None = None,
    identity: str = "",
    grader: Grader | None = None,
) -> Problem:
    """Return a problem whose reference is an answer of its type.

    Args:
        row: where it comes from, for messages.
        prompt: the user message.
        answer: name of the answer type.
        column: that the reference came from, for messages.
        metadata: of the task: nothing that is gold.
        reference: gold.
        identity: stable name of the task.
        grader: program that grades.

    Raises:
        BadInput: the prompt is empty, there is no such answer type, or the reference is no answer of it.
    """
    try:
        kind = registry.answer_types.get(answer).make()
    except ConfigError as err:
        raise BadInput(f"{row.where}: {err}") from err
    if reference is not None and grader is None and kind.extract(reference) is None:
        raise row.fault(column, f"{reference!r:.80} is no answer of type {answer!r}")
    try:
        task = Task(messages=(Message("user", prompt),), answer=answer, id=identity, metadata=metadata)
    except BadInput as err:
        raise BadInput(f"{row.where}: {err}") from err
    return Problem(task=task, reference=reference, grader=grader)
