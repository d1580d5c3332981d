"""Graphs of sub-tasks: order, context, concurrency, budgets that no order of replies can sway, repair and ends."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder import Budget, Context, Message, Meter, ModelInfo, Request, Sampling, ScriptedModel, Task, Trace
from ponder.core.candidate import Candidate
from ponder.core.errors import BadInput, Interrupted, ProviderError
from ponder.engines.asking import Outcome
from ponder.engines.plans import PLAN_SCHEMA, SubTask
from ponder.engines.task_graph import (
    Claim,
    Done,
    ask_plan,
    conclude_graph,
    do_node,
    node_claim,
    run_graph,
)

TASK = Task.of(
    "How many?",
    answer="number",
)
Replies = Sequence[str | ProviderError] | Callable[[Request, int], str | ProviderError]


def context(replies: Replies = ("7",), budget: Budget | None = None, **options: Any) -> Context:
    models = {"policy": ScriptedModel(replies=replies, **options)}
    return Context(models=models, meter=Meter(budget), trace=Trace(), sampling=Sampling(max_tokens=16))


def plan(*edges: tuple[str, str]) -> list[SubTask]:
    """("a", "") is a node alone, ("b", "ac") depends on a and c."""
    return [SubTask(id=name, text=f"do {name}", depends=tuple(needed)) for name, needed in edges]


def render(node: SubTask, done: Done) -> list[Message]:
    told = " ".join(f"[{name}: {outcome.text}]" for name, outcome in done.items())
    return [Message("user", f"{node.text} given {told or 'nothing'}")]


def answered(text: str) -> Outcome:
    return Outcome(candidate=Candidate(index=0, message=Message("assistant", text), finish="stop"))


DIAMOND = plan(("a", ""), ("b", "a"), ("c", "a"), ("d", "bc"), ("e", ""))


async def test_a_node_sees_all_its_ancestors_and_nothing_else() -> None:
    ctx = context(lambda request, number: f"<{request.messages[0].text.split()[1]}>")
    done = await run_graph(DIAMOND, partial(do_node, TASK, ctx, render), ctx)
    prompts = {call.prompt.split()[1]: call.prompt for call in ctx.models["policy"].log}  # type: ignore[attr-defined]
    assert prompts["d"].endswith("[a: <a>] [b: <b>] [c: <c>]")
    assert prompts["b"].endswith("[a: <a>]")
    assert prompts["e"].endswith("nothing")
    assert list(done) == ["a", "b", "c", "d", "e"]
    assert [outcome.text for outcome in done.values()] == ["<a>", "<b>", "<c>", "<d>", "<e>"]


async def test_a_node_starts_when_its_own_are_done_not_when_a_layer_is() -> None:
    """b waits for a only; c is slow and in the same layer as a."""
    log: list[str] = []
    slow = asyncio.Event()

    async def work(node: SubTask, done: Done, sure: bool) -> Outcome:
        if node.id == "c":
            await slow.wait()
        log.append(node.id)
        if node.id == "b":
            slow.set()  # never, if b waited for c
        return answered(node.id)

    await asyncio.wait_for(run_graph(plan(("a", ""), ("c", ""), ("b", "a")), work, context()), 5)
    assert log == ["a", "b", "c"]


@st.composite
def graphs(draw: st.DrawFn) -> list[SubTask]:
    count = draw(st.integers(1, 7))
    names = "abcdefg"[:count]
    return plan(*((name, "".join(k for k in names[:at] if draw(st.booleans()))) for at, name in enumerate(names)))


@given(graphs(), st.integers(0, 3), st.sampled_from([None, 3, 5, 40]), st.booleans())
@settings(max_examples=60)
async def test_the_outcome_does_not_depend_on_the_order_of_replies(
    nodes: list[SubTask], seed: int, calls: int | None, tokens: bool
) -> None:
    budget = None if calls is None else Budget(tokens=calls * 12) if tokens else Budget(calls=calls)

    def reply(request: Request, number: int) -> str:
        return f"{len(request.messages[0].text)} {request.seed % 97}"

    found = []
    for latency in (0.0, (0.0, 0.004)):
        ctx = context(reply, budget, latency=latency)
        claim = partial(node_claim, ctx, render)
        done = await run_graph(nodes, partial(do_node, TASK, ctx, render), ctx, claim=claim)
        found.append({name: (outcome.text, outcome.ended is None) for name, outcome in done.items()})
        assert ctx.meter.in_flight == 0
    assert found[0] == found[1]
    if budget is None:
        assert len(found[0]) == len(nodes)


@given(graphs(), st.integers(0, 999))
@settings(max_examples=40)
async def test_no_node_runs_before_what_it_needs_or_twice(nodes: list[SubTask], seed: int) -> None:
    rng = random.Random(seed)
    finished: list[str] = []

    async def work(node: SubTask, done: Done, sure: bool) -> Outcome:
        assert set(node.depends) <= set(finished)
        assert set(node.depends) <= done.keys()
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)
        finished.append(node.id)
        return answered(node.id)

    await run_graph(nodes, work, context())
    assert sorted(finished) == [node.id for node in nodes]


@pytest.mark.parametrize(("calls", "together"), [(6, 5), (5, 4), (3, 2), (2, 1), (1, 1)])
async def test_what_surely_fits_runs_together_and_what_may_not_does_not(calls: int, together: int) -> None:
    """Five nodes without edges, and a call that is kept for something else."""
    running: set[str] = set()
    most = 0

    async def work(node: SubTask, done: Done, sure: bool) -> Outcome:
        nonlocal most
        running.add(node.id)
        most = max(most, len(running))
        await asyncio.sleep(0)
        running.discard(node.id)
        return answered("x")

    def claim(node: SubTask, done: Done) -> Claim:
        return Claim(calls=1, completion=1)

    nodes = plan(*((name, "") for name in "abcde"))
    await run_graph(nodes, work, context(budget=Budget(calls=calls)), claim=claim, keep=1)
    assert most == together


@pytest.mark.parametrize(
    ("budget", "info", "together"),
    [
        (Budget(completion_tokens=32), None, True),
        (Budget(completion_tokens=31), None, False),
        (Budget(tokens=1000), None, False),  # nothing bounds the prompt
        (Budget(tokens=1000), ModelInfo(fingerprint="x", context=100), True),
        (Budget(tokens=200), ModelInfo(fingerprint="x", context=100), False),
        (Budget(seconds=60), None, True),
    ],
)
async def test_costs_are_bounded_unit_by_unit(budget: Budget, info: ModelInfo | None, together: bool) -> None:
    ctx = context(budget=budget) if info is None else context(budget=budget, info=info)
    surely: list[bool] = []

    async def work(node: SubTask, done: Done, sure: bool) -> Outcome:
        surely.append(sure)
        return answered("x")

    await run_graph(plan(("a", ""), ("b", "")), work, ctx, claim=lambda node, done: Claim(calls=1, completion=16))
    assert surely == [together] * 2


async def test_nothing_begins_after_an_end_of_the_run() -> None:
    async def work(node: SubTask, done: Done, sure: bool) -> Outcome:
        return Outcome(ended=Interrupted("over", reason="cancelled")) if node.id == "a" else answered("x")

    done = await run_graph(DIAMOND, work, context())
    assert "b" not in done
    assert "d" not in done
    limited = await run_graph(DIAMOND, work, context(budget=Budget(calls=1)))
    assert list(limited) == ["a"]


async def test_a_fault_of_a_node_leaves_as_one_plain_exception() -> None:
    async def work(node: SubTask, done: Done, sure: bool) -> Outcome:
        raise RuntimeError(node.id)

    with pytest.raises(RuntimeError, match="a"):
        await run_graph(DIAMOND, work, context())


async def test_a_plan_that_cannot_be_run_is_refused() -> None:
    with pytest.raises(BadInput, match="circle"):
        await run_graph(plan(("a", "b"), ("b", "a")), partial(do_node, TASK, context(), render), context())


async def test_a_failed_node_leaves_the_others_their_way() -> None:
    def reply(request: Request, number: int) -> str | ProviderError:
        return ProviderError("no") if request.messages[0].text.startswith("do b") else "x"

    ctx = context(reply)
    done = await run_graph(DIAMOND, partial(do_node, TASK, ctx, render), ctx)
    assert done["b"].candidate is not None
    assert done["b"].candidate.error == "no"
    assert done["d"].text == "x"


# -- nodes with a method, a budget and a role of their own -----------------------------------------------------------


async def test_a_node_has_its_own_method_budget_and_role() -> None:
    small = ScriptedModel(replies=["1 2 3 4 5"], name="small")
    ctx = Context(
        models={"policy": ScriptedModel(replies=["9"]), "small": small}, meter=Meter(), trace=Trace(), method="test"
    )
    node = SubTask(
        id="a",
        text="vote",
        method="self_consistency",
        settings={"n": 3},
        answer="number",
        role="small",
        budget=Budget(completion_tokens=7),
    )
    outcome = await do_node(TASK, ctx, render, node, {})
    assert sum(len(call.reply.split()) for call in small.log) == 7
    assert ctx.meter.nominal["small"].completion_tokens <= 7
    assert "policy" not in ctx.meter.nominal
    assert outcome.ended is None, "the node's own budget does not end the run"
    assert outcome.candidate is not None
    assert outcome.candidate.metadata["node"] == "a"


async def test_the_meter_cuts_a_node_at_its_budget() -> None:
    ctx = context(["one two three four five"])
    outcome = await do_node(TASK, ctx, render, SubTask(id="a", text="x", budget=Budget(completion_tokens=2)), {})
    assert outcome.candidate is not None
    assert (outcome.text, outcome.candidate.finish) == ("one two", "length")


async def test_the_runs_own_budget_ends_it_through_a_node() -> None:
    ctx = context(["7"], Budget(calls=2))
    node = SubTask(id="a", text="vote", method="self_consistency", settings={"n": 3}, answer="number")
    outcome = await do_node(TASK, ctx, render, node, {})
    assert outcome.text == "7"
    assert outcome.ended is not None
    assert outcome.ended.reason == "budget"


async def test_a_node_whose_method_fails_is_a_failed_node() -> None:
    outcome = await do_node(
        TASK, context([ProviderError("no")]), render, SubTask(id="a", text="x", method="greedy"), {}
    )
    assert outcome.candidate is not None
    assert not outcome.candidate.ok
    assert outcome.candidate.error


def test_claims_of_nodes() -> None:
    ctx = context()
    assert node_claim(ctx, render, SubTask(id="a", text="x y"), {}) == Claim(calls=1, completion=16, prompt=4)
    assert node_claim(ctx, render, SubTask(id="a", text="x", depends=("b",)), {}).prompt is None
    voting = SubTask(id="a", text="x", method="self_consistency", settings={"n": 5})
    assert node_claim(ctx, render, voting, {}).calls == 5
    capped = SubTask(id="a", text="x", method="greedy", budget=Budget(completion_tokens=3), role="small")
    assert node_claim(ctx, render, capped, {}) == Claim(calls=1, completion=3, role="small")


async def test_graphs_in_graphs_do_not_wait_for_each_other() -> None:
    """One slot at the leaf, taken around a call: a graph that runs inside a node ends all the same."""
    slot = asyncio.Semaphore(1)

    class OneAtATime(ScriptedModel):
        async def generate(self, request: Request, sink: Any = None) -> Any:
            async with slot:
                return await super().generate(request, sink)

    ctx = Context(models={"policy": OneAtATime(replies=["x"], latency=0.001)}, meter=Meter(), trace=Trace())
    inner = partial(do_node, TASK, ctx, render)

    async def work(node: SubTask, done: Done, sure: bool) -> Outcome:
        found = await run_graph(DIAMOND, inner, ctx, sure=sure)
        return answered("".join(found))

    done = await asyncio.wait_for(run_graph(DIAMOND, work, ctx), 10)
    assert {outcome.text for outcome in done.values()} == {"abcde"}


# -- planning ----------------------------------------------------------------------------------------------------------


def written(*rows: tuple[str, list[str]]) -> str:
    return json.dumps({"tasks": [{"id": name, "task": f"do {name}", "depends": needed} for name, needed in rows]})


GOOD = written(("a", []), ("b", ["a"]))


async def planned(*replies: str, **options: Any) -> tuple[Any, Context]:
    ctx = context(lambda request, number: replies[min(number, len(replies) - 1)])
    found = await ask_plan(ctx, [Message("user", "plan")], TASK, path=("plan",), **options)
    return found, ctx


async def test_a_good_plan_costs_one_call() -> None:
    found, ctx = await planned(GOOD)
    assert [(node.id, node.depends) for node in found.plan] == [("a", ()), ("b", ("a",))]
    assert (found.flat, found.note, ctx.meter.nominal["policy"].calls) == (False, "", 1)


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (written(("a", ["b"]), ("b", ["a"])), "circle"),
        (written(("a", []), ("a", [])), "several"),
        (written(("a", ["z"])), "no id"),
        ("First I would count.", "no JSON"),
        ('{"answer": 7}', "no JSON"),
        ("", "empty"),
        ("I cannot help with that.", "refuses"),
    ],
)
async def test_a_bad_plan_is_asked_for_again_with_its_fault(bad: str, fault: str) -> None:
    found, ctx = await planned(bad, GOOD, repairs=1)
    assert not found.flat
    assert fault in found.faults[0]
    assert fault in ctx.models["policy"].log[1].prompt  # type: ignore[attr-defined]


async def test_a_plan_that_stays_bad_becomes_a_flat_one_which_the_trace_says() -> None:
    found, ctx = await planned(written(("a", ["b"]), ("b", ["a"]), ("b", [])), repairs=2)
    assert [(node.text, node.depends) for node in found.plan] == [("do a", ()), ("do b", ())]
    assert found.flat
    assert "flat" in found.note
    assert ctx.meter.nominal["policy"].calls == 3
    (event,) = [e for e in ctx.trace.events if e.kind == "plan"]
    assert event.data["flat"] is True
    assert len(event.data["faults"]) == 3


async def test_a_copy_of_the_example_is_no_plan_not_even_a_flat_one() -> None:
    ctx = context([GOOD])
    found = await ask_plan(ctx, [Message("user", f"plan in this form: {GOOD}")], TASK, path=("plan",), repairs=0)
    assert [node.text for node in found.plan] == [TASK.prompt]
    assert "repeats" in found.note


async def test_without_any_plan_the_task_is_the_only_node() -> None:
    found, _ = await planned("no", repairs=0)
    assert [node.text for node in found.plan] == [TASK.prompt]


async def test_plan_schema_takes_what_the_reader_reads() -> None:
    assert PLAN_SCHEMA["required"] == ["tasks"]
    assert set(json.loads(GOOD)["tasks"][0]) == set(PLAN_SCHEMA["properties"]["tasks"]["items"]["required"])


# -- the result ------------------------------------------------------------------------------------------------------


def part(text: str, **options: Any) -> Candidate:
    return Candidate(index=0, message=Message("assistant", text), finish=options.pop("finish", "stop"), **options)


def test_the_final_answer_is_chosen_and_read() -> None:
    result = conclude_graph(TASK, context(), [part("it is 3")], part("so 12"), notes=["", "a note"])
    assert (result.answer, result.chosen, result.stopped, result.detail) == ("12", 1, "done", "a note")
    assert [c.index for c in result.candidates] == [0, 1]
    assert result.candidates[0].answer is None


def test_an_early_end_gives_the_latest_part() -> None:
    why = Interrupted("over", reason="deadline")
    result = conclude_graph(TASK, context(), [part("3"), part("4"), part("5 and", finish="cancelled")], None, ended=why)
    assert (result.answer, result.chosen, result.stopped) == ("4", 1, "deadline")
    assert "the latest of the parts" in result.detail


def test_nothing_at_all_says_why() -> None:
    failed = Candidate(index=0, error="broken")
    result = conclude_graph(TASK, context(), [], failed)
    assert (result.answer, result.chosen, result.stopped, result.detail) == (None, None, "endpoint", "broken")
