from __future__ import annotations

import pytest

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.critique_data import (
    Refined,
    filter_refinements,
    flawed_from_resample,
    flawed_from_sample,
    keep_critique,
    keep_refinement,
    soft_filter,
    solution_steps,
)

NUMBERS = " ".join(map(str, range(10)))


def test_steps_are_the_lines_that_hold_something() -> None:
    assert solution_steps("a\n\n  b \r\n") == ("a", "b")
    assert solution_steps(" \n") == ()


def test_only_wrong_answers_are_flawed_samples() -> None:
    found = flawed_from_sample("1 + 1 = 3\nThe answer is 3.", correct=False)
    assert found is not None
    assert (found.how, found.first_error, len(found.steps)) == ("sampled", None, 2)
    assert flawed_from_sample("1 + 1 = 2", correct=True) is None
    assert flawed_from_sample("", correct=False) is None


def test_error_of_a_rewritten_solution_starts_after_what_was_kept() -> None:
    found = flawed_from_resample(["a", "b"], "c'\nd'", correct=False, how="inserted", hint="adds twice")
    assert found is not None
    assert (found.steps, found.first_error, found.hint) == (("a", "b", "c'", "d'"), 3, "adds twice")
    assert flawed_from_resample(["a"], "b", correct=True) is None
    assert flawed_from_resample(["a"], "\n", correct=False) is None


@pytest.mark.parametrize(("correct", "tries", "kept"), [(4, 10, True), (2, 10, False), (3, 10, True), (0, 1, False)])
def test_soft_filter_of_the_card(correct: int, tries: int, kept: bool) -> None:
    assert soft_filter(correct, tries) is kept


def test_soft_filter_checks_its_input() -> None:
    with pytest.raises(BadInput):
        soft_filter(1, 0)
    with pytest.raises(BadInput):
        soft_filter(3, 2)
    with pytest.raises(ConfigError):
        soft_filter(1, 2, tau=1.5)


@pytest.mark.parametrize(
    ("labels", "verdict", "right", "first_error", "kept"),
    [
        ([True, True], True, True, None, True),
        ([True, False], True, True, None, False),
        ([True, False], False, False, 2, True),
        ([True, False], False, False, 1, False),
        ([True, False], False, False, None, True),
        ([True, True], False, False, 2, False),
        ([True, False], True, False, 2, False),
        ([True, None], True, True, None, False),
        ([True], None, True, None, False),
        ([], True, True, None, False),
    ],
)
def test_critique_must_agree_with_what_is_known(
    labels: list[bool | None], verdict: bool | None, right: bool, first_error: int | None, kept: bool
) -> None:
    assert keep_critique(labels, verdict, solution_correct=right, first_error=first_error) is kept


def test_shortcut_barrier_of_the_card() -> None:
    reference = NUMBERS[: 2 * 8]
    assert not keep_refinement(reference, NUMBERS, NUMBERS[: 2 * 5])
    assert keep_refinement(reference, NUMBERS, NUMBERS[: 2 * 6])


def test_refinements_are_kept_that_are_right_show_work_and_bring_a_new_critique() -> None:
    def refined(critique: str, solution: str = NUMBERS, *, correct: bool = True, question: str = "q") -> Refined:
        return Refined(question=question, original=NUMBERS, critique=critique, solution=solution, correct=correct)

    found = [
        refined("one"),
        refined("one"),
        refined("two"),
        refined("one"),
        refined("three", correct=False),
        refined("four", "0 1"),
        refined("one", question="other"),
    ]
    assert filter_refinements(found, NUMBERS) == [found[0], found[2], found[3], found[6]]
    assert filter_refinements(found, NUMBERS, look_back=2) == [found[0], found[2], found[6]]
    assert filter_refinements(found, NUMBERS, look_back=0) == [found[0], found[1], found[2], found[3], found[6]]
