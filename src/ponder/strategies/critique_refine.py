"""Critique and refine: a critic labels each step of a solution, the actor writes a new one with the critique in view.

Paper: Xi et al. 2024, arXiv:2411.16579 (critique models, card 12). `samples` solutions, each criticised and rewritten
up to `rounds` times with only the newest solution and critique in the chat, then a majority over the refined answers.
Differs: by default a solution is only rewritten where the critic labels its final answer or a step Wrong (gate
"verdict"; the released evaluation rewrites all: gate "always", collect "all"); there a critique that cannot be read
rewrites nothing. One that failed never does. A solution that is not rewritten votes as it is. The oracle gate, which
criticises wrong answers only, needs the reference and is left out. Equal votes go to the answer seen first, chain by
chain: with a single chain keep_original therefore returns the original unless later rewritings agree against it.
Cost: samples * (1 + rounds) calls of the policy and samples * rounds of the role "critic" at most; the gate saves both.
Needs: nothing beyond text; a critic that was trained to criticise (MathCritique-76k), or a strong one.
When: hard questions with checkable steps, and a critic that recognises right answers.
When not: a critic that cries Wrong: each false alarm risks a right answer. Rates and gains: `accuracy_after` in
`ponder.numerics.refinement`.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from typing import Literal

from ponder.core.candidate import Score
from ponder.core.context import Context
from ponder.core.errors import BadInput, ConfigError, Interrupted, ProviderError
from ponder.core.model import Sampling
from ponder.core.registry import strategies
from ponder.core.result import Result
from ponder.core.task import Message, Task
from ponder.core.tasks import gather_all
from ponder.engines.refine import Chain, Refinement, refine
from ponder.numerics.votes import majority
from ponder.verifiers.critique import critique_chat, critique_score, read_critique

__all__ = ["CritiqueRefine"]


@strategies(
    "critique_refine",
    card=12,
    paper="arXiv:2411.16579",
    fidelity="code",
    tags={
        "what": ("sequential", "parallel", "hybrid"),
        "how": ("revision", "verification", "voting"),
        "where": ("reasoning",),
        "how_well": ("accuracy",),
    },
    since="0.1",
)
@dataclass(frozen=True, kw_only=True)
class CritiqueRefine:
    """Rounds of critique and rewriting, then a vote.

    Attributes:
        samples: solutions to start from, >= 1; a single one is greedy.
        rounds: most rewritings of each, >= 0.
        gate: rewrite where the critic objects ("verdict"), or "always".
        keep_original: whether the first solution of each chain votes beside its rewritings.
        collect: which rewritings vote: the "last" of each chain, or "all".
        critic_tokens: most tokens of a critique, >= 1.
        temperature: of the rewritings, >= 0; critiques are greedy.
    """

    samples: int = 1
    rounds: int = 1
    gate: Literal["verdict", "always"] = "verdict"
    keep_original: bool = False
    collect: Literal["last", "all"] = "last"
    critic_tokens: int = 1536
    temperature: float = 0.0

    def __post_init__(self) -> None:
        if self.samples < 1 or self.rounds < 0 or self.critic_tokens < 1 or not self.temperature >= 0:
            raise ConfigError("needs samples >= 1, rounds >= 0, critic_tokens >= 1 and temperature >= 0")
        if self.gate not in ("verdict", "always") or self.collect not in ("last", "all"):
            raise ConfigError(f"no gate {self.gate!r} with collect={self.collect!r}")

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        return {"policy": self.samples * (1 + self.rounds), "critic": self.samples * self.rounds}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Sample, then criticise and rewrite, then vote."""
        greedy = replace(ctx.sampling, temperature=0.0, top_p=1.0, top_k=0, min_p=0.0)
        critiques: dict[int, Score] = {}
        template = string.Template(
            files(__package__).joinpath("prompts/critique_refine.md").read_text(encoding="utf-8")
        )

        async def follow(going: Sequence[Chain], round_: int) -> list[tuple[Message, ...] | None]:
            asked = [partial(self._criticise, task, ctx, chain, round_) for chain in going]
            chats: list[tuple[Message, ...] | None] = []
            ended: Interrupted | None = None
            for chain, found in zip(going, await gather_all(asked), strict=True):
                if isinstance(found, Interrupted):
                    ended = ended or found
                    continue
                newest = chain.attempts[-1]
                critiques[newest.index] = (
                    critique_score(found, newest.text) if isinstance(found, str) else Score.missing(found)
                )
                chats.append(self._chat(task, newest.text, found, template) if isinstance(found, str) else None)
            if ended is not None:
                raise ended
            return chats

        found = await refine(
            task,
            ctx,
            chains=self.samples,
            rounds=self.rounds,
            follow=follow,
            first=greedy if self.samples == 1 else None,
            later=replace(greedy, temperature=self.temperature),
        )
        candidates = [c.scored("critique", critiques[c.index]) if c.index in critiques else c for c in found.candidates]
        pool = self._pool(found)
        at = majority([found.groups[index] for index in pool])
        best = pool[at] if at is not None else next(iter(pool), None)
        detail = found.detail
        if at is None and best is not None:
            detail = "; ".join(filter(None, (detail, "no answer can be read: the first solution that votes")))
        return ctx.result(candidates, best=best, stopped=found.stopped, detail=detail)

    async def _criticise(
        self, task: Task, ctx: Context, chain: Chain, round_: int
    ) -> str | ProviderError | BadInput | Interrupted:
        """Return the critique of a chain's newest solution; errors come back as values, so that siblings go on."""
        law = Sampling(temperature=0.0, top_p=1.0, max_tokens=self.critic_tokens)
        path = ("critique", task.id, chain.number, round_)
        try:
            reply = await ctx.model("critic").ask(critique_chat(task, chain.attempts[-1].text), path=path, sampling=law)
        except (ProviderError, BadInput, Interrupted) as err:
            return err
        reading = read_critique(reply.text)
        ctx.trace.instant(
            "critique", ctx.span, chain=chain.number, round=round_, verdict=reading.verdict, labels=reading.labels
        )
        return reply.text

    def _chat(self, task: Task, solution: str, critique: str, template: string.Template) -> tuple[Message, ...] | None:
        """Return the chat that asks for a new solution; None where the gate lets this one pass."""
        if self.gate == "verdict" and not read_critique(critique).objects:
            return None
        request = template.substitute(critique=critique)
        return (*task.messages, Message("assistant", solution), Message("user", request))

    def _pool(self, found: Refinement) -> list[int]:
        """Return the solutions that vote, chain by chain."""
        pool: list[int] = []
        for chain in found.chains:
            usable = [i for i in chain if (c := found.candidates[i]).ok and c.finish != "cancelled"]
            original, rewritten = usable[:1], usable[1:]
            chosen = rewritten if self.collect == "all" else rewritten[-1:]
            pool += original + chosen if self.keep_original or not chosen else chosen
        return pool
