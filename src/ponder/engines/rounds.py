"""Agents in rounds: each answers, then sees what was said in the round before and answers again.

Source: our own (DESIGN §5); the loop of multi-agent debate (card 09, arXiv:2505.22960), of which parallel samples (one
round) and self-refinement (one agent) are special cases.
All agents of a round are asked together, from the same state of the talk, and their calls queue in the order of the
agents. Agent j of the first round is sample j of the task, as other methods draw it, where agents share a model and an
instruction. A failed reply is kept, but not shown to anybody.
Cost: agents * rounds calls at most. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ponder.core.access import Access
from ponder.core.candidate import Candidate
from ponder.core.context import Context
from ponder.core.errors import BadInput, Interrupted, ProviderError, RequestRefused, Stopped
from ponder.core.model import Request
from ponder.core.siblings import Draw
from ponder.core.task import Message, Task
from ponder.core.tasks import gather_all
from ponder.core.usage import Usage
from ponder.engines.sample import sample

__all__ = ["Agent", "Speak", "Talk", "instructed", "rounds", "unanimous", "usable"]


@dataclass(frozen=True, kw_only=True)
class Agent:
    """Who talks.

    Attributes:
        role: of its model.
        persona: an instruction that stands in its system message; "" for none.
    """

    role: str = "policy"
    persona: str = ""


# What was said: for each round, oldest first, each agent's reply, or None where it gave none that can be used.
Said = Sequence[Sequence[Candidate | None]]
# Given an agent's number and what was said: its next chat.
Speak = Callable[[int, Said], Sequence[Message]]


@dataclass(frozen=True, kw_only=True)
class Talk:
    """All that was said.

    Attributes:
        candidates: round by round, in the order of the agents; their metadata say "agent" and "round" (from 0).
        places: for each round begun and each agent, the position of its reply in `candidates`; None for none.
        groups: for each candidate the index of the first with an equal answer; None where there is none to count.
        stopped, detail: why it ended; "agreement" where all agents agreed early.
    """

    candidates: tuple[Candidate, ...]
    places: tuple[tuple[int | None, ...], ...]
    groups: tuple[int | None, ...]
    stopped: Stopped = "done"
    detail: str = ""

    def voters(self) -> tuple[int, ...]:
        """Return the replies that the result is taken from, in the order of the agents.

        Those of the last round in which some answer can be read. In a round that the end of the run broke off, agents
        that had not replied speak by their reply before.
        """
        known: list[tuple[int, ...]] = []
        before: list[int | None] = []
        for at, places in enumerate(self.places):
            broken = at == len(self.places) - 1 and self.stopped not in ("done", "agreement")
            if broken and before:
                places = tuple(
                    old if new is None or self.candidates[new].finish == "cancelled" else new
                    for old, new in zip(before, places, strict=True)
                )
            known.append(tuple(place for place in places if place is not None))
            before = list(places)
        for voters in reversed(known):
            if any(self.groups[at] is not None for at in voters):
                return voters
        return next((voters for voters in reversed(known) if any(self.candidates[at].ok for at in voters)), ())


async def rounds(
    task: Task,
    ctx: Context,
    *,
    agents: Sequence[Agent],
    count: int,
    speak: Speak,
    until_agreed: bool = False,
) -> Talk:
    """Let the agents talk.

    Args:
        task: what to answer.
        ctx: the run.
        agents: at least one.
        count: of rounds, >= 1.
        speak: writes the chat of an agent in each round after the first.
        until_agreed: end after a round in which all agents gave equal answers.

    Raises:
        ProviderError: every reply of the first round failed.
    """
    answers = ctx.answers(task)
    candidates: list[Candidate] = []
    places: list[tuple[int | None, ...]] = []
    said: list[list[Candidate | None]] = []
    ended: Interrupted | None = None
    stopped: Stopped = "done"
    detail = ""

    def take(number: int, turn: int, found: Candidate) -> int:
        facts = {**found.metadata, "agent": number, "round": turn}
        kept = replace(found, index=len(candidates), metadata=facts)
        candidates.append(kept)
        if turn or not alike:  # the first samples are known to the run already
            ctx.candidates.append(kept)
        return kept.index

    alike = len({*agents}) == 1 and agents[0] == Agent()
    for turn in range(count):
        if turn == 0 and alike:
            drawn = await sample(task, ctx, n=len(agents))
            row: list[int | None] = [take(j, 0, found) for j, found in enumerate(drawn.candidates)]
            row += [None] * (len(agents) - len(row))
            stopped, detail = drawn.stopped, drawn.detail
        else:
            chats = [instructed(task.messages, a) if turn == 0 else speak(j, said) for j, a in enumerate(agents)]
            asks = [partial(_say, task, ctx, a, j, turn, chats[j]) for j, a in enumerate(agents)]
            row = []
            for j, draw in enumerate(await gather_all(asks)):
                ended = ended or draw.interrupted
                known = draw.completion is not None or draw.error is not None
                row.append(take(j, turn, _candidate(draw, answers.extract)) if known else None)
            if ended is not None:
                stopped, detail = ended.reason, f"{ended}; during round {turn + 1} of {count}"
        places.append(tuple(row))
        said.append([candidates[at] if at is not None and usable(candidates[at]) else None for at in row])
        failures = [candidates[at].error for at in row if at is not None and candidates[at].error is not None]
        if turn == 0 and failures and len(failures) == len(agents):
            raise ProviderError(f"all {len(failures)} agents failed: {failures[-1]}")
        if stopped != "done":
            break
        if until_agreed and turn + 1 < count and await unanimous(said[-1], answers.group):
            stopped, detail = "agreement", f"all agree after round {turn + 1} of {count}"
            break
    counted = [c.answer if usable(c) else None for c in candidates]
    return Talk(
        candidates=tuple(candidates),
        places=tuple(places),
        groups=tuple(await answers.group(counted)),
        stopped=stopped,
        detail=detail,
    )


def instructed(messages: Sequence[Message], agent: Agent) -> tuple[Message, ...]:
    """Return the chat with the agent's instruction in its system message, before what stands there."""
    if not agent.persona:
        return tuple(messages)
    first, *rest = messages
    if first.role == "system":
        return (replace(first, text=f"{agent.persona}\n\n{first.text}"), *rest)
    return (Message("system", agent.persona), *messages)


