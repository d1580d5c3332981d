r"""Medical choice: options found by rule, the rule reported, similarity counted apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ponder import Task
from ponder.bench.grading import grade
from ponder.tasks.medical_choice import choice_problem
from ponder.verifiers.medical_choice import MedicalChoice
from tests.verifiers.judge_desk import desk, judged

OPTIONS = ["Aspirin", "Heparin", "Warfarin", "Vitamin K"]
PROBLEM = choice_problem("What thins the blood at once?", OPTIONS, 1)
GRADED = replace(PROBLEM.task, metadata={**PROBLEM.task.metadata, "letter": "B"})


@pytest.mark.parametrize(
    ("text", "value", "rule"),
    [
        (r"so \boxed{B}", 1.0, "direct"),
        (r"\boxed{\text{B. Heparin}}", 1.0, "direct"),
        (r"\boxed{heparin}", 1.0, "direct"),
        (r"\boxed{C}", 0.0, "letter"),
        ("The answer is B", 1.0, "announced"),
        ("answer is A, no wait the answer is C.", 0.0, "announced"),
        ("Final: (B)", 1.0, "letter"),
        ("give heparin now", 1.0, "text"),
        ("hepa rin", 0.0, "similar"),
        ("", 0.0, "none"),
    ],
)
async def test_the_rule_is_reported(text: str, value: float, rule: str) -> None:
    (score,) = await judged(MedicalChoice(), desk([]), text, task=GRADED)
    assert score.value == value
    assert score.reason.startswith(f"rule: {rule}")


async def test_similar_counts_where_it_is_asked_for() -> None:
    (score,) = await judged(MedicalChoice(similar=True), desk([]), "hepa rin", task=GRADED)
    assert score.value == 1.0


async def test_without_gold_nothing_is_said() -> None:
    for task in (Task.of("?"), PROBLEM.task):
        (score,) = await judged(MedicalChoice(), desk([]), "B", task=task)
        assert score.value is None


async def test_it_grades_problems_of_its_family_without_the_method_seeing_gold() -> None:
    assert "letter" not in PROBLEM.task.metadata
    assert await grade(PROBLEM, "B", r"\boxed{B}") is True
    assert await grade(PROBLEM, None, "give heparin now") is True
    assert await grade(PROBLEM, "C", r"\boxed{C}") is False
