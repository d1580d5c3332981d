"""Published formats, by rows of the same shape written by hand."""

from __future__ import annotations

import pytest

from ponder.bench.grading import grade
from ponder.core.errors import BadInput
from ponder.tasks.loaders.published import aime, gsm8k, math, multiarith, svamp
from ponder.tasks.loaders.rows import SourceRow


def row(**values: object) -> SourceRow:
    return SourceRow(where="set.jsonl:1", number=0, values=values)


async def test_gsm8k_reference_stands_behind_the_mark() -> None:
    solution = "He has 2*3=<<2*3=6>>6 pens.\nAnd 6+1=<<6+1=7>>7 in all.\n#### 1,007"
    problem = gsm8k(row(question="How many pens?", answer=solution))
    assert (problem.reference, problem.task.answer) == ("1,007", "number")
    assert problem.task.metadata == {"family": "gsm8k", "difficulty": 2}
    assert await grade(problem, "1007", "1007") is True
    for wrong, message in (("7", "no '####'"), ("#### none", "no answer of type")):
        with pytest.raises(BadInput, match=rf"set\.jsonl:1: column 'answer': .*{message}"):
            gsm8k(row(question="How many?", answer=wrong))


@pytest.mark.math
async def test_math_takes_the_answer_or_the_boxed_end_of_the_solution() -> None:
    given = {"problem": "Solve.", "level": "Level 3", "solution": r"So $x = \boxed{\frac{1}{2}}$."}
    short = math(row(**given, answer=r"\frac{1}{2}", subject="Algebra", unique_id="test/1.json"))
    long = math(row(**given, type="Algebra"))
    for problem in (short, long):
        assert problem.task.metadata == {"family": "math", "difficulty": 3, "subject": "Algebra"}
        assert problem.task.prompt == "Solve.\nPut your final answer within \\boxed{}."
        assert await grade(problem, "0.5", "0.5") is True
    assert short.task.id == "test/1.json"
    worded = math(row(problem="Who?", level="Level ?", answer=r"\text{Evelyn}"))
    assert "difficulty" not in worded.task.metadata
    assert await grade(worded, r"\text{Evelyn}", r"\boxed{\text{Evelyn}}") is True
    with pytest.raises(BadInput, match="column 'solution'"):
        math(row(problem="Solve.", solution="x = 2"))


@pytest.mark.parametrize(
    "values",
    [
        {"ID": "2024-I-1", "Problem": "Find n.", "Answer": 25, "Solution": "..."},
        {"id": "2024-I-1", "problem": "Find n.", "answer": "025"},
        {"id": "2024-I-1", "question": "Find n.", "answer": "25"},
    ],
)
def test_aime_shapes_agree(values: dict) -> None:
    problem = aime(row(**values))
    assert (problem.reference, problem.task.answer, problem.task.id) == ("25", "number", "aime-2024-I-1")
    assert problem.task.prompt.startswith("Find n.\n")


@pytest.mark.parametrize("answer", ["1000", "-1", "2.5", ""])
def test_aime_answers_are_whole_numbers_below_a_thousand(answer: str) -> None:
    with pytest.raises(BadInput, match="column 'answer': needs a whole number"):
        aime(row(problem="Find n.", answer=answer))


def test_svamp_joins_body_and_question() -> None:
    problem = svamp(
        row(Body="There are 2 hens", Question="How many legs?", Answer=4.0, Type="Multiplication", ID="chal-1")
    )
    assert problem.task.prompt == "There are 2 hens. How many legs?"
    assert (problem.reference, problem.task.id) == ("4", "chal-1")
    assert problem.task.metadata == {"family": "svamp", "subject": "Multiplication"}
    assert svamp(row(Body="Two hens.", Question="Legs?", Answer="4")).task.prompt == "Two hens. Legs?"


@pytest.mark.parametrize(
    "values",
    [
        {"input": "How many?", "target": 39},
        {"question": " How many?", "final_ans": "39"},
        {"sQuestion": " How many? ", "lSolutions": [39.0], "iIndex": 1},
    ],
)
def test_multiarith_shapes_agree(values: dict) -> None:
    problem = multiarith(row(**values))
    assert (problem.task.prompt, problem.reference) == ("How many?", "39")


def test_multiarith_refuses_several_solutions_and_none() -> None:
    with pytest.raises(BadInput, match="column 'lSolutions': needs one solution, got 2"):
        multiarith(row(sQuestion="x", lSolutions=[1, 2]))
    with pytest.raises(BadInput, match="no column 'target'"):
        multiarith(row(question="x"))
