"""Every registered method on a real small model: at most 400 generated tokens each, an answer or an honest reason, and
a bill that is what the back-end wrote. A new method is picked up by itself; what it needs beyond defaults is `SMALL`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

import ponder
from ponder import Budget, Completion, Model, Request, Result, Sampling, Task, solve
from ponder.core import registry
from ponder.core.access import Access
from ponder.core.model import Sink
from ponder.core.registry import Entry
from ponder.core.trace import Trace
from ponder.core.usage import Usage

MOST = 240  # generated tokens; a test may have 400
TASK = Task.of("Ann has 3 bags with 4 apples in each. How many apples are there? Think step by step.", answer="number")
ENTRIES = registry.strategies.entries()
STEPS = {"n": 4, "branch": 2, "step_tokens": 30, "depth": 3, "retries": 1}
# Settings that keep a method small, or that it cannot do without; a method that is not here runs as it comes.
SMALL: Mapping[str, Mapping[str, Any]] = {
    "auto": {"n": 4},
    "beam_search": STEPS,
    "best_of_n": {"n": 3},
    "borda_voting": {"n": 3},
    "critique_refine": {"samples": 2, "rounds": 1, "gate": "always", "critic_tokens": 50},
    "dvts": STEPS,
    "gen_prm_refine": {"rounds": 1, "execute": False, "max_tokens": 60, "steps": 2, "delimiter": "\n"},
    "lookahead_search": {**STEPS, "n": 2, "k": 1},
    "multi_agent_debate": {"agents": 2, "rounds": 2},
    "qalign": {"steps": 4},
    "retrieval_mcts": {
        "simulations": 2,
        "branch": 2,
        "step_tokens": 30,
        "depth": 3,
        "references": [["Bob has 2 bags with 5 nuts in each. How many nuts?", "2 * 5 = 10"]],
    },
    "self_certainty": {"n": 3},
    "self_consistency": {"n": 4},
    "sequential_revisions": {"n": 4},
    "sleep_time": {"rounds": 1, "sleep_tokens": 32, "memory_limit": 200},
    "universal_self_consistency": {"n": 3},
}
# The faster back-end gives no logits; methods that need what it does not give run on the other one.
QUICK = registry.models.get("llamacpp").access


class Counted:
    """A model that adds up what its back-end really wrote."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.calls = self.written = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    async def generate(self, request: Request, sink: Sink | None = None) -> list[Completion]:
        done = await self._model.generate(request, sink)
        self.calls += len(done)
        self.written += sum(completion.usage.completion_tokens for completion in done)
        return done


@pytest.fixture(scope="module")
def with_logits() -> Iterator[Model]:
    model = ponder.load("hf:smollm2", dtype="float32")
    yield model
    asyncio.run(model.close())


def cases(*, quick: bool) -> list[Any]:
    chosen = [entry for entry in ENTRIES if (entry.access <= QUICK) is quick]
    return [pytest.param(entry, id=entry.name) for entry in chosen]


@pytest.mark.embedded
@pytest.mark.parametrize("entry", cases(quick=True))
async def test_method_runs_on_the_embedded_model(entry: Entry, embedded: Model) -> None:
    await check(entry, embedded)


@pytest.mark.embedded
@pytest.mark.torch
@pytest.mark.parametrize("entry", cases(quick=False))
async def test_method_runs_on_the_embedded_model_with_logits(entry: Entry, with_logits: Model) -> None:
    await check(entry, with_logits)


def test_table_names_methods_that_there_are() -> None:
    assert SMALL.keys() <= {entry.name for entry in ENTRIES}
    assert len(cases(quick=True)) + len(cases(quick=False)) == len(ENTRIES)
    assert {entry.name for entry in ENTRIES if Access.LOGITS in entry.access} == {p.id for p in cases(quick=False)}


async def check(entry: Entry, model: Model) -> None:
    counted, trace = Counted(model), Trace()
    result = await solve(
        TASK,
        model=counted,
        method=entry.name,
        verifier="arithmetic" if "verifier" in entry.needs else None,
        budget=Budget(completion_tokens=MOST),
        sampling=Sampling(max_tokens=32),
        trace=trace,
        **SMALL.get(entry.name, {}),
    )
    assert ends_honestly(result)
    whole = next(event.data for event in reversed(trace.events) if event.kind == "run" and event.phase == "close")
    assert {role: used.to_json() for role, used in result.usage.items()} == whole["usage"]
    assert {role: used.to_json() for role, used in result.paid.items()} == whole["paid"]
    nominal, paid, broken = billed(trace)
    assert {role: counts(used) for role, used in result.paid.items()} == paid
    for role, used in result.usage.items():  # less than was sent where an early stop passed samples over
        assert all(mine <= sent for mine, sent in zip(counts(used), nominal[role], strict=True))
    assert sum(used.completion_tokens for used in result.usage.values()) <= MOST
    written = sum(used.completion_tokens for used in result.paid.values())
    assert counted.calls > 0
    assert written >= counted.written if broken else written == counted.written


def ends_honestly(result: Result) -> bool:
    """Whether there is an answer by a usable candidate, or words for why there is none."""
    if result.chosen is None or not result.candidates[result.chosen].ok:
        return result.answer is None and bool(result.detail)
    return bool(result.text.strip() or result.detail)


def counts(used: Usage) -> tuple[int, int, int]:
    return used.calls, used.prompt_tokens, used.completion_tokens


def billed(trace: Trace) -> tuple[dict[str, tuple[int, int, int]], dict[str, tuple[int, int, int]], bool]:
    """Return the sums of all calls in the trace by role, nominal and paid, and whether one of them was broken off."""
    roles = {event.id: event.data["role"] for event in trace.events if event.kind == "call" and event.phase == "open"}
    sums: dict[str, dict[str, Usage]] = {"usage": defaultdict(Usage), "paid": defaultdict(Usage)}
    broken = False
    for event in trace.events:
        if event.kind == "read":
            for side in sums.values():
                side[event.data["role"]] += Usage(**event.data["usage"])
        if event.kind == "call" and event.phase == "close":
            broken = broken or event.data.get("finish") in ("cancelled", None) or bool(event.data.get("interrupted"))
            for name, side in sums.items():
                if name in event.data:
                    side[roles[event.id]] += Usage(**event.data[name])
    nominal, paid = ({role: counts(used) for role, used in side.items()} for side in sums.values())
    return nominal, paid, broken
