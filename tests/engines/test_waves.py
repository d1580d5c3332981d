"""Waves: what is sure to fit, unit by unit, and what runs together (whole graphs: test_task_graph)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder import Budget, Context, Meter, ModelInfo, ScriptedModel, Trace
from ponder.core.candidate import Candidate
from ponder.core.errors import Interrupted
from ponder.core.task import Message
from ponder.engines.asking import Outcome
from ponder.engines.waves import Claim, fits, freely, in_waves, limits

INFO = ModelInfo(fingerprint="x", context=100, flops=lambda prompt, completion: 2.0 * prompt + completion)


def context(budget: Budget | None = None, info: ModelInfo = INFO) -> Context:
    return Context(models={"policy": ScriptedModel(info=info)}, meter=Meter(budget), trace=Trace())


@pytest.mark.parametrize(
    ("unit", "dearest"),
    [("calls", 2), ("completion_tokens", 20), ("prompt_tokens", 14), ("tokens", 34), ("flops", 48)],
)
def test_a_claim_fits_at_its_dearest_and_not_below(unit: str, dearest: int) -> None:
    claim = Claim(calls=2, completion=10, prompt=7)
    assert fits(context(Budget(**{unit: dearest})), [claim], 0)
    assert not fits(context(Budget(**{unit: dearest - 1})), [claim], 0)


def test_the_context_bounds_a_prompt_that_is_not_known() -> None:
    claim = Claim(calls=1, completion=10)
    assert fits(context(Budget(tokens=110)), [claim], 0)
    assert not fits(context(Budget(tokens=109)), [claim], 0)
    assert not fits(context(Budget(tokens=10**9), ModelInfo(fingerprint="x")), [claim], 0)
    assert fits(context(Budget(completion_tokens=10), ModelInfo(fingerprint="x")), [claim], 0)


def test_an_unknown_claim_fits_no_limit_but_no_limit_at_all() -> None:
    assert fits(context(), [None], 5)
    assert not fits(context(Budget(calls=10**6)), [None], 0)
    assert limits(context(Budget(seconds=5))) == []
    assert limits(context(Budget(calls=5, usd=None))) == ["calls"]


def test_calls_that_are_kept_are_not_there() -> None:
    assert fits(context(Budget(calls=3)), [Claim(calls=2, completion=1)], 1)
    assert not fits(context(Budget(calls=3)), [Claim(calls=2, completion=1)], 2)


def outcome(ended: bool) -> Outcome:
    why = Interrupted("over", reason="budget") if ended else None
    return Outcome(candidate=Candidate(index=0, message=Message("assistant", "x")), ended=why)


@given(st.integers(1, 9), st.integers(1, 4), st.integers(0, 9))
async def test_waves_go_in_order_and_stop_at_an_end(count: int, width: int, ending: int) -> None:
    done: dict[int, Outcome] = {}
    waves: list[list[int]] = []

    async def step(at: int, *, sure: bool) -> Outcome:
        waves[-1].append(at)
        done[at] = outcome(at == ending)
        return done[at]

    def fitting(ready: list[int]) -> int:
        waves.append([])
        return min(width, len(ready))

    await in_waves([[] for _ in range(count)], done, step, fitting)  # type: ignore[arg-type]  # a list is a sequence
    last = count if ending >= count else min(count, (ending // width + 1) * width)
    assert [at for wave in waves for at in wave] == list(range(last))
    assert all(len(wave) <= width for wave in waves)


async def test_free_nodes_stop_at_an_end() -> None:
    seen: list[int] = []

    async def step(at: int) -> Outcome:
        seen.append(at)
        return outcome(at == 1)

    await freely([[], [0], [1], [2]], step)
    assert seen == [0, 1]
