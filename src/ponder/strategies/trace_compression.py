"""Trace compression: think at length, drop steps that the answer does not need, and answer from what is left.

Paper: Xiao et al. 2025, arXiv:2505.19187 (LIMOPro, card 59): functional steps (verification, other methods, error
correction) with the lowest perplexity-based importance go, of each kind a share; progressive steps stay.
Differs: the paper prunes training data with the gold answer; here the trace of this very run is pruned at inference,
for the answer that it came to itself, and the model answers anew with the short trace in place of the long one. Steps
and kinds come from rules alone unless labels="model". Only steps whose score decides what goes are scored. Without
access to scores (or with importance="order") the latest functional steps go first, which is no measure of importance.
The result says which of the two was done.
Cost: 2 calls of the policy (1 where nothing is dropped), for each step that is scored a pass of the role "scorer", and
with labels="model" a call of the role "labeler" for each 24 steps.
Needs: nothing beyond text; `Access.SCORE` for importance by perplexity.
When: a trace goes on being used (agents, several turns, several answers from one thought) and its length is what costs.
When not: short traces, or a single answer: the second call costs more than the trace saves.
"""

from __future__ import annotations

import string
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Literal, NamedTuple

from ponder.core.access import Access
from ponder.core.candidate import Candidate
from ponder.core.context import Context
from ponder.core.errors import BadInput, ConfigError, Stopped
from ponder.core.model import Request
from ponder.core.registry import strategies
from ponder.core.result import Result
from ponder.core.task import Message, Task
from ponder.engines.sample import sample
from ponder.engines.trace_labels import ROLE as LABELER
from ponder.engines.trace_labels import Labels, label_steps, most_calls
from ponder.numerics.trace_pruning import prune, undecided, whole
from ponder.numerics.trace_steps import join_kept
from ponder.verifiers._importance import ROLE, Scoring, Way, step_importance

__all__ = ["TraceCompression"]


_WORDS = 4096  # of a trace, for estimates


class _Short(NamedTuple):
    """A trace after pruning, and what became of its steps."""

    text: str
    kinds: tuple[str, ...]
    scores: dict[int, float]
    kept: tuple[int, ...]
    how: str
    stopped: Stopped = "done"


