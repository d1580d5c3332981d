"""How Adaptive Graph of Thoughts grows: layers of tasks, further ones or a final one, graphs inside graphs.

Source: card 52 (arXiv:2502.05078). Slots are taken at the leaf, around a call: a task that waits for the graph inside
it holds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from ponder.core.candidate import Candidate
from ponder.core.context import Context
from ponder.core.errors import Interrupted
from ponder.core.task import Message, Task
from ponder.engines.asking import Asked, Outcome, affords, ask_readable, call, prompts
from ponder.engines.plans import SubTask
from ponder.engines.refine import with_question
from ponder.engines.task_graph import Claim, Done, run_graph
from ponder.strategies._thoughts import (
    COMPLEXITY,
    FINAL,
    NEXT,
    TASKS,
    Proposal,
    Thought,
    ancestors_of,
    as_text,
    keep_parents,
    read_complexity,
    read_final,
    read_proposal,
)

__all__ = ["Graph", "Growing", "Shape"]

T = TypeVar("T")
Heritage = tuple[tuple[int, int], ...]  # (layer, place) of the tasks from the main graph down to this one


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Limits of a graph; the attributes are those of the method."""

    depth: int
    layers: int
    width: int
    shrink: bool
    repairs: int
    plan_tokens: int

    def layers_at(self, depth: int) -> int:
        """Layers of a graph at this depth."""
        return max(1, self.layers - depth) if self.shrink else self.layers

    def most(self, depth: int) -> tuple[int, int]:
        """Most calls of a whole graph at this depth, of the planner (each asked once) and of the policy."""
        planner, policy = self.most_of_task(depth)
        tasks = self.layers_at(depth) * self.width
        return 1 + tasks * planner + (self.layers_at(depth) - 1) + 1, tasks * policy + 1

    def most_of_task(self, depth: int) -> tuple[int, int]:
        """Most calls of one task of a graph at this depth."""
        if depth >= self.depth:
            return 0, 1
        planner, policy = self.most(depth + 1)
        return 1 + planner, policy


@dataclass
class Graph:
    """A graph as it grows.

    Attributes:
        about: what it is to solve.
        heritage: where it stands.
        thoughts: its nodes.
        strategies: by layer.
        final: the candidate that answers it.
        ended: why the run is to end.
    """

    about: str
    heritage: Heritage
    thoughts: list[Thought] = field(default_factory=list)
    strategies: list[str] = field(default_factory=list)
    final: Candidate | None = None
    ended: Interrupted | None = None

    @property
    def depth(self) -> int:
        """Levels below the main graph."""
        return len(self.heritage)

    def add(self, title: str, content: str, layer: int, strategy: str = "", parents: tuple[int, ...] = ()) -> Thought:
        """Add a node with the next id."""
        thought = Thought(len(self.thoughts) + 1, title, content, layer, self.depth, strategy, parents)
        self.thoughts.append(thought)
        return thought

    def parts(self) -> list[Candidate]:
        """Everything that was answered on the way, in the order of the graph; the final one apart."""
        found: list[Candidate] = []
        for thought in self.thoughts:
            found += thought.outcome.parts
            if thought.outcome.candidate is not None and thought.outcome.candidate is not self.final:
                found.append(thought.outcome.candidate)
        return found


