"""Plans: sub-tasks that depend on each other, read from a reply, checked, and made runnable.

Source: our own (DESIGN §5); the shape is that of cards 31, 38, 52, 60 and 62. A plan in a reply is an object with a
list of sub-tasks ("tasks", "steps", "questions" ...), each with its text, and where it has any its id and what it
depends on.
Pure: asking again is the work of `ponder.engines.task_graph`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ponder.core.budget import Budget
from ponder.core.errors import BadInput
from ponder.engines.replies import json_values
from ponder.numerics import graphs

__all__ = ["PLAN_SCHEMA", "SubTask", "check_plan", "edges", "faults", "flat", "read_plan"]

_LISTS = ("tasks", "steps", "questions", "sub_questions", "subtasks", "sub-questions", "plan")
_TEXTS = ("task", "question", "content", "text", "description", "title")
_STEP = re.compile(r"(?:step|task|sub-?question)[\s_-]*\d+", re.IGNORECASE)
_NEEDED = ("depends", "depend", "depends_on", "dependencies", "parents", "parent_id")

PLAN_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "tasks": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "task": {"type": "string"},
                    "depends": {"type": "array", "items": {"type": "string"}},
                },
                "required": ["id", "task", "depends"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["tasks"],
    "additionalProperties": False,
}


@dataclass(frozen=True, kw_only=True)
class SubTask:
    """A node of a plan.

    Attributes:
        id: unique within its plan.
        text: what to do.
        depends: ids of the nodes whose results it needs.
        method: registered name of the method that does it; empty for one call.
        settings: of that method.
        budget: its own limits.
        role: of the model that does it; a role without a model of its own is the policy.
        answer: answer type of its result, for methods that compare answers.
        most: most calls that it can make; 0: as many as its method says.
    """

    id: str
    text: str
    depends: tuple[str, ...] = ()
    method: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    budget: Budget | None = None
    role: str = "policy"
    answer: str = "text"
    most: int = 0


def edges(plan: Sequence[SubTask]) -> list[list[int]]:
    """Return for each node the positions of those it depends on.

    Raises:
        BadInput: it depends on an id that no node has.
    """
    places = {node.id: at for at, node in enumerate(plan)}
    try:
        return [[places[earlier] for earlier in node.depends] for node in plan]
    except KeyError as err:
        raise BadInput(f"no sub-task has the id {err.args[0]!r}") from None


def faults(plan: Sequence[SubTask]) -> list[str]:
    """Return what keeps a plan from being run, in words for the model that wrote it; empty: nothing."""
    if not plan:
        return ["there is no sub-task in it"]
    wrong = []
    ids = Counter(node.id for node in plan)
    wrong += [f"the id {name!r} is given to several sub-tasks" for name, count in ids.items() if count > 1]
    for node in plan:
        wrong += [f"{node.id!r} depends on {name!r}, which is no id" for name in node.depends if name not in ids]
        if node.id in node.depends:
            wrong.append(f"{node.id!r} depends on itself")
        if not node.text.strip():
            wrong.append(f"{node.id!r} has no text")
    if not wrong and graphs.order(edges(plan)) is None:
        wrong.append("the sub-tasks depend on each other in a circle")
    return wrong


def check_plan(plan: Sequence[SubTask]) -> None:
    """Refuse a plan that cannot be run.

    Raises:
        BadInput: naming what is wrong with it.
    """
    if wrong := faults(plan):
        raise BadInput(f"a plan that cannot be run: {'; '.join(wrong)}")


def flat(plan: Sequence[SubTask], *, most: int | None = None) -> tuple[SubTask, ...]:
    """Return the sub-tasks that have a text, each once, without dependencies and with ids of their own.

    Args:
        plan: whatever could be read.
        most: keep so many at most.
    """
    texts = dict.fromkeys(" ".join(node.text.split()) for node in plan if node.text.strip())
    kept = list(texts)[:most]
    return tuple(SubTask(id=str(k), text=text) for k, text in enumerate(kept, 1))


def read_plan(text: str) -> tuple[SubTask, ...]:
    """Return the sub-tasks of a reply as they are written there, not checked (see `faults`).

    A sub-task without an id gets its place, from 1. Keys in other common spellings are read too, and a list of plain
    texts, or an object {"step1": "...", ...}.

    Raises:
        BadInput: there is no list of sub-tasks in it.
    """
    for value in json_values(text):
        items = _items(value)
        nodes = [node for at, item in enumerate(items, 1) if (node := _node(item, at)) is not None]
        if nodes:
            return _renamed(nodes)
    raise BadInput("there is no JSON with a list of sub-tasks in it")


def _items(value: object) -> list[object]:
    """Return the list of sub-tasks in a JSON value; empty for none."""
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        return []
    for name in _LISTS:
        inner = value.get(name)
        if isinstance(inner, list):
            return inner
        if isinstance(inner, dict):
            return _items(inner) or list(inner.values())
    steps = [item for key, item in value.items() if _STEP.fullmatch(str(key)) and item]
    return steps if all(isinstance(step, str) for step in steps) else []


def _node(item: object, at: int) -> SubTask | None:
    if isinstance(item, str) and item.strip():
        return SubTask(id=str(at), text=item.strip())
    if not isinstance(item, dict):
        return None
    text = next((item[name] for name in _TEXTS if isinstance(item.get(name), str) and item[name].strip()), None)
    if text is None:
        return None
    needed = next((item[name] for name in _NEEDED if name in item), None)
    needed = needed if isinstance(needed, list) else [] if needed in (None, "") else [needed]
    name = item.get("id", at)
    return SubTask(
        id=_name(name) or str(at),
        text=text.strip(),
        depends=tuple(dict.fromkeys(filter(None, map(_name, needed)))),
    )


def _name(value: object) -> str:
    """Return an id as text; empty for what is none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def _renamed(nodes: list[SubTask]) -> tuple[SubTask, ...]:
    """Let "Task 1" be found where a dependency says "1", as models mix the two; other names stay."""
    ids = {node.id for node in nodes}
    short = {node.id.split()[-1]: node.id for node in nodes if " " in node.id}
    return tuple(
        replace(node, depends=tuple(name if name in ids else short.get(name, name) for name in node.depends))
        for node in nodes
    )
