"""A trace as a tree to unfold: the run, its samples with their scores, other calls, nested runs, votes and the stop.

Any trace can be shown: what is not known by its kind stands there with its data. Texts and numbers of children are
bounded, so that a page with many runs stays readable and small.
Source: our own. Cost: no model call. Needs: the events of a run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ponder.bench.prompt_section import short
from ponder.bench.studies.page import Fold
from ponder.core.trace import Event

__all__ = ["Node", "fold_of", "grow"]

_TEXT = 4000  # characters of one text
_CHILDREN = 100  # of one node


@dataclass(eq=False)
class Node:
    """A span or an instant of a trace.

    Attributes:
        kind: of its events.
        data: of its opening and closing together.
        start: seconds since the trace began, and
        end: None for an instant, and for a span that was never closed.
        children: in the order in which they began.
    """

    kind: str
    data: dict[str, Any]
    start: float
    end: float | None = None
    children: list[Node] = field(default_factory=list)


def grow(events: Sequence[Event]) -> Node:
    """Return the tree; its root stands for the trace. Events whose parent is missing stand at the top."""
    root = Node("trace", {}, 0.0)
    spans = {0: root}
    for event in events:
        if event.phase == "close" and event.id in spans:
            spans[event.id].data.update(event.data)
            spans[event.id].end = event.t
            continue
        node = Node(event.kind, dict(event.data), event.t)
        spans.get(event.parent, root).children.append(node)
        if event.phase == "open":
            spans[event.id] = node
    return root


def fold_of(node: Node) -> Fold:
    """Return a node of a tree, to unfold."""
    match node.kind:
        case "run":
            return _run(node)
        case "call":
            return _call(node, [])
        case "left_out":
            return Fold(summary=f"{node.data.get('events', 'some'):,} events were left out: the trace was too long")
    return Fold(summary=f"{node.kind}{_brief(node.data)}", text=_spelled(node.data), folds=_children(node.children))


def _run(node: Node) -> Fold:
    data = node.data
    known = dict(data.get("settings") or {}).items()
    settings = ", ".join(f"{name}={value}" for name, value in known if value not in (None, ""))
    scores = _scores(node)
    folds, rest = [], []
    for child in node.children:
        if child.kind == "call" and _is_sample(child):
            folds.append(_call(child, scores.get(child.data.get("index"), [])))
        elif child.kind not in ("score", "choose"):
            folds.append(fold_of(child))
    shown = {child.data.get("index") for child in node.children if child.kind == "call" and _is_sample(child)}
    for index, found in scores.items():  # of answers that are no sample of this run
        if index not in shown:
            rest.append(Fold(summary=f"score of {index}: {'; '.join(map(_score, found))}", text=_details(found)))
    left = len(folds) + len(rest) - _CHILDREN
    parts = [*folds, *rest][:_CHILDREN]
    if left > 0:
        parts.append(Fold(summary=f"{left:,} more are in the trace"))
    parts += [_choice(child.data) for child in node.children if child.kind == "choose"][-1:]
    answer = data.get("answer")
    ended = str(data.get("stopped", "not ended"))
    said = [f"{data.get('method', 'run')}{f' ({settings})' if settings else ''}", f"answer {_cut(answer, 60)}", ended]
    return Fold(summary=" · ".join([*said, *_took(node)]), text=_bill(data), folds=tuple(parts))


def _call(node: Node, scores: Sequence[Mapping[str, Any]]) -> Fold:
    data = node.data
    used = dict(data.get("usage") or {})
    head = f"{'sample' if _is_sample(node) else '/'.join(map(str, data.get('path') or ['call']))} {data.get('index')}"
    parts = [head, str(data.get("role", "")), *map(_score, scores)]
    failed = data.get("error") or data.get("interrupted")
    parts.append(f"failed: {failed}" if failed else str(data.get("finish") or "not ended"))
    parts.append(f"{used.get('completion_tokens', 0):,} tokens")
    if data.get("stored"):
        parts.append("from the store")
    text = str(data.get("text") or "")
    facts = [f"{data.get('model', '')}: {used.get('prompt_tokens', 0):,} tokens read", *_took(node)]
    lines = [_cut(text, _TEXT), "", " · ".join(facts), _details(scores)]
    return Fold(summary=" · ".join(filter(None, [*parts, short(text, 60)])), text="\n".join(lines).strip())


def _choice(data: Mapping[str, Any]) -> Fold:
    index = data.get("index")
    chosen = "nothing" if index is None else f"answer {index}"
    detail = str(data.get("detail") or "")
    summary = f"chose {chosen} · {_cut(data.get('answer'), 60)} · stopped: {data.get('stopped', '')}"
    return Fold(summary=f"{summary}: {short(detail)}" if detail else summary, text=detail)


def _scores(node: Node) -> dict[Any, list[Mapping[str, Any]]]:
    found: dict[Any, list[Mapping[str, Any]]] = {}
    for child in node.children:
        if child.kind == "score":
            found.setdefault(child.data.get("index"), []).append(child.data)
    return found


def _score(data: Mapping[str, Any]) -> str:
    value = dict(data.get("score") or {}).get("value")
    shown = f"{value:.3g}" if isinstance(value, int | float) else "missing" if value is None else str(value)
    return f"{data.get('verifier') or 'score'} {shown}"


def _details(scores: Sequence[Mapping[str, Any]]) -> str:
    """Return what a verifier said beside the value."""
    lines = []
    for data in scores:
        more = {name: value for name, value in dict(data.get("score") or {}).items() if name != "value" and value}
        lines += [f"{_score(data)}: {_spelled(more)}"] if more else []
    return "\n".join(lines)


def _is_sample(node: Node) -> bool:
    path = node.data.get("path") or [""]
    return bool(path[0] == "sample")


def _took(node: Node) -> list[str]:
    return [] if node.end is None else [f"{node.end - node.start:.3g} s"]


def _bill(data: Mapping[str, Any]) -> str:
    lines = []
    for role, used in dict(data.get("usage") or {}).items():
        lines.append(
            f"{role}: {used.get('calls', 0):,} calls, {used.get('prompt_tokens', 0):,} tokens read,"
            f" {used.get('completion_tokens', 0):,} written"
        )
    return "\n".join(lines)


def _children(nodes: Sequence[Node]) -> tuple[Fold, ...]:
    folds = [fold_of(node) for node in nodes[:_CHILDREN]]
    if len(nodes) > _CHILDREN:
        folds.append(Fold(summary=f"{len(nodes) - _CHILDREN:,} more are in the trace"))
    return tuple(folds)


def _brief(data: Mapping[str, Any]) -> str:
    """Return the short values of an event in one line."""
    plain = [f"{name} {value}" for name, value in data.items() if isinstance(value, str | int | float)]
    return f" · {short(', '.join(plain), 80)}" if plain else ""


def _spelled(data: Mapping[str, Any]) -> str:
    return _cut(json.dumps(data, ensure_ascii=False, indent=1, default=str), _TEXT) if data else ""


def _cut(value: Any, length: int) -> str:
    text = "–" if value is None else str(value)
    return text if len(text) <= length else f"{text[:length]}… ({len(text) - length:,} more characters)"
