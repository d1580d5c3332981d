"""SCALE: card 38's call counts and ways to check it, in both parities."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ponder import Access, Budget, Message, Model, Request, Result, Sampling, ScriptedModel, Task, Trace, solve
from ponder.core.errors import BadInput, ConfigError, ProviderError
from ponder.numerics.selective import FORCED_LAST
from ponder.strategies._outlines import read_difficulty, read_outline, read_split, read_version
from ponder.strategies.scale import Scale
from tests.strategies.bad_outputs import number, recorded, usable

TASK = Task.of("PROBLEM: how many?", answer="number")
PARTS = {
    "split": "Take the problem below apart",
    "outline": "Write an ordered list of simpler goals",
    "select": "versions of a plan",
    "score": "How hard is the next step",
    "value": "Reply with its result only",
    "step": "Now do this:",
}
FOUR = json.dumps({"step1": "S-one", "step2": "S-two", "step3": "S-three", "step4": "S-four"})
SPLIT = json.dumps({"conditions": "GIVENS", "question": "ASKED?"})


def part_of(request: Request) -> str:
    text = "\n".join(message.text for message in request.messages)
    return next(name for name, phrase in PARTS.items() if phrase in text)


class World:
    """Answers by part; a fixed reply may be a function of the request and of how often the part was asked."""

    def __init__(self, **fixed: Any) -> None:
        self.fixed = {"split": SPLIT, "outline": FOUR, "select": "version2", "score": "0.3", "value": "V", **fixed}
        self.asked: dict[str, list[Request]] = {}

    def __call__(self, request: Request, number: int) -> str | ProviderError:
        part = part_of(request)
        seen = self.asked.setdefault(part, [])
        seen.append(request)
        reply = self.fixed.get(part, lambda request, number: f"<think>HIDDEN{number}</think>ANS{number} is 12")
        found = reply(request, len(seen) - 1) if callable(reply) else reply
        return found if isinstance(found, ProviderError) else str(found)

    def text(self, part: str, at: int) -> str:
        return self.asked[part][at].messages[-1].text


async def run(world: Any, **options: Any) -> Result:
    kept = {k: options.pop(k) for k in ("latency", "access") if k in options}
    model = ScriptedModel(replies=world, **kept)
    return await solve(options.pop("task", TASK), model=model, method="scale", **options)


def scores(*values: float) -> Callable[[Request, int], str]:
    return lambda request, number: str(values[number])


# -- card 38, "How to check it" --------------------------------------------------------------------------------------


@pytest.mark.parametrize("parity", ["paper", "released"])
@pytest.mark.parametrize(("split", "carry", "extra"), [(False, "text", 0), (True, "text", 1), (False, "value", 4)])
async def test_call_counts_of_the_card(parity: str, split: bool, carry: str, extra: int) -> None:
    result = await run(World(), parity=parity, split=split, carry=carry)
    # The values of the first three steps are asked for in both; that of the last one, as the code does, in "released".
    unread = 1 if carry == "value" and parity == "paper" else 0
    assert result.cost.calls == 8 + 1 + 4 + 4 + extra - unread
    assert (result.answer, result.stopped, result.detail) == ("12", "done", "")
    most = Scale(parity="released", split=split, carry="value").calls()
    assert all(usage.calls <= most[role] for role, usage in result.usage.items())


@pytest.mark.parametrize(
    ("threshold", "ways"), [(0.5, [1, 1, 2, 2]), (0.9, [1, 1, 1, 1]), (0.0, [2, 2, 2, 2]), (0.51, [1, 1, 1, 2])]
)
async def test_modes_follow_the_threshold(threshold: float, ways: list[int]) -> None:
    result = await run(World(score=scores(0.2, 0.5, 0.51, 0.9)), threshold=threshold)
    assert [c.metadata["system"] for c in result.candidates] == ways
    calls = {role: result.usage[role].calls for role in ("small", "policy") if role in result.usage}
    assert calls == {r: n for r, n in (("small", ways.count(1)), ("policy", ways.count(2))) if n}


async def test_one_outline_needs_no_selection() -> None:
    world = World()
    result = await run(world, outlines=1, split=False)
    assert "select" not in world.asked
    assert result.cost.calls == 1 + 4 + 4


async def test_one_step_is_one_slow_call_on_the_split_problem() -> None:
    world = World(outline='{"step1": "all of it"}', score="0.1")
    result = await run(world, parity="released")
    (request,) = world.asked["step"]
    assert request.messages[-1].text == "GIVENS\n\nNow do this: ASKED?"
    assert result.candidates[0].metadata["system"] == 2
    assert result.candidates[0].metadata["difficulty"] == FORCED_LAST


async def test_later_steps_see_answers_and_no_hidden_thoughts() -> None:
    world = World()
    await run(world)
    third = world.text("step", 2)
    assert "ANS0" in third
    assert "ANS1" in third
    assert "S-one" in third
    assert "HIDDEN" not in third
    assert "ANS2" not in third


@pytest.mark.parametrize(("parity", "seen"), [("paper", True), ("released", False)])
async def test_paper_scores_from_solutions_and_the_code_from_the_outline(parity: str, seen: bool) -> None:
    world = World()
    await run(world, parity=parity)
    assert ("ANS1" in world.text("score", 2)) is seen
    assert "S-two" in world.text("score", 2)
    order = list(world.asked)
    assert order.index("score") < order.index("step")
    if parity == "released":
        assert len(world.asked["score"]) == 4


async def test_released_forces_the_last_step_and_the_paper_does_not() -> None:
    for parity, last in (("released", 2), ("paper", 1)):
        result = await run(World(score="0.1"), parity=parity)
        assert [c.metadata["system"] for c in result.candidates] == [1, 1, 1, last]
    high = await run(World(score="1"), parity="released", threshold=0.9)
    assert [c.metadata["system"] for c in high.candidates] == [2, 2, 2, 1]


@pytest.mark.parametrize(
    ("pin", "texts"),
    [
        ("replace", ["S-one", "S-two", "S-three", "ASKED?"]),
        ("append", ["S-one", "S-two", "S-three", "S-four", "ASKED?"]),
    ],
)
async def test_the_question_is_the_last_step(pin: str, texts: list[str]) -> None:
    world = World()
    await run(world, pin_last=pin)
    assert [request.messages[-1].text.rpartition("Now do this: ")[2] for request in world.asked["step"]] == texts


async def test_values_are_carried_instead_of_texts() -> None:
    world = World(value=lambda request, number: f"VALUE{number}")
    await run(world, carry="value")
    last = world.text("step", 3)
    assert "step answer: VALUE0" in last
    assert "ANS" not in last


async def test_the_chosen_version_is_followed() -> None:
    world = World(
        outline=lambda request, number: json.dumps({"step1": f"from {number}", "step2": "x"}), select="so version3"
    )
    trace = Trace()
    await run(world, outlines=4, trace=trace)
    assert "from 2" in world.text("step", 0)
    (event,) = [e for e in trace.events if e.kind == "outline"]
    assert (event.data["outlines"], event.data["chosen"]) == (4, 2)


# -- replies that cannot be used -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fixed", "note", "asked"),
    [
        ({"select": "version9"}, "the first", 3),
        ({"score": "hard"}, "no readable difficulty", 12),
        ({"split": "no"}, "given whole", 3),
        ({"outline": "First, think."}, "no outline could be read", 24),
        ({"outline": ProviderError("no")}, "no outline could be read", 24),
    ],
)
async def test_everything_is_asked_again_a_bounded_number_of_times(
    fixed: dict[str, Any], note: str, asked: int
) -> None:
    world = World(**fixed)
    result = await run(world, tries=3)
    (part,) = fixed
    assert len(world.asked[part]) == asked
    assert note in result.detail
    assert result.answer == "12"
    if part in ("score", "outline"):
        wanted = {2} if part == "score" else {1}
        assert {c.metadata["system"] for c in result.candidates} == wanted
    if part == "select":
        assert "S-one" in world.text("step", 0)


async def test_unreadable_outlines_are_drawn_again() -> None:
    world = World(outline=lambda request, number: "no" if number < 3 else FOUR)
    result = await run(world, outlines=4)
    assert len(world.asked["outline"]) == 4 + 3
    assert result.detail == ""


async def test_eight_outlines_have_eight_seeds() -> None:
    world = World()
    await run(world)
    assert len({request.seed for request in world.asked["outline"]}) == 8


@pytest.mark.parametrize(
    ("reply", "steps"),
    [
        (FOUR, ("S-one", "S-two", "S-three", "S-four")),
        (f"Sure!\n```json\n{FOUR}\n```", ("S-one", "S-two", "S-three", "S-four")),
        ('{"step3": "c", "step1": "a"}', ("a", "c")),
        ('{"step10": "c", "step9": "a"}', ("a", "c")),
        (r'{"step1": "find \sqrt{x}"}', (r"find \sqrt{x}",)),
        ('{"step1": "one\\ntwo"}', ("one\ntwo",)),
        ('{"steps": ["a", "b"]}', ("a", "b")),
        ('{"step1": "a", "step2": "cut of', ("a", "cut of")),
    ],
)
def test_outlines_are_read(reply: str, steps: tuple[str, ...]) -> None:
    assert read_outline(reply) == steps


@pytest.mark.parametrize("reply", ["", "no", "{}", '{"step1": ""}', '{"step1": 4}', "[]"])
def test_what_is_no_outline_is_refused(reply: str) -> None:
    with pytest.raises(BadInput):
        read_outline(reply)


def test_versions_splits_and_difficulties_are_read_or_refused() -> None:
    assert read_version("Not version1 but version2.", 3) == 1
    assert read_version("<think>version3</think>Version 1", 3) == 0
    assert read_split(f"ok {SPLIT}") == ("GIVENS", "ASKED?")
    assert read_difficulty("<think>so</think> 0.5\n") == 0.5
    for read, reply in (
        (lambda text: read_version(text, 2), "version9"),
        (lambda text: read_version(text, 2), "the second"),
        (read_split, '{"conditions": "x"}'),
        (read_split, '{"conditions": "", "question": "y"}'),
        (read_difficulty, "0.5 or so"),
    ):
        with pytest.raises(BadInput):
            read(reply)


READERS: Mapping[str, Callable[[str], Any]] = {
    "split": read_split,
    "outline": read_outline,
    "select": lambda text: read_version(text, 2),
    "score": read_difficulty,
    "step": number,
    "value": number,
}


@recorded("scale")
def test_recorded_replies_of_the_embedded_model_are_used_or_refused(row: Mapping[str, Any]) -> None:
    assert usable("scale", row, READERS) is row["usable"]


# -- what is sent ----------------------------------------------------------------------------------------------------


async def test_the_two_ways_differ_in_role_limit_and_switch() -> None:
    world = World(score=scores(0.1, 0.9), outline='{"step1": "a", "step2": "b"}')
    off = {"chat_template_kwargs": {"enable_thinking": False}}
    small = ScriptedModel(replies=world, name="small")
    result = await solve(
        TASK,
        model=ScriptedModel(replies=world),
        roles={"small": small},
        method="scale",
        fast_tokens=5,
        fast_mark="/no_think",
        slow_mark="/think",
        fast_extra=off,
        sampling=Sampling(max_tokens=99),
    )
    first, second = world.asked["step"]
    assert len(small.log) == 1
    assert (first.sampling.max_tokens, second.sampling.max_tokens) == (5, 99)
    assert first.messages[-1].text.endswith("/no_think")
    assert second.messages[-1].text.endswith("/think")
    assert (dict(first.extra), dict(second.extra)) == (off, {})
    assert all(dict(request.extra) == off for request in world.asked["outline"] + world.asked["score"])
    assert first.messages[0] == Message("system", "Answer directly and briefly.")
    assert result.answer == "12"


async def test_there_is_one_system_message_at_most() -> None:
    world = World()
    await run(world, task=Task.of(TASK.messages, answer="number", system="Be kind."))
    for request in world.asked["step"]:
        assert [message.role for message in request.messages] == ["system", "user"]
        assert request.messages[0].text.startswith("Be kind.\n")


async def test_givens_in_the_metadata_are_not_asked_for() -> None:
    world = World()
    task = Task(messages=TASK.messages, answer="number", metadata={"conditions": "C", "question": "Q"})
    await run(world, task=task)
    assert "split" not in world.asked
    assert world.text("step", 3).endswith("Now do this: Q")


async def test_schema_of_the_split_is_sent_where_it_can_be() -> None:
    world = World()
    await run(world, access=frozenset({Access.TEXT, Access.SEED, Access.SCHEMA}))
    assert world.asked["split"][0].json_schema is not None
    assert world.asked["step"][0].json_schema is None


@pytest.mark.parametrize("parity", ["paper", "released"])
@pytest.mark.parametrize("budget", [None, Budget(tokens=500), *(Budget(calls=n) for n in (1, 2, 5, 10, 14))])
async def test_the_order_of_replies_changes_nothing(parity: str, budget: Budget | None) -> None:
    def reply(request: Request, number: int) -> str:
        match part_of(request):
            case "outline":
                return FOUR if request.seed % 2 else "no"
            case "score":
                return str(request.seed % 10 / 10)
            case "step":
                return str(request.seed % 5)
        return "version1"

    found = [await run(reply, parity=parity, latency=latency, budget=budget) for latency in (0.0, (0.0, 0.006))]
    assert found[0] == found[1]
    if budget is not None and budget.calls is not None:
        assert found[0].chosen is not None, "the last call is kept for the answer"


@pytest.mark.parametrize(
    "options",
    [
        {"outlines": 0},
        {"threshold": 1.1},
        {"parity": "x"},
        {"pin_last": "x"},
        {"carry": "x"},
        {"tries": 0},
        {"most": 0},
    ],
)
async def test_settings_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        await run(World(), **options)


@pytest.mark.embedded
async def test_embedded_model_solves_in_steps(embedded: Model) -> None:
    task = Task.of("Ann has 3 bags with 4 apples in each. How many apples are there?", answer="number")
    result = await solve(
        task,
        model=embedded,
        method="scale",
        outlines=1,
        split=False,
        tries=1,
        most=2,
        plan_tokens=32,
        fast_tokens=16,
        sampling=Sampling(max_tokens=24),
    )
    assert result.chosen is not None
    assert result.cost.completion_tokens <= 400
    assert result.candidates[-1].metadata["system"] in (1, 2)
