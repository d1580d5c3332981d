from __future__ import annotations

import asyncio
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.budget import Budget, Meter, Need, Reservation
from ponder.core.errors import ConfigError, Interrupted, OutOfBudget
from ponder.core.model import ModelInfo
from ponder.core.usage import Usage

INFO = ModelInfo(
    fingerprint="x", usd_per_prompt_token=1 / 64, usd_per_completion_token=1 / 32, flops=lambda p, c: 2.0 * (p + c)
)


def need(prompt: int = 10, completion: int = 20, minimum: int = 1) -> Need:
    return Need(prompt=prompt, completion=completion, minimum=minimum, info=INFO)


def nothing() -> None:
    return None


def admit(meter: Meter, wanted: Need) -> Reservation:
    ticket = meter.ticket("policy")
    ticket.ask(wanted, nothing)
    assert ticket.reservation is not None
    return ticket.reservation


@pytest.mark.parametrize("text", ["tokens=4000,seconds=60", " tokens = 4000 , seconds=60,"])
def test_parse_reads_units(text: str) -> None:
    assert Budget.parse(text) == Budget(tokens=4000, seconds=60.0)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("tokens", "cannot read"),
        ("token=5", "cannot read"),
        ("tokens=many", "no number"),
        ("tokens=5,tokens=6", "given twice"),
        ("tokens=0", "positive"),
        ("seconds=-1", "positive"),
        ("usd=nan", "positive"),
        ("calls=1.5", "whole number"),
        ("tokens=100,completion_tokens=200", "contradictory"),
    ],
)
def test_parse_refuses_what_makes_no_sense(text: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        Budget.parse(text)


def test_share_rounds_whole_units_down_to_at_least_one() -> None:
    assert Budget(calls=5, seconds=10.0).share(0.5) == Budget(calls=2, seconds=5.0)
    assert Budget(calls=1).share(0.1) == Budget(calls=1)
    with pytest.raises(ConfigError, match="share"):
        Budget(calls=1).share(0)


def test_reservation_is_held_then_replaced_by_the_cost() -> None:
    meter = Meter(Budget(tokens=100))
    held = admit(meter, need())
    assert meter.left("tokens") == 70
    held.settle(Usage(calls=1, prompt_tokens=10, completion_tokens=5))
    assert meter.left("tokens") == 85
    held.settle(Usage(calls=1, prompt_tokens=10, completion_tokens=5))  # a second settlement changes nothing
    assert meter.spent.tokens == 15


def test_waiting_head_blocks_later_ones_and_is_admitted_whole_when_room_comes_back() -> None:
    meter = Meter(Budget(tokens=50))
    first = admit(meter, need())
    second, third = meter.ticket("policy"), meter.ticket("policy")
    third.ask(need(1, 1), nothing)  # would fit, but is later in sample order
    second.ask(need(), nothing)
    assert not second.decided
    assert not third.decided
    first.settle(Usage(calls=1, prompt_tokens=10, completion_tokens=5))
    assert second.reservation is not None
    assert second.reservation.completion == 20
    assert third.reservation is not None


def test_head_with_nothing_in_flight_is_clipped_then_refused() -> None:
    meter = Meter(Budget(tokens=45))
    admit(meter, need()).settle(Usage(calls=1, prompt_tokens=10, completion_tokens=20))
    clipped = admit(meter, need())
    assert clipped.completion == 5
    clipped.settle(Usage(calls=1, prompt_tokens=10, completion_tokens=1))
    refused = meter.ticket("policy")
    refused.ask(need(), nothing)
    assert isinstance(refused.refusal, OutOfBudget)
    assert refused.refusal.unit == "tokens"


def test_call_below_its_minimum_is_refused() -> None:
    meter = Meter(Budget(completion_tokens=10))
    ticket = meter.ticket("policy")
    ticket.ask(need(minimum=11), nothing)
    assert isinstance(ticket.refusal, OutOfBudget)


def test_closed_ticket_lets_the_next_one_through() -> None:
    meter = Meter(Budget(calls=1))
    silent, asking = meter.ticket("policy"), meter.ticket("policy")
    asking.ask(need(), nothing)
    assert not asking.decided
    silent.close()
    assert asking.reservation is not None


def test_nested_meters_must_all_fit() -> None:
    root = Meter(Budget(calls=3))
    child = Meter(Budget(calls=2), parent=root)
    for _ in range(2):
        admit(child, need()).settle(Usage(calls=1))
    refused = child.ticket("policy")
    refused.ask(need(), nothing)
    assert isinstance(refused.refusal, OutOfBudget)
    admit(root, need()).settle(Usage(calls=1))
    assert root.spent.calls == 3
    assert child.spent.calls == 2
    assert root.left("calls") == 0


def test_lying_usage_is_recorded_as_overrun_and_ends_the_run() -> None:
    meter = Meter(Budget(completion_tokens=100))
    admit(meter, need()).settle(Usage(calls=1, prompt_tokens=10, completion_tokens=33))
    assert meter.stopped is not None
    assert meter.stopped.reason == "overrun"
    assert meter.spent.completion_tokens == 33
    assert len(meter.overruns) == 1
    ticket = meter.ticket("policy")
    ticket.ask(need(), nothing)
    assert ticket.refusal is meter.stopped


def test_repeated_attempts_count_against_the_budget() -> None:
    meter = Meter(Budget(tokens=100))
    admit(meter, need()).settle(
        Usage(calls=1, prompt_tokens=10, completion_tokens=5),
        paid=Usage(calls=1, prompt_tokens=20, completion_tokens=25),
    )
    assert meter.left("tokens") == 55
    assert meter.nominal["policy"].tokens == 15
    admit(meter, need()).settle(Usage(calls=1, prompt_tokens=10), paid=Usage(calls=1, prompt_tokens=60))
    assert meter.stopped is not None
    assert meter.stopped.reason == "overrun"


def test_broken_call_settles_at_its_streamed_count_else_in_full() -> None:
    meter = Meter(Budget(tokens=1000))
    streamed = admit(meter, need())
    streamed.progress(3)
    streamed.close()
    assert (meter.spent.completion_tokens, meter.spent.exact) == (3, False)
    admit(meter, need()).close()
    assert meter.spent.completion_tokens == 23


def test_dropped_call_is_paid_but_not_nominal() -> None:
    meter = Meter()
    admit(meter, need()).settle(Usage(calls=1, completion_tokens=7), book=False)
    assert meter.nominal == {}
    assert meter.paid["policy"].completion_tokens == 7
    meter.book("policy", Usage(calls=1, completion_tokens=7))
    assert meter.nominal["policy"].completion_tokens == 7


def test_stop_refuses_what_waits_and_tells_listeners() -> None:
    meter = Meter(Budget(calls=1))
    child = Meter(parent=meter)
    admit(meter, need())
    waiting = meter.ticket("policy")
    waiting.ask(need(), nothing)
    heard: list[str] = []
    with child.listening(lambda why: heard.append(why.reason)):
        meter.stop(Interrupted("over", reason="deadline"))
        meter.stop(Interrupted("too late", reason="cancelled"))
    assert heard == ["deadline"]
    assert waiting.refusal is not None
    assert child.reason() is meter.stopped


def test_units_that_cannot_be_computed_are_refused_before_spending() -> None:
    bare = ModelInfo(fingerprint="y")
    with pytest.raises(ConfigError, match="prices"):
        Meter(Budget(usd=1)).check_prices(bare, "m")
    with pytest.raises(ConfigError, match="shape"):
        Meter(Budget(flops=1)).check_prices(bare, "m")
    Meter(Budget(usd=1, flops=1)).check_prices(INFO, "m")


def test_rounded_sums_of_dollars_admit_the_last_call() -> None:
    info = ModelInfo(fingerprint="z", usd_per_prompt_token=0.0, usd_per_completion_token=0.01)
    meter = Meter(Budget(usd=0.64))
    for _ in range(64):
        admit(meter, Need(prompt=1, completion=1, info=info)).settle(
            info.price(Usage(calls=1, prompt_tokens=1, completion_tokens=1))
        )
    assert meter.spent.calls == 64


budgets = st.builds(
    Budget,
    calls=st.none() | st.integers(1, 20),
    tokens=st.none() | st.integers(60, 400),
    completion_tokens=st.none() | st.integers(1, 60),
    usd=st.none() | st.integers(1, 200).map(lambda n: n / 64),
)
# prompt, most completion, what it really writes (a share of what it was granted), seconds
jobs = st.lists(st.tuples(st.integers(1, 20), st.integers(1, 40), st.floats(0, 1), st.integers(0, 5)), max_size=25)


def sequential(budget: Budget, wanted: list[tuple[int, int, float, int]]) -> list[int | None]:
    """The plain twin: one call after another against running sums."""
    limits, spent = budget.limits(), dict.fromkeys(budget.limits(), 0.0)
    out: list[int | None] = []
    for prompt, most, share, _ in wanted:
        fits = [
            c
            for c in range(1, most + 1)
            if all(
                spent[unit] + need(prompt, most).amount(unit, c) <= limits[unit] * (1 + 1e-9 * (unit == "usd"))
                for unit in limits
            )
        ]
        if not fits:
            out.append(None)
            continue
        out.append(max(fits))
        usage = INFO.price(Usage(calls=1, prompt_tokens=prompt, completion_tokens=math.ceil(share * max(fits))))
        for unit in limits:
            spent[unit] += getattr(usage, unit)
    return out


@given(budget=budgets, wanted=jobs)
def test_admitted_set_equals_the_sequential_one(budget: Budget, wanted: list[tuple[int, int, float, int]]) -> None:
    async def one(meter: Meter, prompt: int, most: int, share: float, delay: int) -> int | None:
        ticket, decided = meter.ticket("policy"), asyncio.Event()
        await asyncio.sleep(0)  # the need is known later than the place in the queue
        ticket.ask(need(prompt, most), decided.set)
        await decided.wait()
        if ticket.reservation is None:
            return None
        for unit, limit in budget.limits().items():
            held = meter._spent[unit] + meter._reserved[unit]
            assert held <= limit * (1 + 1e-9)
        for _ in range(delay):
            await asyncio.sleep(0)
        granted = ticket.reservation.completion
        ticket.reservation.settle(
            INFO.price(Usage(calls=1, prompt_tokens=prompt, completion_tokens=math.ceil(share * granted)))
        )
        return granted

    async def concurrent() -> list[int | None]:
        meter = Meter(budget)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(meter, *job)) for job in wanted]
        assert meter.in_flight == 0
        assert all(value == pytest.approx(0, abs=1e-9) for value in meter._reserved.values())
        return [task.result() for task in tasks]

    assert asyncio.run(concurrent()) == sequential(budget, wanted)


