"""Adaptive Graph of Thoughts: card 52's call counts and ways to check it, on a planner that is told what to say."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder import Access, Budget, Model, Request, Result, Sampling, ScriptedModel, Task, Trace, solve
from ponder.core.errors import BadInput, ConfigError
from ponder.strategies._growing import Shape
from ponder.strategies._thoughts import (
    Thought,
    ancestors_of,
    as_text,
    keep_parents,
    read_complexity,
    read_final,
    read_proposal,
)
from ponder.strategies.adaptive_graph_of_thoughts import AdaptiveGraphOfThoughts
from tests.strategies.bad_outputs import number, recorded, usable

TASK = Task.of("How many apples, QMARK?", answer="number")
PARTS = {
    "initial": "first tasks for this question",
    "nested": "This task of it is too complex",
    "complexity": "Is the following task",
    "next": "Has this come to a result",
    "final": "Write the task that gives the final answer: which",
    "conclude": "Give the final answer to the question",
    "execute": "Do only this task",
}


def part_of(request: Request) -> str:
    text = "\n".join(message.text for message in request.messages)  # the last one may be a complaint
    return next(name for name, phrase in PARTS.items() if phrase in text)


def tasks(*titles: str, parents: Sequence[Any] = (), **more: Any) -> str:
    rows = [{"title": title, "content": f"do {title}", "parents": list(parents)} for title in titles]
    return json.dumps({"tasks": rows, "strategy": "S", **more})


def said(text: str, title: str) -> bool:
    """Whether the request is about the task of this title."""
    return f"Task: {title}\n" in text or f"Task:\n{title}:" in text


class World:
    """A planner that fills every layer, and keeps what it was asked by part."""

    def __init__(self, *, width: int = 3, complex_: Callable[[str], bool] = lambda text: False, **fixed: Any) -> None:
        self.width, self.complex, self.fixed = width, complex_, fixed
        self.asked: dict[str, list[str]] = {}

    def __call__(self, request: Request, number: int) -> str:
        text, part = request.messages[-1].text, part_of(request)
        self.asked.setdefault(part, []).append(text)
        if part in self.fixed:
            fixed = self.fixed[part]
            return str(fixed(text) if callable(fixed) else fixed)
        match part:
            case "initial" | "nested" | "next":
                layer = text.count("\nlayer ") + (1 if part == "next" else 0)
                return tasks(*(f"T{layer}{k}" for k in range(self.width)), final=False)
            case "complexity":
                return json.dumps({"is_complex": self.complex(text), "justification": ""})
            case "final":
                return json.dumps({"title": "End", "content": "bring it together"})
            case "conclude":
                return "The answer is 12."
        return f"found {sum(map(len, self.asked[part])) % 89}"

    def count(self) -> dict[str, int]:
        return {part: len(texts) for part, texts in self.asked.items()}


async def run(world: Any, **options: Any) -> Result:
    model = ScriptedModel(replies=world, **{k: options.pop(k) for k in ("latency", "access") if k in options})
    return await solve(options.pop("task", TASK), model=model, method="adaptive_graph_of_thoughts", **options)


def nodes(graph: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [node for one in graph for node in (one, *nodes(one["nested"]))]


def graph_of(result: Result) -> list[Mapping[str, Any]]:
    assert result.candidate is not None
    found: list[Mapping[str, Any]] = result.candidate.metadata["graph"]
    return found


# -- card 52, "How to check it" --------------------------------------------------------------------------------------


def every_third(text: str) -> bool:
    return any(f"Task:\nT{layer}0:" in text for layer in range(9))


@pytest.mark.parametrize(
    ("depth", "complex_", "calls"),
    [
        (1, lambda text: False, 23),
        (1, lambda text: True, 104),
        (1, every_third, 50),
        (0, lambda text: True, 14),
    ],
)
async def test_call_counts_of_the_card(depth: int, complex_: Callable[[str], bool], calls: int) -> None:
    world = World(complex_=complex_)
    result = await run(world, depth=depth, layers=3, width=3, repairs=0)
    assert result.cost.calls == calls
    assert (result.answer, result.stopped, result.detail) == ("12", "done", "")
    most = AdaptiveGraphOfThoughts(depth=depth, repairs=0).calls()
    assert result.usage["policy"].calls <= most["policy"]
    assert result.usage["planner"].calls <= most["planner"]
    if depth == 0:
        assert "complexity" not in world.asked
        assert all(not node["nested"] for node in graph_of(result))


async def test_one_task_in_one_layer_costs_four_calls() -> None:
    world = World(complex_=lambda text: True)
    result = await run(world, depth=0, layers=1, width=1, repairs=0)
    assert result.cost.calls == 4, "a first task, its execution, a final task, its execution"


async def test_declared_calls_are_reached_where_everything_is_complex() -> None:
    result = await run(World(complex_=lambda text: True), layers=3, width=3, repairs=0)
    most = AdaptiveGraphOfThoughts(repairs=0).calls()
    assert {role: usage.calls for role, usage in result.usage.items()} == most
    assert sum(most.values()) == 104


async def test_width_one_is_a_chain() -> None:
    world = World(width=1, next=lambda text: tasks("more", parents=[text.count("<task ")], final=False))
    result = await run(world, depth=0, layers=4, width=1)
    *chain, final = graph_of(result)
    assert [node["parents"] for node in chain] == [[], [1], [2], [3]]
    assert final["parents"] == [1, 2, 3, 4]
    one = await run(World(width=1), depth=0, layers=1, width=1)
    assert one.cost.calls == 4


async def test_a_final_task_after_the_first_layer_ends_it() -> None:
    world = World(next=tasks("End", parents=[2], final=True))
    result = await run(world, layers=3, depth=0)
    assert world.count() == {"initial": 1, "execute": 3, "next": 1, "conclude": 1}
    assert {node["layer"] for node in graph_of(result)} == {0, 1}
    assert graph_of(result)[-1]["parents"] == [2]
    assert result.answer == "12"


@given(st.integers(0, 10_000))
@settings(max_examples=25)
async def test_invariants_on_random_runs(seed: int) -> None:
    rng = random.Random(seed)

    def later(text: str) -> str:
        if rng.random() < 0.2:
            return tasks("End", parents=[1], final=True)
        rows = [
            {"title": f"R{k}", "content": "do", "parents": [rng.randrange(-1, 12) for _ in range(3)]}
            for k in range(rng.randrange(1, 5))
        ]
        return json.dumps({"tasks": rows, "strategy": ""})

    shape = Shape(depth=2, layers=3, width=3, shrink=True, repairs=1, plan_tokens=512)
    world = World(width=rng.randrange(1, 4), complex_=lambda text: rng.random() < 0.3, next=later)
    result = await run(world, depth=2, layers=3, width=3)
    assert result.stopped == "done"

    def check(graph: Sequence[Mapping[str, Any]], depth: int) -> None:
        layer = {node["id"]: node["layer"] for node in graph}
        assert depth <= shape.depth
        assert len({node["layer"] for node in graph if node is not graph[-1]}) <= shape.layers_at(depth)
        for node in graph:
            assert node["depth"] == depth
            assert node["answer"]
            assert all(layer[parent] < node["layer"] for parent in node["parents"])
            if node["nested"]:
                check(node["nested"], depth + 1)

    check(graph_of(result), 0)


async def test_a_task_sees_its_ancestors_answers_and_no_others() -> None:
    def following(text: str) -> str:
        if text.count("\nlayer ") == 1:
            return tasks("B", parents=[1], final=False)
        return tasks("C", parents=[3], final=False)

    world = World(
        initial=tasks("A", "D"),
        next=following,
        execute=lambda text: next(f"ANS-{t}" for t in "ABCD" if said(text, t)),
    )
    await run(world, depth=0, layers=3)
    prompt = next(text for text in world.asked["execute"] if said(text, "C"))
    assert "ANS-A" in prompt
    assert "ANS-B" in prompt
    assert "ANS-D" not in prompt
    assert "ANS-D" in world.asked["conclude"][0]


def test_parents_are_filtered() -> None:
    known = [Thought(5, "t", "c", 0, 0), Thought(7, "t", "c", 0, 0)]
    assert keep_parents([5, 5, 99, 7], known, 7) == (5,)
    assert keep_parents([99], known, 8) == ()


async def test_unknown_parents_make_a_root_which_the_trace_says() -> None:
    trace = Trace()
    result = await run(World(next=tasks("B", parents=[99], final=False)), depth=0, layers=2, trace=trace)
    assert graph_of(result)[3]["parents"] == []
    assert [e.data["given"] for e in trace.events if e.kind == "root"] == [[99]]


@pytest.mark.parametrize("slots", [1, 2, 100])
async def test_few_slots_at_the_back_end_do_not_deadlock(slots: int) -> None:
    """Every task complex, so parents wait for graphs inside them while a call may hold the only slot."""
    free = asyncio.Semaphore(slots)

    class Limited(ScriptedModel):
        async def generate(self, request: Request, sink: Any = None) -> Any:
            async with free:
                return await super().generate(request, sink)

    world = World(width=2, complex_=lambda text: True, execute="found")
    model = Limited(replies=world, latency=0.0005)
    result = await asyncio.wait_for(solve(TASK, model=model, method="adaptive_graph_of_thoughts"), 30)
    alone = await run(World(width=2, complex_=lambda text: True, execute="found"))
    assert graph_of(result) == graph_of(alone)


@pytest.mark.parametrize("budget", [None, *(Budget(calls=n) for n in (1, 2, 3, 4, 7, 12, 25, 60))])
async def test_the_order_of_replies_changes_nothing(budget: Budget | None) -> None:
    """Latencies come from the seed of each call: with them replies come in another order."""

    def reply(request: Request, number: int) -> str:
        part = part_of(request)
        if part in ("conclude", "execute"):
            return f"seen {len(request.messages[-1].text)} {request.seed % 97}"
        if part == "complexity":
            return json.dumps({"is_complex": request.seed % 3 == 0})
        if part == "final":
            return "no idea" if request.seed % 2 else '{"title": "End", "content": "x"}'
        return tasks(*(f"T{request.seed % 7}{k}" for k in range(3)), parents=[request.seed % 5], final=False)

    found = [await run(reply, latency=latency, budget=budget) for latency in (0.0, (0.0, 0.006), 0.001)]
    assert found[0] == found[1] == found[2]
    if budget is not None:
        assert found[0].cost.calls <= (budget.calls or 0)
        assert found[0].chosen is not None, "the last call is kept for an answer"


@pytest.mark.parametrize("tokens", [60, 300, 1500])
async def test_the_order_of_replies_changes_nothing_under_a_limit_on_tokens(tokens: int) -> None:
    found = [await run(World(), latency=latency, budget=Budget(tokens=tokens)) for latency in (0.0, (0.0, 0.005))]
    assert found[0].cost == found[1].cost
    assert found[0].stopped == found[1].stopped


# -- replies that cannot be used -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fixed", "note"),
    [
        ({"initial": "I would count first."}, "no first tasks"),
        ({"next": ""}, "no further tasks"),
        ({"final": "no"}, "no final task"),
        ({"complexity": "maybe"}, "complexity could not be read"),
    ],
)
async def test_unreadable_replies_are_asked_for_again_then_said(fixed: dict[str, Any], note: str) -> None:
    world = World(**fixed)
    result = await run(world, layers=2, repairs=2)
    assert note in result.detail
    assert result.answer == "12"
    (part,) = fixed
    assert len(world.asked[part]) % 3 == 0
    if part == "initial":
        assert graph_of(result)[0]["content"] == TASK.prompt


@pytest.mark.parametrize(
    ("reply", "final"),
    [
        ('{"tasks": {"title": "End", "content": "x", "parents": [1]}, "strategy": ""}', True),
        ('{"tasks": [{"title": "End", "content": "x", "parent_id": 1, "answer": "?"}]}', True),
        ('{"final": true, "tasks": [{"title": "a"}, {"title": "End"}]}', True),
        ('{"final": true, "tasks": []}', True),
        ('[{"content": "x"}, "y"]', False),
        ('{"final": "no", "tasks": [{"title": "a", "content": "b"}]}', False),
    ],
)
def test_a_list_and_a_final_task_are_told_apart(reply: str, final: bool) -> None:
    proposal = read_proposal(reply, most=3, first=False)
    assert proposal.final is final
    assert len(proposal.tasks) <= 1 or not final
    assert read_proposal(reply.replace('"final": true, ', "").replace("[]", '["x"]'), most=1, first=True).final is False


@pytest.mark.parametrize("reply", ["", "no", "{}", '{"tasks": []}', '{"tasks": [{}]}', '{"tasks": "x"}', "[[1]]"])
def test_what_proposes_nothing_is_refused(reply: str) -> None:
    with pytest.raises(BadInput):
        read_proposal(reply, most=3, first=False)


@pytest.mark.parametrize("reply", ["yes", '{"is_complex": "true"}', '{"complex": true}', ""])
def test_a_complexity_is_true_or_false(reply: str) -> None:
    with pytest.raises(BadInput):
        read_complexity(reply)
    assert read_complexity('so {"is_complex": true, "justification": "two parts"}') is True


def test_graph_as_text_hides_nested_graphs_and_escapes() -> None:
    inner = Thought(1, "inner", "x", 0, 1)
    graph = [Thought(1, "a <b>", "x", 0, 0, nested=[inner]), Thought(2, "c", "y", 1, 0, parents=(1,))]
    text = as_text(graph)
    assert "inner" not in text
    assert "a &lt;b&gt;" in text
    assert "<children>c</children>" in text
    assert as_text([]) == "none"
    assert ancestors_of(graph[1], graph) == [graph[0]]


READERS: Mapping[str, Callable[[str], Any]] = {
    "initial": lambda text: read_proposal(text, most=3, first=True),
    "nested": lambda text: read_proposal(text, most=3, first=True),
    "next": lambda text: read_proposal(text, most=3, first=False),
    "complexity": read_complexity,
    "final": read_final,
    "execute": number,
    "conclude": number,
}


@recorded("adaptive_graph_of_thoughts")
def test_recorded_replies_of_the_embedded_model_are_used_or_refused(row: Mapping[str, Any]) -> None:
    assert usable("adaptive_graph_of_thoughts", row, READERS) is row["usable"]


# -- settings, access, ends ------------------------------------------------------------------------------------------


async def test_schema_is_sent_where_it_can_be() -> None:
    seen: set[tuple[str, bool]] = set()

    def reply(request: Request, number: int) -> str:
        seen.add((part_of(request), request.json_schema is not None))
        return World()(request, number)

    await run(reply, access=frozenset({Access.TEXT, Access.SEED, Access.SCHEMA}), layers=2)
    planned = {"initial", "complexity", "next", "final"}
    assert seen == {(part, part in planned) for part in (*planned, "execute", "conclude")}


async def test_the_chat_of_the_task_is_kept() -> None:
    seen: list[list[str]] = []

    def reply(request: Request, number: int) -> str:
        if part_of(request) == "conclude":
            seen.append([message.text for message in request.messages])
        return World()(request, number)

    task = Task.of(TASK.messages, answer="number", system="Be brief.")
    await run(reply, task=task, layers=1, depth=0)
    assert seen[0][0] == "Be brief."
    assert len(seen[0]) == 2


@pytest.mark.parametrize(
    "options", [{"depth": -1}, {"layers": 0}, {"width": 0}, {"repairs": -1}, {"temperature": -1.0}, {"plan_tokens": 0}]
)
async def test_settings_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        await run(World(), **options)


def test_nested_graphs_have_a_layer_less() -> None:
    shape = Shape(depth=3, layers=2, width=3, shrink=True, repairs=0, plan_tokens=9)
    assert [shape.layers_at(depth) for depth in range(4)] == [2, 1, 1, 1]
    assert replace(shape, shrink=False).layers_at(3) == 2


@pytest.mark.embedded
async def test_embedded_model_grows_a_graph(embedded: Model) -> None:
    task = Task.of("Ann has 3 bags with 4 apples in each. How many apples are there?", answer="number")
    result = await solve(
        task,
        model=embedded,
        method="adaptive_graph_of_thoughts",
        layers=1,
        width=2,
        depth=0,
        repairs=0,
        plan_tokens=40,
        sampling=Sampling(max_tokens=24),
    )
    assert result.chosen is not None
    assert result.cost.completion_tokens <= 400
    assert graph_of(result)[-1]["answer"] == result.text.strip()
