r"""Medical choice: multiple-choice questions of general medical knowledge, written for this project.

Source: our own questions on facts of textbooks, in the form of card 07 (Huang et al. 2025, arXiv:2504.00869): the
question, one option a line, and the request to put the answer within \boxed{}. Options are lettered anew by the seed.
Few and easy: enough to see that a sweep works; for measuring read a published set (`load_problems("medqa:FILE")`). No
advice to anybody.
Graded by `medical_choice`, which reads letters and option texts and says by which rule.
Cost: 40 completion tokens an answer, thinking apart. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ponder.core.registry import tasks
from ponder.core.seeds import derive
from ponder.core.task import Message, Task
from ponder.tasks.problem import Grader, Problem, check_level, draw, level_at

__all__ = ["MedicalChoice", "choice_problem"]

_LETTERS = "ABCDEFGHIJ"
_ASK = "Put the letter of the right option within \\boxed{}."

# (question, right option, others)
_QUESTIONS: tuple[tuple[str, str, tuple[str, str, str]], ...] = (
    ("Which organ produces insulin?", "Pancreas", ("Liver", "Spleen", "Thyroid gland")),
    ("Lack of which vitamin causes scurvy?", "Vitamin C", ("Vitamin A", "Vitamin D", "Vitamin K")),
    ("Which vessel carries oxygen-rich blood from the lungs to the heart?", "Pulmonary vein", (
        "Pulmonary artery", "Superior vena cava", "Coronary sinus")),
    ("Which drug reverses the effect of heparin?", "Protamine", ("Vitamin K", "Naloxone", "Flumazenil")),
    ("Which drug reverses an opioid overdose?", "Naloxone", ("Atropine", "Protamine", "Flumazenil")),
    ("Which cells are destroyed in type 1 diabetes?", "Beta cells of the pancreas", (
        "Alpha cells of the pancreas", "Parietal cells of the stomach", "Follicular cells of the thyroid")),
    ("What is the treatment of choice for anaphylaxis?", "Adrenaline", ("Cetirizine", "Salbutamol", "Prednisolone")),
    ("Which bacterium causes most peptic ulcers?", "Helicobacter pylori", (
        "Escherichia coli", "Staphylococcus aureus", "Clostridioides difficile")),
    ("Lack of which hormone causes diabetes insipidus of central origin?", "Vasopressin", (
        "Insulin", "Cortisol", "Aldosterone")),
    ("Which nerve is compressed in carpal tunnel syndrome?", "Median nerve", (
        "Ulnar nerve", "Radial nerve", "Axillary nerve")),
    ("Which part of the kidney filters the blood?", "Glomerulus", (
        "Loop of Henle", "Collecting duct", "Distal tubule")),
    ("Which vitamin is given to reverse warfarin?", "Vitamin K", ("Vitamin B12", "Vitamin C", "Vitamin E")),
    ("Lack of which vitamin causes pernicious anaemia?", "Vitamin B12", (
        "Vitamin B1", "Vitamin C", "Vitamin D")),
    ("Which blood group can be given to everyone in an emergency?", "O negative", (
        "AB positive", "A negative", "B positive")),
    ("Which electrolyte disturbance shows tall peaked T waves in the ECG?", "Hyperkalaemia", (
        "Hypokalaemia", "Hypercalcaemia", "Hyponatraemia")),
    ("Which virus causes chickenpox?", "Varicella zoster virus", (
        "Epstein-Barr virus", "Measles virus", "Cytomegalovirus")),
)  # fmt: skip


@tasks("medical_choice", tags={"where": ("medical", "knowledge")})
@dataclass(frozen=True, kw_only=True)
class MedicalChoice:
    """Questions with two to four options.

    Attributes:
        level: 1, 2 or 3: how many wrong options stand beside the right one; None takes them in turn.
    """

    level: int | None = None

    def __post_init__(self) -> None:
        check_level(self.level)

    def generate(self, count: int, seed: int) -> list[Problem]:
        """Return `count` problems; no question comes again, with other letters, before all came.

        Raises:
            ConfigError: there are not so many.
        """
        rows = list(_QUESTIONS)
        derive(seed, "tasks", "medical_choice").shuffle(rows)

        def make(stream: random.Random, index: int) -> Problem:
            question, right, others = rows[index % len(rows)]
            # With the levels in turn a question that comes again has another number of options.
            level = level_at(self.level, index + index // len(rows))
            options = [right, *stream.sample(others, level)]
            stream.shuffle(options)
            place = options.index(right)
            return choice_problem(question, options, place, family="medical_choice", difficulty=level, max_tokens=40)

        return draw(make, count, seed, "medical_choice")


def choice_problem(question: str, options: Sequence[str], right: int, *, identity: str = "", **about: Any) -> Problem:
    """Return a problem that asks for the letter of an option in a box.

    Args:
        question: without its options.
        options: 2 to 10.
        right: index of the right one.
        identity: stable name of the task.
        about: more metadata.
    """
    lettered = dict(zip(_LETTERS, options, strict=False))
    lines = [f"{letter}. {text}" for letter, text in lettered.items()]
    return Problem(
        task=Task(
            messages=(Message("user", "\n".join([question.strip(), *lines, _ASK])),),
            answer="choice",
            id=identity,
            metadata={**about, "options": lettered},
        ),
        reference=_LETTERS[right],
        grader=Grader(verifier="medical_choice", gold={"letter": _LETTERS[right]}),
    )
