"""How many tokens importance of steps reads: naive removal, removal with kept prompts, arrival. Counts, no clock.

    python benchmarks/pir_scoring.py [--model hf:smollm2] [--traces 3] [--steps 12] [--functional 0.35]

Traces are made here: arithmetic in steps of some 40 words, a share of which checks, tries another way or corrects.
One pass is the question, the trace and the answer read once. Goal of the issue: at most 2 passes with prefix reuse.
"removal" is the paper's PIR and exact: what follows a removed step must be read anew, so kept prompts halve it at best;
"arrival" reaches the goal and is another number: the rank correlation says how near it comes.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics

from ponder import Context, Meter, Task, Trace, load
from ponder.core.model import Model
from ponder.numerics.confidence import rank_correlation
from ponder.verifiers._importance import Importance, Scoring, step_importance

LOOKS_BACK = (
    "Wait, let me check the last sum again before I go on.",
    "Alternatively, another way to get the same number is to add the parts in the other order.",
    "Hmm, I made a mistake in how I wrote this down, so let me write it once more.",
)


def make_trace(steps: int, functional: float, rng: random.Random) -> tuple[Task, list[str], list[int], str]:
    """Return a question, the steps of its trace, the places of functional ones, and the answer."""
    value, texts, places = rng.randint(10, 99), list[str](), list[int]()
    question = [f"Start with {value}."]
    said = ""
    for at in range(steps):
        if at and rng.random() < functional:
            places.append(at)
            texts.append(
                f"{rng.choice(LOOKS_BACK)} {said} That agrees with what stands above, so nothing changes here.\n\n"
            )
            continue
        more = rng.randint(2, 40)
        question.append(f"Add {more}.")
        said = f"Adding {more} to {value} gives {value} + {more} = {value + more}."
        value += more
        texts.append(
            f"The next part of the task says to add {more}. {said} We keep this number in mind, because every later"
            " part of the task goes on from it, and we write it down before we go on.\n\n"
        )
    return Task.of(" ".join([*question, "What is the result?"]), answer="number"), texts, places, str(value)


async def measure(model: Model, options: argparse.Namespace) -> None:
    """Score each trace both ways and print the ratios."""
    rng = random.Random(options.seed)
    ratios: dict[str, list[float]] = {"naive removal": [], "removal": [], "arrival": []}
    ranks = []
    for number in range(options.traces):
        task, steps, places, answer = make_trace(options.steps, options.functional, rng)
        if not places:
            continue
        found: dict[str, Importance] = {}
        once = 0
        for way in ("removal", "arrival"):
            ctx = Context(models={"policy": model}, meter=Meter(None), trace=Trace())
            # Another first word, so that what one way has read is not kept for the other.
            asked = Task.of(f"{way} {number}. {task.prompt}", answer="number")
            found[way] = await step_importance(ctx, asked, steps, places, answer, Scoring(way=way))
            if found[way].problem:
                raise SystemExit(f"not scored: {found[way].problem}")
            if way == "removal":
                alone = Context(models={"policy": model}, meter=Meter(None), trace=Trace())
                one = await step_importance(
                    alone, Task.of(f"once {asked.prompt}", answer="number"), steps, places[:1], answer, Scoring(way=way)
                )
                # Two passes with one removal: the whole trace, and the trace without its first functional step.
                once = (one.tokens + _step_tokens(model, steps[places[0]])) // 2
        removal, arrival = found["removal"], found["arrival"]
        ratios["naive removal"].append(removal.tokens / once)
        ratios["removal"].append((removal.tokens - removal.cached) / once)
        ratios["arrival"].append((arrival.tokens - arrival.cached) / once)
        rank = rank_correlation([removal.scores[at] for at in places], [arrival.scores[at] for at in places])
        ranks += [] if rank is None else [rank]
        print(
            f"trace {number}: {len(steps)} steps, {len(places)} functional, one pass {once} tokens;"
            + ", ".join(f" {name} {values[-1]:.2f}" for name, values in ratios.items())
        )
    for name, values in ratios.items():
        if values:
            print(f"{name}: {statistics.fmean(values):.2f} passes (worst {max(values):.2f}; goal 2)")
    if ranks:
        print(f"rank correlation of removal and arrival: {statistics.fmean(ranks):+.2f}")


def _step_tokens(model: Model, step: str) -> int:
    from ponder import Request

    return model.count(Request(prompt=step)).tokens


async def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="hf:smollm2")
    parser.add_argument("--traces", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--functional", type=float, default=0.35)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    model = load(options.model)
    try:
        await measure(model, options)
    finally:
        await model.close()


if __name__ == "__main__":
    asyncio.run(main())
