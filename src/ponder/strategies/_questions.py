"""Reading what the planner of Atom of Thoughts replies: sub-questions with dependencies, and the contracted question.

Source: card 62 (arXiv:2502.12018); dependencies are indices from 0 of earlier sub-questions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ponder.core.errors import BadInput
from ponder.engines.replies import json_values, unthought
from ponder.numerics.atomic import last_tag

__all__ = ["LABELS", "SubQuestion", "read_contracted", "read_questions"]

LABELS: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "questions": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "question": {"type": "string"},
                    "answer": {"type": "string"},
                    "depends": {"type": "array", "items": {"type": "integer"}},
                },
                "required": ["question", "answer", "depends"],
                "additionalProperties": False,
            },
        },
        "answer": {"type": "string"},
    },
    "required": ["questions", "answer"],
    "additionalProperties": False,
}


class SubQuestion(NamedTuple):
    """A node of the graph of a question.

    Attributes:
        question: its text.
        answer: its short answer.
        depends: indices of the earlier nodes that it needs.
    """

    question: str
    answer: str
    depends: tuple[int, ...]


def read_questions(text: str, *, lenient: bool = False) -> tuple[SubQuestion, ...]:
    """Return the sub-questions of a labelled solution.

    Args:
        text: the reply.
        lenient: drop a dependency that is not on an earlier one, instead of refusing it.

    Raises:
        BadInput: there are none, or one depends on itself, on a later one or on none of them.
    """
    for value in json_values(text):
        items = (
            next((value[k] for k in ("questions", "sub-questions") if k in value), None)
            if isinstance(value, dict)
            else value
        )
        if not isinstance(items, list) or not items:
            continue
        found = []
        for at, item in enumerate(items):
            question = item.get("question", item.get("description")) if isinstance(item, dict) else None
            needed = item.get("depends", item.get("depend", [])) if isinstance(item, dict) else None
            if not isinstance(question, str) or not question.strip() or not isinstance(needed, list):
                break
            inside = [k for k in needed if isinstance(k, int) and not isinstance(k, bool) and 0 <= k < at]
            if len(inside) < len(needed) and not lenient:
                raise BadInput(f"question {at} must depend on indices from 0 to {at - 1} only, not on {needed}")
            answer = item.get("answer")
            found.append(
                SubQuestion(
                    question.strip(), "" if answer is None else str(answer).strip(), tuple(dict.fromkeys(inside))
                )
            )
        else:
            return tuple(found)
    raise BadInput('there is no JSON with a list "questions", each with "question", "answer" and "depends"')


def read_contracted(text: str) -> str:
    found = last_tag(unthought(text), "question")
    if found is None:
        raise BadInput("there is no question between <question> and </question>")
    return found
