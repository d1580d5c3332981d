"""Prune reasoning traces for fine-tuning: drop the functional steps that the gold answer needs least.

Source: Xiao et al. 2025, arXiv:2505.19187 (LIMOPro, card 59): split, label, score by perplexity (PIR), prune each kind
of functional step at a ratio, keep the rest in order; the question and the reply's answer stay as they are.
Differs: by default steps and kinds come from rules alone; with `split` and `labels` a model parts the trace and labels
what has no marker, as in the paper (its prompts are not printed: ours). The answer is read with the trace's last
sentence hidden where that states it (the paper does not say); "arrival" scores, and scoring no more than what decides,
are ours; the latter drops the very same steps.
The fine-tuning itself is left to a trainer: the file is the usual chat form, one JSON object a line.
Cost: passes over the trace (see `verifiers._importance`); no token is written but by a model that parts or labels (see
`engines.trace_labels`).
Needs: a model that scores text, and traces with gold answers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ponder.core.access import Access
from ponder.core.candidate import Candidate
from ponder.core.context import Context
from ponder.core.errors import BadInput, ConfigError, Stopped
from ponder.core.model import Model, Request
from ponder.core.result import Result
from ponder.core.seeds import derive
from ponder.core.solve import Control, solve
from ponder.core.task import Message, Task
from ponder.core.usage import Usage
from ponder.engines.trace_labels import ROLE as LABELER
from ponder.engines.trace_labels import Labelled, Labels, label_steps, most_calls
from ponder.numerics.trace_pruning import FUNCTIONAL, prune, prune_any, prune_at_random, removals, undecided, whole
from ponder.numerics.trace_steps import join_kept
from ponder.training.trace_records import TraceRecord
from ponder.verifiers._importance import ROLE, Importance, Scoring, step_importance

__all__ = ["Pruned", "TracePruning", "prune_traces"]


@dataclass(frozen=True, kw_only=True)
class TracePruning:
    """How traces are pruned.

    Attributes:
        ratio: share of each functional kind that goes, in [0, 1]; the paper's best is 0.2 to 0.4.
        least_words: fewest words of a step where rules part the trace, >= 1.
        scoring: how steps are scored.
        scores: "all" scores every functional step; "deciding" leaves out kinds of which no step goes, or every one.
            The same steps go.
        split: who parts the trace, "rules" or "model".
        labels: who labels steps without a marker phrase; by rules they are progressive, and stay.
        rank: what goes first: "pir", or a baseline of the paper: as many functional steps at "random" (RULE), or as
            many of "any" kind by the lowest importance (SPIRIT).
    """

    ratio: float = 0.3
    least_words: int = 30
    scoring: Scoring = field(default_factory=Scoring)
    scores: Literal["all", "deciding"] = "all"
    split: Labels = "rules"
    labels: Labels = "rules"
    rank: Literal["pir", "random", "any"] = "pir"

    def __post_init__(self) -> None:
        if not 0 <= self.ratio <= 1 or self.least_words < 1:
            raise ConfigError("needs ratio in [0, 1] and least_words >= 1")
        if self.scores not in ("all", "deciding"):
            raise ConfigError(f"scores must be all or deciding, got {self.scores!r}")
        if self.rank not in ("pir", "random", "any"):
            raise ConfigError(f"rank must be pir, random or any, got {self.rank!r}")
        if not {self.split, self.labels} <= {"rules", "model"}:
            raise ConfigError(f"split and labels must be rules or model, got {self.split!r} and {self.labels!r}")


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """One trace after pruning.

    Attributes:
        record: with the short trace.
        steps: of the long trace: kind, PIR in nats (None where it was not scored), whether it is kept.
        before, after: tokens of the trace, as the scoring model counts them.
        read: tokens that passes from the start would have read; of these
        cached: were kept by the back-end.
        labelled: steps that a model labelled.
        problem: why steps were not scored or not labelled; such steps stay.
        usage, paid: nominal and real cost by role.
        stopped: why the run of this trace ended.
    """

    record: TraceRecord
    steps: tuple[tuple[str, float | None, bool], ...]
    before: int
    after: int
    read: int = 0
    cached: int = 0
    labelled: int = 0
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
    labeler: Model | None = None,
    control: Control | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Pruned]:
    """Prune each trace; a run that is stopped ends with those that are done.

    Args:
        model: scores the answers.
        records: traces with their gold answers.
        settings: how.
        file: to which each pruned trace is appended as it is done; it must not be there yet.
        labeler: parts and labels, where the settings ask for a model; by default the one that scores.
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
    roles = {} if labeler is None else {LABELER: labeler}
    for number, record in enumerate(records):
        result = await solve(record.task, model=model, method=_Prune(record, settings), roles=roles, control=control)
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
        words = len(self._record.trace.split())
        asked = most_calls(words, self._settings.split, self._settings.labels)
        return {ROLE: 1 + 2 * words, **({LABELER: asked} if asked else {})}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Split, label, score, prune."""
        settings, model = self._settings, ctx.model(ROLE)
        model.require(Access.SCORE, what="pruning traces")
        told = await label_steps(
            ctx,
            task,
            self._record.trace,
            split=settings.split,
            labels=settings.labels,
            least=settings.least_words,
        )
        steps, kinds = told.steps, told.kinds
        if told.ended is not None:  # nothing is dropped for labels that are not there
            return self._result(ctx, told, Importance(ended=told.ended), range(len(steps)))
        found = await step_importance(ctx, task, steps, self._scored(kinds), self._record.answer, settings.scoring)
        return self._result(ctx, told, found, self._kept(kinds, found.scores, ctx))

    def _scored(self, kinds: Sequence[str]) -> Sequence[int]:
        """Return the places of the steps whose importance is needed."""
        settings = self._settings
        if settings.rank == "random":
            return ()
        if settings.rank == "any":
            return range(len(kinds)) if _gone(kinds, settings.ratio) else ()
        if settings.scores == "deciding":
            return undecided(kinds, settings.ratio)
        return [at for at, kind in enumerate(kinds) if kind != "P"]

    def _kept(self, kinds: Sequence[str], scores: Mapping[int, float], ctx: Context) -> Sequence[int]:
        settings = self._settings
        if settings.rank == "random":
            return prune_at_random(kinds, settings.ratio, derive(ctx.seed, "prune_traces", self._record.task.id))
        if settings.rank == "any":
            if len(scores) < len(kinds):  # without all of them there is no order
                return range(len(kinds))
            return prune_any([scores[at] for at in range(len(kinds))], _gone(kinds, settings.ratio))
        known = {**(whole(kinds, settings.ratio) if settings.scores == "deciding" else {}), **scores}
        return prune(kinds, known, settings.ratio)

    def _result(self, ctx: Context, told: Labelled, found: Importance, kept: Sequence[int]) -> Result:
        model, short = ctx.model(ROLE), join_kept(told.steps, kept)
        problem = "; ".join(filter(None, (told.problem, found.problem)))
        candidate = Candidate(
            index=0,
            message=Message("assistant", short),
            finish="stop",
            metadata={
                "steps": tuple((kind, found.scores.get(at), at in kept) for at, kind in enumerate(told.kinds)),
                "before": _length(model, self._record.trace),
                "after": _length(model, short),
                "read": found.tokens,
                "cached": found.cached,
                "labelled": told.asked,
                "problem": problem,
            },
        )
        stopped: Stopped = "done" if found.ended is None else found.ended.reason
        return ctx.result([candidate], best=0, stopped=stopped, detail=problem)


def _gone(kinds: Sequence[str], ratio: float) -> int:
    """Return how many steps `prune` drops where all are scored."""
    return sum(removals(kinds.count(kind), ratio) for kind in FUNCTIONAL)


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
