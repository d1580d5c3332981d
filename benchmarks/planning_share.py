"""What planning costs: the share of all tokens that goes to planners and judges, for each method that plans.

Prints one line a method from one run over the same generated tasks. Planners and judges are the roles "planner" and
"judge", whatever model stands behind them; here it is the same one, so that tokens may be added up. There is no limit:
the figure is to be read beside accuracy.
"""

from __future__ import annotations

import argparse
import asyncio
from functools import partial
from typing import Any

import ponder
from ponder import Sampling, solve
from ponder.core import registry
from ponder.core.result import total
from ponder.core.tasks import gather_all

PLAN = 200  # most tokens of a plan
METHODS: dict[str, dict[str, Any]] = {
    "adaptive_graph_of_thoughts": {"layers": 2, "width": 2, "depth": 0, "plan_tokens": PLAN},
    "atom_of_thoughts": {"transitions": 1, "repairs": 1},
    "scale": {"outlines": 2, "tries": 1, "most": 4, "plan_tokens": PLAN},
    "plan_and_budget": {"plan_tokens": PLAN},
    "plan_and_budget, step by step": {"per_step": True, "enforce": "hard", "plan_tokens": PLAN},
}
PLANNING = ("planner", "judge")


async def measure(spec: str, family: str, count: int, tokens: int) -> None:
    """Run every method on the same tasks and print."""
    problems = registry.tasks.get(family).make().generate(count, 7)
    model = ponder.load(spec)
    print(f"{count} tasks of {family} on {spec}, {tokens} tokens an answer at most")
    print(f"{'method':31} {'calls':>6} {'tokens':>8} {'written':>8} {'planning':>9} {'of written':>11}")
    try:
        for name, settings in METHODS.items():
            ask = partial(
                solve,
                model=model,
                method=name.partition(",")[0],
                sampling=Sampling(max_tokens=tokens),
                **settings,
            )
            usage = [done.usage for done in await gather_all([partial(ask, problem.task) for problem in problems])]
            whole = sum((total(used) for used in usage), ponder.Usage())
            planned = sum((used[role] for used in usage for role in PLANNING if role in used), ponder.Usage())
            written = planned.completion_tokens / whole.completion_tokens
            each = [value / count for value in (whole.calls, whole.tokens, whole.completion_tokens)]
            print(f"{name:31} {each[0]:6.1f} {each[1]:8.0f} {each[2]:8.0f}", end=" ")
            print(f"{planned.tokens / whole.tokens:9.1%} {written:11.1%}", flush=True)
    finally:
        await model.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="llamacpp:smollm2")
    parser.add_argument("--tasks", default="multiplication_stories")
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=64)
    asked = parser.parse_args()
    asyncio.run(measure(asked.model, asked.tasks, asked.count, asked.tokens))
