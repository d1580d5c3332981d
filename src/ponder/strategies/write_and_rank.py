"""Write and rank: write a draft, revise it many times on its own, and keep the text that a reward likes best.

Paper: Chakrabarty et al. 2025, arXiv:2504.07532 (WQRM, card 01): an editing model marks spans, rewrites each and gives
the whole text; of N such revisions of one draft the reward model takes the best. The reward gap to the draft is
reported; readers agree more with wide gaps.
Differs: the released pipeline was not seen whole, so the prompt and the sampling law are ours; the draft stays unless a
revision is strictly better; revisions whose length differs by more than `length_change` are not eligible, against
rewards that like length (both our choices). Any verifier may rank; the paper's is `wqrm`.
Cost: 1 + revisions calls of the policy (or the role "editor"), and the verifier's on all texts. Needs: a verifier.
When: open-ended writing, where a second pass is easy and quality can be told by a trained reward.
When not: answers that are right or wrong, or a reward that was trained on other texts: the best of many revisions is
then the one that fools it best.
"""

from __future__ import annotations

import string
from dataclasses import dataclass, replace
from importlib.resources import files

from ponder.core.candidate import Candidate
from ponder.core.context import Context
from ponder.core.errors import BadInput, ConfigError, Stopped
from ponder.core.model import Request
from ponder.core.registry import strategies
from ponder.core.result import Result
from ponder.core.siblings import Draw
from ponder.core.task import Message, Task
from ponder.engines.sample import sample
from ponder.numerics.edit_replies import CATEGORIES, read_edits
from ponder.numerics.writing_rewards import best_revision, length_change

__all__ = ["WriteAndRank"]

EDITOR = "editor"


@strategies(
    "write_and_rank",
    card=1,
    paper="arXiv:2504.07532",
    fidelity="code",
    needs=("verifier",),
    tags={
        "what": ("parallel", "sequential"),
        "how": ("sampling", "revision", "verification"),
        "where": ("open-ended",),
        "how_well": ("win-rate",),
    },
    since="0.1",
)
@dataclass(frozen=True, kw_only=True)
class WriteAndRank:
    """A draft, revisions of it side by side, and the best of all by the verifier.

    Attributes:
        revisions: of the draft, >= 0.
        length_change: largest change in words, as a share of the draft's, that a revision may make; None for any.
        edit_tokens: most tokens of a revision with its list of edits, >= 1.
    """

    revisions: int = 20
    length_change: float | None = 0.3
    edit_tokens: int = 2048

    def __post_init__(self) -> None:
        if self.revisions < 0 or self.edit_tokens < 1:
            raise ConfigError("needs revisions >= 0 and edit_tokens >= 1")
        if self.length_change is not None and not self.length_change >= 0:
            raise ConfigError(f"length_change must be at least 0 or None, got {self.length_change!r}")

    def calls(self) -> dict[str, int]:
        """Most calls by role (the verifier's own come on top)."""
        return {"policy": 1, EDITOR: self.revisions}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Write, revise, rank."""
        drawn = await sample(task, ctx, n=1)
        candidates = list(drawn.candidates)
        if not candidates or not candidates[0].ok:
            return ctx.result(candidates, best=None, stopped=drawn.stopped, detail=drawn.detail)
        draft = candidates[0]
        stopped, notes = drawn.stopped, [drawn.detail]
        if stopped == "done" and self.revisions and draft.text.strip():
            try:
                draws = await self._revise(task, ctx, draft.text)
            except BadInput as err:  # request and draft together do not fit the context
                draws = []
                notes.append(f"not revised: {err}")
            for draw in draws:
                made = self._candidate(draw, draft.text, task, ctx, len(candidates))
                if made is not None:
                    candidates.append(made)
                    ctx.candidates.append(made)
            ended = next((draw.interrupted for draw in draws if draw.interrupted is not None), None)
            if ended is not None:
                stopped = ended.reason
                notes.append(f"{ended}; {len(candidates) - 1} of {self.revisions} revisions")
        candidates = await ctx.score(task, candidates)
        return self._choose(candidates, ctx, stopped, notes)

    def _choose(self, candidates: list[Candidate], ctx: Context, stopped: Stopped, notes: list[str]) -> Result:
        rewards = [candidate.scores[ctx.verifier_name].value for candidate in candidates]
        eligible = [
            reward if "barred" not in c.metadata and c.finish == "stop" else None
            for c, reward in zip(candidates[1:], rewards[1:], strict=True)
        ]
        first = rewards[0]
        best = best_revision(first, eligible)
        chosen = 0 if best is None else best + 1
        gap = None if best is None or first is None else (eligible[best] or 0.0) - first
        known = [reward - first for reward in eligible if reward is not None and first is not None]
        if known:
            notes.append(f"reward gap {0.0 if gap is None else gap:+.3g}, of a random revision {_mean(known):+.3g}")
        if best is None:
            notes.append("the draft is kept")
        barred = sum("barred" in candidate.metadata for candidate in candidates[1:])
        if barred:
            notes.append(f"{barred} of {len(candidates) - 1} revisions cannot be read or change the length too much")
        if rewards and first is None:
            notes.append("the draft has no reward")
        candidates[chosen] = replace(
            candidates[chosen], metadata={**candidates[chosen].metadata, "reward_gap": 0.0 if chosen == 0 else gap}
        )
        return ctx.result(candidates, best=chosen, stopped=stopped, detail="; ".join(filter(None, notes)))

    async def _revise(self, task: Task, ctx: Context, draft: str) -> list[Draw]:
        template = files(__package__).joinpath("prompts/write_and_rank.md").read_text(encoding="utf-8")
        asked = string.Template(template).substitute(
            request=task.prompt.strip(), draft=draft.strip(), categories=", ".join(CATEGORIES)
        )
        law = replace(ctx.sampling, max_tokens=self.edit_tokens)
        request = Request(messages=(Message("user", asked),), sampling=law, n=self.revisions)
        return await ctx.model(EDITOR).sample(request, path=("revise", task.id))

    def _candidate(self, draw: Draw, draft: str, task: Task, ctx: Context, index: int) -> Candidate | None:
        """Return a revision; its text is the revised one. One that cannot be read keeps its reply, and is barred."""
        if draw.error is not None:
            return Candidate(index=index, usage=draw.usage, error=str(draw.error))
        if draw.completion is None:
            return None
        reply = read_edits(draw.completion.text)
        revision = reply.revision(draft)
        metadata: dict[str, object] = {"edits": len(reply.edits)}
        if revision is None:
            metadata["barred"] = "no revised text in the reply"
        elif self.length_change is not None and length_change(draft, revision) > self.length_change:
            metadata["barred"] = f"length changes by {length_change(draft, revision):.0%}"
        text = draw.completion.text if revision is None else revision
        return Candidate(
            index=index,
            message=replace(draw.completion.message, text=text),
            answer=ctx.answers(task).extract(text) if "barred" not in metadata else None,
            finish=draw.completion.finish,
            usage=draw.usage,
            completion=draw.completion,
            metadata=metadata,
        )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
