"""Plans: read in many spellings, checked, flattened."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput
from ponder.engines.plans import SubTask, check_plan, edges, faults, flat, read_plan

GOOD = {
    "tasks": [
        {"id": "1", "task": "count", "depends": []},
        {"id": "2", "task": "add", "depends": ["1"]},
    ]
}


def shape(plan: tuple[SubTask, ...]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(node.id, node.text, node.depends) for node in plan]


WANTED = [("1", "count", ()), ("2", "add", ("1",))]


@pytest.mark.parametrize(
    "reply",
    [
        json.dumps(GOOD),
        f"Here is the plan:\n```json\n{json.dumps(GOOD, indent=2)}\n```\nGood luck!",
        json.dumps(GOOD["tasks"]),
        '{"steps": [{"question": "count"}, {"question": "add", "depends_on": 1}]}',
        '{"plan": {"tasks": [{"id": 1, "content": "count"}, {"id": 2.0, "content": "add", "parent_id": [1, 1]}]}}',
        "{'tasks': [{'id': '1', 'task': 'count', 'depends': []}, {'id': '2', 'task': 'add', 'depends': ['1'],}]}",
    ],
)
def test_a_plan_is_read_in_many_spellings(reply: str) -> None:
    assert shape(read_plan(reply)) == WANTED
    assert faults(read_plan(reply)) == []


@pytest.mark.parametrize(
    "reply",
    ['{"step1": "count", "step2": "add"}', '["count", "add"]', '{"tasks": {"a": "count", "b": "add"}}'],
)
def test_plain_texts_are_a_plan_without_dependencies(reply: str) -> None:
    assert shape(read_plan(reply)) == [("1", "count", ()), ("2", "add", ())]


def test_names_and_numbers_are_matched() -> None:
    reply = '{"tasks": [{"id": "Task 1", "task": "a"}, {"id": "Task 2", "task": "b", "depends": ["1"]}]}'
    assert read_plan(reply)[1].depends == ("Task 1",)


@pytest.mark.parametrize(
    "reply",
    ["", "I cannot do that.", "{}", '{"tasks": []}', '{"tasks": [1, null, {}]}', '{"answer": 7}', '{"tasks": "x"}'],
)
def test_what_is_no_plan_is_refused(reply: str) -> None:
    with pytest.raises(BadInput, match="no JSON"):
        read_plan(reply)


def node(name: str, *depends: str, text: str = "do") -> SubTask:
    return SubTask(id=name, text=text, depends=depends)


@pytest.mark.parametrize(
    ("plan", "fault"),
    [
        ([], "no sub-task"),
        ([node("a"), node("a")], "several"),
        ([node("a", "b")], "no id"),
        ([node("a", "a")], "itself"),
        ([node("a", text=" ")], "no text"),
        ([node("a", "b"), node("b", "a")], "circle"),
    ],
)
def test_faults_are_named_and_refused(plan: list[SubTask], fault: str) -> None:
    assert any(fault in said for said in faults(plan))
    with pytest.raises(BadInput, match=fault):
        check_plan(plan)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["x", "y", " "]), st.sampled_from("abcd")), max_size=6)
)
def test_any_plan_can_be_flattened(rows: list[tuple[str, str, str]]) -> None:
    plan = [SubTask(id=name, text=text, depends=(needed,)) for name, text, needed in rows]
    made = flat(plan, most=2)
    assert [one.text for one in made] == list(dict.fromkeys(t for _, t, _ in rows if t.strip()))[:2]
    assert not made or faults(made) == []
    assert all(not one.depends for one in made)


def test_edges_are_positions() -> None:
    assert edges([node("b"), node("a", "b"), node("c", "a", "b")]) == [[], [0], [1, 0]]
    with pytest.raises(BadInput, match="'z'"):
        edges([node("a", "z")])