class Growing:
    """One run.

    Args:
        shape: limits.
        task: the question.
        ctx: the run.
    """

    def __init__(self, shape: Shape, task: Task, ctx: Context) -> None:
        self.shape, self.task, self.ctx = shape, task, ctx
        self.texts = prompts(__package__, "adaptive_graph_of_thoughts")
        self.notes: list[str] = []

    async def grow(self, about: str, heritage: Heritage, around: Sequence[Thought], *, sure: bool) -> Graph:
        """Grow a graph about something and answer it; `around` is the graph that it stands in."""
        graph = Graph(about, heritage)
        asked = await self._first(graph, around)
        if asked.ended is not None:
            graph.ended = asked.ended
            return graph
        if asked.value is None:
            self.notes.append(f"no first tasks could be read at depth {graph.depth}: the question is the only one")
        proposal = asked.value or Proposal([("Answer the question", about, [])], "", False)
        layers = self.shape.layers_at(graph.depth)
        for layer in range(layers):
            added = self._add(graph, proposal, layer)
            await self._do_layer(graph, added, sure=sure)
            if graph.ended is not None or layer == layers - 1:
                break
            following = await self._next(graph)
            if following.ended is not None:
                graph.ended = following.ended
                return graph
            if following.value is None:
                self.notes.append(f"no further tasks could be read at depth {graph.depth}: the graph is closed")
                break
            proposal = following.value
            if proposal.final:
                title, content, given = (*proposal.tasks, self._plain())[0]
                parents = keep_parents(given, graph.thoughts, 0)
                await self._finish(graph, title, content, parents, proposal.strategy)
                return graph
        if graph.ended is None:
            await self._force(graph)
        return graph

    def _add(self, graph: Graph, proposal: Proposal, layer: int) -> list[Thought]:
        """Add a layer; parents are nodes of earlier layers only, so there is no cycle."""
        known = list(graph.thoughts)
        graph.strategies.append(proposal.strategy)
        added = []
        for title, content, given in proposal.tasks:
            parents = keep_parents(given, known, 0)
            if layer > 0 and not parents:
                self.ctx.trace.instant("root", self.ctx.span, layer=layer, title=title, given=given)
            added.append(graph.add(title, content, layer, proposal.strategy, parents))
        return added

    async def _do_layer(self, graph: Graph, added: Sequence[Thought], *, sure: bool) -> None:
        """Do the tasks of a layer side by side."""
        by_id = {str(thought.id): thought for thought in added}
        shown = as_text(graph.thoughts)  # before any of them is done: the order of replies is not seen
        planner, policy = self.shape.most_of_task(graph.depth)
        most = planner * (1 + self.shape.repairs) + policy

        async def work(node: SubTask, done: Done, sure: bool) -> Outcome:
            thought = by_id[node.id]
            return await self._process(graph, thought, added.index(thought), shown, sure=sure)

        def claim(node: SubTask, done: Done) -> Claim:
            tokens = max(self.ctx.sampling.max_tokens, self.shape.plan_tokens)
            return Claim(calls=most, completion=tokens, prompt=None)

        plan = [SubTask(id=name, text=thought.content) for name, thought in by_id.items()]
        outcomes = await run_graph(plan, work, self.ctx, claim=claim, sure=sure, keep=graph.depth + 1)
        for name, outcome in outcomes.items():
            by_id[name].outcome = outcome
            graph.ended = graph.ended or outcome.ended

    async def _process(self, graph: Graph, thought: Thought, place: int, shown: str, *, sure: bool) -> Outcome:
        """Do one task: by a graph of its own where it is complex, else at once."""
        kept = graph.depth + 1  # calls for the final answers of this graph and those around it
        if graph.depth < self.shape.depth and affords(self.ctx, 2 + kept):
            here = (*graph.heritage, (thought.layer, place))
            asked = await self._ask(
                "complexity",
                here,
                read_complexity,
                COMPLEXITY,
                kept + 1,
                question=graph.about,
                graph=shown,
                depth=graph.depth,
                task=_told(thought),
            )
            if asked.ended is not None:
                return Outcome(ended=asked.ended)
            if asked.value is None:
                self.notes.append("a complexity could not be read: the task is simple")
            if asked.value:
                nested = await self.grow(_told(thought), here, graph.thoughts, sure=sure)
                thought.nested = nested.thoughts
                return Outcome(candidate=nested.final, ended=nested.ended, parts=tuple(nested.parts()))
        if not affords(self.ctx, 1 + kept):
            return Outcome()
        found = "".join(
            f"\nResult of: {other.title}\n{other.outcome.text}\n"
            for other in ancestors_of(thought, graph.thoughts)
            if other.outcome.text
        )
        text = self.texts["execute"].substitute(
            question=self.task.prompt,
            found=f"\nWhat was found before:\n{found}" if found else "",
            title=thought.title,
            content=thought.content,
        )
        return await self._answer(text, graph, thought, place)

    async def _answer(self, text: str, graph: Graph, thought: Thought, place: int) -> Outcome:
        heritage = [list(step) for step in (*graph.heritage, (thought.layer, place))]
        return await call(
            self.ctx,
            with_question(self.task, text),
            path=("thought", self.task.id, *(f"{a}.{b}" for a, b in heritage)),
            heritage=heritage,
            depth=graph.depth,
            title=thought.title,
        )

    # -- the planner -----------------------------------------------------------------------------------------------

    async def _ask(
        self,
        part: str,
        heritage: Heritage,
        read: Callable[[str], T],
        schema: Mapping[str, Any],
        keep: int,
        **values: Any,
    ) -> Asked[T]:
        """Ask the planner for something readable."""
        chat = [
            Message("system", self.texts["system"].template),
            Message("user", self.texts[part].substitute(values)),
        ]
        path = (f"agot-{part}", self.task.id, *(f"{layer}.{place}" for layer, place in heritage))
        if "step" in values:
            path = (*path, values["step"])
        return await ask_readable(
            self.ctx,
            chat,
            read,
            path=path,
            role="planner",
            law=replace(self.ctx.sampling, max_tokens=self.shape.plan_tokens, stop=()),
            schema=schema,
            repairs=self.shape.repairs,
            keep=keep,
        )

    async def _first(self, graph: Graph, around: Sequence[Thought]) -> Asked[Proposal]:
        return await self._ask(
            "nested" if graph.heritage else "initial",
            graph.heritage,
            lambda text: read_proposal(text, most=self.shape.width, first=True),
            TASKS,
            graph.depth + 1,
            question=self.task.prompt,
            graph=as_text(around),
            task=graph.about,
            most=self.shape.width,
        )

    async def _next(self, graph: Graph) -> Asked[Proposal]:
        told = "\n".join(f"layer {layer}: {said or 'none'}" for layer, said in enumerate(graph.strategies))
        return await self._ask(
            "next",
            graph.heritage,
            lambda text: read_proposal(text, most=self.shape.width, first=False),
            NEXT,
            graph.depth + 1,
            question=graph.about,
            strategies=told,
            graph=as_text(graph.thoughts),
            ids="\n".join(f"{thought.id}: {thought.title}" for thought in graph.thoughts),
            most=self.shape.width,
            step=len(graph.strategies),
        )

    def _plain(self) -> tuple[str, str, list[int]]:
        return "Final answer", self.texts["default"].template, []

    async def _force(self, graph: Graph) -> None:
        """Ask for a final task over the whole graph and execute it."""
        asked = await self._ask(
            "final",
            graph.heritage,
            read_final,
            FINAL,
            graph.depth + 1,
            question=graph.about,
            graph=as_text(graph.thoughts),
        )
        if asked.ended is not None:
            graph.ended = asked.ended
            return
        if asked.value is None:
            self.notes.append(f"no final task could be read at depth {graph.depth}: a plain one")
        title, content = asked.value or self._plain()[:2]
        await self._finish(graph, title, content, tuple(thought.id for thought in graph.thoughts), "")

    async def _finish(self, graph: Graph, title: str, content: str, parents: tuple[int, ...], strategy: str) -> None:
        """Execute the final task of a graph, with the whole of it in view."""
        shown = as_text(graph.thoughts)
        thought = graph.add(title, content, len(graph.strategies), strategy, parents)
        part = "execute" if graph.heritage else "conclude"
        found = f"\nWhat was found before:\n{shown}\n"
        text = self.texts[part].substitute(
            question=self.task.prompt, graph=shown, found=found, title=title, content=content
        )
        thought.outcome = await self._answer(text, graph, thought, 0)
        graph.final, graph.ended = thought.outcome.candidate, thought.outcome.ended


def _told(thought: Thought) -> str:
    return f"{thought.title}: {thought.content}"
