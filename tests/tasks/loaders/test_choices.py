from __future__ import annotations

import pytest

from ponder.core.errors import BadInput
from ponder.tasks.loaders.choices import arc, mmlu
from ponder.tasks.loaders.rows import SourceRow

SHOWN = "Which is red?\nA. sky\nB. blood\nC. grass\nAnswer with the letter of the right option."
OPTIONS = ["sky", "blood", "grass"]
NESTED = [{"text": text, "label": str(at)} for at, text in enumerate(OPTIONS, 1)]


def row(**values: object) -> SourceRow:
    return SourceRow(where="set.jsonl:1", number=0, values=values)


@pytest.mark.parametrize(
    "values",
    [
        {"question": "Which is red?", "choices": OPTIONS, "answer": 1, "subject": "colour"},
        {"question": "Which is red?", "choices": OPTIONS, "answer": "B", "subject": "colour"},
        {"question": "Which is red?", "A": "sky", "B": "blood", "C": "grass", "target": "B", "subject": "colour"},
    ],
)
def test_mmlu_shapes_agree(values: dict) -> None:
    problem = mmlu(row(**values))
    assert (problem.task.prompt, problem.reference, problem.task.answer) == (SHOWN, "B", "choice")
    assert problem.task.metadata == {"family": "mmlu", "subject": "colour"}


@pytest.mark.parametrize(
    "values",
    [
        {"question": "Which is red?", "choices": {"text": OPTIONS, "label": ["A", "B", "C"]}, "answerKey": "B"},
        {"question": "Which is red?", "choices": {"text": OPTIONS, "label": ["1", "2", "3"]}, "answerKey": "2"},
        {"question": {"stem": "Which is red?", "choices": NESTED}, "answerKey": "2"},
    ],
)
def test_arc_shapes_agree_and_digits_become_letters(values: dict) -> None:
    problem = arc(row(**values, id="q1"))
    assert (problem.task.prompt, problem.reference, problem.task.id) == (SHOWN, "B", "q1")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"question": "x", "choices": ["a", "b"], "answer": 2}, "column 'answer': names none of the 2 options: 2"),
        ({"question": "x", "choices": ["a", "b"], "answer": "E"}, "column 'answer': names none"),
        ({"question": "x", "choices": ["a", "b"], "answer": ""}, "column 'answer': names none"),
        ({"question": "x", "choices": "ab", "answer": 0}, "column 'choices': needs a list"),
        ({"question": "x", "choices": ["a"], "answer": 0}, "column 'choices': needs 2 to 10 options, got 1"),
        ({"question": "x", "answer": "A"}, "column 'A': needs 2 to 10 options, got 0"),
        ({"choices": ["a", "b"], "answer": 0}, "no column 'question'"),
    ],
)
def test_faults_of_mmlu_name_the_column(values: dict, message: str) -> None:
    with pytest.raises(BadInput, match=rf"^set\.jsonl:1: {message}"):
        mmlu(row(**values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"question": "x", "choices": {"text": OPTIONS, "label": ["A"]}}, "column 'choices': needs options"),
        ({"question": "x", "choices": ["a", "b"]}, "column 'choices': needs options"),
        ({"question": {"stem": "x"}}, "column 'question': needs options"),
        ({"question": 3, "choices": NESTED}, "column 'question': needs text"),
        ({"question": "x", "choices": NESTED, "answerKey": "4"}, "column 'answerKey': names none"),
    ],
)
def test_faults_of_arc_name_the_column(values: dict, message: str) -> None:
    with pytest.raises(BadInput, match=rf"^set\.jsonl:1: {message}"):
        arc(row(**{"answerKey": "1", **values}))
