"""Sleep-time compute: how fast the store answers, and what sleeps cost with several questions on each context.

Prints the median and the worst of many look-ups by key and by name in a store of many entries, then accuracy and
weighted cost with and without a sleep on generated contexts with five questions each.
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


def look_ups(entries: int) -> None:
    """Fill a store and time it, opening included."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sleep.db"
        store = SleepStore(file)
        for k in range(entries):
            store.put(f"key{k}", Learned(context=f"context {k} " * 100, memory="notes " * 500, context_id=f"doc{k}"))
        store.close()
        taken = []
        for k in range(0, entries, max(1, entries // 200)):
            start = time.perf_counter()
            store = SleepStore(file)
            assert store.get(f"key{k}") is not None
            assert store.find(f"doc{k}") is not None
            store.close()
            taken.append(1000 * (time.perf_counter() - start))
    print(
        f"open, by key, by name, {entries} entries: median {statistics.median(taken):.2f} ms, worst {max(taken):.2f} ms"
    )


async def costs(spec: str, contexts: int, tokens: int, rounds: int) -> None:
    """Run the study's turns and print its tables."""
    problems = Stateful(questions=5).generate(5 * contexts, 7)
    model = ponder.load(spec)
    try:
        turns = sleep_turns(model, verbosities=(0, 2, 4), rounds=rounds, sleep_tokens=2 * tokens)
        done = await record(problems, turns, family="stateful", sampling=Sampling(temperature=0, max_tokens=tokens))
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
