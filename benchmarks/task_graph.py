"""A graph of 200 sub-tasks, 20 wide, against a model that sleeps 20 ms: wall time over the critical path.

Prints from one run, in one process: the wall time of the graph over its critical path (levels x the sleep; limit 1.2),
and that of the same nodes one after another over it (at least 10). Each is the median of a few rounds. `--nodes` and
`--rounds` make it smaller; the limits are meant for the default size on a machine that does nothing else. On one that
is busy look at the last line, the processor's time for a node (the prompts' making in it), which waits for nobody.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Sequence
from functools import partial

from ponder import Context, Message, Meter, Sampling, ScriptedModel, Task, Trace
from ponder.engines.plans import SubTask, edges
from ponder.engines.task_graph import Done, do_node, node_claim, run_graph
from ponder.numerics.graphs import depth

SLEEP, WIDTH = 0.020, 20
TASK = Task.of("Do all of this.")


def build(count: int, rng: random.Random) -> list[SubTask]:
    """Layers of WIDTH nodes; each needs the node above it and up to two others of the layer before."""
    plan: list[SubTask] = []
    for at in range(count):
        layer = at // WIDTH
        above = range((layer - 1) * WIDTH, layer * WIDTH) if layer else range(0)
        needed = sorted({at - WIDTH, *rng.sample(above, 2)}) if layer else []
        plan.append(SubTask(id=str(at), text=f"Part {at}.", depends=tuple(map(str, needed))))
    return plan


def render(node: SubTask, done: Done) -> Sequence[Message]:
    """Show the node and what its ancestors found."""
    told = "\n".join(f"{name}: {outcome.text}" for name, outcome in done.items())
    return [Message("user", f"{told}\n{node.text}")]


async def graph(plan: Sequence[SubTask]) -> tuple[float, float]:
    """Return the seconds that the graph takes by the clock, and those of the processor."""
    ctx = context()
    start, begun = time.perf_counter(), time.process_time()
    done = await run_graph(plan, partial(do_node, TASK, ctx, render), ctx, claim=partial(node_claim, ctx, render))
    wall, cpu = time.perf_counter() - start, time.process_time() - begun
    assert len(done) == len(plan)
    assert all(outcome.text for outcome in done.values())
    return wall, cpu


async def sequence(plan: Sequence[SubTask]) -> float:
    """Return the seconds that the same nodes take one after another."""
    ctx = context()
    chain = [SubTask(id=node.id, text=node.text) for node in plan]
    start = time.perf_counter()
    for node in chain:
        await do_node(TASK, ctx, render, node, {})
    return time.perf_counter() - start


def context() -> Context:
    """Return a fresh run against the sleeping model."""
    model = ScriptedModel(replies=["found it"], latency=SLEEP)
    return Context(models={"policy": model}, meter=Meter(), trace=Trace(), sampling=Sampling(max_tokens=16))


async def measure(count: int, rounds: int) -> None:
    """Measure and print."""
    plan = build(count, random.Random(0))
    levels = depth(edges(plan)) + 1
    critical = levels * SLEEP
    await graph(plan[:WIDTH])  # imports and caches
    walls, cpus, slow = [], [], []
    for at in range(rounds):
        took, cpu = await graph(plan)
        walls.append(took)
        cpus.append(cpu)
        if at < 3:  # four seconds each at the default size
            slow.append(await sequence(plan))
    wall, one_by_one = statistics.median(walls), statistics.median(slow)
    print(f"{len(plan)} nodes, {WIDTH} wide, {levels} levels of {SLEEP * 1e3:.0f} ms, {rounds} rounds")
    print(f"critical path {critical * 1e3:.0f} ms; graph {wall * 1e3:.0f} ms; one by one {one_by_one * 1e3:.0f} ms")
    print(f"ratio of the graph to its critical path: {wall / critical:.3f} (limit 1.2)")
    print(f"ratio of one by one to the graph: {one_by_one / wall:.1f} (at least 10)")
    print(f"processor: {min(cpus) / len(plan) * 1e6:.0f} us a node")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=9)
    asked = parser.parse_args()
    asyncio.run(measure(asked.nodes, asked.rounds))
