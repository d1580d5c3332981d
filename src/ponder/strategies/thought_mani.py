"""ThoughtMani: a small model's outline stands in for the thought of a large one, which then answers at once.

Paper: arXiv:2504.13626 (card 23). A small model lists key points up to a stop mark; they are put between the thinking
tags of the large model's turn, and it goes on with the answer. An outline with nothing before the mark says "I cannot":
the large model then thinks itself. The paper's baselines come with it: an empty thought, a thought cut at half its
length, and a request to be brief.
Differs: the card was written from abstracts and notes, so prompts are ours; tags and turn marks inside an outline are
taken out; an outline has at most 256 tokens; lines that give away an answer can be dropped (`strip_answer`); an empty
answer after an injected thought falls back once. A thought is cut by its tokens where the back-end gives them, else by
characters.
Cost: one short call of the role "small" and one of the policy, which writes no thought unless it falls back or thinks
again; the outline is read, not written, by the large model. A cut thought: 2 calls.
Needs: continuation of a given prefix; a reasoning model, and a smaller one in the role "small".
When: a reasoning model that thinks long on questions whose approach a small model knows.
When not: distilled reasoners with a weak outline writer: they follow a wrong outline.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from ponder.core.access import Access
from ponder.core.candidate import Candidate
from ponder.core.context import Context
from ponder.core.errors import ConfigError
from ponder.core.model import Sampling
from ponder.core.registry import strategies
from ponder.core.result import Result
from ponder.core.task import Message, Task
from ponder.engines.asking import Outcome, affords, call, prompts
from ponder.engines.replies import unthought
from ponder.engines.task_graph import conclude_graph

__all__ = ["ThoughtMani"]

_STOP = "<STOP>"
_OPEN, _CLOSE = "<think>\n", "\n</think>\n\n"
_END = "</think>"
# Thinking tags, and the turn marks of chat formats.
_MARKS = re.compile(r"</?think(?:ing)?>|<\|[^|<>]{1,40}\|>|</?s>|<(?:start|end)_of_turn>", re.IGNORECASE)
_GIVEN_AWAY = re.compile(r"\\boxed|\b(?:final )?answer(?: is|:|=)", re.IGNORECASE)


@strategies(
    "thought_mani",
    card=23,
    paper="arXiv:2504.13626",
    fidelity="reconstructed",
    access=(Access.PREFIX,),
    tags={
        "what": ("efficiency", "internal"),
        "how": ("prompting", "stimulation"),
        "where": ("reasoning", "safety"),
        "how_well": ("efficiency", "accuracy"),
    },
    since="0.3",
)
@dataclass(frozen=True, kw_only=True)
class ThoughtMani:
    """A thought from outside.

    Attributes:
        thought: where the thought comes from: "external" (the method), "empty", "cut" (its own, cut), or "brief" (its
            own, asked to be short).
        give_up: the small model may say that it cannot; else its outline is always used.
        opened: the model's chat template opens the thought itself, so that no opening tag is put in.
        strip_answer: drop lines of an outline that give away an answer.
        outline_tokens: most tokens of an outline, >= 1.
        keep: share of its own thought that is kept by "cut", in [0, 1].
    """

    thought: Literal["external", "empty", "cut", "brief"] = "external"
    give_up: bool = True
    opened: bool = False
    strip_answer: bool = False
    outline_tokens: int = 256
    keep: float = 0.5

    def __post_init__(self) -> None:
        if self.thought not in ("external", "empty", "cut", "brief"):
            raise ConfigError(f"thought is external, empty, cut or brief, got {self.thought!r}")
        if self.outline_tokens < 1 or not 0 <= self.keep <= 1:
            raise ConfigError("needs outline_tokens >= 1 and keep in [0, 1]")

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        if self.thought == "external":
            return {"policy": 2, "small": 1}
        return {"policy": 2 if self.thought == "cut" else 1}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Get a thought, put it in, answer."""
        ctx.model().require(Access.PREFIX, what="thought_mani")
        match self.thought:
            case "empty":
                tried = [await self._inject(task, ctx, "")]
            case "cut":
                tried = await self._cut(task, ctx)
            case "brief":
                *before, last = task.messages
                said = f"{last.text}\n\n{prompts(__package__, 'thought_mani')['brief'].template}"
                tried = [await self._think(task, ctx, (*before, replace(last, text=said)))]
            case _:
                tried = await self._external(task, ctx)
        ended = next((outcome.ended for outcome in tried if outcome.ended is not None), None)
        found = [self._read(task, ctx, o.candidate) for o in tried if o.candidate is not None]
        return conclude_graph(task, ctx, found[:-1], found[-1] if found else None, ended=ended)

    async def _external(self, task: Task, ctx: Context) -> list[Outcome]:
        outline, ended = "", None
        if affords(ctx, 2):
            texts = prompts(__package__, "thought_mani")
            given = texts["give_up"].template + "\n" if self.give_up else ""
            prompt = texts["outline"].substitute(question=task.prompt, give_up=given)
            law = replace(ctx.sampling, max_tokens=self.outline_tokens, stop=(_STOP,))
            path = ("outline", task.id)
            drawn = await call(ctx, [Message("user", prompt)], path=path, role="small", law=law)
            outline, ended = self._outline(drawn.text), drawn.ended
        route = "external" if outline or not self.give_up else "fallback"
        ctx.trace.instant("outline", ctx.span, route=route, text=outline)
        if ended is not None:
            return [Outcome(ended=ended)]
        if route == "fallback":
            return [await self._think(task, ctx, task.messages)]
        first = await self._inject(task, ctx, outline)
        if first.ended is None and not self._answer(first) and affords(ctx, 1):
            return [first, await self._think(task, ctx, task.messages)]
        return [first]

    def _outline(self, text: str) -> str:
        """Return the key points: what stands before the first stop mark, without tags."""
        points = _MARKS.sub("", unthought(text.partition(_STOP)[0])).strip()
        if self.strip_answer:
            points = "\n".join(line for line in points.split("\n") if not _GIVEN_AWAY.search(line)).strip()
        return points

    async def _inject(self, task: Task, ctx: Context, thought: str) -> Outcome:
        """Answer after a thought."""
        before = "" if self.opened else _OPEN
        return await self._continue(
            task, ctx, task.messages, before + thought + _CLOSE, "answer", {"route": "injected", "thought": thought}
        )

    async def _think(self, task: Task, ctx: Context, messages: tuple[Message, ...]) -> Outcome:
        """Let the model think and answer in one go."""
        return await self._continue(task, ctx, messages, "" if self.opened else _OPEN, "whole", {"route": "own"})

    async def _cut(self, task: Task, ctx: Context) -> list[Outcome]:
        """Let the model think, keep the beginning of it, and answer."""
        law = replace(ctx.sampling, stop=(*ctx.sampling.stop, _END))
        before = "" if self.opened else _OPEN
        facts = {"route": "thinking"}
        drawn = await self._continue(task, ctx, task.messages, before, "thought", facts, law, thinking=True)
        if drawn.ended is not None or drawn.candidate is None or not drawn.candidate.ok:
            return [drawn]
        return [drawn, await self._inject(task, ctx, _beginning(drawn.candidate, self.keep))]

    async def _continue(
        self,
        task: Task,
        ctx: Context,
        messages: tuple[Message, ...],
        prefix: str,
        place: str,
        facts: Mapping[str, Any],
        law: Sampling | None = None,
        *,
        thinking: bool = False,
    ) -> Outcome:
        """Continue the large model's turn behind a prefix."""
        path = ("thought_mani", task.id, place)
        return await call(ctx, messages, path=path, law=law, prefix=prefix, thinking=thinking, **facts)

    def _answer(self, outcome: Outcome) -> str:
        """Return what an answer says behind its last thought; empty for nothing."""
        found = outcome.candidate
        return "" if found is None or not found.ok else found.text.rpartition(_END)[2].strip()

    def _read(self, task: Task, ctx: Context, candidate: Candidate) -> Candidate:
        """Part the thought from the answer: what the model thought itself, or again, is no part of the answer."""
        route = candidate.metadata["route"]
        if candidate.message is None or route == "thinking":
            return candidate
        own, closed, answer = candidate.text.rpartition(_END)
        if route == "own" and not closed:  # cut while it was thinking: the whole is all there is
            own, answer = "", candidate.text
        reasoning = "\n".join(filter(None, (candidate.metadata.get("thought", ""), own.strip())))
        message = replace(candidate.message, text=answer.strip(), reasoning=reasoning or None)
        facts = {**candidate.metadata, "rethought": route == "injected" and bool(closed)}
        found = ctx.answers(task).extract(message.text)
        return replace(candidate, message=message, answer=found, metadata=facts)


def _beginning(candidate: Candidate, share: float) -> str:
    """Return the first `share` of a thought."""
    tokens = candidate.completion.tokens if candidate.completion is not None else None
    if tokens is not None and "".join(tokens.texts).startswith(candidate.text):
        return "".join(tokens.texts[: int(len(tokens.texts) * share)]).rstrip("\n")
    return candidate.text[: int(len(candidate.text) * share)].rstrip("\n")
