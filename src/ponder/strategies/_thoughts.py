"""The nodes of Adaptive Graph of Thoughts: as text for a prompt, as JSON for a result, and read from replies.

Source: card 52 (arXiv:2502.05078). Ids count from 1 within one graph, so that no order of replies can change them; ids
of other graphs, doubled ones and the node's own are dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, NamedTuple

from ponder.core.errors import BadInput
from ponder.engines.asking import Outcome
from ponder.engines.replies import json_values

__all__ = [
    "COMPLEXITY",
    "FINAL",
    "NEXT",
    "TASKS",
    "Proposal",
    "Thought",
    "ancestors_of",
    "as_json",
    "as_text",
    "keep_parents",
    "read_complexity",
    "read_final",
    "read_proposal",
]


def _object(**properties: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_TEXT = {"type": "string"}
_PARENTS = {"type": "array", "items": {"type": "integer"}}
TASKS = _object(tasks={"type": "array", "items": _object(title=_TEXT, content=_TEXT)}, strategy=_TEXT)
NEXT = _object(
    final={"type": "boolean"},
    tasks={"type": "array", "items": _object(title=_TEXT, content=_TEXT, parents=_PARENTS)},
    strategy=_TEXT,
)
FINAL = _object(title=_TEXT, content=_TEXT)
COMPLEXITY = _object(is_complex={"type": "boolean"}, justification=_TEXT)


class Proposal(NamedTuple):
    """What a reply wants done next.

    Attributes:
        tasks: (title, content, parent ids as they were given).
        strategy: the idea behind them.
        final: whether it is one task that gives the final answer.
    """

    tasks: list[tuple[str, str, list[int]]]
    strategy: str
    final: bool


@dataclass
class Thought:
    """A node of a graph.

    Attributes:
        id: from 1, within its graph.
        title, content: what to do.
        layer: from 0.
        depth: of its graph; 0 is the main one.
        strategy: of its layer.
        parents: ids in earlier layers of the same graph.
        outcome: what came of it.
        nested: the nodes of the graph that solved it, if one did.
    """

    id: int
    title: str
    content: str
    layer: int
    depth: int
    strategy: str = ""
    parents: tuple[int, ...] = ()
    outcome: Outcome = field(default_factory=Outcome)
    nested: list[Thought] = field(default_factory=list)


def read_proposal(text: str, *, most: int, first: bool) -> Proposal:
    """Return the tasks of a reply, cut to `most` of them.

    A single task counts as final where the reply or the task says so, or where it stands alone instead of in a list;
    the first tasks of a graph are never final.

    Raises:
        BadInput: there are none.
    """
    for value in json_values(text):
        if isinstance(value, list):
            value = {"tasks": value}
        if not isinstance(value, dict):
            continue
        items = value.get("tasks", value if "content" in value else None)
        alone = isinstance(items, dict)
        items = [items] if alone else items
        if not isinstance(items, list):
            continue
        tasks = [task for item in items if (task := _task(item)) is not None]
        marked = value.get("final") is True or any(
            isinstance(item, dict) and (item.get("final") is True or "answer" in item) for item in items
        )
        final = not first and (alone or marked)
        if tasks or (final and not items):
            strategy = value.get("strategy")
            kept = tasks[-1:] if final else tasks[:most]
            return Proposal(kept, strategy if isinstance(strategy, str) else "", final)
    raise BadInput('there is no JSON object with a list "tasks", each with "title" and "content"')


def read_complexity(text: str) -> bool:
    """Return whether a task is called complex.

    Raises:
        BadInput: there is no JSON object that says so by true or false.
    """
    for value in json_values(text):
        if isinstance(value, dict) and isinstance(value.get("is_complex"), bool):
            return bool(value["is_complex"])
    raise BadInput('there is no JSON object with "is_complex" true or false')


def read_final(text: str) -> tuple[str, str]:
    """Return title and content of the final task.

    Raises:
        BadInput: there is no JSON object with them.
    """
    for value in json_values(text):
        if isinstance(value, dict) and isinstance(value.get("tasks"), list) and value["tasks"]:
            value = value["tasks"][-1]
        if (task := _task(value)) is not None:
            return task[0], task[1]
    raise BadInput('there is no JSON object with "title" and "content"')


def keep_parents(given: Sequence[int], known: Sequence[Thought], own: int) -> tuple[int, ...]:
    """Return the ids that are nodes of this graph, each once, in the order given, without the node's own."""
    ids = {thought.id for thought in known} - {own}
    return tuple(dict.fromkeys(name for name in given if name in ids))


def ancestors_of(thought: Thought, graph: Sequence[Thought]) -> list[Thought]:
    """Return all thoughts that a thought builds on, directly or not, in the order of the graph."""
    by_id = {other.id: other for other in graph}
    seen: set[int] = set()
    open_ = list(thought.parents)
    while open_:
        name = open_.pop()
        if name not in seen:
            seen.add(name)
            open_.extend(by_id[name].parents)
    return [other for other in graph if other.id in seen]


def as_text(graph: Sequence[Thought]) -> str:
    """Return a graph as one element a node; of a nested graph only its answer is seen."""
    if not graph:
        return "none"
    lines = []
    for thought in graph:
        children = [other.title for other in graph if thought.id in other.parents]
        lines.append(f'<task id="{thought.id}" depth="{thought.depth}" layer="{thought.layer}">')
        for name, value in (
            ("title", thought.title),
            ("content", thought.content),
            ("strategy", thought.strategy),
            ("answer", thought.outcome.text),
            ("children", "; ".join(children)),
        ):
            if value:
                lines.append(f"  <{name}>{escape(value, quote=False)}</{name}>")
        lines.append("</task>")
    return "\n".join(lines)


def as_json(graph: Sequence[Thought]) -> list[dict[str, Any]]:
    """Return a graph with the graphs inside it as JSON values."""
    return [
        {
            "id": thought.id,
            "title": thought.title,
            "content": thought.content,
            "answer": thought.outcome.text,
            "depth": thought.depth,
            "layer": thought.layer,
            "strategy": thought.strategy,
            "parents": list(thought.parents),
            "nested": as_json(thought.nested),
        }
        for thought in graph
    ]


def _task(item: object) -> tuple[str, str, list[int]] | None:
    """Return title, content and parents of a task in a reply; None where it has no text."""
    if isinstance(item, str):
        item = {"content": item}
    if not isinstance(item, dict):
        return None
    texts = [item.get(name) for name in ("title", "content")]
    title, content = (text.strip() if isinstance(text, str) else "" for text in texts)
    if not title and not content:
        return None
    given = item.get("parents", item.get("parent_id", item.get("depends", [])))
    given = given if isinstance(given, list) else [given]
    return title or content[:60], content or title, [name for one in given if (name := _number(one)) is not None]


def _number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) else None
