from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.numerics.prm_rules import RULES, Rule, choose, solution_scores
from ponder.numerics.votes import majority

ANSWERS = ["a", "b", "b", "a", "c"]
STEPS = [[0.9, 0.8, 0.6], [0.7, 0.7, 0.7], [0.2, 0.9, 0.95], [0.5, 0.5, 0.5], [0.99, 0.3, 0.98]]


@pytest.mark.parametrize(
    ("rule", "answer", "solution"),
    [
        ("majority_vote", "a", 0),
        ("prm_min_max", "b", 1),
        ("prm_min_vote", "a", 0),
        ("prm_last_max", "c", 4),
        ("prm_last_vote", "b", 2),
        ("prm_avg_max", "a", 0),
        ("prm_avg_vote", "b", 1),
    ],
)
def test_rules_of_card_13(rule: Rule, answer: str, solution: int) -> None:
    # Check 1; the solution is the best one that has the answer.
    assert choose(rule, ANSWERS, STEPS) == (answer, solution)


def test_released_vote_reads_the_reward_of_another_solution() -> None:
    # The best b is the second b, so the code reads the second solution of all.
    assert choose("prm_last_vote", ANSWERS, STEPS, parity="released") == ("b", 1)


def test_solution_without_steps_is_missing_but_released_as_minus_one() -> None:
    assert solution_scores([[], [0.5]], "last") == [None, 0.5]
    assert solution_scores([[], [0.5]], "last", parity="released") == [-1.0, 0.5]
    assert choose("prm_last_max", ["a", "b"], [[], [-2.0]]) == ("b", 1)
    assert choose("prm_last_max", ["a", "b"], [[], [-2.0]], parity="released") == ("a", 0)
    assert choose("prm_last_max", ["a"], [[]]) is None


@pytest.mark.parametrize("rule", RULES)
def test_invalid_answers_are_dropped_with_their_scores(rule: Rule) -> None:
    assert choose(rule, [None, "a"], [[0.99], [0.1]]) == ("a", 1)
    assert choose(rule, [None, None], [[0.9], [0.8]]) is None
    assert choose(rule, [], []) is None


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=8), st.sampled_from(["min", "last", "avg"]))
def test_equal_scores_make_each_vote_a_majority(answers: list[str], short: str) -> None:
    # Check 2.
    rule: Rule = next(rule for rule in RULES if rule == f"prm_{short}_vote")
    choice = choose(rule, answers, [[0.5, 0.5]] * len(answers))
    assert choice is not None
    assert choice.solution == majority(answers)


@given(st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=4), min_size=1, max_size=6))
def test_one_solution_an_answer_makes_vote_and_max_the_same(steps: list[list[float]]) -> None:
    answers = list(range(len(steps)))
    for short in ("min", "last", "avg", "prod"):
        largest, voted = (next(r for r in RULES if r == f"prm_{short}_{kind}") for kind in ("max", "vote"))
        assert choose(largest, answers, steps) == choose(voted, answers, steps)
