"""Labelled steps as records: what each task gave, what was left out and why, and what it cost; one JSON line a task.

Source: the labels are those of Zhao et al. 2025, arXiv:2504.00891 (card 57 D); the format is ours. `step_labels` makes
them.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ponder.core.errors import BadInput, Stopped
from ponder.core.usage import Usage
from ponder.numerics.progress_labels import consensus, first_error
from ponder.training._records import read_records, tupled

__all__ = ["SCHEMA", "LabelledSolution", "Outcome", "TaskLabels", "read_labels"]

SCHEMA = 1

Outcome = Literal["labelled", "easy", "hard", "unusable", "unreached", "ended"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelledSolution:
    """One solution.

    Attributes:
        steps: they spell the solution.
        right: whether its answer is.
        values: share of right completions after each step, in [0, 1]; the last is that of its own answer.
        rollouts: how many completions each value rests on.
        progress, labels: of each step, see `numerics.progress_labels`; progress is None once the value has been 0.
        hard: the labels that a value above 0 would give.
        verdicts: of the judge, 1 or 0; None where it has none. Empty without a judge.
        rationales: what the judge wrote on each step.
    """

    steps: tuple[str, ...]
    right: bool
    values: tuple[float, ...]
    rollouts: tuple[int, ...]
    progress: tuple[float | None, ...]
    labels: tuple[int, ...]
    hard: tuple[int, ...]
    verdicts: tuple[int | None, ...] = ()
    rationales: tuple[str, ...] = ()

    @property
    def first_error(self) -> int | None:
        """Index of the first step that makes too little progress, or None."""
        return first_error(self.labels)

    @property
    def agreed(self) -> bool | None:
        """Whether the judge says of every step what its label says: the consensus filter; None without a judge."""
        return consensus(self.labels, self.verdicts) if self.verdicts else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskLabels:
    """What one task gave and what it cost; a line of the file.

    Attributes:
        task: id.
        prompt: of the task.
        outcome: "labelled", or why there is nothing: all samples right ("easy"), none ("hard"), none that can be used
            ("unusable"), a completer that never solves the question ("unreached"), or a run that ended ("ended").
        pass_rate: share of right samples among the usable ones; None without any.
        root: the completer's pass rate on the question, in [0, 1]; None where it was not asked.
        eps: of the labels.
        solutions: labelled; a solution with a step that no completion could be had for is left out.
        usage, paid: nominal and real cost by role.
        stopped: why the run of this task ended.
    """

    task: str
    prompt: str
    outcome: Outcome
    pass_rate: float | None
    root: float | None
    eps: float
    solutions: tuple[LabelledSolution, ...]
    usage: Mapping[str, Usage]
    paid: Mapping[str, Usage]
    stopped: Stopped = "done"

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object; steps are counted from 1 in `first_error`, -1 is none."""
        solutions = []
        for one in self.solutions:
            at = one.first_error
            solutions.append(
                {**dataclasses.asdict(one), "first_error": -1 if at is None else at + 1, "agreed": one.agreed}
            )
        return {
            "v": SCHEMA,
            "task": self.task,
            "prompt": self.prompt,
            "outcome": self.outcome,
            "pass_rate": self.pass_rate,
            "root": self.root,
            "eps": self.eps,
            "solutions": solutions,
            "usage": {role: used.to_json() for role, used in self.usage.items()},
            "paid": {role: used.to_json() for role, used in self.paid.items()},
            "stopped": self.stopped,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TaskLabels:
        """Rebuild from `to_json`.

        Raises:
            BadInput: another schema version.
        """
        if data["v"] != SCHEMA:
            raise BadInput(f"step labels of schema {data['v']}, this ponder reads {SCHEMA}")
        fields = [field.name for field in dataclasses.fields(LabelledSolution)]
        rest = {name: data[name] for name in ("task", "prompt", "outcome", "pass_rate", "root", "eps", "stopped")}
        return cls(
            **rest,
            solutions=tuple(
                LabelledSolution(**{name: tupled(one[name]) for name in fields}) for one in data["solutions"]
            ),
            usage={role: Usage(**used) for role, used in data["usage"].items()},
            paid={role: Usage(**used) for role, used in data["paid"].items()},
        )


def read_labels(file: Path) -> list[TaskLabels]:
    """Return what `label_steps` wrote.

    Raises:
        BadInput: the file cannot be read, or holds something else.
    """
    return read_records(file, TaskLabels.from_json, "step labels")
