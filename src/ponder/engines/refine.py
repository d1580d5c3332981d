"""Chains of attempts: sample first attempts, then ask for the next one of each chain with what came before in the chat.

Source: our own (DESIGN §5); used by sequential revisions (Snell et al. 2024, arXiv:2408.03314, card 04) and by
critique and refinement (Xi et al. 2024, arXiv:2411.16579, card 12).
All chains take each round together, so that a strategy asks its critics about all of them at once and the calls of a
round queue in the order of the chains. A failed attempt is kept and counted, but not shown to the next one; a chain
without any attempt that worked, or whose chat no longer fits the model's context, ends.
Cost: chains * (1 + rounds) calls at most, plus what `follow` asks for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from ponder.core.candidate import Candidate
from ponder.core.context import Context
from ponder.core.errors import BadInput, Interrupted, ProviderError, RequestRefused, Stopped
from ponder.core.model import Request, Sampling
from ponder.core.siblings import Draw
from ponder.core.task import Message, Task
from ponder.core.tasks import gather_all
from ponder.core.usage import Usage
from ponder.engines.sample import sample

__all__ = ["Chain", "Follow", "Refinement", "refine", "with_question"]


@dataclass(frozen=True)
class Chain:
    """What one chain has so far.

    Attributes:
        number: from 0.
        attempts: those that worked, oldest first.
    """

    number: int
    attempts: tuple[Candidate, ...]


# Given the chains still going and the number of the next round (from 1): each one's next chat, or None to end it.
Follow = Callable[[Sequence[Chain], int], Awaitable[Sequence[Sequence[Message] | None]]]


@dataclass(frozen=True, kw_only=True)
class Refinement:
    """All attempts.

    Attributes:
        candidates: in the order of rounds; their metadata say "chain" and "round".
        chains: for each chain the positions of its attempts in `candidates`, failed ones included.
        groups: for each candidate the index of the first with an equal answer; None where there is none to count.
        stopped, detail: why it ended.
    """

    candidates: tuple[Candidate, ...]
    chains: tuple[tuple[int, ...], ...]
    groups: tuple[int | None, ...]
    stopped: Stopped = "done"
    detail: str = ""


async def refine(
    task: Task,
    ctx: Context,
    *,
    chains: int,
    rounds: int,
    follow: Follow,
    first: Sampling | None = None,
    later: Sampling | None = None,
) -> Refinement:
    """Sample `chains` first attempts and follow each of them up at most `rounds` times.

    The first attempts are the samples 0..chains - 1 of the task, as other methods draw them.

    Args:
        task: what to answer.
        ctx: the run.
        chains: >= 1.
        rounds: >= 0.
        follow: writes the next chats; when it is interrupted the attempts so far are returned.
        first: the law of the first attempts; by default the context's.
        later: the law of the others; by default the context's.

    Raises:
        ProviderError: every first attempt failed.
    """
    answers = ctx.answers(task)
    drawn = await sample(task, ctx, n=chains, sampling=first)
    candidates = [replace(c, metadata={**c.metadata, "chain": k, "round": 0}) for k, c in enumerate(drawn.candidates)]
    found: list[list[int]] = [[k] if k < len(candidates) else [] for k in range(chains)]
    going = [Chain(k, (c,)) for k, c in enumerate(candidates) if _usable(c)]
    stopped, detail = drawn.stopped, drawn.detail
    for round_ in range(1, rounds + 1):
        if not going or stopped != "done":
            break
        try:
            chats = await follow(going, round_)
        except Interrupted as why:
            stopped, detail = why.reason, f"{why}; during round {round_} of {rounds}"
            break
        asked = [(chain, tuple(chat)) for chain, chat in zip(going, chats, strict=True) if chat is not None]
        draws = await gather_all([partial(_next, task, ctx, chain, round_, chat, later) for chain, chat in asked])
        going = []
        for (chain, _), draw in zip(asked, draws, strict=True):
            if draw.interrupted is not None:
                stopped = draw.interrupted.reason
                detail = f"{draw.interrupted}; during round {round_} of {rounds}"
            if draw.completion is None and draw.error is None:
                continue
            place = {"chain": chain.number, "round": round_}
            candidate = Candidate(index=len(candidates), usage=draw.usage, error=_text(draw.error), metadata=place)
            if draw.completion is not None:
                candidate = replace(
                    candidate,
                    message=draw.completion.message,
                    answer=answers.extract(draw.completion.text),
                    finish=draw.completion.finish,
                    completion=draw.completion,
                )
            found[chain.number].append(candidate.index)
            candidates.append(candidate)
            ctx.candidates.append(candidate)
            if _usable(candidate):
                going.append(replace(chain, attempts=(*chain.attempts, candidate)))
            elif not isinstance(draw.error, RequestRefused):  # what is refused once will be refused again
                going.append(chain)
    usable = [c.answer if _usable(c) else None for c in candidates]
    return Refinement(
        candidates=tuple(candidates),
        chains=tuple(map(tuple, found)),
        groups=tuple(await answers.group(usable)),
        stopped=stopped,
        detail=detail,
    )


def with_question(task: Task, text: str) -> tuple[Message, ...]:
    """Return the task's chat with the text of its last user message replaced (or a new one at the end)."""
    messages = list(task.messages)
    if messages[-1].role == "user":
        messages[-1] = replace(messages[-1], text=text)
    else:
        messages.append(Message("user", text))
    return tuple(messages)


async def _next(
    task: Task, ctx: Context, chain: Chain, round_: int, chat: tuple[Message, ...], law: Sampling | None
) -> Draw:
    request = Request(messages=chat, sampling=law or ctx.sampling)
    try:
        (draw,) = await ctx.model().sample(request, path=("refine", task.id, chain.number, round_))
    except BadInput as err:  # the chat has outgrown the model's context
        return Draw(0, Usage(), error=RequestRefused(str(err)))
    return draw


def _usable(candidate: Candidate) -> bool:
    return candidate.ok and candidate.finish != "cancelled"


def _text(error: ProviderError | None) -> str | None:
    return None if error is None else str(error)
