"""Plan-and-Budget: variants, prompts with their budgets, hard limits kept by the meter, and replies of no use."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ponder import Access, Budget, Model, Request, Result, Sampling, ScriptedModel, Task, Trace, solve
from ponder.core.errors import BadInput, ConfigError, ProviderError
from ponder.engines.plans import check_plan, read_plan
from ponder.numerics.budget_schedules import SCHEDULES, allocate, bam_weight
from ponder.numerics.economy import e3
from ponder.strategies._assessments import Assessment, read_assessment
from ponder.strategies.plan_and_budget import PlanAndBudget
from tests.strategies.bad_outputs import number, recorded, usable

TASK = Task.of("QUESTION: how many?", answer="number")
PARTS = {
    "decompose": "Split the problem below into sub-questions",
    "assess": "Rate how hard the problem below is",
    "synthesis": "This is what was found, step by step",
    "step": "Do only this step now",
}
THREE = json.dumps({"tasks": [{"id": str(k), "task": f"SUB-{k}", "depends": []} for k in (1, 2, 3)]})
CREDITS = json.dumps({"level": 3, "credits": [20, 30, 50]})


def part_of(request: Request) -> str:
    text = "\n".join(message.text for message in request.messages)
    return next((name for name, phrase in PARTS.items() if phrase in text), "solve")


class World:
    """Answers by part; a fixed reply may be a function of how often the part was asked."""

    def __init__(self, **fixed: Any) -> None:
        self.fixed = {"decompose": THREE, "assess": CREDITS, **fixed}
        self.asked: dict[str, list[Request]] = {}

    def __call__(self, request: Request, number: int) -> str | ProviderError:
        part = part_of(request)
        seen = self.asked.setdefault(part, [])
        seen.append(request)
        reply = self.fixed.get(part, lambda number: f"found{number} " + "w " * 200 if part == "step" else "so 12")
        found = reply(len(seen) - 1) if callable(reply) else reply
        return found if isinstance(found, ProviderError) else str(found)

    def text(self, part: str, at: int = 0) -> str:
        return self.asked[part][at].messages[-1].text


async def run(world: Any, **options: Any) -> Result:
    kept = {k: options.pop(k) for k in ("latency", "access") if k in options}
    model = ScriptedModel(replies=world, **kept)
    return await solve(options.pop("task", TASK), model=model, method="plan_and_budget", **options)


def budgets_in(text: str) -> list[int]:
    return [int(found) for found in re.findall(r"up to (\d+) (?:tokens|words)", text)]


# -- card 60: the split of the budget reaches the prompt -------------------------------------------------------------


@pytest.mark.parametrize("schedule", SCHEDULES)
async def test_one_solving_call_with_a_budget_for_each_sub_question(schedule: str) -> None:
    world = World()
    result = await run(world, schedule=schedule)
    assert result.cost.calls == 3
    wanted = allocate([20, 30, 50], 350, schedule).tokens  # type: ignore[arg-type]  # it is one
    assert budgets_in(world.text("solve")) == wanted
    assert [f"SUB-{k}" in world.text("solve") for k in (1, 2, 3)] == [True] * 3
    assert result.answer == "12"
    assert result.candidate is not None
    facts = result.candidate.metadata
    assert (facts["budgets"], facts["total"], facts["level"]) == (wanted, 350, 3)
    assert facts["adherence"] == pytest.approx(2 / 350)  # "so 12" are two tokens


async def test_bam_weights_take_roots_of_the_credits() -> None:
    world = World()
    await run(world, weights="bam", beta=1.0, schedule="constant", total=300)
    assert (
        budgets_in(world.text("solve")) == allocate([bam_weight(c, 1.0) for c in (20, 30, 50)], 300, "constant").tokens
    )


@pytest.mark.parametrize(
    ("options", "calls", "has", "lacks"),
    [
        ({"split": "none", "plan": False}, 1, "QUESTION", "Sub-question"),
        ({"split": "none"}, 2, "Sub-question 3", "using up to"),
        ({"split": "global", "plan": False, "total": 99}, 1, "fewer than 99 tokens", "Sub-question"),
        ({"split": "global", "total": 99}, 2, "fewer than 99 tokens", "using up to"),
        ({"split": "uniform", "total": 100}, 2, "up to 33 tokens", "up to 34"),
        ({"split": "uniform"}, 3, "up to 116 tokens", "fewer than"),
        ({"split": "weighted", "unit": "words"}, 3, "words", "tokens"),
    ],
)
async def test_the_compared_variants(options: dict[str, Any], calls: int, has: str, lacks: str) -> None:
    world = World()
    result = await run(world, **options)
    assert result.cost.calls == calls
    assert has in world.text("solve")
    assert lacks not in world.text("solve")
    most = PlanAndBudget(**{"repairs": 0, **options}).calls()
    assert {role: usage.calls for role, usage in result.usage.items()} == most


async def test_vanilla_asks_the_task_as_it_is() -> None:
    world = World()
    await run(world, split="none", plan=False)
    assert world.asked["solve"][0].messages == TASK.messages


async def test_a_level_in_the_metadata_is_taken() -> None:
    task = Task(messages=TASK.messages, answer="number", metadata={"level": 5})
    world = World()
    await run(world, task=task)
    assert sum(budgets_in(world.text("solve"))) == 600
    uniform = World()
    assert (await run(uniform, task=task, split="uniform")).cost.calls == 2, "there is nothing left to assess"


# -- step by step ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("enforce", ["soft", "hard"])
async def test_steps_see_what_came_before_and_a_synthesis_ends_them(enforce: str) -> None:
    world = World()
    result = await run(world, per_step=True, enforce=enforce, sampling=Sampling(max_tokens=999))
    assert result.cost.calls == 2 + 3 + 1
    granted = allocate([20, 30, 50], 350, "polynomial").tokens
    for at in range(3):
        text = world.text("step", at)
        assert f"in at most {granted[at]} tokens: SUB-{at + 1}" in text
        assert [f"found{k}" in text for k in range(3)] == [k < at for k in range(3)]
    assert all(f"found{k}" in world.text("synthesis") for k in range(3))
    assert result.answer == "12"
    assert result.candidate is not None
    written = result.candidate.metadata["written"]
    if enforce == "hard":
        assert [request.sampling.max_tokens for request in world.asked["step"]] == granted
        assert all(tokens <= budget for tokens, budget in zip(written, granted, strict=True))
        assert [c.finish for c in result.candidates[:3]] == ["length"] * 2 + ["length"]
    else:
        assert written[2] > granted[2], "a soft budget may be overshot"
        assert result.candidate.metadata["adherence"] > 1


async def test_the_meter_holds_a_step_of_many_calls_to_its_budget() -> None:
    world = World(step="7" + " w" * 29)
    result = await run(
        world,
        per_step=True,
        enforce="hard",
        total=100,
        schedule="constant",
        inner="self_consistency",
        inner_settings={"n": 4},
    )
    spans = [c.metadata for c in result.candidates[:3]]
    assert [span["stopped"] for span in spans] == ["budget"] * 3
    by_step = {f"SUB-{k}": 0 for k in (1, 2, 3)}
    for request in world.asked["step"]:
        name = request.messages[-1].text.rpartition(": ")[2]
        by_step[name] += min(30, request.sampling.max_tokens)
    assert list(by_step.values()) == allocate([20, 30, 50], 100, "constant").tokens == [20, 30, 50]
    assert result.stopped == "done", "a step's budget ends the step, not the run"
    assert result.answer == "12"


async def test_a_step_without_tokens_is_not_asked() -> None:
    world = World(assess=json.dumps({"level": 1, "credits": [98, 1, 1]}))
    result = await run(world, per_step=True, total=2)
    assert len(world.asked["step"]) < 3
    assert result.answer == "12"


async def test_inner_needs_are_the_methods_own_only_where_it_is_used() -> None:
    assert PlanAndBudget(inner="best_of_n").needs() == ()
    assert PlanAndBudget(inner="best_of_n", per_step=True, enforce="hard").needs() == ("verifier",)


async def test_e3_of_a_run_is_the_benchs() -> None:
    """The card's numbers; tokens of a query are what its roles wrote together, the plan too."""
    assert [e3(90, 2000), e3(45, 500)] == [4.05, 4.05]
    result = await run(World())
    solving, planning = result.usage["policy"].completion_tokens, result.usage["planner"].completion_tokens
    assert result.cost.completion_tokens == solving + planning
    assert e3(100, solving) > e3(100, result.cost.completion_tokens)


