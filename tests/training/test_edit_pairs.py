from __future__ import annotations

import json
from pathlib import Path

import pytest

from ponder.core.errors import BadInput, ConfigError
from ponder.training.edit_pairs import EditPair, read_pairs, split_pairs, writing_items

PAIRS = [EditPair(draft=f"bad {k}", edited=f"good {k}", draft_score=3.0, edited_score=8.0) for k in range(40)]


def test_items_of_each_kind() -> None:
    pairs = writing_items(PAIRS, "P", seed=1)
    assert len(pairs) == 40
    assert {item.label for item in pairs} == {0, 1}  # sides are drawn
    assert all((item.first if item.label == 0 else item.second or "").startswith("good") for item in pairs)
    rewards = writing_items(PAIRS, "R")
    assert len(rewards) == 80
    assert all(item.score == (3.0 if item.first.startswith("bad") else 8.0) for item in rewards)
    assert len(writing_items(PAIRS, "PR")) == 120
    assert writing_items(PAIRS, "PR", seed=1) == writing_items(PAIRS, "PR", seed=1)
    assert writing_items(PAIRS, "PR", seed=1) != writing_items(PAIRS, "PR", seed=2)
    with pytest.raises(BadInput):
        writing_items([EditPair(draft="a", edited="a ")], "P")
    with pytest.raises(ConfigError):
        writing_items(PAIRS, "X")  # type: ignore[arg-type]


def test_drafts_are_held_out_whole() -> None:
    twice = [*PAIRS, *PAIRS]
    learnt, unseen = split_pairs(twice, 0.25, seed=3)
    assert len(unseen) == 20
    assert not {pair.draft for pair in learnt} & {pair.draft for pair in unseen}
    assert [len(part) for part in split_pairs(PAIRS[:2], 0.99)] == [1, 1]
    with pytest.raises(BadInput):
        split_pairs(PAIRS[:1], 0.5)
    with pytest.raises(ConfigError):
        split_pairs(PAIRS, 1.0)


def test_files_are_read(tmp_path: Path) -> None:
    rows = [
        {"draft": "a", "edited": "b", "draft_score": 3, "edited_score": 8.5},
        {"text": "only", "score": 9},
        {"original": "c", "edited": "d"},
    ]
    wanted = [
        EditPair(draft="a", edited="b", draft_score=3.0, edited_score=8.5),
        EditPair(draft="only", draft_score=9.0),
        EditPair(draft="c", edited="d"),
    ]
    file = tmp_path / "edits"
    file.write_text("\n\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert read_pairs(file) == wanted
    file.write_text(json.dumps(rows), encoding="utf-8")
    assert read_pairs(file) == wanted


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ({"original": "a", "edited": "b", "initial_score": 3, "final_score": 8}, ("a", "b", 3.0, 8.0)),
        ({"preedit": "a", "postedit": "b"}, ("a", "b", None, None)),
        ({"draft": "a", "edited": "b", "draft_score": 0, "edited_score": 10}, ("a", "b", 0.0, 10.0)),
        ({"draft": "a", "edited": None, "score": 4.5}, ("a", None, 4.5, None)),
        ({"paragraph": "a", "zscore": 1.93}, ("a", None, 1.93, None)),
        ({"text": "a", "score": 9}, ("a", None, 9.0, None)),
        ({"p1": "a", "p2": "b", "reference_preference": "2"}, ("a", "b", None, None)),
        ({"p1": "a", "p2": "b", "reference_preference": "1"}, ("b", "a", None, None)),
        ({"paragraph1": "a", "paragraph2": "b", "reference_preference": 2}, ("a", "b", None, None)),
    ],
)
def test_every_form_that_is_documented_is_read(row: dict[str, object], wanted: tuple, tmp_path: Path) -> None:
    file = tmp_path / "edits.jsonl"
    file.write_text(json.dumps({**row, "other": "column"}) + "\n", encoding="utf-8")
    (pair,) = read_pairs(file)
    assert (pair.draft, pair.edited, pair.draft_score, pair.edited_score) == wanted


@pytest.mark.parametrize(
    "text",
    ['{"p1": "a", "reference_preference": "1"}', '{"p1": "a", "p2": "b", "reference_preference": "tie"}',
     "", "[]", "{", "[{]", "3", '{"edited": "b"}', '{"draft": " "}', '{"draft": "a", "score": 11}',
     '{"draft": "a", "score": true}', '{"draft": 5}'],
)  # fmt: skip
def test_broken_files_are_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "edits.jsonl"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput):
        read_pairs(file)
    with pytest.raises(BadInput):
        read_pairs(tmp_path / "none")
