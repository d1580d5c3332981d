"""Early stops of the vote on a recorded pool: is the winner that of all samples, and how many tokens are saved?

Without a file it records 24 multiplication stories x 16 samples with the embedded model; otherwise it replays the
pool given. Goal: the exact stop changes no winner (1.00). The Bayesian stop's agreement is printed as it is.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from ponder import Model, ReplayModel, Result, Sampling, Task, load, solve
from ponder.core import registry
from ponder.models.replay import Recorded, read_pool, write_pool

N, PROMPTS = 16, 24
LAW = Sampling(max_tokens=40)


async def record(file: Path) -> None:
    problems = registry.tasks.get("multiplication_stories").make().generate(PROMPTS, 7)
    model, records = load("llamacpp:smollm2"), []
    for problem in problems:
        result = await vote(problem.task, model, "none")
        for candidate in result.candidates:
            if candidate.completion is not None:
                records.append(
                    Recorded(messages=problem.task.messages, index=candidate.index, completion=candidate.completion)
                )
    await model.close()
    print(f"recorded {write_pool(file, records)} answers to {file}")


async def vote(task: Task, model: Model, early_stop: str) -> Result:
    return await solve(
        task,
        model=model,
        method="self_consistency",
        n=N,
        early_stop=early_stop,
        sampling=LAW,
        ahead=1,
    )


async def compare(file: Path) -> None:
    pool = read_pool(file)
    model = ReplayModel(pool=pool)
    tasks = {record.messages: Task(messages=record.messages, answer="number") for record in pool}
    for early_stop in ("exact", "bayes"):
        same = full = stopped = 0
        for task in tasks.values():
            whole, early = await vote(task, model, "none"), await vote(task, model, early_stop)
            same += whole.answer == early.answer
            full += whole.cost.completion_tokens
            stopped += early.cost.completion_tokens
        print(
            f"{early_stop}: winner of all {N} samples kept in {same} of {len(tasks)} prompts"
            f" (ratio {same / len(tasks):.2f}), completion tokens saved {1 - stopped / full:.1%}"
        )


def main() -> None:
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs/early_stop_pool.jsonl")
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        asyncio.run(record(file))
    asyncio.run(compare(file))


if __name__ == "__main__":
    main()
