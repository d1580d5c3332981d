"""Judge throughput: how close 1,000 pair judgements come to the fewest sleeps that 64 slots allow.

    python benchmarks/judge_throughput.py

The judge is the `scripted` model with a sleep of 20 ms a call and 64 slots (a semaphore around it); the comparisons are
those that `pair_judge` makes of 1,000 pairs, each one presentation, 128 pairs in hand at once. Prints the time over
ceil(1000 / 64) sleeps (goal: under 1.3), and the same with both orders shown. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import time

from ponder import Candidate, Context, Message, Meter, Request, ScriptedModel, Task
from ponder.core.model import Completion, Sink
from ponder.core.tasks import gather_all
from ponder.core.trace import Trace
from ponder.verifiers.pair_judge import PairJudge

SLEEP, SLOTS = 0.02, 64
AHEAD = 2 * SLOTS  # pairs in hand at once, so that the next ones are ready when a slot is free


class Slots(ScriptedModel):
    """A scripted model that answers so many calls at once."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.free = asyncio.Semaphore(SLOTS)

    async def generate(self, request: Request, sink: Sink | None = None) -> list[Completion]:
        """Wait for a slot, then answer."""
        async with self.free:
            return await super().generate(request, sink)


async def judge(pairs: int, *, swap: bool) -> float:
    """Judge so many pairs at once; return the seconds over the fewest possible."""
    model = Slots(replies=("[[A]]", "[[B]]", "[[C]]"), latency=SLEEP)
    ctx = Context(models={"policy": model, "judge": model}, meter=Meter(None), trace=Trace(), method="benchmark")
    verifier = PairJudge(swap=swap)

    async def one(number: int) -> None:
        task = Task.of(f"Which river is longer than {number} km?")
        shown = [Candidate(index=k, message=Message("assistant", text)) for k, text in enumerate(("the Nile", "none"))]
        scores = await verifier.score(task, shown, ctx)
        assert all(score.value is not None for score in scores)

    left = iter(range(pairs))

    async def work() -> None:
        for number in left:
            await one(number)

    start = time.perf_counter()
    await gather_all([work] * AHEAD)
    seconds = time.perf_counter() - start
    calls = pairs * (2 if swap else 1)
    assert model.calls == calls
    return seconds / (math.ceil(calls / SLOTS) * SLEEP)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=1000)
    pairs = parser.parse_args().pairs
    for swap in (False, True):
        ratio = min(asyncio.run(judge(pairs, swap=swap)) for _ in range(3))
        orders = "both orders" if swap else "one order"
        print(f"{pairs:,} pairs, {orders}: {ratio:.3f} x the fewest sleeps of {SLOTS} slots (goal: under 1.3)")


if __name__ == "__main__":
    main()
