"""Prune reasoning traces for fine-tuning: drop the functional steps that the gold answer needs least.

Source: Xiao et al. 2025, arXiv:2505.19187 (LIMOPro, card 59): split, label, score by perplexity (PIR), prune each kind
of functional step at a ratio, keep the rest in order; the question and the reply's answer stay as they are.
Differs: steps and kinds come from rules (`numerics.trace_steps`), where the paper asks a strong model; the answer is
read with the trace's last sentence hidden where that states it (the paper does not say); "arrival" scores are ours.
The fine-tuning itself is left to a trainer: the file is the usual chat form, one JSON object a line.
Cost: passes over the trace (see `verifiers._importance`), no token is written.
Needs: a model that scores text, and traces with gold answers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ponder.core.access import Access
from ponder.core.candidate import Candidate
from ponder.core.context import Context
from ponder.core.errors import BadInput, ConfigError, Stopped
from ponder.core.model import Model, Request
from ponder.core.result import Result
from ponder.core.solve import Control, solve
from ponder.core.task import Message, Task
from ponder.core.usage import Usage
from ponder.numerics.trace_pruning import prune
from ponder.numerics.trace_steps import classify_step, join_kept, split_trace
from ponder.training.trace_records import TraceRecord
from ponder.verifiers._importance import ROLE, Scoring, step_importance

__all__ = ["Pruned", "TracePruning", "prune_traces"]


@dataclass(frozen=True, kw_only=True)
class TracePruning:
    """How traces are pruned.

    Attributes:
        ratio: share of each functional kind that goes, in [0, 1]; the paper's best is 0.2 to 0.4.
        least_words: fewest words of a step, >= 1.
        scoring: how steps are scored.
    """

    ratio: float = 0.3
    least_words: int = 30
    scoring: Scoring = field(default_factory=Scoring)

    def __post_init__(self) -> None:
        if not 0 <= self.ratio <= 1 or self.least_words < 1:
            raise ConfigError("needs ratio in [0, 1] and least_words >= 1")


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """One trace after pruning.

    Attributes:
        record: with the short trace.
        steps: of the long trace: kind, PIR in nats (None where it was not scored), whether it is kept.
        before, after: tokens of the trace, as the scoring model counts them.
        read: tokens that passes from the start would have read; of these
        cached: were kept by the back-end.
        problem: why steps were not scored; such steps stay.
        usage, paid: nominal and real cost by role.
        stopped: why the run of this trace ended.
    """

    record: TraceRecord
    steps: tuple[tuple[str, float | None, bool], ...]
    before: int
    after: int
    read: int = 0
    cached: int = 0
    problem: str = ""
    usage: Mapping[str, Usage] = field(default_factory=dict)
    paid: Mapping[str, Usage] = field(default_factory=dict)
    stopped: Stopped = "done"

    def to_json(self) -> dict[str, Any]:
        """Return the chat with what was pruned beside it, under "pruning"."""
        table = [{"kind": kind, "pir": pir, "kept": kept} for kind, pir, kept in self.steps]
        told: dict[str, Any] = {"steps": table, "tokens_before": self.before, "tokens_after": self.after}
        if self.problem:
            told["problem"] = self.problem
        return {**self.record.to_json(), "pruning": told}


async def prune_traces(
    model: Model,
    records: Sequence[TraceRecord],
    settings: TracePruning | None = None,
    *,
    file: Path | None = None,
    control: Control | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Pruned]:
    """Prune each trace; a run that is stopped ends with those that are done.

    Args:
        model: scores the answers.
        records: traces with their gold answers.
        settings: how.
        file: to which each pruned trace is appended as it is done; it must not be there yet.
        control: stops it.
        progress: called with (traces done, all of them).

    Raises:
        AccessDenied: the model does not score text.
        BadInput: the file is there already or cannot be written.
    """
    settings = settings or TracePruning()
    if file is not None:
        _check_new(file)
    found: list[Pruned] = []
    for number, record in enumerate(records):
        result = await solve(record.task, model=model, method=_Prune(record, settings), control=control)
        made = _read(record, result)
        if made is None or made.stopped != "done":
            if made is not None:
                found.append(made)
            break
        found.append(made)
        if file is not None:
            _append(file, made)
        if progress is not None:
            progress(number + 1, len(records))
    return found


class _Prune:
    """A method that answers nothing: its one candidate is the short trace, with the steps in its metadata."""

    def __init__(self, record: TraceRecord, settings: TracePruning) -> None:
        self._record, self._settings = record, settings

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        return {ROLE: 1 + 2 * len(self._record.trace.split())}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Split, label, score, prune."""
        settings, model = self._settings, ctx.model(ROLE)
        model.require(Access.SCORE, what="pruning traces")
        steps = split_trace(self._record.trace, least=settings.least_words)
        kinds = tuple(map(classify_step, steps))
        functional = [at for at, kind in enumerate(kinds) if kind != "P"]
        found = await step_importance(ctx, task, steps, functional, self._record.answer, settings.scoring)
        kept = prune(kinds, found.scores, settings.ratio)
        short = join_kept(steps, kept)
        candidate = Candidate(
            index=0,
            message=Message("assistant", short),
            finish="stop",
            metadata={
                "steps": tuple((kind, found.scores.get(at), at in kept) for at, kind in enumerate(kinds)),
                "before": _length(model, self._record.trace),
                "after": _length(model, short),
                "read": found.tokens,
                "cached": found.cached,
                "problem": found.problem,
            },
        )
        stopped: Stopped = "done" if found.ended is None else found.ended.reason
        return ctx.result([candidate], best=0, stopped=stopped, detail=found.problem)


def _read(record: TraceRecord, result: Result) -> Pruned | None:
    if not result.candidates:
        return None
    (candidate,) = result.candidates
    return Pruned(
        record=record.with_trace(candidate.text),
        usage=result.usage,
        paid=result.paid,
        stopped=result.stopped,
        **candidate.metadata,
    )


def _length(model: Any, text: str) -> int:
    return int(model.count(Request(prompt=text)).tokens) if text else 0


def _check_new(file: Path) -> None:
    if file.exists():
        raise BadInput(f"{str(file)!r} is there already: choose another file")


def _append(file: Path, made: Pruned) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(file, "a", encoding="utf-8") as out:
            out.write(json.dumps(made.to_json(), ensure_ascii=False) + "\n")
    except OSError as err:
        raise BadInput(f"cannot write {str(file)!r}: {err.strerror or err}") from err
