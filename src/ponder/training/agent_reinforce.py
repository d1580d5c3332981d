"""Agent-REINFORCE: search, before any question comes, for the graph of models that answers best within a cap of FLOPs.

Paper: arXiv:2511.00086 (card 31). A set of models is chosen under a start budget and tried out; then graphs are drawn,
run on small batches and scored, and either a model reads graph, accuracy and table of probabilities and writes the next
ones (`how="text"`), or plain REINFORCE moves the logits (`how="numeric"`), or graphs are drawn at random ("random").
Differs: the best graph by repeated measurement is returned, not the last one (`return_last` as released); candidate
teams are tried on 8 questions, each with its own reference, and the best one wins (the released filter passes all);
replies are JSON; after `retries` unreadable ones the logits are moved by one numeric step instead; what the optimiser
spends is counted. Bayesian optimisation, the alternating search and the search for latency are left out.
Cost: (pretest * teams + iterations * batch + finalists * recheck) runs of a graph, and with "text" about one call of
the optimiser for each iteration. Needs: tasks with references, models in their roles.
The result is served by the method `agent_graph`.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ponder.core.errors import BadInput, ConfigError, Stopped
from ponder.core.model import Model, Sampling
from ponder.core.result import Result
from ponder.core.seeds import derive
from ponder.core.solve import Control, solve
from ponder.core.store import Store
from ponder.core.task import Message, Task
from ponder.core.tasks import gather_all
from ponder.core.usage import Usage
from ponder.numerics.agent_graphs import ANSWER, AgentGraph, acyclic, cap_graph
from ponder.numerics.graph_costs import Lengths, Size, complete_cost, graph_costs, multisets, node_cost
from ponder.numerics.graph_policy import (
    Adam,
    Draw,
    Policy,
    draw_graph,
    draw_models,
    model_log_prob,
    reinforce,
    sigmoid,
)
from ponder.tasks.problem import Problem
from ponder.training._grader import grader
from ponder.training._graph_update import Ask, Update, models_chat, read_choices, read_update, update_chat

__all__ = ["AgentReinforce", "Found", "Member", "Trial"]

_SHOWN = 40  # teams that the optimiser chooses from
_LEAST, _MOST = 0.001, 0.999  # of a probability that a reply sets


@dataclass(frozen=True, kw_only=True)
class Member:
    """A model that nodes may be.

    Attributes:
        model: open; its name in the graph is its key.
        price: in models of the smallest kind, >= 1.
        size: for the cost; by default from the model's own facts.
    """

    model: Model
    price: int = 1
    size: Size | None = None

    def sized(self) -> Size:
        """Return the size.

        Raises:
            ConfigError: the model does not tell its shape, and none is given.
        """
        info = self.model.info
        if self.size is not None:
            return self.size
        if info.parameters and info.layers and info.hidden:
            return Size(float(info.parameters), info.layers, info.hidden)
        raise ConfigError(f"{self.model.name} does not tell its shape: give the member a size")


@dataclass(frozen=True)
class Trial:
    """A graph that was run: where from, how many of how many questions it got right, and its cost in units."""

    source: str
    graph: AgentGraph
    right: float
    asked: int
    units: float


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search found.

    Attributes:
        graph: the best one, trimmed.
        accuracy: measured again on questions of its own.
        units, cap: its cost, and the most it may be, in smallest models without inputs.
        tokens: of one question, all models together, mean of those measured.
        trials: everything that was run, in order.
        usage: by role; "optimiser" is the one that wrote graphs.
        faults: replies of the optimiser that could not be used.
        stopped, detail: why it ended.
    """

    graph: AgentGraph
    accuracy: float | None
    units: float
    cap: float
    tokens: float
    trials: tuple[Trial, ...]
    usage: Mapping[str, Usage]
    faults: tuple[str, ...] = ()
    stopped: Stopped = "done"
    detail: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object; the method `agent_graph` reads its "graph"."""
        return {
            "graph": self.graph.to_json(),
            "accuracy": self.accuracy,
            "units": self.units,
            "cap": self.cap,
            "tokens": self.tokens,
            "usage": {role: used.to_json() for role, used in self.usage.items()},
            "trials": [
                {"source": t.source, "graph": t.graph.to_json(), "right": t.right, "asked": t.asked, "units": t.units}
                for t in self.trials
            ],
            "faults": list(self.faults),
            "stopped": self.stopped,
            "detail": self.detail,
        }

    def save(self, file: Path | str) -> Path:
        """Write it as JSON and return the file.

        Raises:
            BadInput: it cannot be written.
        """
        path = Path(file)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="utf-8")
        except OSError as err:
            raise BadInput(f"cannot write the graph {str(path)!r}: {err}") from err
        return path


class _Ended(Exception):
    """The search must end with what it has."""

    def __init__(self, stopped: Stopped, detail: str) -> None:
        super().__init__(detail)
        self.stopped, self.detail = stopped, detail


@dataclass(frozen=True, kw_only=True)
class AgentReinforce:
    """Settings of a search.

    Attributes:
        start: start budget b: smallest models in the densest graph that the cap allows, >= 1.
        how: "text", "numeric" or "random".
        iterations: graphs (numeric: batches of them) that are tried, >= 1.
        batch: questions of each, >= 1.
        pretest: questions on which each candidate team is tried, >= 0; 0 takes the first choice untried.
        variants: of a team: it and those with models left out, >= 1.
        recheck: questions on which finalists are measured again, >= 1.
        finalists: graphs that are measured again, >= 1.
        history: earlier rounds that the optimiser sees, >= 0; none with more than 5 models.
        retries: readings of the optimiser that may fail, >= 0.
        insights: tell the optimiser the paper's insights.
        baseline: of the numeric step: "none" (as released) or the running "mean" of utilities.
        rate: of the numeric step, > 0.
        threshold: probability above which an edge is in the numeric result.
        lengths: mean tokens of a question and of an answer of the task.
        sink: name of the sink's model; "" for the second smallest.
        return_last: return the last graph, as released.
        optimiser_tokens: most tokens of a reply of the optimiser.
    """

    start: int = 8
    how: Literal["text", "numeric", "random"] = "text"
    iterations: int = 10
    batch: int = 3
    pretest: int = 8
    variants: int = 5
    recheck: int = 8
    finalists: int = 3
    history: int = 2
    retries: int = 3
    insights: bool = True
    baseline: Literal["none", "mean"] = "none"
    rate: float = 0.1
    threshold: float = 0.55
    lengths: Lengths = field(default_factory=lambda: Lengths(202, 275))
    sink: str = ""
    return_last: bool = False
    optimiser_tokens: int = 2048

    def __post_init__(self) -> None:
        object.__setattr__(self, "lengths", Lengths(*self.lengths))
        whole = (self.start, self.iterations, self.batch, self.variants, self.recheck, self.finalists)
        if min(whole) < 1 or min(self.pretest, self.history, self.retries) < 0 or self.optimiser_tokens < 1:
            raise ConfigError("counts must be at least 1; pretest, history and retries at least 0")
        if self.how not in ("text", "numeric", "random") or self.baseline not in ("none", "mean"):
            raise ConfigError(f"no search {self.how!r} with baseline {self.baseline!r}")
        if not self.rate > 0 or not 0 < self.threshold < 1:
            raise ConfigError("needs rate > 0 and a threshold in (0, 1)")

    async def search(
        self,
        problems: Sequence[Problem],
        members: Mapping[str, Member],
        *,
        optimiser: Model | None = None,
        alone: Mapping[str, float] | None = None,
        sampling: Sampling | None = None,
        seed: int = 0,
        store: Store | None = None,
        control: Control | None = None,
    ) -> Found:
        """Search.

        Args:
            problems: with references; batches go through them in turns.
            members: by name, smallest first.
            optimiser: writes graphs; needed for "text".
            alone: accuracy of each model by itself, told to the optimiser.
            sampling: the law of the answers.
            seed: of everything that is drawn.
            store: keeps answers.
            control: ends it early with the best so far.

        Raises:
            ConfigError: no members, no optimiser, an unknown sink, or a model without a shape.
            BadInput: no problems, or one without a reference.
        """
        run = _Search(self, problems, members, optimiser, alone or {}, sampling or Sampling(), seed, store, control)
        return await run.search()


class _Search:
    """The state of one search."""

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
        if not members or (settings.how == "text" and optimiser is None):
            raise ConfigError("a search needs members, and with how='text' an optimiser")
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
        self.unit = node_cost(smallest, 0, settings.lengths)
        self.cap = complete_cost(settings.start, smallest, self.sizes[self.sink], settings.lengths)
        self.trials: list[Trial] = []
        self.usage: dict[str, Usage] = {}
        self.faults: list[str] = []
        self.asked = self.questions = 0

    async def search(self) -> Found:
        stopped: Stopped = "done"
        detail = ""
        final: list[AgentGraph] = []
        accuracy: float | None = None
        try:
            if self.given.how == "text":
                await self._by_text()
            elif self.given.how == "numeric":
                final = [await self._by_numbers()]
            else:
                await self._at_random()
            if not self.given.return_last:
                best, accuracy = await self._recheck(final)
                return self._found(best, accuracy, stopped, detail)
        except _Ended as why:
            stopped, detail = why.stopped, why.detail
        if self.given.return_last and final:
            return self._found(final[-1], None, stopped, detail)
        if not self.trials:
            raise BadInput(f"no graph was tried: {detail}")
        chosen = self.trials[-1].graph if self.given.return_last else self._ranked()[0]
        return self._found(chosen, accuracy, stopped, detail)

    def _found(self, graph: AgentGraph, accuracy: float | None, stopped: Stopped, detail: str) -> Found:
        graph = graph.trimmed()
        tokens = sum(used.tokens for role, used in self.usage.items() if role != "optimiser")
        return Found(
            graph=graph,
            accuracy=accuracy,
            units=self._cost(graph) / self.unit,
            cap=self.cap / self.unit,
            tokens=tokens / max(1, self.questions),
            trials=tuple(self.trials),
            usage=dict(sorted(self.usage.items())),
            faults=tuple(self.faults),
            stopped=stopped,
            detail=detail,
        )

    # -- running graphs ----------------------------------------------------------------------------------------------

    def _cost(self, graph: AgentGraph) -> float:
        sizes = [self.sizes[name] for name in (*graph.models, graph.sink)]
        return sum(graph_costs(graph.edges, sizes, self.given.lengths))

    def _capped(self, graph: AgentGraph, *place: str | int) -> AgentGraph:
        stream = derive(self.seed, "graph_repair", *place)
        return cap_graph(graph, self._cost, self.cap, lambda name: self.sizes[name].parameters, stream)[0]

    async def _try(self, graph: AgentGraph, count: int, source: str, *, first: int | None = None) -> float:
        """Run a graph on `count` questions and return the share that it got right."""
        start = self.asked if first is None else first
        places = [(start + k) % len(self.problems) for k in range(min(count, len(self.problems)))]
        if first is None:
            self.asked += len(places)
        graph = graph.trimmed()
        results = await gather_all([partial(self._solve, graph, place) for place in places])
        right = 0.0
        for place, result in zip(places, results, strict=True):
            self._add(result)
            if result.stopped in ("cancelled", "endpoint"):
                raise _Ended(result.stopped, result.detail)
            right += await self.graders[place](result.text)
        self.questions += len(places)
        self.trials.append(Trial(source, graph, right, len(places), self._cost(graph) / self.unit))
        return right / len(places)

    async def _solve(self, graph: AgentGraph, place: int) -> Result:
        roles = {name: member.model for name, member in self.members.items()}
        return await solve(
            self.problems[place].task,
            model=roles[graph.sink],
            roles=roles,
            method="agent_graph",
            graph=json.dumps(graph.to_json()),
            sampling=self.sampling,
            seed=self.seed,
            store=self.store,
            control=self.control,
        )

    def _add(self, result: Result, role: str = "") -> None:
        for name, used in result.usage.items():
            self.usage[role or name] = self.usage.get(role or name, Usage()) + used

    def _ranked(self) -> list[AgentGraph]:
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

    async def _recheck(self, final: Sequence[AgentGraph]) -> tuple[AgentGraph, float]:
        """Measure the finalists on the same questions, and return the best by all that is known of each."""
        candidates = list(dict.fromkeys([*(graph.trimmed() for graph in final), *self._ranked()]))
        candidates = candidates[: self.given.finalists]
        first = self.asked
        again = [await self._try(graph, self.given.recheck, "recheck", first=first) for graph in candidates]
        at = max(range(len(again)), key=lambda k: (again[k], -k))
        return candidates[at], again[at]

    # -- the set of models -------------------------------------------------------------------------------------------

    async def _team(self) -> list[str]:
        """Choose the models: by the optimiser from those that cost the same, then by trying."""
        teams = multisets(self.given.start, [self.members[name].price for name in self.names])
        teams = [team for team in teams if sum(team)]
        if not teams:
            raise ConfigError("the start budget buys no model: raise it or lower the prices")
        stream = derive(self.seed, "teams")
        shown = teams if len(teams) <= _SHOWN else [teams[k] for k in sorted(stream.sample(range(len(teams)), _SHOWN))]
        chosen = shown[:2]
        if len(shown) > 2:
            chat = models_chat(shown, self.names, self.alone, insights=self.given.insights)
            asked = await self._ask(chat, partial(read_choices, count=len(shown)), "models")
            picked = asked.value or tuple(stream.sample(range(len(shown)), 2))
            chosen = [shown[at] for at in picked]
        candidates = list(dict.fromkeys(smaller for team in chosen for smaller in self._variants(team)))
        if not self.given.pretest or len(candidates) == 1:
            return self._spelled(candidates[0])
        scores = []
        for number, team in enumerate(candidates):
            graph = self._capped(self._random(self._spelled(team), "pretest", number, shift=0.0), "pretest", number)
            scores.append(await self._try(graph, self.given.pretest, "pretest", first=0))
        best = [at for at, score in enumerate(scores) if max(scores) - score < 1e-8]
        return self._spelled(candidates[stream.choice(best)])

    def _variants(self, team: Sequence[int]) -> list[tuple[int, ...]]:
        """Return a team and those with ever more of its weakest models left out."""
        found, left = [tuple(team)], list(team)
        while len(found) < self.given.variants and sum(left) > 1:
            left[next(at for at, count in enumerate(left) if count)] -= 1
            found.append(tuple(left))
        return found

    def _spelled(self, team: Sequence[int]) -> list[str]:
        return [name for name, count in zip(self.names, team, strict=True) for _ in range(count)]

    def _random(self, models: Sequence[str], *place: str | int, shift: float) -> AgentGraph:
        drawn = draw_graph(Policy(count=len(models)), derive(self.seed, "graph", *place), shift=shift)
        return self._built(models, drawn)

    def _built(self, models: Sequence[str], drawn: Draw) -> AgentGraph:
        roles = tuple(drawn.roles.get(node, ANSWER) for node in range(len(models)))
        return AgentGraph(models=tuple(models), roles=roles, edges=drawn.edges, sink=self.sink)

    # -- the three searches ------------------------------------------------------------------------------------------

    async def _ask(self, chat: Sequence[Message], read: Any, *place: str | int) -> Ask:
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
            raise _Ended(result.stopped, result.detail)
        return ask

    async def _by_text(self) -> None:
        """Let the optimiser write one graph after the other."""
        models = await self._team()
        graph = self._capped(self._random(models, "first", shift=-2.0), "first")
        policy = Policy(count=len(graph.models))
        table = {pair: sigmoid(logit) for pair, logit in zip(policy.pairs, policy.edges, strict=True)}
        history: list[Message] = []
        adam = Adam(len(policy.edges), rate=self.given.rate)
        for turn in range(self.given.iterations):
            accuracy = await self._try(graph, self.given.batch, f"text {turn}")
            if turn + 1 == self.given.iterations:
                return
            window = history[-2 * self.given.history :] if self.given.history and len(graph.models) <= 5 else []
            count = min(self.given.batch, len(self.problems))
            chat = update_chat(graph, accuracy, count, table, window, insights=self.given.insights)
            asked = await self._ask(chat, partial(read_update, graph=graph, pairs=policy.pairs), "update", turn)
            if asked.value is None:
                table = self._step(policy, adam, graph, accuracy)
                drawn = draw_graph(policy, derive(self.seed, "graph", "fallback", turn))
                graph = self._built(graph.models, drawn)
            else:
                update: Update = asked.value
                graph, table = update.graph, dict(update.table)
                chances = [min(_MOST, max(_LEAST, table[pair])) for pair in policy.pairs]
                policy.edges = [math.log(chance / (1 - chance)) for chance in chances]
                history += [chat[-1], Message("assistant", asked.text)]
            smaller = self._capped(graph, "text", turn)
            if len(smaller.models) < len(graph.models):  # other ids: a new table, and no history that names old ones
                graph, history = smaller, []
                policy = Policy(count=len(graph.models))
                adam = Adam(len(policy.edges), rate=self.given.rate)
                table = {pair: sigmoid(logit) for pair, logit in zip(policy.pairs, policy.edges, strict=True)}

    def _step(self, policy: Policy, adam: Adam, graph: AgentGraph, accuracy: float) -> dict[tuple[int, int], float]:
        """Move the logits by what the last graph was worth, in place of a reply."""
        draw = Draw(graph.edges, dict(enumerate(graph.roles)))
        edges = _in_order(policy, draw)
        _, gradient = reinforce(policy, [edges], [accuracy])
        policy.edges = adam.step(policy.edges, gradient.edges)
        return {pair: sigmoid(logit) for pair, logit in zip(policy.pairs, policy.edges, strict=True)}

    async def _at_random(self) -> None:
        models = await self._team()
        for turn in range(self.given.iterations):
            graph = self._capped(self._random(models, "random", turn, shift=-2.0), "random", turn)
            await self._try(graph, self.given.batch, f"random {turn}")

    async def _by_numbers(self) -> AgentGraph:
        """Plain REINFORCE on edges, roles and models; return the graph that the logits stand for."""
        prices = [self.members[name].price for name in self.names]
        count = max(1, self.given.start // min(prices))
        policy = Policy(count=count)
        kinds = [[0.0] * len(self.names) for _ in range(count)]
        adam = [Adam(size, rate=self.given.rate) for size in (len(policy.edges), 2 * (count + 1), count * len(prices))]
        mean, seen = 0.0, 0
        for turn in range(self.given.iterations):
            drawn = []
            for k in range(self.given.batch):
                drawn.append(self._draw(policy, kinds, prices, derive(self.seed, "numeric", turn, k)))
            utilities = []
            for k, (_, _, _, _, graph) in enumerate(drawn):
                utilities.append(await self._try(self._capped(graph, turn, k), 1, f"numeric {turn}"))
            baseline = mean if self.given.baseline == "mean" and seen else 0.0
            self._learn(policy, kinds, prices, adam, drawn, utilities, baseline)
            seen += len(utilities)
            mean += sum(u - mean for u in utilities) / seen
        return self._read_out(policy, kinds, prices)

    def _draw(
        self, policy: Policy, kinds: list[list[float]], prices: Sequence[int], stream: random.Random
    ) -> tuple[list[int], dict[int, int], list[int], Draw, AgentGraph]:
        """Draw models, and edges and roles among the nodes that have one.

        Returns:
            Order and models of the nodes; places of the pairs among those kept; the draw; the graph of those kept.
        """
        order, chosen = draw_models(kinds, prices, self.given.start, stream)
        if not chosen:
            raise ConfigError("the start budget buys no model: raise it or lower the prices")
        places = [at for at, (u, v) in enumerate(policy.pairs) if u in chosen and (v in chosen or v == policy.count)]
        draw = draw_graph(_part(policy, places), stream)
        kept = sorted(chosen)
        new = {old: at for at, old in enumerate([*kept, policy.count])}
        graph = AgentGraph(
            models=tuple(self.names[chosen[old]] for old in kept),
            roles=tuple(draw.roles.get(old, ANSWER) for old in kept),
            edges=tuple((new[u], new[v]) for u, v in draw.edges),
            sink=self.sink,
        )
        return order, chosen, places, draw, graph

    def _learn(
        self,
        policy: Policy,
        kinds: list[list[float]],
        prices: Sequence[int],
        adam: Sequence[Adam],
        drawn: Sequence[tuple[list[int], dict[int, int], list[int], Draw, AgentGraph]],
        utilities: Sequence[float],
        baseline: float,
    ) -> None:
        """One Adam step on the mean loss of a batch."""
        edges, roles = [0.0] * len(policy.edges), [0.0] * (2 * (policy.count + 1))
        models = [0.0] * (len(kinds) * len(prices))
        for (order, chosen, places, draw, _), utility in zip(drawn, utilities, strict=True):
            weight = 1 / len(drawn)
            _, slope = reinforce(_part(policy, places), [draw], [utility], baseline=baseline)
            for at, value in zip(places, slope.edges, strict=True):
                edges[at] += weight * value
            roles = [a + weight * b for a, b in zip(roles, [x for row in slope.roles for x in row], strict=True)]
            _, _, steep = model_log_prob(kinds, prices, self.given.start, order, chosen)
            flat = [-(utility - baseline) * x for row in steep for x in row]
            models = [a + weight * b for a, b in zip(models, flat, strict=True)]
        policy.edges = adam[0].step(policy.edges, edges)
        moved = adam[1].step([x for row in policy.roles for x in row], roles)
        policy.roles = [moved[2 * at : 2 * at + 2] for at in range(policy.count + 1)]
        flat = adam[2].step([x for row in kinds for x in row], models)
        kinds[:] = [flat[len(prices) * at : len(prices) * (at + 1)] for at in range(len(kinds))]

    def _read_out(self, policy: Policy, kinds: list[list[float]], prices: Sequence[int]) -> AgentGraph:
        """Return the graph of the likely edges, with the likeliest models that fit, every node leading to the sink."""
        left, models = float(self.given.start), []
        for row in kinds:
            fitting = [kind for kind, price in enumerate(prices) if price <= left]
            if not fitting:
                break
            models.append(max(fitting, key=row.__getitem__))
            left -= prices[models[-1]]
        kept = len(models)
        edges: list[tuple[int, int]] = []
        likely = sorted(
            ((logit, pair) for pair, logit in zip(policy.pairs, policy.edges, strict=True) if pair[0] < kept),
            key=lambda found: -found[0],
        )
        for logit, (u, v) in likely:
            if sigmoid(logit) > self.given.threshold and v < kept:
                edges.append((u, v))
        edges = [*acyclic(edges), *((node, kept) for node in range(kept))]
        roles = tuple(int(row[1] > row[0]) for row in policy.roles[:kept])
        graph = AgentGraph(
            models=tuple(self.names[kind] for kind in models), roles=roles, edges=tuple(edges), sink=self.sink
        )
        return self._capped(graph, "readout")


def _part(policy: Policy, places: Sequence[int]) -> Policy:
    """Return the policy of some of the pairs."""
    return Policy(
        count=policy.count,
        pairs=[policy.pairs[at] for at in places],
        edges=[policy.edges[at] for at in places],
        roles=policy.roles,
    )


def _in_order(policy: Policy, draw: Draw) -> Draw:
    """Return a draw of the policy that has these edges, with the roles of a draw made so."""
    kept = set(draw.edges)
    return Draw(tuple(pair for pair in policy.pairs if pair in kept), draw.roles)
