r"""Medical questions: distinct, lettered by the seed, gold beside the task."""

from __future__ import annotations

import pytest

from ponder.core.errors import ConfigError
from ponder.tasks.medical_choice import MedicalChoice, choice_problem

WHOLE = 16


def test_questions_are_distinct_and_their_gold_is_one_of_the_options() -> None:
    problems = MedicalChoice().generate(WHOLE, seed=0)
    assert len({problem.task.prompt for problem in problems}) == WHOLE
    for problem in problems:
        options = problem.task.metadata["options"]
        assert len(set(options.values())) == len(options) == 1 + problem.task.metadata["difficulty"]
        assert problem.reference in options
        assert problem.grader is not None
        assert problem.grader.gold == {"letter": problem.reference}
        assert "letter" not in problem.task.metadata
        assert problem.task.prompt.endswith("\\boxed{}.")


def test_letters_and_order_follow_the_seed() -> None:
    first, second = (MedicalChoice().generate(WHOLE, seed=seed) for seed in (0, 1))
    assert first == MedicalChoice().generate(WHOLE, seed=0)
    assert first[:5] == MedicalChoice().generate(5, seed=0)
    assert first != second
    assert len({problem.reference for problem in first}) > 1


def test_a_problem_of_ones_own_is_lettered_from_a() -> None:
    problem = choice_problem("Which?", ["one", "two", "three"], 2, identity="q", subject="x")
    assert problem.task.prompt.startswith("Which?\nA. one\nB. two\nC. three\n")
    assert (problem.reference, problem.task.id, problem.task.metadata["subject"]) == ("C", "q", "x")


def test_a_question_comes_again_with_other_options_only_after_all_came() -> None:
    problems = MedicalChoice().generate(3 * WHOLE, seed=0)
    questions = [problem.task.prompt.partition("\n")[0] for problem in problems]
    for start in range(0, 3 * WHOLE, WHOLE):
        assert len(set(questions[start : start + WHOLE])) == WHOLE
    assert len({problem.task.prompt for problem in problems}) == 3 * WHOLE


def test_levels_and_counts_are_checked() -> None:
    with pytest.raises(ConfigError, match="level"):
        MedicalChoice(level=4)
    with pytest.raises(ConfigError, match="no more than"):
        MedicalChoice(level=1).generate(500, seed=0)
