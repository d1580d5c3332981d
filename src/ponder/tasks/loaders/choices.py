"""Multiple choice: questions in the shapes of MMLU and ARC, with the options lettered in the prompt.

Source: the published formats of MMLU (`question`, `choices`, `answer` as an index; or columns A to D and a letter) and
ARC (`question`, `choices` with `text` and `label`, `answerKey`; also the original nested form), which most other sets
of multiple choice follow. Options are lettered anew from A, since ARC labels some of its options with digits.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ponder.tasks.loaders.columns import make_problem
from ponder.tasks.loaders.rows import SourceRow
from ponder.tasks.problem import Problem

__all__ = ["arc", "mmlu"]

_LETTERS = "ABCDEFGHIJ"  # as many as the answer type `choice` reads


def mmlu(row: SourceRow) -> Problem:
    """`question`, `choices` (a list) or columns `A`, `B`, ...; `answer` (or `target`): an index from 0 or a letter."""
    if "choices" in row.values:
        options, column = row.get("choices"), "choices"
        if not isinstance(options, Sequence) or isinstance(options, str):
            raise row.fault(column, f"needs a list of options, got {options!r:.80}")
    else:
        options, column = [row.text(name) for name in _LETTERS if name in row.values], "A"
    key = next((name for name in ("answer", "target") if name in row.values), "answer")
    given = row.text(key).strip()
    index = int(given) if given.isdecimal() else _LETTERS.find(given) if len(given) == 1 else -1
    return _problem(row, "mmlu", row.text("question"), [str(o) for o in options], index, columns=(column, key))


def arc(row: SourceRow) -> Problem:
    """`question`, `choices` ({"text": [...], "label": [...]}), `answerKey`, `id`; also the original nested shape."""
    question: Any = row.get("question")
    choices: Any = row.values.get("choices")
    column = "choices"
    if isinstance(question, Mapping):
        question, choices, column = question.get("stem"), question.get("choices"), "question"
    try:
        texts, labels = _texts_and_labels(choices)
    except (TypeError, KeyError, AttributeError) as err:
        raise row.fault(column, f"needs options with text and label: {err!r}") from err
    if not isinstance(question, str):
        raise row.fault("question", f"needs text, got {question!r:.80}")
    key = row.text("answerKey").strip()
    index = labels.index(key) if key in labels else -1
    identity = str(row.values.get("id") or "")
    return _problem(row, "arc", question, texts, index, columns=(column, "answerKey"), identity=identity)


def _texts_and_labels(choices: Any) -> tuple[list[str], list[str]]:
    if isinstance(choices, Mapping):
        texts, labels = list(choices["text"]), list(choices["label"])
    else:
        texts, labels = [choice["text"] for choice in choices], [choice["label"] for choice in choices]
    if len(texts) != len(labels):
        raise TypeError(f"{len(texts)} texts and {len(labels)} labels")
    return [str(text) for text in texts], [str(label) for label in labels]


def _problem(
    row: SourceRow,
    family: str,
    question: str,
    options: Sequence[str],
    index: int,
    *,
    columns: tuple[str, str],
    identity: str = "",
) -> Problem:
    if not 2 <= len(options) <= len(_LETTERS):
        raise row.fault(columns[0], f"needs 2 to {len(_LETTERS)} options, got {len(options)}")
    if not 0 <= index < len(options):
        raise row.fault(columns[1], f"names none of the {len(options)} options: {row.values[columns[1]]!r:.80}")
    lines = [f"{letter}. {option}" for letter, option in zip(_LETTERS, options, strict=False)]
    prompt = "\n".join([question.strip(), *lines, "Answer with the letter of the right option."])
    metadata = {"family": family}
    if subject := row.values.get("subject"):
        metadata["subject"] = str(subject)
    return make_problem(
        row,
        prompt,
        reference=_LETTERS[index],
        answer="choice",
        column=columns[1],
        metadata=metadata,
        identity=identity,
    )
