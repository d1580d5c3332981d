"""How many tokens importance of steps reads: naive removal, removal with kept prompts, arrival. Counts, no clock.

    python benchmarks/pir_scoring.py [--model hf:smollm2] [--traces 3] [--steps 12] [--functional 0.35] [--ratio 0.3]

Traces are made here: arithmetic in steps of some 40 words, a share of which checks, tries another way or corrects.
One pass is the question, the trace and the answer read once. Goal of the issue: at most 2 passes with prefix reuse.

"removal" is the paper's PIR and exact. Behind a removed step each token stands after another text, so a causal model
has to read it once for each removal: no schedule, batch or tree of prompts reads fewer tokens than there are different
beginnings of all the texts, which is what "least for exact scores" counts. With steps spread evenly it is about
1 + functional / 2, so that 2 passes are enough for two functional steps and for no more.
"deciding" are the same exact scores, of those steps alone whose score decides what goes at `--ratio`: a kind of which
no step goes, or every one, is not scored. The same steps go, which is checked here.
"arrival" reads each step once and is another number: the rank correlation says how near it comes.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics

from ponder import Context, Meter, Request, Task, Trace, load
from ponder.core.model import Model
from ponder.numerics.confidence import rank_correlation
from ponder.numerics.trace_pruning import prune, undecided, whole
from ponder.numerics.trace_steps import classify_step, without_conclusion
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
    """Score each trace in every way and print the ratios."""
    rng = random.Random(options.seed)
    ratios: dict[str, list[float]] = {}
    ranks = []
    for number in range(options.traces):
        task, steps, places, answer = make_trace(options.steps, options.functional, rng)
        if not places:
            continue
        kinds = [classify_step(step) for step in steps]
        deciding = undecided(kinds, options.ratio)
        ways = (("removal", "removal", places), ("deciding", "removal", deciding), ("arrival", "arrival", places))
        found: dict[str, Importance] = {}
        for name, way, scored in ways:
            ctx = Context(models={"policy": model}, meter=Meter(None), trace=Trace())
            # Another first word, so that what one way has read is not kept for the other.
            asked = Task.of(f"{name} {number}. {task.prompt}", answer="number")
            scoring = Scoring(way=way)  # type: ignore[arg-type]  # one of the two
            found[name] = await step_importance(ctx, asked, steps, scored, answer, scoring)
            if found[name].problem:
                raise SystemExit(f"not scored: {found[name].problem}")
        once, least = _least(model, task, steps, places, answer)
        known = {**whole(kinds, options.ratio), **found["deciding"].scores}
        same = prune(kinds, known, options.ratio) == prune(kinds, found["removal"].scores, options.ratio)
        passes = {
            "naive removal": found["removal"].tokens / once,
            "removal": _read(found["removal"]) / once,
            "least for exact scores": least / once,
            "deciding": _read(found["deciding"]) / once,
            "arrival": _read(found["arrival"]) / once,
        }
        for name, value in passes.items():
            ratios.setdefault(name, []).append(value)
        rank = rank_correlation(*([found[way].scores[at] for at in places] for way in ("removal", "arrival")))
        ranks += [] if rank is None else [rank]
        print(
            f"trace {number}: {len(steps)} steps, {len(places)} functional, of which {len(deciding)} decide; one pass"
            f" {once} tokens; the same steps go: {'yes' if same else 'NO'};"
            + ",".join(f" {name} {value:.2f}" for name, value in passes.items())
        )
    for name, values in ratios.items():
        print(f"{name}: {statistics.fmean(values):.2f} passes (worst {max(values):.2f}; goal 2)")
    if ranks:
        print(f"rank correlation of removal and arrival: {statistics.fmean(ranks):+.2f}")


def _read(found: Importance) -> int:
    return found.tokens - found.cached


def _least(model: Model, task: Task, steps: list[str], places: list[int], answer: str) -> tuple[int, int]:
    """Return the tokens of one pass, and those that exact scores of these steps need at least."""
    shown, scoring = without_conclusion(steps, answer), Scoring()

    def tokens(kept: list[str], end: str) -> int:
        text = "".join(kept).rstrip() + end if end else "".join(kept)
        return model.count(Request(messages=task.messages, prefix=text)).tokens

    end = f"{scoring.lead} {answer}"
    once = tokens(shown, end)
    anew = (tokens([*shown[:at], *shown[at + 1 :]], end) - tokens(shown[:at], "") for at in places)
    return once, once + sum(anew)


async def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="hf:smollm2")
    parser.add_argument("--traces", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--functional", type=float, default=0.35)
    parser.add_argument("--ratio", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    model = load(options.model)
    try:
        await measure(model, options)
    finally:
        await model.close()


if __name__ == "__main__":
    asyncio.run(main())