# -- replies that cannot be used -------------------------------------------------------------------------------------


async def test_without_a_plan_the_question_is_the_only_step() -> None:
    world = World(decompose="First I would count them.", assess="100")
    result = await run(world, repairs=2)
    assert len(world.asked["decompose"]) == len(world.asked["assess"]) == 3
    assert f"Sub-question 1: {TASK.prompt} (solve it directly, using up to 350 tokens)" in world.text("solve")
    assert "no plan could be read" in result.detail
    assert "no credits could be read" in result.detail
    assert result.answer == "12"


async def test_without_credits_they_are_equal() -> None:
    world = World(assess='{"level": 2, "credits": [100]}')
    result = await run(world, repairs=1, schedule="constant", total=300)
    assert "it has 1 credits for 3" in world.asked["assess"][1].messages[-1].text
    assert budgets_in(world.text("solve")) == [100, 100, 100]
    assert "equal ones" in result.detail


async def test_more_sub_questions_than_asked_for_are_cut() -> None:
    world = World(assess='{"level": 3, "credits": [1, 1]}')
    await run(world, most=2)
    assert "SUB-2" in world.text("solve")
    assert "SUB-3" not in world.text("solve")


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ('{"level": 4, "credits": [60, 40]}', Assessment(4, [60.0, 40.0])),
        ('So:\n```json\n{"credits": [1.5, 3], "level": 9}\n```', Assessment(None, [1.5, 3.0])),
        ("{'level': True, 'credits': [1, 1,]}", Assessment(None, [1.0, 1.0])),
    ],
)
def test_assessments_are_read(reply: str, found: Assessment) -> None:
    assert read_assessment(reply, 2) == found


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "3",
        "{}",
        '{"credits": 50}',
        '{"credits": [100]}',
        '{"credits": [100, 0]}',
        '{"credits": ["a", 1]}',
        '{"credits": [true, 1]}',
    ],
)
def test_what_is_no_assessment_is_refused(reply: str) -> None:
    with pytest.raises(BadInput):
        read_assessment(reply, 2)