@strategies(
    "trace_compression",
    card=59,
    paper="arXiv:2505.19187",
    fidelity="reconstructed",
    tags={
        "what": ("sequential",),
        "how": ("revision", "prompting"),
        "where": ("math", "reasoning"),
        "how_well": ("efficiency",),
    },
    since="0.1",
)
@dataclass(frozen=True, kw_only=True)
class TraceCompression:
    r"""A long thought, pruned, and an answer from what is left.

    Attributes:
        ratio: share of each functional kind of steps that goes, in [0, 1].
        importance: "auto" asks the model for scores where it gives them, "scores" insists, "order" never asks.
        way: how steps are scored: "removal" as in the paper, "arrival" for less reading (see the verifier room's
            `_importance`).
        least_words: fewest words of a step, >= 1.
        steps: most functional steps that are scored, the last ones; others stay, >= 0.
        labels: who labels steps without a marker phrase: "rules" (they stay) or "model".
    """

    ratio: float = 0.5
    importance: Literal["auto", "scores", "order"] = "auto"
    way: Way = "removal"
    least_words: int = 30
    steps: int = 64
    labels: Labels = "rules"

    def __post_init__(self) -> None:
        if not 0 <= self.ratio <= 1 or self.least_words < 1 or self.steps < 0:
            raise ConfigError("needs ratio in [0, 1], least_words >= 1 and steps >= 0")
        if self.importance not in ("auto", "scores", "order"):
            raise ConfigError(f"importance must be auto, scores or order, got {self.importance!r}")
        if self.labels not in ("rules", "model"):
            raise ConfigError(f"labels must be rules or model, got {self.labels!r}")
        Scoring(way=self.way)

    def access(self) -> frozenset[Access]:
        """What these settings need of the model."""
        needed = {Access.TEXT}
        return frozenset(needed | {Access.SCORE} if self.importance == "scores" else needed)

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        scored = 0 if self.importance == "order" else 1 + 2 * self.steps
        asked = most_calls(_WORDS // self.least_words + self.steps, "rules", self.labels)
        return {"policy": 2, ROLE: scored, **({LABELER: asked} if asked else {})}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Think, prune, answer."""
        drawn = await sample(task, ctx, n=1)
        candidates = list(drawn.candidates)
        if not candidates or not candidates[0].ok or drawn.stopped != "done":
            best = 0 if candidates and candidates[0].ok else None
            return ctx.result(candidates, best=best, stopped=drawn.stopped, detail=drawn.detail)
        short = await self._shorten(task, ctx, candidates[0])
        told = {
            "kinds": list(short.kinds),
            "importance": {str(at): score for at, score in short.scores.items()},
            "kept": list(short.kept),
        }
        candidates[0] = ctx.candidates[-1] = replace(candidates[0], metadata=told)
        ctx.trace.instant("prune", ctx.span, **told)
        detail = f"{len(short.kept)} of {len(short.kinds)} steps kept ({short.how})"
        if short.stopped != "done" or len(short.kept) == len(short.kinds) or not short.text.strip():
            return ctx.result(candidates, best=0, stopped=short.stopped, detail=detail)
        try:
            (draw,) = await ctx.model().sample(
                Request(messages=self._chat(task, short.text), sampling=ctx.sampling), path=("compressed", task.id)
            )
        except BadInput as err:
            return ctx.result(candidates, best=0, detail=f"{detail}; not asked again: {err}")
        stopped: Stopped = "done"
        if draw.interrupted is not None:
            stopped = draw.interrupted.reason
        if draw.completion is not None or draw.error is not None:
            done = draw.completion
            answer = Candidate(
                index=1,
                message=None if done is None else done.message,
                answer=None if done is None else ctx.answers(task).extract(done.text),
                finish=None if done is None else done.finish,
                usage=draw.usage,
                error=None if draw.error is None else str(draw.error),
                completion=done,
                metadata={"trace": short.text},
            )
            candidates.append(answer)
            ctx.candidates.append(answer)
        last = candidates[-1]
        second = last.index == 1 and last.ok and last.finish != "cancelled"
        best = 1 if second and (last.answer is not None or candidates[0].answer is None) else 0
        return ctx.result(candidates, best=best, stopped=stopped, detail=detail)

    async def _shorten(self, task: Task, ctx: Context, thought: Candidate) -> _Short:
        """Return the pruned trace of a reply: its thinking where it has some, else its text."""
        assert thought.message is not None
        trace = thought.message.reasoning or thought.text
        told = await label_steps(ctx, task, trace, labels=self.labels, least=self.least_words)
        steps, kinds = told.steps, told.kinds
        if told.ended is not None:
            return _Short(trace, kinds, {}, tuple(range(len(steps))), str(told.ended), told.ended.reason)
        functional = [at for at, kind in enumerate(kinds) if kind != "P"]
        chosen = functional[-self.steps :] if self.steps else []
        deciding = set(undecided(kinds, self.ratio))
        scores: dict[int, float] = {}
        ranks: dict[int, float] = {}
        how = "nothing to score"
        stopped: Stopped = "done"
        able = Access.SCORE in ctx.model(ROLE).access
        if chosen and thought.answer is not None and self.importance != "order" and able:
            asked = [at for at in chosen if at in deciding]
            found = await step_importance(ctx, task, steps, asked, thought.answer, Scoring(way=self.way))
            scores = found.scores
            ranks = {**{at: score for at, score in whole(kinds, self.ratio).items() if at in chosen}, **scores}
            how = f"importance by {self.way}"
            if found.problem:
                how = f"{how}; not all were scored: {found.problem}"
            stopped = "done" if found.ended is None else found.ended.reason
        elif chosen and self.importance != "scores":
            ranks, how = {at: -float(at) for at in chosen}, "the latest go first, nothing was scored"
        if told.problem:
            how = f"{how}; {told.problem}"
        kept = prune(kinds, ranks, self.ratio)
        return _Short(join_kept(steps, kept), kinds, scores, kept, how, stopped)

    def _chat(self, task: Task, trace: str) -> tuple[Message, ...]:
        template = files(__package__).joinpath("prompts/trace_compression.md").read_text(encoding="utf-8")
        asked = string.Template(template).substitute()
        return (*task.messages, Message("assistant", trace.strip()), Message("user", asked.strip()))
