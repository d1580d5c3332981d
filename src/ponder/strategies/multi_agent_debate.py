"""Multi-agent debate: agents answer, read each other's answers, answer again, and the last round votes.

Paper: arXiv:2505.22960 (card 09), after the protocol of Du et al. 2023, arXiv:2305.14325. One round is
self-consistency, one agent is self-refinement, one of each a single answer: the same code and the same samples.
Differs: the card was written from abstracts and notes, so prompts are ours. Others' answers are anonymous, in an order
drawn for each agent, and cut at `shared_tokens`. Agents that differ in the model or a persona are settings. An answer
that cannot be read does not vote; where none of the last round can be read the round before it votes. Of open text the
first agent's last answer stands, unless others are equal.
Cost: agents * rounds calls. From round 2 on a prompt holds the answers of all agents ("markov": agents^2 * (rounds - 1)
answers are read again over the run; "history": agents^2 * rounds * (rounds - 1) / 2).
Needs: nothing beyond text; several models in their roles where agents are to differ in them.
When: a weak model on hard questions, where one right agent can convince the others.
When not: a model that is mostly right: a vote of as many samples is cheaper and at least as good; and not where
rewriting wears down a refusal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Template
from typing import Literal

from ponder.core.candidate import Candidate
from ponder.core.context import Context
from ponder.core.errors import ConfigError
from ponder.core.registry import strategies
from ponder.core.result import Result
from ponder.core.seeds import derive
from ponder.core.task import Message, Task
from ponder.engines.asking import prompts, visible
from ponder.engines.refine import with_question
from ponder.engines.rounds import Agent, Talk, instructed, rounds
from ponder.numerics.votes import majority

__all__ = ["MultiAgentDebate"]

_CHARACTERS = 4  # of a token, where the back-end gives no tokens


@strategies(
    "multi_agent_debate",
    card=9,
    paper="arXiv:2505.22960",
    fidelity="reconstructed",
    tags={
        "what": ("parallel", "sequential", "hybrid"),
        "how": ("sampling", "revision", "voting"),
        "where": ("math", "reasoning", "safety"),
        "how_well": ("accuracy", "scalability"),
    },
    since="0.3",
)
@dataclass(frozen=True, kw_only=True)
class MultiAgentDebate:
    """Agents in rounds, then a vote.

    Attributes:
        agents: >= 1.
        rounds: >= 1.
        memory: what an agent sees beside the question: the last round ("markov"), or its own chat so far ("history").
        models: roles whose models answer, in turn over the agents.
        personas: instructions, in turn over the agents; "" for none.
        include_own: whether "markov" shows an agent its own answer too; with one agent it always does.
        shuffle: show others' answers in an order of their own to each agent.
        shared_tokens: most tokens of an answer that is shown, >= 1.
        ties: answers with equal votes: the "first" in the order of the agents, or a "random" one.
        early_stop: end after a round in which all agree.
    """

    agents: int = 4
    rounds: int = 4
    memory: Literal["markov", "history"] = "markov"
    models: tuple[str, ...] = ("policy",)
    personas: tuple[str, ...] = ("",)
    include_own: bool = True
    shuffle: bool = True
    shared_tokens: int = 1024
    ties: Literal["first", "random"] = "first"
    early_stop: bool = False

    def __post_init__(self) -> None:
        for name in ("models", "personas"):
            value = getattr(self, name)
            object.__setattr__(self, name, (value,) if isinstance(value, str) else tuple(value))
        if self.agents < 1 or self.rounds < 1 or self.shared_tokens < 1:
            raise ConfigError("agents, rounds and shared_tokens must be at least 1")
        if self.memory not in ("markov", "history") or self.ties not in ("first", "random"):
            raise ConfigError(f"no memory {self.memory!r} with ties {self.ties!r}")
        if not all(self.models) or not self.personas:
            raise ConfigError("models need names, and personas at least one text, which may be empty")

    def cast(self) -> tuple[Agent, ...]:
        """Return the agents."""
        return tuple(
            Agent(role=self.models[j % len(self.models)], persona=self.personas[j % len(self.personas)])
            for j in range(self.agents)
        )

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        most: dict[str, int] = {}
        for agent in self.cast():
            most[agent.role] = most.get(agent.role, 0) + self.rounds
        return most

    async def run(self, task: Task, ctx: Context) -> Result:
        """Talk, then vote."""
        texts = prompts(__package__, "multi_agent_debate")
        cast = self.cast()

        def speak(number: int, said: Sequence[Sequence[Candidate | None]]) -> Sequence[Message]:
            write = self._markov if self.memory == "markov" else self._history
            return instructed(write(task, ctx, texts, number, said), cast[number])

        talk = await rounds(task, ctx, agents=cast, count=self.rounds, speak=speak, until_agreed=self.early_stop)
        best, note = self._choose(task, ctx, talk)
        detail = "; ".join(filter(None, (talk.detail, note)))
        return ctx.result(talk.candidates, best=best, stopped=talk.stopped, detail=detail)

    def _choose(self, task: Task, ctx: Context, talk: Talk) -> tuple[int | None, str]:
        voters = talk.voters()
        groups = [talk.groups[at] for at in voters]
        counts = {group: groups.count(group) for group in groups if group is not None}
        if not counts:
            at = next((at for at in voters if talk.candidates[at].ok), None)
            return at, "" if at is None else "no answer can be read: the first agent's"
        leaders = [group for group, count in counts.items() if count == max(counts.values())]
        ctx.trace.instant("vote", ctx.span, votes=list(counts.values()), tie=len(leaders) > 1)
        place = majority(groups)
        if self.ties == "random" and len(leaders) > 1:
            place = groups.index(derive(ctx.seed, "debate_tie", task.id).choice(leaders))
        assert place is not None
        return voters[place], f"a tie of {len(leaders)} answers" if len(leaders) > 1 else ""

    def _markov(
        self,
        task: Task,
        ctx: Context,
        texts: Mapping[str, Template],
        number: int,
        said: Sequence[Sequence[Candidate | None]],
    ) -> tuple[Message, ...]:
        own = said[-1][number] if self.include_own or self.agents == 1 else None
        others = self._others(task, ctx, number, said, len(said) - 1)
        shown = ([f"Yours:\n{self._fenced(own)}"] if own is not None else []) + others
        if not shown:
            return task.messages
        part = "others" if own is None else "round" if others else "refine"
        answers = "\n\n".join(shown) if others else self._fenced(own) if own is not None else ""
        return with_question(task, texts[part].substitute(question=task.prompt, answers=answers))

    def _history(
        self,
        task: Task,
        ctx: Context,
        texts: Mapping[str, Template],
        number: int,
        said: Sequence[Sequence[Candidate | None]],
    ) -> tuple[Message, ...]:
        chat = list(task.messages)
        for turn, row in enumerate(said):
            own = row[number]
            others = self._others(task, ctx, number, said, turn)
            if own is None and not others:
                continue
            if own is not None:
                chat.append(Message("assistant", own.text))
            text = texts["turn" if others else "turn_alone"].substitute(answers="\n\n".join(others))
            if chat[-1].role == "user":  # it gave no reply of its own: one turn must not follow another
                chat[-1] = Message("user", f"{chat[-1].text}\n\n{text}", images=chat[-1].images)
            else:
                chat.append(Message("user", text))
        return tuple(chat)

    def _others(
        self, task: Task, ctx: Context, number: int, said: Sequence[Sequence[Candidate | None]], turn: int
    ) -> list[str]:
        found = [c for j, c in enumerate(said[turn]) if j != number and c is not None]
        if self.shuffle:
            derive(ctx.seed, "debate_order", task.id, turn, number).shuffle(found)
        return [f"Someone else's:\n{self._fenced(candidate)}" for candidate in found]

    def _fenced(self, candidate: Candidate) -> str:
        """Return an answer between marks, cut at its tokens where they are known."""
        text = visible(candidate)
        tokens = None if candidate.completion is None else candidate.completion.tokens
        if tokens is not None and len(tokens.texts) > self.shared_tokens and text == candidate.text.strip():
            text = "".join(tokens.texts[: self.shared_tokens]).strip()
        elif tokens is None:
            text = text[: self.shared_tokens * _CHARACTERS]
        return f'"""\n{text.replace(chr(34) * 3, chr(39) * 3)}\n"""'
