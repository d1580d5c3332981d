"""The inequality judges: four flaws, one call each, equations checked by a program."""

from __future__ import annotations

import pytest

from ponder import Budget, Request
from ponder.core.errors import ConfigError, ProviderError
from ponder.verifiers.inequality_judges import FLAWS, InequalityJudges, read_equations, read_soundness
from tests.verifiers.judge_desk import TASK, desk, judge_of, judged

NAMES = {
    "toy": "special cases. Flag",
    "gap": "not obvious and is not justified",
    "approximation": "decimals in place",
    "computation": "copy out the equations",
}


def replies(**by_flaw: str):
    """A judge that finds nothing, but for the flaws given."""
    sound = {"computation": "Equation: 1 + 1 = 2"}

    def reply(request: Request, number: int) -> str:
        text = request.messages[-1].text
        (flaw,) = [name for name, words in NAMES.items() if words in text]
        return by_flaw.get(flaw, sound.get(flaw, "Analysis: fine.\nFlagged: none\nSound: True"))

    return reply


async def test_a_solution_without_flaws_passes_by_four_calls() -> None:
    ctx = desk(replies())
    (score,) = await judged(InequalityJudges(), ctx, "By AM-GM we are done.")
    assert score.value == 1.0
    assert judge_of(ctx).calls == 4
    assert all("By AM-GM we are done." in call.prompt for call in judge_of(ctx).log)


@pytest.mark.parametrize("flaw", FLAWS)
async def test_one_flaw_is_enough(flaw: str) -> None:
    said = "Equation: 1+2*(0.2)^3 = 1.16" if flaw == "computation" else "Flagged: step 2, a = b = c\nSound: False"
    (score,) = await judged(InequalityJudges(), desk(replies(**{flaw: said})), "a solution")
    assert score.value == 0.0
    assert f"{flaw}: flawed" in score.reason
    found = await InequalityJudges().judge(TASK, "a solution", desk(replies(**{flaw: said})))
    assert {name for name, one in found.items() if one.sound is False} == {flaw}
    assert found[flaw].step in ("step 2, a = b = c", "1+2*(0.2)^3 = 1.16")


async def test_a_judge_that_cannot_be_read_leaves_it_open_unless_another_objects() -> None:
    (score,) = await judged(InequalityJudges(), desk(replies(gap="who knows")), "a solution")
    assert score.value is None
    (score,) = await judged(InequalityJudges(), desk(replies(gap="who knows", toy="Sound: False")), "a solution")
    assert score.value == 0.0


async def test_failures_and_the_end_of_the_budget_are_missing() -> None:
    (score,) = await judged(InequalityJudges(), desk([ProviderError("down")]), "a solution")
    assert (score.value, "down" in score.reason) == (None, True)
    (score,) = await judged(InequalityJudges(), desk(replies(), Budget(calls=3)), "a solution")
    assert (score.value, "not judged" in score.reason) == (None, True)


async def test_some_flaws_alone_can_be_looked_for() -> None:
    ctx = desk(replies())
    await judged(InequalityJudges(flaws=("toy",)), ctx, "a", "a", "b")
    assert judge_of(ctx).calls == 2


@pytest.mark.parametrize(
    ("text", "sound", "step"),
    [
        ("Analysis: ok\nFlagged: none\nSound: True", True, ""),
        ("Flagged step: line 3\n**Sound:** False", False, "line 3"),
        ("Sound: True\nSound: false", False, ""),
        ("Sounds good: True", None, "no judgement can be read"),
        ("<think>", None, "no judgement can be read"),
    ],
)
def test_judgements_are_read_by_their_form(text: str, sound: bool | None, step: str) -> None:
    assert read_soundness(text) == (sound, step)


def test_equations_are_read_by_line_and_chains_by_neighbours() -> None:
    assert read_equations("Equation: 1+2*(1.4)^3 = 6.488\nEquation: 2 = 4/2 = 6/3.") == [
        ("1+2*(1.4)^3", "6.488"),
        ("2", "4/2"),
        ("4/2", "6/3"),
    ]
    assert read_equations("Equation: none") == []
    assert read_equations("Equation: √2 ≈ 1.414\nEquation: 1 <= 2") == []
    assert read_equations("There are no equations.") is None


@pytest.mark.parametrize(
    ("listed", "sound"),
    [
        ("Equation: none", True),
        ("Equation: x^2 = 4", True),  # what cannot be evaluated is not checked
        ("Equation: 2/3 = 0.666", True),
        ("Equation: 10/4 = 2.6", False),
        ("Equation: √2 ≈ 1.4", True),
        ("nothing", None),
    ],
)
async def test_a_program_checks_the_equations(listed: str, sound: bool | None) -> None:
    found = await InequalityJudges(flaws=("computation",)).judge(TASK, "a solution", desk([listed]))
    assert found["computation"].sound is sound


@pytest.mark.parametrize("wrong", [{"flaws": ()}, {"flaws": ("style",)}, {"tolerance": 0}, {"max_tokens": 0}])
def test_settings_are_checked(wrong: dict) -> None:
    with pytest.raises(ConfigError):
        InequalityJudges(**wrong)