READERS: Mapping[str, Callable[[str], Any]] = {
    "decompose": lambda text: check_plan(read_plan(text)),
    "assess": lambda text: read_assessment(text, 2),
    **dict.fromkeys(("solve", "global", "step", "synthesis"), number),
}


@recorded("plan_and_budget")
def test_recorded_replies_of_the_embedded_model_are_used_or_refused(row: Mapping[str, Any]) -> None:
    assert usable("plan_and_budget", row, READERS) is row["usable"]


# -- budgets, order, settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"per_step": True}, {"per_step": True, "enforce": "hard"}])
@pytest.mark.parametrize("budget", [None, Budget(tokens=300), *(Budget(calls=n) for n in (1, 2, 3, 4, 5))])
async def test_the_order_of_replies_changes_nothing(options: dict[str, Any], budget: Budget | None) -> None:
    def reply(request: Request, number: int) -> str:
        match part_of(request):
            case "decompose":
                return THREE if request.seed % 3 else "no"
            case "assess":
                return CREDITS if request.seed % 3 else "no"
        return str(request.seed % 7)

    found = [await run(reply, latency=latency, budget=budget, **options) for latency in (0.0, (0.0, 0.006))]
    assert found[0] == found[1]
    if budget is None or budget.calls is not None:
        assert found[0].chosen is not None, "the last call is kept for the answer"


async def test_what_was_decided_is_in_the_trace() -> None:
    trace = Trace()
    await run(World(), trace=trace)
    (event,) = [e for e in trace.events if e.kind == "budgets"]
    assert (event.data["total"], event.data["credits"], sum(event.data["budgets"])) == (350, [20.0, 30.0, 50.0], 350)


async def test_schemas_are_sent_where_they_can_be() -> None:
    world = World()
    await run(world, access=frozenset({Access.TEXT, Access.SEED, Access.SCHEMA}))
    assert world.asked["decompose"][0].json_schema is not None
    assert world.asked["assess"][0].json_schema is not None
    assert world.asked["solve"][0].json_schema is None


@pytest.mark.parametrize(
    "options",
    [
        {"split": "x"},
        {"schedule": "steep"},
        {"weights": "x"},
        {"enforce": "x"},
        {"unit": "x"},
        {"most": 0},
        {"beta": 0.0},
        {"plan": False},
        {"per_step": True, "split": "global"},
        {"enforce": "hard"},
        {"total": -1},
    ],
)
async def test_settings_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        await run(World(), **options)


@pytest.mark.embedded
async def test_embedded_model_plans_and_keeps_hard_budgets(embedded: Model) -> None:
    task = Task.of("Ann has 3 bags with 4 apples in each. How many apples are there?", answer="number")
    result = await solve(
        task,
        model=embedded,
        method="plan_and_budget",
        per_step=True,
        enforce="hard",
        total=40,
        most=2,
        repairs=0,
        plan_tokens=40,
        sampling=Sampling(max_tokens=24),
    )
    assert result.chosen is not None
    assert result.cost.completion_tokens <= 400
    assert result.candidate is not None
    facts = result.candidate.metadata
    assert sum(facts["written"]) <= sum(facts["budgets"]) <= 40
