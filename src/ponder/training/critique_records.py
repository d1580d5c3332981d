"""Critiques as records: each solution with its critique, what became of it, and chats to train a critic or an actor on.

Source: what is kept follows Xi et al. 2024, arXiv:2411.16579 (card 12); the format is ours. `critique_data` makes them.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ponder.core.errors import BadInput, Stopped
from ponder.core.task import Task
from ponder.core.usage import Usage
from ponder.training._records import read_records, tupled
from ponder.verifiers.critique import critique_chat

__all__ = ["SCHEMA", "CritiqueItem", "TaskCritiques", "critic_chats", "read_critiques"]

SCHEMA = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class CritiqueItem:
    """One solution and its critique.

    Attributes:
        solution: its steps, one a line.
        how: "sampled", "resampled" or "inserted".
        right: whether its answer is.
        first_error: number of the first wrong step, from 1; None where it is not known, or there is none.
        hint: the mistake that was asked for.
        critique: what the critic wrote; None where it failed.
        labels: of the steps; None where a step has none that can be read.
        verdict: on the final answer.
        refined, fixed: refinements that the critique led to, and how many of them are right.
        refinements: the right ones that show their work, without repeats of the critique.
        dropped: why the critique is not to be learnt; empty where it is kept.
    """

    solution: str
    how: str
    right: bool
    first_error: int | None = None
    hint: str = ""
    critique: str | None = None
    labels: tuple[bool | None, ...] = ()
    verdict: bool | None = None
    refined: int = 0
    fixed: int = 0
    refinements: tuple[str, ...] = ()
    dropped: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskCritiques:
    """What one task gave and what it cost; a line of the file.

    Attributes:
        task: id.
        prompt: of the task.
        items: its solutions; none where the run ended.
        usage, paid: nominal and real cost by role.
        stopped: why the run of this task ended.
    """

    task: str
    prompt: str
    items: tuple[CritiqueItem, ...]
    usage: Mapping[str, Usage]
    paid: Mapping[str, Usage]
    stopped: Stopped = "done"

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {
            "v": SCHEMA,
            "task": self.task,
            "prompt": self.prompt,
            "items": [dataclasses.asdict(item) for item in self.items],
            "usage": {role: used.to_json() for role, used in self.usage.items()},
            "paid": {role: used.to_json() for role, used in self.paid.items()},
            "stopped": self.stopped,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TaskCritiques:
        """Rebuild from `to_json`.

        Raises:
            BadInput: another schema version.
        """
        if data["v"] != SCHEMA:
            raise BadInput(f"critiques of schema {data['v']}, this ponder reads {SCHEMA}")
        return cls(
            task=data["task"],
            prompt=data["prompt"],
            items=tuple(
                CritiqueItem(**{name: tupled(value) for name, value in item.items()}) for item in data["items"]
            ),
            usage={role: Usage(**used) for role, used in data["usage"].items()},
            paid={role: Usage(**used) for role, used in data["paid"].items()},
            stopped=data["stopped"],
        )


def critic_chats(found: Iterable[TaskCritiques]) -> list[list[dict[str, str]]]:
    """Return the kept critiques as chats to fine-tune a critic on: what `critique` asks, and the reply; no hints."""
    chats = []
    for one in found:
        for item in one.items:
            if item.critique is not None and not item.dropped:
                (asked,) = critique_chat(Task.of(one.prompt), item.solution)
                reply = {"role": "assistant", "content": item.critique}
                chats.append([{"role": "user", "content": asked.text}, reply])
    return chats


def read_critiques(file: Path) -> list[TaskCritiques]:
    """Return what `make_critiques` wrote.

    Raises:
        BadInput: the file cannot be read, or holds something else.
    """
    return read_records(file, TaskCritiques.from_json, "critiques")
