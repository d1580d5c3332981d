"""Sleep-time compute: how fast the store answers, and what sleeps cost with several questions on each context.

Prints the median and the worst of many look-ups by key and by name in a store of many entries (goal: under 5 ms), then
accuracy and weighted cost with and without a sleep on generated contexts with five questions each.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import ponder
from ponder import Sampling
from ponder.bench.studies.page import render_markdown
from ponder.bench.studies.recording import record
from ponder.bench.studies.sleep import sleep, sleep_turns
from ponder.engines.sleep_store import Learned, SleepStore
from ponder.tasks.stateful import Stateful

GOAL = 5  # ms
LOOKS = 200
QUESTIONS = 5  # of a context


def look_ups(entries: int) -> None:
    """Fill a store and time it, opening included."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sleep.db"
        store = SleepStore(file)
        for k in range(entries):
            store.put(f"key{k}", Learned(context=f"context {k} " * 100, memory="notes " * 500, context_id=f"doc{k}"))
        store.close()
        taken, worked = list[float](), list[float]()
        for k in range(0, entries, max(1, entries // LOOKS)):
            start, busy = time.perf_counter(), time.thread_time()
            store = SleepStore(file)
            assert store.get(f"key{k}") is not None
            assert store.find(f"doc{k}") is not None
            store.close()
            taken.append(1000 * (time.perf_counter() - start))
            worked.append(1000 * (time.thread_time() - busy))
    slow = sum(one >= GOAL for one in taken)
    print(f"open a store of {entries} entries, look up by key and by name, close; {len(taken)} times:")
    for name, values in (("clock", taken), ("of the processor's own time", worked)):
        print(f"  median {statistics.median(values):.2f} ms, worst {max(values):.2f} ms {name}")
    print(f"  {slow} took {GOAL} ms or more by the clock (goal: 0, on a machine that does nothing else)")


async def costs(spec: str, contexts: int, tokens: int, rounds: int) -> None:
    """Run the study's turns and print its tables."""
    drawn = Stateful(questions=QUESTIONS).generate(QUESTIONS * contexts, 7)
    # Side by side go questions of different contexts: those of one share its sleep, which is to be made once.
    problems = [drawn[at] for k in range(QUESTIONS) for at in range(k, len(drawn), QUESTIONS)]
    model = ponder.load(spec)
    try:
        turns = sleep_turns(model, verbosities=(0, 2, 4), rounds=rounds, sleep_tokens=2 * tokens)
        law = Sampling(temperature=0, max_tokens=tokens)
        done = await record(problems, turns, family="stateful", sampling=law, together=contexts)
    finally:
        await model.close()
    print(render_markdown(sleep(done.rows, facts=(spec,))))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="llamacpp:smollm2")
    parser.add_argument("--contexts", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--entries", type=int, default=1000)
    asked = parser.parse_args()
    look_ups(asked.entries)
    asyncio.run(costs(asked.model, asked.contexts, asked.tokens, asked.rounds))
