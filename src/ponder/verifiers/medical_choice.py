"""Medical choice: grades a reply to a multiple-choice question by the letter or the text of the option that it names.

Paper: Huang et al. 2025, arXiv:2504.00869 (m1, card 07): the last box, compared with the option's letter and text; else
the letter that is announced, the last letter that stands alone, the option text that comes last, the most similar one.
Differs: the rule that found the option is the score's reason; by default an option that only similarity finds does not
count, since that rule always finds one and noise would be right once in so many options. `similar=True` counts it, as
the paper does.
Cost: no model call. Needs: the options as "options" ({letter: text}) in the task's metadata, and the gold letter as
"letter" in the grader's gold: families and formats of multiple choice put them there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ponder.core.candidate import Candidate, Score
from ponder.core.context import Context
from ponder.core.registry import verifiers
from ponder.core.task import Task
from ponder.numerics.medical_answers import extract_boxed, is_correct

__all__ = ["MedicalChoice"]


@verifiers(
    "medical_choice",
    card=7,
    paper="arXiv:2504.00869",
    fidelity="code",
    access=(),
    tags={"how": ("answers",), "where": ("medical", "knowledge"), "how_well": ("accuracy",)},
    oracle=True,
    since="0.3",
)
@dataclass(frozen=True, kw_only=True)
class MedicalChoice:
    """Grades by the gold option.

    Attributes:
        similar: whether an option that only similarity finds counts.
    """

    similar: bool = False

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context | None) -> list[Score]:
        """Score 1 for the gold option, 0 for another or none; missing without gold or options."""
        options, letter = task.metadata.get("options"), task.metadata.get("letter")
        if not isinstance(options, Mapping) or letter not in options:
            return [Score.missing("the task has no options and gold letter to grade by")] * len(candidates)
        pairs = [(str(name), str(text)) for name, text in options.items()]
        return [
            self._grade(c.text, str(letter), str(options[letter]), pairs)
            if c.ok
            else Score.missing(f"no answer: {c.error}")
            for c in candidates
        ]

    def _grade(self, text: str, letter: str, gold: str, options: Sequence[tuple[str, str]]) -> Score:
        if not text.strip():
            return Score(value=0.0, reason="rule: none (the reply is empty)")
        right, found = is_correct(extract_boxed(text), letter, gold, options)
        rule = "direct" if found is None else found.rule
        if rule == "similar" and not self.similar:
            right = False
        return Score(value=float(right), reason=f"rule: {rule}")
