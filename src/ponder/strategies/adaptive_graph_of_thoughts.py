"""Adaptive Graph of Thoughts: grow a graph of tasks layer by layer, and solve the complex ones by graphs of their own.

Paper: AGoT, arXiv:2502.05078 (card 52). A layer holds a few tasks that are done side by side; the model then proposes
further tasks, which build on earlier ones, or the task that gives the final answer. A task that it calls complex is
solved by a graph inside, with a layer less and down to `depth` levels. Where the layers run out a final task is asked
for. An executed task sees the answers of all its ancestors; the final answer sees the whole graph.
Differs: a simple task above the deepest level is executed, and a nested graph goes on asking about its own task (the
card names both as faults of a released version). Ids count within a graph. A reply that cannot be used is asked for
again, then: the question is the only first task, a task is simple, no further tasks come, the final task is a plain
one; the result says so. Tasks of a layer run side by side wherever the budget is sure to admit all of them.
Cost: with L layers of n simple tasks 1 + 2 L n + (L - 1) + 2 calls at one level of depth; a complex task takes a whole
graph in place of one call (104 calls at most with the defaults, apart from replies that cannot be used).
Needs: nothing beyond text; a model that keeps to JSON.
When: questions with several parts or ways to go about them, where cost is no concern.
When not: one-step questions; small models, whose plans cannot be read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ponder.core.context import Context
from ponder.core.errors import ConfigError
from ponder.core.registry import strategies
from ponder.core.result import Result
from ponder.core.task import Task
from ponder.engines.task_graph import conclude_graph
from ponder.strategies._growing import Growing, Shape
from ponder.strategies._thoughts import as_json

__all__ = ["AdaptiveGraphOfThoughts"]


@strategies(
    "adaptive_graph_of_thoughts",
    card=52,
    paper="arXiv:2502.05078",
    fidelity="code",
    tags={
        "what": ("hybrid", "sequential", "parallel"),
        "how": ("prompting", "fusion"),
        "where": ("reasoning", "general", "knowledge"),
        "how_well": ("accuracy",),
    },
    since="0.3",
)
@dataclass(frozen=True, kw_only=True)
class AdaptiveGraphOfThoughts:
    """A graph of thoughts that grows, with graphs inside.

    Attributes:
        depth: levels of graphs below the main one, >= 0.
        layers: of the main graph, >= 1.
        width: tasks of a layer, >= 1.
        shrink: a nested graph has a layer less for each level (at least one).
        temperature: >= 0.
        repairs: how often a reply that cannot be used is asked for again, >= 0.
        plan_tokens: most tokens of a plan, >= 1.
    """

    depth: int = 1
    layers: int = 3
    width: int = 3
    shrink: bool = True
    temperature: float = 0.3
    repairs: int = 1
    plan_tokens: int = 512

    def __post_init__(self) -> None:
        if self.depth < 0 or min(self.layers, self.width, self.plan_tokens) < 1 or self.repairs < 0:
            raise ConfigError("needs depth and repairs >= 0, and layers, width and plan_tokens >= 1")
        if not self.temperature >= 0:
            raise ConfigError(f"temperature must be at least 0, got {self.temperature!r}")

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        planner, policy = self._shape().most(0)
        return {"policy": policy, "planner": planner * (1 + self.repairs)}

    def _shape(self) -> Shape:
        return Shape(
            depth=self.depth,
            layers=self.layers,
            width=self.width,
            shrink=self.shrink,
            repairs=self.repairs,
            plan_tokens=self.plan_tokens,
        )

    async def run(self, task: Task, ctx: Context) -> Result:
        """Grow the graph."""
        warm = replace(ctx, sampling=replace(ctx.sampling, temperature=self.temperature))
        growing = Growing(self._shape(), task, warm)
        graph = await growing.grow(task.prompt, (), [], sure=False)
        final = graph.final
        if final is not None:
            final = replace(final, metadata={**final.metadata, "graph": as_json(graph.thoughts)})
        notes = sorted(set(growing.notes))  # not in the order in which replies came
        return conclude_graph(task, ctx, graph.parts(), final, ended=graph.ended, notes=notes)