def usable(candidate: Candidate) -> bool:
    """Return whether a reply may be shown and counted."""
    return candidate.ok and candidate.finish != "cancelled"


async def unanimous(row: Sequence[Candidate | None], group: Any) -> bool:
    """Return whether every agent gave an answer and all are equal.

    Args:
        row: the replies of a round.
        group: of the answer type.
    """
    found = await group([None if candidate is None else candidate.answer for candidate in row])
    return None not in found and len({*found}) == 1


async def _say(task: Task, ctx: Context, agent: Agent, number: int, turn: int, chat: Sequence[Message]) -> Draw:
    model = ctx.model(agent.role)
    request = Request(
        messages=tuple(chat), sampling=ctx.sampling, certainty=turn == 0 and Access.LOGITS in model.access
    )
    try:
        if turn == 0:
            (draw,) = await model.sample(request, path=("sample", task.id), first=number)
        else:
            (draw,) = await model.sample(request, path=("rounds", task.id, turn, number))
    except BadInput as err:  # the chat has outgrown the model's context
        return Draw(number, Usage(), error=RequestRefused(str(err)))
    return draw


def _candidate(draw: Draw, extract: Callable[[str], str | None]) -> Candidate:
    if draw.completion is None:
        return Candidate(index=0, usage=draw.usage, error=str(draw.error))
    return Candidate(
        index=0,
        message=draw.completion.message,
        answer=extract(draw.completion.text),
        finish=draw.completion.finish,
        usage=draw.usage,
        completion=draw.completion,
    )
