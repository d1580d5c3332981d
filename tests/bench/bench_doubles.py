"""A scripted model that behaves like a small one on the demo's prompts, and rows made by hand."""

from __future__ import annotations

import re
from typing import Any

from ponder.bench.rows import Row
from ponder.core.model import Request
from ponder.core.seeds import derive
from ponder.core.usage import Usage
from ponder.models.scripted import ScriptedModel

HOSTILE = 'I think <script>alert("x")</script> & <img src=x onerror=alert(1)> \x00'


def small_model(**options: Any) -> ScriptedModel:
    """Right in about a third of its samples; some answers hold markup, some are cut."""
    return ScriptedModel(replies=small_reply, name="small", **options)


def small_reply(request: Request, number: int) -> str:
    """What the small model says to a request."""
    prompt = request.messages[-1].text
    stream = derive(request.seed, "reply", prompt)
    factors = [int(found) for found in re.findall(r"\d+", prompt)]
    if len(factors) == 2:
        if stream.random() < 0.35:
            return f"{factors[0]} x {factors[1]} = {factors[0] * factors[1]}"
        return stream.choice([str(sum(factors)), HOSTILE, "well " * 60])
    words = re.findall(r'"(\w+)"', prompt)
    return stream.choice([f"The {' '.join(words)}.", HOSTILE])


def row(problem: str, correct: bool | None, **fields: Any) -> Row:
    """A row of "stories"; tokens are 10 + 5 for each sample."""
    n = fields.get("n", 1)
    used = {"policy": Usage(calls=n, prompt_tokens=10 * n, completion_tokens=5 * n)}
    base: dict[str, Any] = {
        "family": "stories",
        "curve": "vote",
        "method": "self_consistency",
        "n": n,
        "answer": "42",
        "grader": "reference",
        "usage": used,
        "paid": used,
        "candidates": n,
        "seconds": 0.5,
    }
    return Row(problem=problem, correct=correct, **{**base, **fields})
