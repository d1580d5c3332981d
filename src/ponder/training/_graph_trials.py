"""The state of one search for a graph of agents: graphs are run on questions, ranked, and measured again.

Source: Agent-REINFORCE, arXiv:2511.00086 (card 31). Measuring finalists again on questions of their own is ours.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ponder.core.budget import Budget
from ponder.core.errors import BadInput, ConfigError, Stopped
from ponder.core.model import Model, Sampling
from ponder.core.result import Result
from ponder.core.seeds import derive
from ponder.core.solve import Control, solve
from ponder.core.store import Store
from ponder.core.task import Message, Task
from ponder.core.tasks import gather_all
from ponder.core.usage import Usage
from ponder.numerics.agent_graphs import ANSWER, AgentGraph, cap_graph
from ponder.numerics.graph_costs import Size, complete_cost, graph_costs, node_cost
from ponder.tasks.problem import Problem
from ponder.training._grader import grader
from ponder.training._graph_found import Found, Member, Trial
from ponder.training._graph_update import Ask

if TYPE_CHECKING:
    from ponder.training.agent_reinforce import AgentReinforce

__all__ = ["Ended", "Trials"]


class Ended(Exception):
    """The search must end with what it has."""

    def __init__(self, stopped: Stopped, detail: str) -> None:
        super().__init__(detail)
        self.stopped, self.detail = stopped, detail


class Trials:
    """The state of one search: what was given, what was tried, and what it cost."""

    def __init__(
        self,
        settings: AgentReinforce,
        problems: Sequence[Problem],
        members: Mapping[str, Member],
        optimiser: Model | None,
        alone: Mapping[str, float],
        sampling: Sampling,
        seed: int,
        store: Store | None,
        control: Control | None,
    ) -> None:
        if not members or (settings.how in ("text", "alternate") and optimiser is None):
            raise ConfigError("a search needs members, and with how='text' or 'alternate' an optimiser")
        if not problems:
            raise BadInput("a search needs problems")
        self.given, self.problems, self.members, self.optimiser = settings, problems, dict(members), optimiser
        self.alone, self.sampling, self.seed, self.store, self.control = alone, sampling, seed, store, control
        self.graders = [grader(problem) for problem in problems]
        self.names = list(members)
        self.sizes = {name: member.sized() for name, member in members.items()}
        self.sink = settings.sink or self.names[min(1, len(self.names) - 1)]
        if self.sink not in members:
            raise ConfigError(f"the sink's model {self.sink!r} is none of {', '.join(self.names)}")
        smallest = self.sizes[self.names[0]]
        self.unit = node_cost(smallest, 0, settings.lengths) if settings.unit == "flops" else 1.0
        self.cap = self._cap(smallest)
        self.trials: list[Trial] = []
        self.usage: dict[str, Usage] = {}
        self.faults: list[str] = []
        self.asked = self.questions = 0

    def found(self, graph: AgentGraph, accuracy: float | None, stopped: Stopped, detail: str) -> Found:
        graph = graph.trimmed()
        tokens = sum(used.tokens for role, used in self.usage.items() if role != "optimiser")
        return Found(
            graph=graph,
            accuracy=accuracy,
            units=self.cost(graph) / self.unit,
            cap=self.cap / self.unit,
            tokens=tokens / max(1, self.questions),
            seconds=next((trial.seconds for trial in reversed(self.trials) if trial.graph == graph), None),
            trials=tuple(self.trials),
            usage=dict(sorted(self.usage.items())),
            faults=tuple(self.faults),
            stopped=stopped,
            detail=detail,
        )

    def _cap(self, smallest: Size) -> float:
        """Return the most that a graph may cost: as told, or what the densest graph of the start budget costs."""
        count, given = self.given.start, self.given
        if given.cap is not None:
            cap = given.cap * self.unit
            least = min(self.cost(self._single(name)) for name in self.names)
            if cap < least:
                raise ConfigError(f"a cap of {given.cap:g} buys no graph: the cheapest costs {least / self.unit:.4g}")
            return cap
        if given.unit == "flops":
            return complete_cost(count, smallest, self.sizes[self.sink], given.lengths)
        return (count + 1) * sum(given.lengths) + count * (count + 1) / 2 * given.lengths.answer

    def cost(self, graph: AgentGraph) -> float:
        """Return FLOPs, or tokens read and written."""
        if self.given.unit == "tokens":
            return (len(graph.models) + 1) * sum(self.given.lengths) + len(graph.edges) * self.given.lengths.answer
        sizes = [self.sizes[name] for name in (*graph.models, graph.sink)]
        return sum(graph_costs(graph.edges, sizes, self.given.lengths))

    def capped(self, graph: AgentGraph, *place: str | int) -> AgentGraph:
        stream = derive(self.seed, "graph_repair", *place)
        graph = cap_graph(graph, self.cost, self.cap, lambda name: self.sizes[name].parameters, stream)[0]
        if self.given.cap is None or self.cost(graph) <= self.cap:
            return graph
        singles = [self._single(name) for name in self.names]
        return next(one for one in reversed(singles) if self.cost(one) <= self.cap)

    def _single(self, name: str) -> AgentGraph:
        return AgentGraph(models=(name,), roles=(ANSWER,), edges=((0, 1),), sink=self.sink)

    async def attempt(self, graph: AgentGraph, count: int, source: str, *, first: int | None = None) -> float:
        """Run a graph on `count` questions and return the share that it got right."""
        start = self.asked if first is None else first
        places = [(start + k) % len(self.problems) for k in range(min(count, len(self.problems)))]
        if first is None:
            self.asked += len(places)
        graph = graph.trimmed()
        right, seconds, tokens = 0.0, 0.0, 0
        for place, (result, took) in zip(
            places, await gather_all([partial(self._solve, graph, place) for place in places]), strict=True
        ):
            self._add(result)
            seconds += took / len(places)
            tokens = max(tokens, sum(used.tokens for used in result.usage.values()))
            if result.stopped in ("cancelled", "endpoint"):
                raise Ended(result.stopped, result.detail)
            right += await self.graders[place](result.text)
        self.questions += len(places)
        units = self.cost(graph) / self.unit
        self.trials.append(Trial(source, graph, right, len(places), units, tokens, seconds))
        return right / len(places)

    async def _solve(self, graph: AgentGraph, place: int) -> tuple[Result, float]:
        """Run a graph on a question, and say how long it took; a cap in tokens is held by the meter."""
        roles = {name: member.model for name, member in self.members.items()}
        begun = time.monotonic()
        result = await solve(
            self.problems[place].task,
            model=roles[graph.sink],
            roles=roles,
            method="agent_graph",
            graph=json.dumps(graph.to_json()),
            budget=Budget(tokens=int(self.cap)) if self.given.unit == "tokens" else None,
            sampling=self.sampling,
            seed=self.seed,
            store=self.store,
            control=self.control,
        )
        return result, time.monotonic() - begun

    def _add(self, result: Result, role: str = "") -> None:
        for name, used in result.usage.items():
            self.usage[role or name] = self.usage.get(role or name, Usage()) + used

    def ranked(self) -> list[AgentGraph]:
        """Return the graphs that were tried, best mean first; equal ones by how often they were tried, then oldest."""
        sums: dict[str, list[float]] = {}
        known: dict[str, AgentGraph] = {}
        for trial in self.trials:
            key = json.dumps(trial.graph.to_json())
            known[key] = trial.graph
            right, asked = sums.get(key, [0.0, 0.0])
            sums[key] = [right + trial.right, asked + trial.asked]
        order = sorted(sums, key=lambda key: (-sums[key][0] / sums[key][1], -sums[key][1]))
        return [known[key] for key in order]

    async def recheck(self, final: Sequence[AgentGraph]) -> tuple[AgentGraph, float]:
        """Measure the finalists on the same questions, and return the best by all that is known of each."""
        candidates = list(dict.fromkeys([*(graph.trimmed() for graph in final), *self.ranked()]))
        candidates = candidates[: self.given.finalists]
        first = self.asked
        again = [await self.attempt(graph, self.given.recheck, "recheck", first=first) for graph in candidates]
        took = [trial.seconds if self.given.latency else 0.0 for trial in self.trials[-len(again) :]]
        at = max(range(len(again)), key=lambda k: (again[k], -took[k], -k))
        return candidates[at], again[at]

    async def consult(self, chat: Sequence[Message], read: Any, *place: str | int) -> Ask:
        """Ask the optimiser."""
        ask = Ask(chat, read, place=("optimiser", *place), repairs=self.given.retries)
        if self.optimiser is None:
            return ask
        result = await solve(
            Task(messages=tuple(chat), id="agent_reinforce"),
            model=self.optimiser,
            method=ask,
            sampling=Sampling(temperature=self.sampling.temperature, max_tokens=self.given.optimiser_tokens),
            seed=self.seed,
            store=self.store,
            control=self.control,
        )
        self._add(result, "optimiser")
        self.faults += ask.faults
        if result.stopped in ("cancelled", "endpoint"):
            raise Ended(result.stopped, result.detail)
        return ask
