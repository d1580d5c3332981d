"""Refinement on GenPRM's critique: which step is shown, when it ends, what it costs, and card 57's ways to check it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import pytest

from ponder import Budget, Message, Model, Request, Result, Sampling, ScriptedModel, Task, solve
from ponder.core.access import Access
from ponder.core.errors import AccessDenied, ConfigError, MissingExtra, ProviderError
from ponder.core.trace import Trace

bubblewrap = pytest.mark.system("bubblewrap")
TASK = Task.of("What is 2 + 3 * 4?", answer="number")
WRONG = "First 3 * 4 = 12.\n\nThen 2 + 12 = 15.\n\nThe answer is 15."
RIGHT = "First 3 * 4 = 12.\n\nThen 2 + 12 = 14.\n\nThe answer is 14."
Reply = Callable[[Request, int], str | ProviderError]


def reviewer(request: Request, number: int) -> str:
    """Analyses, then says no to a paragraph with 15 in it."""
    if request.prefix.endswith(": "):
        return "the sum is off.</analyze>\n"
    word = "No" if "15" in request.messages[-1].text else "Yes"
    return f"print(1)\n```\n</verify>\n<output>\n$\\boxed{{{word}}}$\n</output>\n"


async def run(attempts: list[str] | Reply, review: Reply = reviewer, **options: Any) -> Result:
    """Refine what a policy writes, attempt after attempt; the last one again and again."""
    written = attempts if callable(attempts) else lambda request, number: attempts[min(number, len(attempts) - 1)]
    policy = options.pop("policy", None) or ScriptedModel(replies=written, name="policy")
    judge = options.pop("judge", None) or ScriptedModel(replies=review, name="judge")
    options = {"execute": False, **options}
    return await solve(TASK, model=policy, roles={"judge": judge}, method="gen_prm_refine", **options)


async def test_first_bad_step_is_shown_with_its_critique_and_the_whole_solution() -> None:
    seen: list[tuple[Message, ...]] = []

    def write(request: Request, number: int) -> str:
        seen.append(request.messages)
        return RIGHT if len(request.messages) > 1 else WRONG

    trace = Trace()
    result = await run(write, trace=trace)
    assert (result.answer, result.chosen, result.stopped) == ("14", 1, "done")
    question, solution, review = seen[1]
    assert question == TASK.messages[0]
    assert solution == Message("assistant", WRONG)
    assert "<paragraph>\nThen 2 + 12 = 15.\n</paragraph>" in review.text
    assert "<review>\nthe sum is off.\n</review>" in review.text
    first, second = (candidate.scores["gen_prm"] for candidate in result.candidates)
    assert (first.value, first.steps, first.reason) == (None, (1.0, 0.0), "step 2: the sum is off.")
    assert (second.value, second.steps) == (1.0, (1.0, 1.0, 1.0))
    told = [event.data for event in trace.events if event.kind == "critique"]
    assert [entry["rewards"] for entry in told] == [[1.0, 0.0], [1.0, 1.0, 1.0]]


async def test_solution_without_a_bad_step_is_kept_and_the_policy_asked_once() -> None:
    """Card 57, check 7."""
    result = await run([RIGHT, WRONG])
    assert result.answer == "14"
    assert result.usage["policy"].calls == 1
    assert result.usage["judge"].calls == 3 * 2  # an analysis and a check of each step


async def test_rounds_bound_the_rewritings_and_the_last_solution_is_not_verified() -> None:
    result = await run([WRONG], rounds=2)
    assert result.answer == "15"
    assert result.usage["policy"].calls == 3
    assert (
        result.usage["judge"].calls == 2 * 2 * 2
    )  # two steps of two solutions: what follows the bad step is not asked
    assert "gen_prm" not in result.candidates[-1].scores
    none = await run([WRONG], rounds=0)
    assert (none.answer, "judge" in none.usage) == ("15", False)


async def test_steps_past_the_limit_are_not_judged() -> None:
    result = await run([WRONG, RIGHT], steps=1)
    assert result.answer == "15"
    assert result.usage["judge"].calls == 2


async def test_votes_are_averaged_before_a_step_is_called_bad() -> None:
    votes = iter([0, 1, 1, 1, 0, 0])
    said = {"analyse": False, "verify": False}
    result = await run(
        ["a is 1", "b is 2"],
        lambda *_: f"{{{'Yes' if next(votes) else 'No'}}}$\n</output>\n",
        votes=3,
        rounds=2,
        **said,
    )
    # Two of three say yes to the first solution: it is kept.
    assert result.answer == "1"
    assert result.usage["judge"].calls == 3


async def test_step_that_cannot_be_judged_keeps_the_solution_and_says_so() -> None:
    result = await run([WRONG, RIGHT], lambda *_: "I cannot say.</analyze>\n")
    assert (result.answer, result.stopped) == ("15", "done")
    assert result.detail == "solution 1 is kept: the verdict on step 1 cannot be read"
    failed = await run([WRONG, RIGHT], lambda *_: ProviderError("down"))
    assert (failed.answer, failed.detail) == ("15", "solution 1 is kept: the judge failed at step 1: down")
    assert failed.candidates[0].scores["gen_prm"].value is None


async def test_bad_step_before_one_that_cannot_be_judged_still_counts() -> None:
    def review(request: Request, number: int) -> str | ProviderError:
        return ProviderError("down") if "answer" in request.messages[-1].text else reviewer(request, number)

    assert (await run([WRONG, RIGHT], review)).answer == "14"


async def test_rewriting_without_an_answer_does_not_replace_one() -> None:
    result = await run([WRONG, "No idea"], rounds=1)
    assert (result.answer, result.chosen) == ("15", 0)
    assert len(result.candidates) == 2


async def test_budget_that_ends_a_verification_is_the_reason_of_the_run() -> None:
    result = await run([WRONG, RIGHT], budget=Budget(calls=3))
    assert (result.answer, result.stopped) == ("15", "budget")
    assert result.cost.calls == 3


async def test_nothing_is_spent_where_nothing_can_be_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = ScriptedModel(replies=[WRONG])
    blind = ScriptedModel(access=frozenset({Access.TEXT}))
    with pytest.raises(AccessDenied, match="gen_prm needs prefix"):
        await run([], policy=policy, judge=blind)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(MissingExtra, match="apt-get install bubblewrap"):
        await run([], policy=policy, execute=True)
    assert policy.calls == 0


@bubblewrap
async def test_code_of_the_critic_is_run() -> None:
    def review(request: Request, number: int) -> str:
        if request.prefix.endswith(": "):
            return "let me see.</analyze>\n"
        if "[Code Output]" not in request.prefix:
            shown = request.messages[-1].text
            return f"print('15' in {shown!r})\n```\n"
        bad = "[Code Output]\n\n```\nTrue" in request.prefix
        return f"</verify>\n<output>\n$\\boxed{{{'No' if bad else 'Yes'}}}$\n</output>\n"

    result = await run([WRONG, RIGHT], review, execute=True)
    assert result.answer == "14"


async def test_most_calls_of_the_judge_are_declared() -> None:
    from ponder.core import registry

    settings = {"rounds": 2, "steps": 3, "votes": 2, "code_rounds": 2}
    assert registry.strategies.get("gen_prm_refine").make(**settings).calls() == {
        "policy": 3,
        "judge": 2 * 3 * 2 * (1 + 2 + 1),
    }
    direct = registry.strategies.get("gen_prm_refine").make(
        rounds=1, steps=1, analyse=False, verify=False, execute=False
    )
    assert direct.calls() == {"policy": 2, "judge": 1}


@pytest.mark.parametrize(
    "settings",
    [{"rounds": -1}, {"steps": 0}, {"votes": 0}, {"code_rounds": 0}, {"delimiter": ""}, {"verify": False}],
)
async def test_settings_are_checked(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        await solve(TASK, model=ScriptedModel(replies=[RIGHT]), method="gen_prm_refine", **settings)


@pytest.mark.embedded
async def test_refinement_runs_on_the_embedded_model(embedded: Model) -> None:
    result = await solve(
        TASK,
        model=embedded,
        method="gen_prm_refine",
        sampling=Sampling(max_tokens=60),
        budget=Budget(completion_tokens=400),
        rounds=1,
        analyse=False,
        verify=False,
        execute=False,
        steps=3,
        max_tokens=20,
    )
    assert result.chosen is not None
    assert result.cost.exact
    assert result.usage["judge"].calls >= 1
