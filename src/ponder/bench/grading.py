"""Grade an answer: by the reference of its problem, or by the program that the problem names.

Source: our own (DESIGN §6: gold never reaches a method). A problem with a reference and no program is compared by the
task's answer type; one with neither is checked against the rules that its prompt states.
Cost: no model call; programs that run code need the sandbox. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from dataclasses import replace

from ponder.core import registry
from ponder.core.candidate import Candidate
from ponder.core.context import AnswerType
from ponder.core.errors import ConfigError
from ponder.core.task import Message
from ponder.tasks.problem import Grader, Problem

__all__ = ["grade", "grader_name"]

_PROMPT_RULES = Grader(verifier="constraints")


async def grade(problem: Problem, answer: str | None, text: str) -> bool | None:
    """Return whether an answer is right; None where nothing can tell (no rule in the prompt, no sandbox here).

    Args:
        problem: with the reference or the grader, which no method sees.
        answer: the extracted answer, which is compared with a reference; None is not right.
        text: the whole answer, which is what a grader reads.

    Raises:
        ConfigError: the reference is no answer of the task's type, or the grader cannot be used.
        UnknownName: no verifier has the grader's name.
    """
    if (grader := _program(problem)) is not None:
        return await _by_program(problem, grader, answer, text)
    assert problem.reference is not None
    kind: AnswerType = registry.answer_types.get(problem.task.answer).make()
    gold = kind.extract(problem.reference)
    if gold is None:
        raise ConfigError(f"the reference {problem.reference!r} is no answer of type {problem.task.answer!r}")
    return answer is not None and await kind.same(answer, gold)


def grader_name(problem: Problem) -> str:
    """Return what grades the problem: "reference", or the name of a verifier."""
    grader = _program(problem)
    return "reference" if grader is None else grader.verifier


def _program(problem: Problem) -> Grader | None:
    return _PROMPT_RULES if problem.grader is None and problem.reference is None else problem.grader


async def _by_program(problem: Problem, grader: Grader, answer: str | None, text: str) -> bool | None:
    entry = registry.verifiers.get(grader.verifier)
    if entry.access:
        raise ConfigError(f"verifier {entry.name!r} asks a model, so it cannot grade")
    task = replace(problem.task, metadata={**problem.task.metadata, **grader.gold})
    candidate = Candidate(index=0, message=Message("assistant", text), answer=answer, finish="stop")
    (score,) = await entry.make(**grader.settings).score(task, [candidate], None)
    return None if score.value is None else bool(score.value == 1)
