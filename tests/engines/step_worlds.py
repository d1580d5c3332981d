"""Toy worlds for step searches: a model that writes digits line by line, and step verifiers that know the goal."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ponder import Budget, Context, Meter, Sampling, Score, ScriptedModel, Task, Trace
from ponder.core.context import Verifier
from ponder.core.model import Request
from ponder.core.seeds import derive
from ponder.core.task import Message
from ponder.engines.step_search import Search
from ponder.engines.tree import Config, Node, Prefix

TASK = Task.of("Which number?", answer="number")


def digits(steps: Sequence[str]) -> str:
    """The digits that a prefix stands for: "1\\n2\\nanswer 120" -> "120"."""
    return "".join(step.strip().removeprefix("answer ")[-1] for step in steps)


def digit_model(depth: int = 3, actions: int = 3, **options: Any) -> ScriptedModel:
    """A model that draws each digit with equal chances; the last step has no delimiter and spells all of them."""

    def reply(request: Request, number: int) -> str:
        done = [line for line in request.prefix.split("\n") if line]
        draw = derive(request.seed, "digit").randrange(actions) if request.sampling.temperature else 0
        if len(done) < depth - 1:
            return f"{draw}\nand more that the stop string cuts"
        return f"answer {digits(done)}{draw}"

    return ScriptedModel(replies=reply, **options)


@dataclass(frozen=True)
class ExactPrm:
    """The true chance to reach the goal under uniform play, for each step of a prefix; `extra` scores too many."""

    goal: str
    actions: int = 3
    extra: int = 0
    seen: list[Prefix] = field(default_factory=list, compare=False)

    async def score(self, task: Task, candidates: Sequence[Any], ctx: Context) -> list[Score]:
        raise AssertionError("a step verifier is asked for steps")

    async def score_steps(self, task: Task, prefixes: Sequence[Prefix], ctx: Context) -> list[Score]:
        self.seen.extend(prefixes)
        return [Score(steps=tuple(self.values(digits(p.steps))) + (0.5,) * self.extra) for p in prefixes]

    def values(self, made: str) -> list[float]:
        """Chance after each digit."""
        return [
            self.actions ** -(len(self.goal) - t) if self.goal.startswith(made[:t]) else 0.0
            for t in range(1, len(made) + 1)
        ]


def context(
    model: ScriptedModel, verifier: Verifier | None = None, budget: Budget | None = None, **options: Any
) -> Context:
    return Context(
        models={"policy": model},
        meter=Meter(budget),
        trace=Trace(),
        verifier=verifier,
        verifier_name="" if verifier is None else "prm",
        **options,
    )


def bare_root() -> Node:
    """A root for searches that are driven without a model."""
    return Node(config=Config(messages=(Message("user", "?"),), sampling=Sampling()))


def drive(search: Search, grow: Callable[[Node, int], Node]) -> None:
    """Run a search to its end; `grow` makes child k of a node."""
    while batch := search.ask(lambda unit: float("inf")):
        told = []
        for expand in batch:
            children = []
            for _ in range(expand.count):
                child = grow(expand.node, expand.node.drawn)
                child.config = expand.config or expand.node.config
                children.append(child)
                expand.node.drawn += 1
            expand.node.children += children
            told.append((expand, children))
        for expand, children in told:
            search.tell(expand, children)


@dataclass
class FoolableWorld:
    """Steps are right with chance `p`; the verifier sees the true value with noise, and a few wrong lines fool it.

    Attributes:
        p: chance that a step is right.
        fools: chance that a wrong step begins a line that the verifier overrates from there on.
        noise: standard deviation of the verifier's error.
        informed: 0 leaves only the noise.
        depth: steps of an answer.
        rng: of the world.
    """

    p: float
    rng: random.Random
    fools: float = 0.0
    noise: float = 0.05
    informed: float = 1.0
    depth: int = 5
    states: dict[int, str] = field(default_factory=dict)  # by id of the node: "right", "wrong", "fool"
    answers: dict[int, str] = field(default_factory=dict)

    def grow(self, parent: Node, draw: int) -> Node:
        state = self.states.get(id(parent), "right")
        answer = self.answers.get(id(parent), "right")
        if state == "right" and self.rng.random() > self.p:
            state = "fool" if self.rng.random() < self.fools else "wrong"
            answer = f"wrong {self.rng.randrange(5)}"
        depth = parent.depth + 1
        true = {"right": self.p ** (self.depth - depth), "wrong": 0.0, "fool": 1.5}[state]
        value = max(0.0, self.informed * true + self.rng.gauss(0, self.noise))
        node = Node(
            id=(*parent.id, draw),
            parent=parent,
            config=parent.config,
            step="x",
            end="stop" if depth == self.depth else "boundary",
            value=value,
            scores=(*parent.scores, value),
        )
        self.states[id(node)], self.answers[id(node)] = state, answer
        return node
