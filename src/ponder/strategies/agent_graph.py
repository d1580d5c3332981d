"""Agent graph: models of several sizes answer, read each other along a graph that was searched for, and one concludes.

Paper: Agent-REINFORCE, arXiv:2511.00086 (card 31). A node without inputs answers the question; one with inputs weighs
them and answers, or fuses them; the sink weighs what it reads. A node sees the question and its direct inputs, nothing
else. The graph comes from `ponder.training.agent_reinforce`, as a file, and is the same for all questions.
Differs: prompts are ours; nodes that do not lead to the sink are not run; a failed input is not shown; without the sink
the latest answer of the nodes stands.
Cost: one call for each node, in the role of its model, and one for the sink. Inputs are read again by each reader.
Needs: nothing beyond text; a model in the role of each name in the graph (names without one are served by the policy).
When: questions of one kind, with a graph that was searched for on questions of that kind.
When not: one strong model within the same budget: compare first.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ponder.core.candidate import Candidate
from ponder.core.context import Context
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Request
from ponder.core.registry import strategies
from ponder.core.result import Result
from ponder.core.task import Message, Task
from ponder.engines.asking import Outcome, call, prompts
from ponder.engines.plans import SubTask
from ponder.engines.refine import with_question
from ponder.engines.task_graph import Claim, Done, conclude_graph, run_graph
from ponder.numerics.agent_graphs import ANSWER, FUSE
from ponder.numerics.agent_graphs import AgentGraph as Graph

__all__ = ["AgentGraph", "read_graph"]

# Without a file: answers side by side, and one that weighs them.
_STAR = Graph(models=("policy",) * 3, roles=(ANSWER,) * 3, edges=((0, 3), (1, 3), (2, 3)), sink="policy")


@strategies(
    "agent_graph",
    card=31,
    paper="arXiv:2511.00086",
    fidelity="code",
    tags={
        "what": ("hybrid",),
        "how": ("mixture", "fusion"),
        "where": ("math", "knowledge", "code", "general"),
        "how_well": ("accuracy", "efficiency"),
    },
    since="0.3",
)
@dataclass(frozen=True, kw_only=True)
class AgentGraph:
    """A graph that is run.

    Attributes:
        graph: file that holds it, or the JSON itself; "" for three answers side by side and one that weighs them.
    """

    graph: str = ""

    def __post_init__(self) -> None:
        try:
            read_graph(self.graph)
        except BadInput as err:
            raise ConfigError(f"graph: {err}") from err

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        found = read_graph(self.graph)
        return dict(Counter([*found.models, found.sink]))

    async def run(self, task: Task, ctx: Context) -> Result:
        """Run every node after what it reads, and the sink last."""
        graph = read_graph(self.graph)
        texts = prompts(__package__, "agent_graph")
        sink = len(graph.models)
        models, roles = [*graph.models, graph.sink], [*graph.roles, ANSWER]
        plan = [
            SubTask(id=str(at), text=task.prompt, depends=tuple(map(str, reads)), role=models[at], answer=task.answer)
            for at, reads in enumerate(graph.depends)
        ]

        def chat(node: SubTask, done: Done) -> Sequence[Message]:
            found = [done[name].text for name in node.depends if name in done and done[name].text]
            if not found:
                return task.messages
            part = "fuse" if roles[int(node.id)] == FUSE else "weigh"
            numbered = "\n\n".join(f"Answer {number}:\n{text}" for number, text in enumerate(found, 1))
            return with_question(task, texts[part].substitute(question=task.prompt, answers=numbered))

        async def work(node: SubTask, done: Done, sure: bool) -> Outcome:
            return await self._node(task, ctx, node, chat(node, done))

        def claim(node: SubTask, done: Done) -> Claim:
            prompt = None
            if all(name in done for name in node.depends):
                request = Request(messages=tuple(chat(node, done)), sampling=ctx.sampling)
                prompt = ctx.model(node.role).count(request).tokens
            return Claim(calls=1, completion=ctx.sampling.max_tokens, prompt=prompt, role=node.role)

        outcomes = await run_graph(plan, work, ctx, claim=claim)
        ended = next((outcome.ended for outcome in outcomes.values() if outcome.ended is not None), None)
        kind = ctx.answers(task)
        found = {
            name: replace(outcome.candidate, answer=kind.extract(outcome.text) if outcome.text else None)
            for name, outcome in outcomes.items()
            if outcome.candidate is not None
        }
        final = found.pop(str(sink), None)
        return conclude_graph(task, ctx, list(found.values()), final, ended=ended)

    async def _node(self, task: Task, ctx: Context, node: SubTask, chat: Sequence[Message]) -> Outcome:
        """Make the call of a node; one without inputs is a sample of the task, as other methods draw it."""
        if node.depends:
            return await call(ctx, chat, path=("agent", task.id, node.id), role=node.role, node=node.id)
        request = Request(messages=tuple(chat), sampling=ctx.sampling)
        try:
            (draw,) = await ctx.model(node.role).sample(request, path=("sample", task.id), first=int(node.id))
        except BadInput as err:
            return Outcome(candidate=Candidate(index=0, error=str(err), metadata={"node": node.id}))
        if draw.error is not None:
            failed = Candidate(index=0, usage=draw.usage, error=str(draw.error), metadata={"node": node.id})
            return Outcome(candidate=failed, ended=ctx.meter.reason())
        if draw.completion is None:
            return Outcome(ended=draw.interrupted)
        done = Candidate(
            index=0,
            message=draw.completion.message,
            finish=draw.completion.finish,
            usage=draw.usage,
            completion=draw.completion,
            metadata={"node": node.id},
        )
        return Outcome(candidate=done, ended=draw.interrupted)


def read_graph(spec: str) -> Graph:
    """Return the useful part of a graph.

    Args:
        spec: a file, its JSON text, or "" for the default.

    Raises:
        BadInput: the file cannot be read, or holds no valid graph.
    """
    if not spec:
        return _STAR
    text = spec
    if not spec.lstrip().startswith("{"):
        try:
            text = Path(spec).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as err:
            raise BadInput(f"cannot read the graph {spec!r}: {err}") from err
    try:
        body = json.loads(text)
    except ValueError as err:
        raise BadInput(f"the graph is no JSON: {err}") from err
    if not isinstance(body, dict):
        raise BadInput("the graph is no JSON object")
    return Graph.from_json(body.get("graph", body)).trimmed()
