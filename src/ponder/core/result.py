"""What a run returns: the answer, every candidate, the cost, and why it stopped."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ponder.core.candidate import Candidate
from ponder.core.errors import Stopped
from ponder.core.trace import finite
from ponder.core.usage import Usage

__all__ = ["SCHEMA", "Result", "total"]

SCHEMA = 1


def total(usage: Mapping[str, Usage]) -> Usage:
    """Add up the usage of all roles."""
    return sum(usage.values(), Usage())


@dataclass(frozen=True, kw_only=True)
class Result:
    """The outcome of one run. Two runs of the same seed are equal; clock fields, ids and what was paid are left out.

    Attributes:
        answer: the extracted answer of the chosen candidate (its text for free text), or None.
        chosen: index into `candidates`, or None when there is none.
        candidates: everything that was sampled, in sample order, with scores.
        usage: nominal cost by role: what equal-cost comparison uses.
        paid: what was really sent by role (stored replies are free, samples dropped by an early decision are not).
        stopped: "done", "agreement", "budget", "deadline", "cancelled", "endpoint" or "overrun".
        detail: the same in words.
        method: registered name, and
        settings: its configuration.
        deterministic: False where the clock or a cancellation decided, or the back-end follows no seed.
        seconds: wall time.
        trace_id: id of the trace.
    """

    answer: str | None
    chosen: int | None
    candidates: tuple[Candidate, ...] = ()
    usage: Mapping[str, Usage] = field(default_factory=dict)
    paid: Mapping[str, Usage] = field(default_factory=dict, compare=False)
    stopped: Stopped = "done"
    detail: str = ""
    method: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    deterministic: bool = True
    seconds: float = field(default=0.0, compare=False)
    trace_id: str = field(default="", compare=False)

    @property
    def candidate(self) -> Candidate | None:
        """The chosen candidate."""
        return None if self.chosen is None else self.candidates[self.chosen]

    @property
    def text(self) -> str:
        """The chosen candidate's whole text; empty when there is none."""
        return "" if self.candidate is None else self.candidate.text

    @property
    def cost(self) -> Usage:
        """The nominal cost of all roles together."""
        return total(self.usage)

    def to_json(self) -> dict[str, Any]:
        """Return one JSON object with a schema version."""
        body = {
            "schema": SCHEMA,
            "answer": self.answer,
            "text": self.text,
            "chosen": self.chosen,
            "stopped": self.stopped,
            "detail": self.detail,
            "method": self.method,
            "settings": dict(self.settings),
            "deterministic": self.deterministic,
            "usage": {role: usage.to_json() for role, usage in self.usage.items()},
            "paid": {role: usage.to_json() for role, usage in self.paid.items()},
            "seconds": self.seconds,
            "trace_id": self.trace_id,
            "candidates": [candidate.to_json() for candidate in self.candidates],
        }
        return {name: finite(value) for name, value in body.items()}

    def _repr_html_(self) -> str:
        """Show the result in a notebook: answer, cost, and the candidates to unfold."""
        esc = html.escape
        rows = []
        for c in self.candidates:
            scores = ", ".join(f"{esc(name)}: {_number(score.value)}" for name, score in c.scores.items())
            mark = "▶" if c.index == self.chosen else ""
            text = esc(c.text or c.error or "")
            rows.append(
                f"<tr><td>{mark}{c.index}</td><td>{esc(c.answer if c.answer is not None else '-')}</td>"
                f"<td>{scores}</td><td>{c.usage.completion_tokens}</td><td>{esc(c.finish or 'failed')}</td>"
                f"<td style='text-align:left;white-space:pre-wrap'>{text}</td></tr>"
            )
        cost = self.cost
        return (
            f"<div><b>{esc(self.answer if self.answer is not None else 'no answer')}</b><br>"
            f"<small>{esc(self.method)} · {cost.calls} calls · {cost.prompt_tokens} + {cost.completion_tokens} tokens"
            f" · {self.seconds:.1f} s · {esc(self.stopped)}{': ' + esc(self.detail) if self.detail else ''}</small>"
            "<details><summary>candidates</summary><table><tr><th>#</th><th>answer</th><th>scores</th>"
            f"<th>tokens</th><th>finish</th><th>text</th></tr>{''.join(rows)}</table></details></div>"
        )

    def __str__(self) -> str:
        return json.dumps(self.to_json(), ensure_ascii=False, indent=1)


def _number(value: float | None) -> str:
    return "missing" if value is None else f"{value:.3g}"
