from __future__ import annotations

import random

import pytest

from ponder.engines.references import LexicalRetriever, RandomRetriever, template, without_leaks

PAIRS = [
    ("Ann has 3 bags with 4 apples. How many apples?", "Each bag has 4 apples.\n3 * 4 = 12\nThe answer is 12."),
    ("A train covers 60 miles in 2 hours. How fast is it?", "Speed is distance over time.\n60 / 2 = 30"),
    ("What is the sum of 5 and 6?", "Add the numbers.\n5 + 6 = 11"),
    ("A square has side 3. What is its area?", "The area is the side squared.\n3 * 3 = 9"),
    ("Bob is 4 years older than Carl, who is 7. How old is Bob?", "Add the difference.\n7 + 4 = 11"),
    ("Solve x + 3 = 5.", "Subtract 3 on both sides.\nx = 2"),
]


@pytest.mark.parametrize("at", range(len(PAIRS)))
def test_problem_that_differs_only_in_numbers_is_found_first(at: int) -> None:
    # Card 35, check 5: six templates, a query equal to one of them has rank 1 and cosine 1.
    asked = PAIRS[at][0].replace("3", "8").replace("4", "9")
    assert template(asked) == template(PAIRS[at][0])
    found = LexicalRetriever(PAIRS).problems(asked, 3)
    assert found[0].reference == at
    assert found[0].similarity == pytest.approx(1)
    assert [item.similarity for item in found] == sorted((item.similarity for item in found), reverse=True)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_words_and_vectors_both_find_the_same_template(alpha: float) -> None:
    found = LexicalRetriever(PAIRS, alpha=alpha).problems(PAIRS[4][0].replace("7", "9"), 2)
    assert found[0].reference == 4
    assert found[0].similarity == pytest.approx(1)


def test_retriever_goes_by_the_templates_that_it_is_given() -> None:
    kinds = {PAIRS[0][0]: "product", PAIRS[2][0]: "sum of two", "asked": "product"}
    retriever = LexicalRetriever([PAIRS[0], PAIRS[2]], abstract=kinds.__getitem__)
    assert retriever.problems("asked", 1)[0].reference == 0
    assert retriever.steps("asked", [], 1)[0].text == "Each bag has 4 apples."


def test_step_is_found_by_the_problem_and_the_last_steps() -> None:
    retriever = LexicalRetriever(PAIRS)
    asked = PAIRS[1][0].replace("60", "90")
    assert retriever.steps(asked, [], 1)[0].text == "Speed is distance over time."
    (found,) = retriever.steps(asked, ["Speed is distance over time.\n"], 1)
    assert found.text == "60 / 2 = 30"
    assert found.similarity == pytest.approx(1)


def test_step_like_a_tentative_one_has_cosine_one_with_itself_and_zero_without_common_words() -> None:
    retriever = LexicalRetriever(PAIRS)
    same, other = retriever.like("Add the numbers."), retriever.like("xyzzy")
    assert same is not None
    assert same.text == "Add the numbers."
    assert same.similarity == pytest.approx(1)
    assert other is not None
    assert other.similarity == 0
    assert LexicalRetriever([]).like("x") is None


def test_question_itself_and_near_copies_are_left_out() -> None:
    # Card 35, check 6.
    asked = "Tom walks from home to school and back every day of the week, which is 2 miles each way. How far in all?"
    leaks = [(asked, "28"), (asked.replace("Tom", "Jim"), "28"), (asked.upper(), "28")]
    assert without_leaks([*PAIRS, *leaks], asked) == PAIRS
    assert without_leaks([], asked) == []


def test_random_retrieval_follows_its_generator_and_asks_for_no_more_than_there_is() -> None:
    first, second = (RandomRetriever(PAIRS, random.Random(3)) for _ in range(2))
    assert first.problems("", 4) == second.problems("", 4)
    assert len(first.problems("", 99)) == len(PAIRS)
    assert first.like("x") is not None
