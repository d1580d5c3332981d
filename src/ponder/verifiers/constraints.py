"""Constraints: score a text by the rules that its prompt states, compiled from the prompt alone.

Source: our own. Reads from the last user message: words to include or to leave out, letters to avoid, "at most N
words", a JSON object with given keys, "a question", "ends with the word". What is not recognised is not checked, so a
score of 1 means that every *recognised* rule holds.
Differs from gold: nothing but the prompt is used; but where the same checker grades, the curve is "verifier = grader".
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ponder.core.candidate import Candidate, Score
from ponder.core.registry import verifiers
from ponder.core.task import Task
from ponder.verifiers.compiling import compile_prompt
from ponder.verifiers.rules import Constraint

__all__ = ["Constraint", "Constraints", "compile_prompt"]


@verifiers("constraints", access=())
@dataclass(frozen=True, kw_only=True)
class Constraints:
    """1 if a candidate keeps every rule of its prompt, else 0; `steps` holds 1 or 0 for each rule."""

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: object) -> list[Score]:
        """Score every candidate; missing where the prompt states no recognised rule or the call failed."""
        rules = compile_prompt(task.prompt)
        return [_judge(rules, candidate) for candidate in candidates]


def _judge(rules: Sequence[Constraint], candidate: Candidate) -> Score:
    if not rules:
        return Score.missing("the prompt states no rule that can be checked")
    if not candidate.ok:
        return Score.missing(f"no text to check: {candidate.error or 'the call failed'}")
    kept = [rule.check(candidate.text) for rule in rules]
    broken = "; ".join(rule.label for rule, holds in zip(rules, kept, strict=True) if not holds)
    reason = f"broken: {broken}" if broken else "every rule holds"
    return Score(value=float(all(kept)), steps=tuple(map(float, kept)), reason=reason)
