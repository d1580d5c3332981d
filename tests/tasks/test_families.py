"""Generated families: seeded, distinct, gold kept apart, readable by the checkers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.core.errors import ConfigError
from ponder.core.registry import tasks
from ponder.core.task import Task
from ponder.tasks.multiplication_stories import MultiplicationStories
from ponder.tasks.problem import Problem, draw
from ponder.tasks.writing import Writing
from ponder.verifiers.answers.number import NumberAnswer
from ponder.verifiers.arithmetic import product_of_story
from ponder.verifiers.constraints import compile_prompt

FAMILIES = [MultiplicationStories(), Writing()]
RULES = {
    "include": ["Includes", "Includes", "Includes"],
    "avoid": ["Avoids", "Includes"],
    "json": ["JsonKeys"],
    "question": ["Includes", "IsQuestion"],
    "ending": ["EndsWith"],
    "short": ["AtMostWords", "Includes"],
    "combined": ["AtMostWords", "Avoids", "Includes", "Includes", "IsQuestion"],
}


def test_families_are_registered() -> None:
    assert {"multiplication_stories", "writing"} <= set(tasks.names())


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: type(family).__name__)
def test_a_draw_is_seeded_distinct_and_grows_at_its_end(family: Writing) -> None:
    problems = family.generate(60, seed=3)
    assert problems == family.generate(60, seed=3)
    assert problems[:20] == family.generate(20, seed=3)
    assert problems != family.generate(60, seed=4)
    assert len({problem.task.prompt for problem in problems}) == len({problem.task.id for problem in problems}) == 60


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: type(family).__name__)
def test_tasks_say_what_they_are(family: Writing) -> None:
    for problem in family.generate(20, seed=0):
        assert problem.task.metadata["family"].startswith(("multiplication_stories", "writing_"))
        assert problem.task.metadata["difficulty"] in (1, 2, 3)
        assert problem.task.metadata["max_tokens"] == 40


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31))
def test_stories_can_be_recomputed_from_their_prompt(seed: int) -> None:
    for problem in MultiplicationStories().generate(10, seed):
        assert problem.task.answer == "number"
        assert problem.reference is not None
        assert (
            NumberAnswer().extract(problem.reference) == problem.reference == str(product_of_story(problem.task.prompt))
        )


@settings(deadline=None, max_examples=20)
@given(st.sampled_from(sorted(RULES)), st.integers(0, 2**31))
def test_writing_prompts_compile_to_their_rules(rule: str, seed: int) -> None:
    for problem in Writing(rule=rule).generate(10, seed):  # type: ignore[arg-type]
        assert sorted(type(found).__name__ for found in compile_prompt(problem.task.prompt)) == RULES[rule]
        assert problem.reference is None
        assert problem.task.answer == ("json" if rule == "json" else "text")


def test_mixed_writing_takes_the_rules_in_turn() -> None:
    families = [problem.task.metadata["family"] for problem in Writing().generate(10, seed=1)]
    assert families == [f"writing_{rule}" for rule in list(RULES)[:5]] * 2


def test_level_of_writing_takes_its_rules_in_turn() -> None:
    families = [problem.task.metadata["family"] for problem in Writing(level=3).generate(4, seed=1)]
    assert families == ["writing_ending", "writing_combined"] * 2
    with pytest.raises(ConfigError, match="its own level"):
        Writing(rule="json", level=1)


def test_factors_stay_in_their_range() -> None:
    problems = MultiplicationStories(smallest=3, largest=3).generate(30, seed=0)
    assert {problem.reference for problem in problems} == {"9"}


def test_a_family_that_is_used_up_says_so() -> None:
    def same(stream: object, index: int) -> Problem:
        return Problem(task=Task.of("always this"))

    with pytest.raises(ConfigError, match="no more than about 1 distinct"):
        draw(same, 2, 0, "tiny")


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: type(family).__name__)
def test_counts_below_zero_are_refused_and_zero_is_empty(family: Writing) -> None:
    assert family.generate(0, seed=0) == []
    with pytest.raises(ConfigError, match="count"):
        family.generate(-1, seed=0)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="smallest"):
        MultiplicationStories(smallest=5, largest=4)
    with pytest.raises(ConfigError, match="rule"):
        Writing(rule="rhyme")  # type: ignore[arg-type]
