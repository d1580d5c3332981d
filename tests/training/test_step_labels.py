"""Labels of steps from roll-outs, on worlds whose values are known."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from ponder import Control, ScriptedModel, Task
from ponder.core.access import Access
from ponder.core.errors import AccessDenied, BadInput, ConfigError, ProviderError
from ponder.core.model import Model, Request, Sampling
from ponder.core.seeds import derive
from ponder.core.store import Store
from ponder.core.usage import Usage
from ponder.numerics.progress_labels import progress_labels
from ponder.tasks.arithmetic_chains import ArithmeticChains
from ponder.tasks.problem import Problem
from ponder.training.step_labels import StepLabels, label_steps
from ponder.training.step_records import TaskLabels, read_labels
from ponder.verifiers.gen_prm import GenPRM
from tests.training.prm_world import right, work_out

SMALL = StepLabels(paths=4, least=4, tries=24, k=8, delimiter="\n", together=4)
PROBLEMS = ArithmeticChains().generate(6, seed=1)


def world() -> ScriptedModel:
    return ScriptedModel(replies=work_out)


def question(reference: str = "4") -> Problem:
    return Problem(task=Task.of("What is it?", answer="number"), reference=reference)


# -- what is labelled ------------------------------------------------------------------------------------------------


async def test_labels_are_the_relative_progress_of_the_shares_of_right_completions() -> None:
    found = await label_steps(world(), PROBLEMS, SMALL)
    assert [one.task for one in found] == [problem.task.id for problem in PROBLEMS]
    labelled = [one for one in found if one.outcome == "labelled"]
    assert labelled
    for task in labelled:
        assert task.root is not None
        assert 0 < len(task.solutions) <= 4
        assert {one.right for one in task.solutions} == {True, False}
        for one in task.solutions:
            assert one.rollouts == (*(8,) * (len(one.steps) - 1), 1)
            assert all(
                value * count == round(value * count) for value, count in zip(one.values, one.rollouts, strict=True)
            )
            assert one.values[-1] == float(one.right)
            again = progress_labels(task.root, one.values, eps=0.8)
            assert (list(one.progress), list(one.labels)) == (again.progress, again.labels)
            assert one.hard == tuple(int(value > 0) for value in one.values)
            assert one.agreed is None


async def test_wrong_lines_lose_value_and_right_ones_do_not() -> None:
    found = await label_steps(
        world(), ArithmeticChains().generate(20, seed=3), StepLabels(paths=4, least=8, tries=24, k=24, delimiter="\n")
    )
    good: list[int] = []
    bad: list[int] = []
    for task in found:
        for one in task.solutions:
            flawed = [not right(step) for step in one.steps]
            first = flawed.index(True) if any(flawed) else len(flawed)
            good += one.labels[:first]
            bad += one.labels[first : first + 1]
    assert sum(good) / len(good) > 0.9
    assert sum(bad) / len(bad) < 0.2


@dataclass
class Coin:
    """Answers 4 or 5 in two steps: after the step "sure" always 4, after "lost" never, after "maybe" half the time."""

    root: Sequence[str]

    def __call__(self, request: Request, number: int) -> str:
        stream = derive(request.seed, "coin")
        if not request.prefix:
            first = stream.choice(self.root)
            return f"{first}\n{self.end(first, stream)}"
        return self.end(request.prefix.strip(), stream)

    def end(self, first: str, stream) -> str:
        chance = {"sure": 1.0, "maybe": 0.5, "lost": 0.0}[first]
        return f"The answer is {4 if stream.random() < chance else 5}."


async def test_values_are_those_of_the_world() -> None:
    (task,) = await label_steps(
        ScriptedModel(replies=Coin(("sure", "lost"))),
        [question()],
        StepLabels(paths=2, least=2, tries=32, k=64, delimiter="\n"),
    )
    assert task.outcome == "labelled"
    assert task.root == pytest.approx(0.5, abs=0.2)
    good, bad = task.solutions
    assert (good.steps[0], good.values, good.labels) == ("sure\n", (1.0, 1.0), (1, 1))
    assert (bad.steps[0], bad.values, bad.labels, bad.progress) == ("lost\n", (0.0, 0.0), (0, 0), (0.0, None))
    assert (good.first_error, bad.first_error) == (None, 0)
    saved = task.to_json()["solutions"]
    assert [one["first_error"] for one in saved] == [-1, 1]


async def test_completions_follow_the_pass_rate_where_k_is_zero() -> None:
    (task,) = await label_steps(
        ScriptedModel(replies=Coin(("maybe",))), [question()], StepLabels(paths=2, least=8, tries=32, delimiter="\n")
    )
    assert {one.rollouts for one in task.solutions} == {(64, 1)}
    assert task.usage["completer"].calls == 64 + 64  # the question, and the one prefix that both solutions share


async def test_a_completer_of_its_own_completes_and_is_charged_as_such() -> None:
    strong = ScriptedModel(replies=lambda *_: "The answer is 4.", name="strong")
    policy = ScriptedModel(replies=Coin(("maybe",)))
    (task,) = await label_steps(
        policy, [question()], StepLabels(paths=2, least=2, tries=32, k=3, delimiter="\n"), completer=strong
    )
    assert task.root == 1
    assert {one.values[0] for one in task.solutions} == {1.0}
    assert (strong.calls, task.usage["completer"].calls) == (6, 6)
    assert task.paid["policy"].calls == policy.calls


# -- what is not -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        ("a\nThe answer is 4.", "easy"),
        ("a\nThe answer is 5.", "hard"),
        ("The answer is 4.", "unusable"),
        ("a\n" * 9 + "The answer is 4.", "unusable"),
    ],
)
async def test_tasks_without_contrast_are_left_out_before_any_completion(reply: str, outcome: str) -> None:
    settings = StepLabels(paths=2, least=2, tries=3, k=8, delimiter="\n", depth=5)
    (task,) = await label_steps(ScriptedModel(replies=[reply]), [question()], settings)
    assert (task.outcome, task.solutions, task.root) == (outcome, (), None)
    assert task.usage.keys() == {"policy"}
    assert task.usage["policy"].calls == 3


async def test_question_that_the_completer_never_solves_is_skipped() -> None:
    lost = ScriptedModel(replies=lambda *_: "The answer is 5.", name="lost")
    (task,) = await label_steps(
        ScriptedModel(replies=Coin(("maybe",))),
        [question()],
        StepLabels(paths=2, least=2, tries=32, k=3, delimiter="\n"),
        completer=lost,
    )
    assert (task.outcome, task.root, task.solutions) == ("unreached", 0.0, ())
    assert task.usage["completer"].calls == 3


async def test_prefix_that_every_completion_fails_of_leaves_its_solution_out() -> None:
    def reply(request: Request, number: int) -> str | ProviderError:
        return ProviderError("down") if request.prefix.startswith("lost") else "The answer is 4."

    (task,) = await label_steps(
        ScriptedModel(replies=Coin(("sure", "lost"))),
        [question()],
        StepLabels(paths=2, least=2, tries=32, k=3, delimiter="\n"),
        completer=ScriptedModel(replies=reply),
    )
    assert [one.steps[0] for one in task.solutions] == ["sure\n"]


async def test_what_cannot_work_is_refused_before_anything_is_spent() -> None:
    policy = world()
    with pytest.raises(BadInput, match="no reference"):
        await label_steps(policy, [Problem(task=Task.of("?"))], SMALL)
    with pytest.raises(AccessDenied, match="labels from roll-outs needs prefix"):
        await label_steps(policy, PROBLEMS, SMALL, completer=ScriptedModel(access=frozenset({Access.TEXT})))
    with pytest.raises(BadInput, match="no answer of type"):
        await label_steps(policy, [question("none")], SMALL)
    assert policy.calls == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"paths": 1},
        {"least": 0},
        {"least": 9, "tries": 8},
        {"k": -1},
        {"eps": -0.1},
        {"depth": 1},
        {"delimiter": ""},
        {"together": 0},
    ],
)
def test_settings_are_checked(settings: dict) -> None:
    with pytest.raises(ConfigError):
        StepLabels(**settings)


# -- the judge -------------------------------------------------------------------------------------------------------


async def test_judge_that_sees_the_bad_step_agrees_and_one_that_does_not_is_told_apart() -> None:
    def judge(word: str) -> ScriptedModel:
        def reply(request: Request, number: int) -> str:
            bad = re.search("lost|5", request.messages[-1].text)
            return f"{{{word if bad else 'Yes'}}}$\n</output>\n"

        return ScriptedModel(replies=reply, name="judge")

    for word, agreed in (("No", [True, True]), ("Yes", [True, False])):
        (task,) = await label_steps(
            ScriptedModel(replies=Coin(("sure", "lost"))),
            [question()],
            StepLabels(paths=2, least=2, tries=32, k=8, delimiter="\n"),
            judge=GenPRM(analyse=False, verify=False, execute=False),
            judge_model=judge(word),
        )
        assert [one.agreed for one in task.solutions] == agreed
        assert task.solutions[0].verdicts == (1, 1)
        assert all(word in text for text in task.solutions[1].rationales)
        assert task.usage["judge"].calls == 4


async def test_judge_without_a_verdict_agrees_with_nothing() -> None:
    (task,) = await label_steps(
        ScriptedModel(replies=Coin(("sure", "lost"))),
        [question()],
        StepLabels(paths=2, least=2, tries=32, k=8, delimiter="\n"),
        judge=GenPRM(analyse=False, verify=False, execute=False),
        judge_model=ScriptedModel(replies=["who knows"]),
    )
    assert {one.verdicts for one in task.solutions} == {(None, None)}
    assert {one.agreed for one in task.solutions} == {False}


# -- the file, the cost, the end -------------------------------------------------------------------------------------


async def test_file_holds_a_line_for_each_task_with_its_cost(tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    model = world()
    found = await label_steps(model, PROBLEMS, SMALL, file=file)
    assert read_labels(file) == found
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == len(PROBLEMS)
    assert sum(used.calls for one in found for used in one.paid.values()) == model.calls
    assert {line["v"] for line in lines} == {1}
    for spoilt in ("{}", "[1]", "no json", json.dumps({**lines[0], "v": 9})):
        file.write_text(spoilt, encoding="utf-8")
        with pytest.raises(BadInput, match="no step labels"):
            read_labels(file)
    with pytest.raises(BadInput):
        read_labels(tmp_path / "nothing")


async def test_labels_are_the_same_again_and_a_store_pays_once() -> None:
    store, model = Store(), world()
    first = await label_steps(model, PROBLEMS[:3], SMALL, seed=5, store=store)
    made = model.calls
    second = await label_steps(model, PROBLEMS[:3], SMALL, seed=5, store=store)
    assert model.calls == made
    assert [one.solutions for one in first] == [one.solutions for one in second]
    assert [one.usage for one in first] == [one.usage for one in second]
    assert sum(used.calls for one in second for used in one.paid.values()) == 0
    store.close()


async def test_cancelled_labelling_keeps_whole_tasks_and_what_the_last_one_cost(tmp_path: Path) -> None:
    control = Control()

    def stop(done: int, total: int) -> None:
        if done == 2:
            control.cancel("enough")

    file = tmp_path / "labels.jsonl"
    found = await label_steps(world(), PROBLEMS, SMALL, control=control, progress=stop, file=file)
    assert [one.stopped for one in found] == ["done", "done", "cancelled"]
    assert (found[-1].outcome, found[-1].solutions) == ("ended", ())
    assert len(read_labels(file)) == 3


async def test_dead_endpoint_ends_it_with_what_there_is() -> None:
    found = await label_steps(ScriptedModel(dies_after=0), [question(), question()], SMALL)
    assert len(found) == 1
    assert (found[0].outcome, found[0].stopped) == ("ended", "endpoint")


def test_record_survives_a_round_trip() -> None:
    one = TaskLabels(
        task="t",
        prompt="p",
        outcome="hard",
        pass_rate=0.0,
        root=None,
        eps=0.8,
        solutions=(),
        usage={"policy": Usage(calls=1)},
        paid={},
    )
    assert TaskLabels.from_json(json.loads(json.dumps(one.to_json()))) == one


@pytest.mark.embedded
async def test_embedded_model_is_labelled(embedded: Model) -> None:
    (problem,) = ArithmeticChains().generate(1, seed=5)
    settings = StepLabels(paths=2, least=1, tries=3, k=1, delimiter="\n", depth=5, together=1)
    (task,) = await label_steps(embedded, [problem], settings, sampling=Sampling(temperature=0.7, max_tokens=30))
    assert task.stopped == "done"
    assert task.outcome in ("labelled", "easy", "hard", "unusable", "unreached")
    assert sum(used.completion_tokens for used in task.usage.values()) <= 400
