"""A node of a run as the page draws it, and how a call to a model becomes one.

Source: our own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from ponder.bench.trace_tree import Node

__all__ = ["Spot", "State", "brief", "cut", "path_of", "spelled", "spot_of_call", "took"]

State = Literal["plain", "chosen", "lost", "pruned", "failed"]
TEXT = 20_000  # characters of one text
_MOST = 400  # children of one node


@dataclass(eq=False)
class Spot:
    """A node as the page draws it.

    Attributes:
        kind: "trace", "run", "answer", "step", "call", "choice" or "note".
        label: short name.
        state: what became of it.
        score: the last one, or None where there is none or it is missing.
        scores: in words, one of each verifier.
        answer: what was read out of the text, or None.
        tokens: read and written, or None.
        start, seconds: when it began, and how long it took, or None.
        text: what a model wrote.
        why: why it lost, in one or two sentences; "" where it did not.
        facts: further things to read, by name.
        children: below it.
        place: numbers that others find it by; not shown.
    """

    kind: str
    label: str
    state: State = "plain"
    score: float | None = None
    scores: list[str] = field(default_factory=list)
    answer: str | None = None
    tokens: tuple[int, int] | None = None
    start: float = 0.0
    seconds: float | None = None
    text: str = ""
    why: str = ""
    facts: list[tuple[str, str]] = field(default_factory=list)
    children: list[Spot] = field(default_factory=list)
    place: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object; children beyond a few hundred are left out, and a node says so."""
        shown = self.children[:_MOST]
        if left := len(self.children) - len(shown):
            shown = [*shown, Spot("note", f"{left:,} more are in the trace")]
        return {
            "kind": self.kind,
            "label": self.label,
            "state": self.state,
            "score": self.score,
            "scores": self.scores,
            "answer": self.answer,
            "tokens": self.tokens,
            "start": round(self.start, 4),
            "seconds": None if self.seconds is None else round(self.seconds, 4),
            "text": cut(self.text),
            "why": self.why,
            "facts": [[name, cut(value)] for name, value in self.facts],
            "children": [child.to_json() for child in shown],
        }


def spot_of_call(node: Node) -> Spot:
    """Return the node of a call to a model."""
    data = node.data
    head, numbers = path_of(node)
    used = dict(data.get("usage") or {})
    spot = Spot("call", " ".join([head.replace("_", " ") or "call", *map(str, numbers)]), start=node.start)
    spot.seconds = took(node)
    spot.text = str(data.get("text") or "")
    if used:
        spot.tokens = (int(used.get("prompt_tokens") or 0), int(used.get("completion_tokens") or 0))
    ended = data.get("error") or data.get("interrupted")
    if ended:
        spot.state, spot.why = "failed", f"The call failed: {ended}"
    spot.facts = [("role", str(data.get("role", ""))), ("model", str(data.get("model", "")))]
    spot.facts.append(("ended", str(ended or data.get("finish") or "not ended")))
    if used.get("usd") is not None:
        spot.facts.append(("cost", f"{used['usd']:.6f} USD"))
    if data.get("stored"):
        spot.facts.append(("from the store", "yes: nothing was paid"))
    return spot


def path_of(node: Node) -> tuple[str, tuple[int, ...]]:
    """Return the first word of a call's path, and the numbers behind it."""
    path = list(node.data.get("path") or [""])
    return str(path[0]), tuple(part for part in path[1:] if isinstance(part, int))


def took(node: Node) -> float | None:
    """Return the seconds of a span; None for one that has no end."""
    return None if node.end is None else node.end - node.start


def brief(value: object, length: int) -> str:
    """Return a value in one line of at most so many characters."""
    text = " ".join(str(value).split())
    return text if len(text) <= length else f"{text[:length]}…"


def spelled(value: Any) -> str:
    """Return a JSON value as text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def cut(text: str) -> str:
    """Return a text that the page can hold."""
    return text if len(text) <= TEXT else f"{text[:TEXT]}… ({len(text) - TEXT:,} more characters)"
