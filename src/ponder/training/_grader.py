"""What says whether a text ends with the right answer of a problem.

Source: our own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ponder.core import registry
from ponder.core.context import AnswerType
from ponder.core.errors import BadInput
from ponder.tasks.problem import Problem

__all__ = ["Grade", "grader"]

Grade = Callable[[str], Awaitable[bool]]


def grader(problem: Problem) -> Grade:
    """Return the grader of a problem's texts; one without an answer is wrong.

    Raises:
        BadInput: the problem has no reference, or one that is no answer of its type.
    """
    if problem.reference is None:
        raise BadInput(f"task {problem.task.id} has no reference answer: what is sampled cannot be graded")
    answers: AnswerType = registry.answer_types.get(problem.task.answer).make()
    gold = answers.extract(problem.reference)
    if gold is None:
        raise BadInput(f"the reference {problem.reference!r} is no answer of type {problem.task.answer!r}")

    async def right(text: str) -> bool:
        answer = answers.extract(text)
        return answer is not None and await answers.same(answer, gold)

    return right
