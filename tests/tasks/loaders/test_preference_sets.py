"""Chosen and rejected answers in their published shapes."""

from __future__ import annotations

import json

import pytest

from ponder.core.errors import BadInput
from ponder.tasks.loaders.load import load_problems
from ponder.tasks.loaders.preferences import preferences
from ponder.tasks.loaders.rows import SourceRow

CHAT = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}]


def row(**values: object) -> SourceRow:
    return SourceRow(where="set.jsonl:1", number=0, values=values)


@pytest.mark.parametrize(
    "values",
    [
        {"prompt": "2 + 2?", "chosen": "4", "rejected": "5", "subset": "maths", "id": 7},
        {"instruction": "2 + 2?", "chosen": "4", "rejected": "5", "category": "maths", "id": "7"},
        {"chosen": CHAT, "rejected": [CHAT[0], {"role": "assistant", "content": "5"}], "subset": "maths", "id": 7},
    ],
)
def test_shapes_agree(values: dict) -> None:
    problem = preferences(row(**values))
    about = problem.task.metadata
    assert (about["request"], about["subset"], about["pair"]) == ("2 + 2?", "maths", "maths-7")
    assert about["first" if problem.reference == "[[A]]" else "second"] == "4"
    assert problem.task.answer == "verdict"


@pytest.mark.parametrize(
    "values",
    [
        {"prompt": "q", "chosen": "4"},
        {"prompt": "q", "chosen": "4", "rejected": "4"},
        {"prompt": " ", "chosen": "4", "rejected": "5"},
        {"chosen": "4", "rejected": "5"},
        {"chosen": [], "rejected": "5"},
        {"chosen": [{"role": "assistant"}], "rejected": "5"},
        {"chosen": ["4"], "rejected": "5"},
    ],
)
def test_what_is_no_pair_is_refused_with_its_place(values: dict) -> None:
    with pytest.raises(BadInput, match=r"set\.jsonl:1"):
        preferences(row(**values))


def test_a_file_has_both_letters_in_the_same_order_each_time(tmp_path) -> None:
    file = tmp_path / "pairs.jsonl"
    lines = [{"prompt": f"q{at}", "chosen": "yes", "rejected": "no", "id": at} for at in range(40)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    problems = load_problems(f"preferences:{file}")
    assert problems == load_problems(f"preferences:{file}")
    assert 10 < sum(problem.reference == "[[A]]" for problem in problems) < 30
