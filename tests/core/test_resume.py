"""Runs that are killed and started again with the same store: what has been answered is not asked twice.

What is guaranteed: an answer is in the store before anything else learns of it, so the second start asks for exactly
those seeds that the store lacks. They were never asked, or were in flight when the run was killed: at most as many as
there are connections.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ponder import Result, Sampling, Store, Task, solve
from ponder.core.seeds import sample_seed
from ponder.core.trace import read_trace
from ponder.models.openai import OpenAI
from tests.models.fault_server import FaultServer

CALLS, CONNECTIONS, KILLS = 200, 16, 50
ROOT = Path(__file__).parent.parent.parent
TASK = Task.of("say some words")
SEEDS = {sample_seed(0, index, "sample", TASK.id): index for index in range(CALLS)}


async def run(url: str, directory: Path) -> Result:
    """The run that is killed: CALLS samples, side by side over CONNECTIONS connections."""
    # Without Access.N each sibling is a request of its own, so that the server's books are by seed.
    model = OpenAI.from_spec(f"{url}#stub", gives=("text", "seed"), connections=CONNECTIONS)
    try:
        return await solve(
            TASK,
            model=model,
            method="self_consistency",
            n=CALLS,
            early_stop="none",
            sampling=Sampling(max_tokens=32),
            store=directory / "store.sqlite",
            trace=directory / "trace.jsonl",
        )
    finally:
        await model.close()


def outcome(result: Result) -> dict[str, Any]:
    """A result without what a second start may change: its bill, its clock, its id."""
    return {k: v for k, v in result.to_json().items() if k not in ("paid", "seconds", "trace_id")}


def told(directory: Path) -> set[int]:
    """Samples of which the killed run itself knew that they had been answered."""
    events = read_trace(directory / "trace.jsonl")
    return {event.data["index"] for event in events if event.kind == "call" and event.phase == "close"}


def asked(server: FaultServer) -> list[int]:
    return [SEEDS[body["seed"]] for body in server.seen]


async def killed_run(server: FaultServer, directory: Path, rng: random.Random) -> int | None:
    """Start a run, kill it a random moment after a random request of it has come, and return its exit status."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.core.test_resume", server.url, str(directory), cwd=ROOT
    )
    most, later = rng.randint(1, CALLS), rng.uniform(0.0, 0.004)
    async with asyncio.timeout(60):
        await server.until(most)
    await asyncio.sleep(later)
    with suppress(ProcessLookupError):
        process.kill()
    status = await process.wait()
    await server.idle.wait()
    return status


@pytest.mark.slow
async def test_a_killed_run_pays_on_its_second_start_only_for_what_had_not_been_answered(tmp_path: Path) -> None:
    rng = random.Random(7)
    killed = partly = 0
    async with asyncio.timeout(600), FaultServer(latency=0.004) as server:
        directory = tmp_path / "whole"
        directory.mkdir()
        whole = outcome(await run(server.url, directory))
        assert len(whole["candidates"]) == CALLS
        assert whole["usage"]["policy"]["calls"] == CALLS
        for turn in range(KILLS):
            directory = tmp_path / str(turn)
            directory.mkdir()
            server.reset()
            status = await killed_run(server, directory, rng)
            assert status in (0, -signal.SIGKILL)
            first, served = asked(server), server.served.answers
            assert len(set(first)) == len(first)
            known = told(directory)
            store = Store(directory / "store.sqlite")
            kept = len(store)
            store.close()

            server.reset()
            second = await run(server.url, directory)
            again = asked(server)

            assert outcome(second) == whole
            # Nothing of which the first start knew that it had been answered is asked again,
            assert not known & set(again)
            # nor anything in the store, which is ahead of that by one answer at most;
            assert len(again) == len(set(again)) == CALLS - kept
            assert kept - len(known) in (0, 1)
            # what is asked twice was in flight, and so was what was served in vain.
            assert len(set(first) & set(again)) <= CONNECTIONS
            assert 0 <= served - kept <= CONNECTIONS
            paid = second.paid.get("policy")
            assert (paid.calls if paid else 0) == server.served.answers == CALLS - kept
            assert (paid.completion_tokens if paid else 0) == server.served.completion_tokens
            killed += status != 0
            partly += 0 < kept < CALLS
    assert killed >= 0.9 * KILLS
    assert partly >= 0.8 * KILLS


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], Path(sys.argv[2])))