@given(seed=st.integers(0, 10_000))
def test_random_ends_never_exceed_the_budget_and_settle_once(seed: int) -> None:
    """200 parallel samples against a budget for 50: with failures, cancellations, and nested meters."""
    rng = random.Random(seed)
    root = Meter(Budget(calls=50, tokens=1200))
    children = [Meter(Budget(calls=rng.randint(1, 30)), parent=root) for _ in range(4)]
    peak = 0.0
    pending: list[Reservation] = []
    tickets = [(children[i % 4] if i % 3 else root).ticket("policy") for i in range(200)]
    for ticket in rng.sample(tickets, len(tickets)):
        if rng.random() < 0.05:
            ticket.close()
        else:
            ticket.ask(need(rng.randint(1, 10), rng.randint(1, 30)), nothing)
        pending += [t.reservation for t in tickets if t.reservation is not None and t.reservation.open]
        pending = [r for r in dict.fromkeys(pending) if r.open]
        peak = max(peak, root._spent["calls"] + root._reserved["calls"])
        while pending and rng.random() < 0.5:
            held = pending.pop(rng.randrange(len(pending)))
            if rng.random() < 0.3:
                held.close()
            else:
                held.settle(
                    Usage(calls=1, prompt_tokens=held.need.prompt, completion_tokens=rng.randint(0, held.completion))
                )
    while any(t.reservation is not None and t.reservation.open for t in tickets):
        for ticket in tickets:
            if ticket.reservation is not None and ticket.reservation.open:
                ticket.reservation.close()
    assert all(ticket.closed for ticket in tickets)
    assert peak <= 50
    assert root.spent.calls <= 50
    assert root.spent.tokens <= 1200
    assert root.in_flight == 0
    assert not root.overruns
