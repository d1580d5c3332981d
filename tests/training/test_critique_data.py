"""Data for a critique model, made with scripted actors and critics whose habits are known."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ponder import Control, Message, ScriptedModel, Task
from ponder.core.access import Access
from ponder.core.errors import AccessDenied, BadInput, ConfigError, ProviderError
from ponder.core.model import Model, Request, Sampling
from ponder.core.store import Store
from ponder.tasks.problem import Problem
from ponder.training.critique_data import MISTAKES, CritiqueData, make_critiques
from ponder.training.critique_records import TaskCritiques, critic_chats, read_critiques

GOOD = "2 * 3 = 6\n6 + 4 = 10\nThe answer is 10."
BAD = "2 * 3 = 6\n6 + 4 = 11\nThe answer is 11."
PROBLEM = Problem(task=Task.of("What is 2 * 3 + 4?", answer="number"), reference="10")
SETTINGS = CritiqueData(samples=4, resampled=2, inserted=2, refinements=10)


def kind(request: Request) -> str:
    """Which part of the making a request belongs to."""
    if request.prefix:
        return "resample"
    if len(request.messages) > 1:
        return "refine"
    text = request.messages[0].text
    return "insert" if "exercises for people" in text else "annotate" if "What is known" in text else "sample"


class Actor:
    """Samples right and wrong solutions in turn; a resampled ending is wrong; every second refinement is right."""

    def __init__(self) -> None:
        self.seen: list[Request] = []

    def __call__(self, request: Request, number: int) -> str:
        self.seen.append(request)
        match kind(request):
            case "sample":
                return (GOOD, BAD)[request.seed % 2]
            case "resample":
                return "6 + 4 = 9\nThe answer is 9."
            case _:
                return (GOOD, BAD)[request.seed % 2]


def blocks(labels: list[str], steps: list[str], final: str) -> str:
    parts = [
        f"Step sentence: {step}\nCorrectness of the step: {label}\nExplanation: so"
        for step, label in zip(steps, labels, strict=True)
    ]
    return "\n".join([*parts, f"Correctness of the final answer: {final}\nExplanation: so"])


def truthful(request: Request, number: int) -> str:
    """Inserts a mistake, or labels each line by its arithmetic."""
    text = request.messages[-1].text
    if kind(request) == "insert":
        return "6 + 4 = 12\nThe answer is 12."
    steps = re.search(r"<solution>\n(.*?)\n</solution>", text, re.DOTALL)[1].splitlines()  # type: ignore[index]
    wrong = [bool(re.search(r"= (9|11|12)|is (9|11|12)", step)) for step in steps]
    return blocks(["Wrong" if one else "Correct" for one in wrong], steps, "Wrong" if any(wrong) else "Correct")


def models(critic=truthful) -> tuple[ScriptedModel, ScriptedModel, Actor]:
    actor = Actor()
    return ScriptedModel(replies=actor, name="actor"), ScriptedModel(replies=critic, name="critic"), actor


async def make(critic=truthful, settings: CritiqueData = SETTINGS, **options) -> TaskCritiques:
    policy, judge, _ = models(critic)
    (found,) = await make_critiques(policy, [PROBLEM], settings, critic=judge, **options)
    return found


# -- what is made ----------------------------------------------------------------------------------------------------


async def test_every_kind_of_solution_is_made_once_with_what_is_known_of_its_error() -> None:
    found = await make()
    by_how: dict[tuple[str, bool], list] = {}
    for item in found.items:
        by_how.setdefault((item.how, item.right), []).append(item)
    assert by_how.keys() == {("sampled", True), ("sampled", False), ("resampled", False), ("inserted", False)}
    assert len({item.solution for item in found.items}) == len(found.items)
    assert all(item.first_error is None and not item.hint for item in by_how["sampled", False])
    for item in (*by_how["resampled", False], *by_how["inserted", False]):
        lines = item.solution.splitlines()
        assert item.first_error is not None
        assert lines[: item.first_error - 1] == GOOD.splitlines()[: item.first_error - 1]
    assert all(item.hint in MISTAKES for item in by_how["inserted", False])


async def test_kept_critiques_agree_with_what_is_known_and_help_often_enough() -> None:
    found = await make()
    kept = [item for item in found.items if not item.dropped]
    assert {item.right for item in kept} == {True, False}
    for item in kept:
        if item.right:
            assert (item.labels, item.verdict, item.refined) == ((True, True, True), True, 0)
            continue
        assert (item.verdict, item.refined) == (False, 10)
        assert item.fixed >= 3
        assert item.refinements == (GOOD,)  # repeats of one critique are dropped


@pytest.mark.parametrize(("right", "kept"), [(2, False), (3, True), (4, True)])
async def test_soft_filter_counts_the_refinements(right: int, kept: bool) -> None:
    """Card 12, check 6: 4 of 10 right are kept at tau 0.3, 2 of 10 are not."""

    def reply(request: Request, number: int) -> str:
        if kind(request) == "refine":
            return GOOD if request.seed % 10 < right else BAD
        return BAD

    settings = CritiqueData(samples=1, resampled=0, inserted=0)
    (found,) = await make_critiques(
        ScriptedModel(replies=reply), [PROBLEM], settings, critic=ScriptedModel(replies=truthful)
    )
    (item,) = found.items
    assert (item.fixed, item.refined) == (right, 10)
    assert (not item.dropped) is kept


async def test_refinement_without_work_does_not_pass_the_barrier() -> None:
    def reply(request: Request, number: int) -> str:
        return "It is 10" if kind(request) == "refine" else BAD

    settings = CritiqueData(samples=1, resampled=0, inserted=0)
    (found,) = await make_critiques(
        ScriptedModel(replies=reply), [PROBLEM], settings, critic=ScriptedModel(replies=truthful)
    )
    (item,) = found.items
    assert (item.fixed, item.refinements, item.dropped) == (10, (), "")


@pytest.mark.parametrize(
    ("critic", "reason"),
    [
        (lambda request, number: "Looks fine to me.", "unreadable"),
        (lambda request, number: ProviderError("down"), "the critic failed"),
        (
            lambda request, number: (
                blocks(["Wrong"] * 3, GOOD.splitlines(), "Wrong")
                if GOOD in request.messages[-1].text
                else truthful(request, number)
            ),
            "against what is known",
        ),
    ],
)
async def test_critiques_that_teach_nothing_are_dropped_with_the_reason(critic, reason: str) -> None:
    found = await make(critic, CritiqueData(samples=4, resampled=0, inserted=0))
    item = next(item for item in found.items if item.right)
    assert reason in item.dropped
    assert not item.refined


async def test_critic_is_told_what_is_known_and_the_data_does_not_show_it() -> None:
    policy, judge, actor = models()
    found = await make_critiques(policy, [PROBLEM], SETTINGS, critic=judge)
    prompts = [call.prompt for call in judge.log if "What is known" in call.prompt]
    assert any("the right one is 10." in prompt for prompt in prompts)
    assert any("it is right in every step" in prompt for prompt in prompts)
    assert any("The mistake: " in prompt for prompt in prompts)
    chats = critic_chats(found)
    assert len(chats) == sum(not item.dropped for item in found[0].items)
    for (asked, reply), item in zip(chats, (i for i in found[0].items if not i.dropped), strict=True):
        assert item.solution in asked["content"]
        assert "What is known" not in asked["content"]
        assert reply == {"role": "assistant", "content": item.critique}
    refine = next(request for request in actor.seen if kind(request) == "refine")
    assert refine.messages[1].role == "assistant"
    assert "Correctness of the final answer: Wrong" in refine.messages[2].text
    hot = [request.sampling.temperature for request in actor.seen if kind(request) == "resample"]
    assert set(hot) == {1.2}


# -- cost, end, file -------------------------------------------------------------------------------------------------


async def test_calls_are_those_of_the_header() -> None:
    found = await make()
    wrong = sum(item.refined > 0 for item in found.items)
    assert found.usage["policy"].calls == 4 + 2 + 10 * wrong
    assert found.usage["critic"].calls == 2 + len(found.items)
    assert found.paid == found.usage


async def test_file_holds_a_line_for_each_task(tmp_path: Path) -> None:
    file = tmp_path / "critiques.jsonl"
    found = await make(file=file)
    assert read_critiques(file) == [found]
    line = json.loads(file.read_text(encoding="utf-8"))
    for spoilt in ("{}", "3", "no json", json.dumps({**line, "v": 9})):
        file.write_text(spoilt, encoding="utf-8")
        with pytest.raises(BadInput, match="no critiques"):
            read_critiques(file)


async def test_same_seed_same_data_and_a_store_pays_once() -> None:
    store = Store()
    policy, judge, _ = models()
    (first,), (second,) = [
        await make_critiques(policy, [PROBLEM], SETTINGS, critic=judge, store=store, seed=3) for _ in range(2)
    ]
    assert first.items == second.items
    assert sum(used.calls for used in second.paid.values()) == 0
    store.close()


async def test_cancelled_making_keeps_whole_tasks() -> None:
    control = Control()

    def stop(done: int, total: int) -> None:
        if done == 1:
            control.cancel("enough")

    policy, judge, _ = models()
    other = Problem(task=Task(messages=(Message("user", "What is 2 * 3 + 4 again?"),), answer="number"), reference="10")
    found = await make_critiques(policy, [PROBLEM, other], SETTINGS, critic=judge, control=control, progress=stop)
    assert [(one.stopped, bool(one.items)) for one in found] == [("done", True), ("cancelled", False)]


async def test_dead_endpoint_ends_it_with_what_there_is() -> None:
    found = await make_critiques(ScriptedModel(dies_after=0), [PROBLEM, PROBLEM], SETTINGS)
    assert len(found) == 1
    assert (found[0].items, found[0].stopped) == ((), "endpoint")


async def test_what_cannot_work_is_refused_before_anything_is_spent() -> None:
    policy = ScriptedModel(replies=[GOOD], access=frozenset({Access.TEXT}))
    with pytest.raises(AccessDenied, match="resampling the end of a solution needs prefix"):
        await make_critiques(policy, [PROBLEM], SETTINGS)
    with pytest.raises(BadInput, match="no reference"):
        await make_critiques(policy, [Problem(task=PROBLEM.task)], SETTINGS)
    assert policy.calls == 0
    (found,) = await make_critiques(policy, [PROBLEM], CritiqueData(resampled=0))
    assert found.stopped == "done"


@pytest.mark.parametrize(
    "settings",
    [
        {"samples": 0},
        {"resampled": -1},
        {"inserted": -1},
        {"hotter": 0.0},
        {"refinements": 0},
        {"tau": 1.1},
        {"critic_tokens": 0},
    ],
)
def test_settings_are_checked(settings: dict) -> None:
    with pytest.raises(ConfigError):
        CritiqueData(**settings)


@pytest.mark.embedded
async def test_embedded_model_makes_data(embedded: Model) -> None:
    settings = CritiqueData(samples=1, resampled=1, inserted=1, refinements=2, critic_tokens=40)
    (found,) = await make_critiques(embedded, [PROBLEM], settings, sampling=Sampling(temperature=0.7, max_tokens=30))
    assert found.stopped == "done"
    assert sum(used.completion_tokens for used in found.usage.values()) <= 400
