r"""Chain-of-Action-Thought: one pass, restarts, steps taken back, answers before and after."""

from __future__ import annotations

from typing import Any

import pytest

from ponder import Budget, Request, Result, Sampling, ScriptedModel, Task, solve, solve_sync
from ponder.core.access import Access
from ponder.core.errors import AccessDenied, ConfigError, ProviderError
from ponder.core.model import Model

FIRST = "Add.\nContinue: 1 + 1.\nContinue: so \\boxed{3}"


def solver(*rounds: str) -> ScriptedModel:
    """Writes the first text, then behind the k-th restart the k-th one."""

    def reply(request: Request, number: int) -> str:
        restarts = request.prefix.count("let me check this again") + request.prefix.count("<|reflect|>")
        return rounds[min(restarts, len(rounds) - 1)]

    return ScriptedModel(replies=reply)


def ask(model: ScriptedModel, within: Budget | None = None, **settings: Any) -> Result:
    task = Task.of("What is 1 + 1?", answer="number")
    return solve_sync(task, model=model, method="coat", budget=within, seed=settings.pop("seed", 0), **settings)


def test_no_rounds_is_one_greedy_pass_with_its_statistics() -> None:
    model = solver("a \\boxed{3}<|reflect|>Wait.<|explore|>b \\boxed{4}")
    result = ask(model, rounds=0, marks="tokens")
    (candidate,) = result.candidates
    assert (result.answer, model.calls) == ("4", 1)
    assert (candidate.metadata["reflect"], candidate.metadata["explore"], candidate.metadata["continue"]) == (1, 1, 0)
    assert candidate.metadata["answers"] == ["3", "4"]
    assert candidate.metadata["before_reflection"] == "3"


def test_a_restart_continues_behind_the_whole_text_by_default() -> None:
    model = solver(FIRST, " No: \\boxed{2}")
    result = ask(model, rounds=1)
    assert [c.answer for c in result.candidates] == ["3", "2"]
    assert result.answer == "2"
    assert model.log[1].prompt.endswith(f"{FIRST}\nReflect: Wait, let me check this again.")
    assert result.candidates[1].metadata["answers"] == ["3", "2"]
    assert result.candidates[1].text.startswith(FIRST)


def test_steps_are_taken_back_as_the_seed_says() -> None:
    ends = set()
    for seed in range(12):
        model = solver(FIRST, " \\boxed{2}")
        result = ask(model, rounds=1, back=2, seed=seed)
        back = result.candidates[1].metadata["back"]
        kept = model.log[1].prompt.partition("\\boxed{}.")[2].partition("Reflect: Wait")[0]
        assert kept == {0: FIRST + "\n", 1: "Add.\nContinue: 1 + 1.\n", 2: "Add.\n"}[back]
        ends.add(back)
    assert ends == {0, 1, 2}


def test_paragraphs_are_the_steps_of_a_model_without_marks() -> None:
    model = solver("One.\n\nTwo \\boxed{3}", " \\boxed{2}")
    for seed in range(8):
        result = ask(model, rounds=1, back=1, seed=seed)
        if result.candidates[1].metadata["back"] == 1:
            assert result.candidates[1].text.startswith("One.\n\nReflect:")
            break
    else:
        pytest.fail("no seed took a step back")


def test_tokens_are_appended_as_they_are() -> None:
    model = solver("a \\boxed{3}", "Wait \\boxed{2}")
    assert ask(model, marks="tokens", rounds=1).answer == "2"
    assert model.log[1].prompt.endswith("a \\boxed{3}<|reflect|>")


def test_a_majority_over_rounds_can_be_chosen() -> None:
    model = solver("\\boxed{3}", " \\boxed{3}", " \\boxed{2}")
    assert ask(model, rounds=2).answer == "2"
    assert ask(model, rounds=2, choose="majority").answer == "3"


def test_a_pass_that_was_cut_is_not_restarted() -> None:
    model = solver("w " * 50)
    result = solve_sync(
        Task.of("What?", answer="number"), model=model, method="coat", rounds=3, sampling=Sampling(max_tokens=5)
    )
    assert model.calls == 1
    assert result.stopped == "done"


def test_a_restart_without_an_answer_leaves_the_earlier_one() -> None:
    def reply(request: Request, number: int) -> Any:
        return ProviderError("down") if request.prefix else "\\boxed{3}"

    result = ask(ScriptedModel(replies=reply), rounds=2)
    assert result.answer == "3"
    assert result.candidates[1].error == "down"
    assert ask(solver(FIRST), Budget(calls=1), rounds=2).stopped == "budget"


def test_prefixes_are_needed_for_restarts_only() -> None:
    access = frozenset({Access.TEXT, Access.SEED})
    assert ask(ScriptedModel(replies=["\\boxed{2}"], access=access), rounds=0).answer == "2"
    with pytest.raises(AccessDenied):
        ask(ScriptedModel(access=access), rounds=1)


@pytest.mark.parametrize(
    "wrong", [{"rounds": -1}, {"back": -1}, {"marks": "signs"}, {"choose": "best"}, {"temperature": float("nan")}]
)
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ask(solver("x"), **wrong)


@pytest.mark.embedded
async def test_the_embedded_model_can_be_restarted(embedded: Model) -> None:
    task = Task.of("Tom has 3 boxes with 4 pens each. How many pens are there?", answer="number")
    result = await solve(task, model=embedded, method="coat", rounds=1, sampling=Sampling(max_tokens=120))
    assert 1 <= len(result.candidates) <= 2
    if len(result.candidates) == 2:
        assert "Reflect: Wait" in result.candidates[1].text
