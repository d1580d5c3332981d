r"""Chain-of-Action-Thought (Satori): steps that continue, reflect or explore; after an answer, restart and explore.

Paper: Shen et al. 2025, arXiv:2502.02508 (Satori, card 18). Steps begin with an action, the answer is the last box, and
one greedy pass is the whole of the paper's inference (`rounds=0`). A restart is its training's: the last t steps off,
t in {0..back}, a reflect mark behind, and on from there.
Differs: restarts at inference are ours (the card's reading for models that were not trained so): `rounds` of them,
`back=0` only appends the mark where the model ended; models without the tokens get three words for the actions
(`marks="words"`), where steps without marks are paragraphs. The training is not done here; its reward and losses
are in `ponder.numerics.action_thought` and `ponder.numerics.reinforce`.
Cost: 1 + `rounds` calls; each restart reads again what it keeps.
Needs: continuation of a given prefix where `rounds` > 0; text alone otherwise.
When: Satori and models like it, served with special tokens kept in the text:
    ponder solve "..." --method coat --set marks=tokens --set rounds=0 -m openai:http://localhost:8000/v1#Satori-7B-Round2
When not: models that were not trained to reflect turn right answers into wrong ones about as often as the reverse:
see the answers before and after each restart in the candidates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ponder.core.access import Access
from ponder.core.candidate import Candidate
from ponder.core.context import Context
from ponder.core.errors import BadInput, ConfigError, Interrupted, ProviderError
from ponder.core.model import Request, Sampling
from ponder.core.registry import strategies
from ponder.core.result import Result
from ponder.core.seeds import derive
from ponder.core.siblings import Draw
from ponder.core.task import Message, Task
from ponder.engines.asking import prompts
from ponder.engines.refine import with_question
from ponder.numerics.action_thought import TOKENS, WORDS, Marks, read_trajectory, restart
from ponder.numerics.votes import majority

__all__ = ["Coat"]

_CUES = {"tokens": "", "words": " Wait, let me check this again."}


@strategies(
    "coat",
    card=18,
    paper="arXiv:2502.02508",
    fidelity="paper",
    access=(Access.PREFIX,),
    tags={
        "what": ("internal", "sequential"),
        "how": ("stimulation", "prompting", "revision"),
        "where": ("math", "reasoning"),
        "how_well": ("accuracy",),
    },
    since="0.3",
)
@dataclass(frozen=True, kw_only=True)
class Coat:
    """Action steps, then restarts from what was written.

    Attributes:
        marks: "tokens" for models that have the action tokens, "words" for others.
        rounds: restarts, >= 0.
        back: most steps that a restart takes off, >= 0; how many is drawn evenly from 0 to this by the run's seed.
        choose: the "last" answer, or the "majority" over those of all rounds.
        temperature: of all passes; 0 is greedy.
    """

    marks: Literal["tokens", "words"] = "words"
    rounds: int = 1
    back: int = 0
    choose: Literal["last", "majority"] = "last"
    temperature: float = 0.0

    def __post_init__(self) -> None:
        if self.marks not in ("tokens", "words") or self.choose not in ("last", "majority"):
            raise ConfigError(f"no marks {self.marks!r} with choose={self.choose!r}")
        if self.rounds < 0 or self.back < 0 or not self.temperature >= 0:
            raise ConfigError("needs rounds >= 0, back >= 0 and temperature >= 0")

    def access(self) -> frozenset[Access]:
        """What it needs from the model, by its settings."""
        return frozenset({Access.PREFIX if self.rounds else Access.TEXT})

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        return {"policy": 1 + self.rounds}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Write, restart, choose."""
        marks = TOKENS if self.marks == "tokens" else WORDS
        law = ctx.sampling
        if not self.temperature:
            law = replace(law, temperature=0.0, top_p=1.0, top_k=0, min_p=0.0)
        law = replace(law, temperature=self.temperature)
        question = prompts("ponder.strategies", "coat")[self.marks].substitute(question=task.prompt)
        messages = with_question(task, question)
        candidates: list[Candidate] = []
        ended: Interrupted | None = None
        text, back = "", 0
        for round_ in range(1 + self.rounds):
            prefix = ""
            if round_:
                back = derive(ctx.seed, "coat", task.id, round_).randint(0, self.back)
                prefix = self._restart(text, back, marks)
            try:
                draw = await self._draw(task, ctx, messages, prefix, law, round_)
            except BadInput as err:  # the solution has outgrown the model's context
                if not candidates:
                    raise ProviderError(f"the first pass failed: {err}") from err
                break
            if draw.interrupted is not None:
                ended = draw.interrupted
            if draw.completion is None and draw.error is None:
                break
            candidate = self._candidate(task, ctx, draw, len(candidates), prefix, marks, round_, back)
            candidates.append(candidate)
            if candidate.ok:
                ctx.candidates.append(candidate)
                text = candidate.text
            # Only a pass that the model ended itself is restarted: behind a cut there is nothing to reflect on.
            if ended is not None or not candidate.ok or candidate.finish != "stop":
                break
        return await self._conclude(task, ctx, candidates, ended)

    async def _conclude(
        self, task: Task, ctx: Context, candidates: list[Candidate], ended: Interrupted | None
    ) -> Result:
        usable = [at for at, c in enumerate(candidates) if c.ok and c.finish != "cancelled"]
        if not usable and candidates and ended is None:
            raise ProviderError(f"every pass failed: {candidates[-1].error}")
        answered = [at for at in usable if candidates[at].answer is not None]
        best = next(iter([*reversed(answered), *reversed(usable)]), None)
        if self.choose == "majority" and answered:
            groups = await ctx.answers(task).group([candidates[at].answer for at in answered])
            voted = majority(groups)
            assert voted is not None  # there is at least one answer
            best = answered[voted]
        if best is None and candidates:
            best = next((at for at, c in enumerate(candidates) if c.ok), None)
        return ctx.result(
            candidates,
            best=best,
            stopped="done" if ended is None else ended.reason,
            detail="" if ended is None else str(ended),
        )

    def _restart(self, text: str, back: int, marks: Marks) -> str:
        steps = [step.text for step in read_trajectory(text, marks).steps]
        if len(steps) == 1:  # the model used no marks: its paragraphs are the steps
            parts = text.split("\n\n")
            steps = [part + "\n\n" for part in parts[:-1]] + parts[-1:]
        kept = restart(steps, back, "") if steps else text
        if self.marks == "words" and kept and not kept.endswith("\n"):
            kept += "\n"
        return kept + marks.reflect + _CUES[self.marks]

    async def _draw(
        self, task: Task, ctx: Context, messages: tuple[Message, ...], prefix: str, law: Sampling, round_: int
    ) -> Draw:
        request = Request(messages=messages, prefix=prefix, sampling=law)
        (draw,) = await ctx.model().sample(request, path=("coat", task.id, round_))
        return draw

    def _candidate(
        self,
        task: Task,
        ctx: Context,
        draw: Draw,
        index: int,
        prefix: str,
        marks: Marks,
        round_: int,
        back: int,
    ) -> Candidate:
        place = {"round": round_, "back": back}
        if draw.completion is None:
            return Candidate(index=index, usage=draw.usage, error=str(draw.error), metadata=place)
        text = prefix + draw.completion.text
        read = read_trajectory(text, marks)
        counts = {action: read.count(action) for action in ("continue", "reflect", "explore")}
        ctx.trace.instant(
            "actions", ctx.span, index=index, round=round_, back=back, answers=len(read.answers), **counts
        )
        return Candidate(
            index=index,
            message=replace(draw.completion.message, text=text),
            answer=ctx.answers(task).extract(text),
            finish=draw.completion.finish,
            usage=draw.usage,
            completion=draw.completion,
            metadata={
                **place,
                **counts,
                "answers": list(read.answers),
                "before_reflection": read.before_last_reflection,
            },
        )
