"""Critique model: a model labels each step of a solution Correct or Wrong with a reason, then the final answer.

Paper: Xi et al. 2024, arXiv:2411.16579 (AutoMathCritique, card 12). Steps are the lines of the solution; the format is
the one that critics trained on MathCritique-76k write. The score is the verdict on the final answer, 1 or 0; the step
scores are the labels of the solution's own lines.
Differs: blank lines are no steps; the critic's repeated steps are matched to the lines by likeness, and where a line
finds no label the score has no step scores; a verdict that is not there, not one of the two words, or there twice with
different words is missing. A critic that was not trained for this is weak: measure its rates (card 21).
Cost: one call of the role "critic" for each distinct answer text, in parallel. Needs: nothing beyond text.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ponder.core.candidate import Candidate, Score
from ponder.core.context import Context
from ponder.core.errors import BadInput, ConfigError, Interrupted, ProviderError
from ponder.core.metered import Metered
from ponder.core.model import Sampling
from ponder.core.registry import verifiers
from ponder.core.task import Message, Task
from ponder.core.tasks import gather_all
from ponder.numerics.critique_data import solution_steps
from ponder.verifiers._shown import LONGEST, filled, request_text

__all__ = ["Critique", "CritiqueReading", "StepLabel", "critique_chat", "critique_score", "read_critique"]

_LINE = re.compile(
    r"[\W_]*(?P<what>step sentence|correctness of the step|correctness of the final answer)[*_ ]*:(?P<value>.*)",
    re.IGNORECASE,
)
_WORDS = {"correct": True, "wrong": False}
_ALIKE = 0.6  # likeness from which a repeated step counts as the line that it repeats
_COMPARED = 300  # characters of it that are compared


@dataclass(frozen=True)
class StepLabel:
    """One step as the critic repeated it, and whether it is correct; None where the label cannot be read."""

    sentence: str
    correct: bool | None


@dataclass(frozen=True)
class CritiqueReading:
    """What a critique says.

    Attributes:
        steps: its blocks, in order.
        verdict: on the final answer; None where it cannot be read.
    """

    steps: tuple[StepLabel, ...]
    verdict: bool | None

    @property
    def labels(self) -> list[bool | None]:
        """The labels of the blocks."""
        return [step.correct for step in self.steps]

    @property
    def first_error(self) -> int | None:
        """The number of the first block labelled wrong, from 1; None without any."""
        return next((at for at, step in enumerate(self.steps, 1) if step.correct is False), None)

    @property
    def objects(self) -> bool:
        """Whether the final answer or any step is labelled wrong."""
        return self.verdict is False or self.first_error is not None

    def labels_of(self, lines: Sequence[str]) -> list[bool | None]:
        """Return the label of each line of the solution: that of the likest block after the one before it."""
        labels: list[bool | None] = []
        start = 0
        for line in lines:
            likeness = [_alike(line, step.sentence) for step in self.steps[start:]]
            at = max(range(len(likeness)), key=likeness.__getitem__, default=None)
            if at is None or likeness[at] < _ALIKE:
                labels.append(None)
                continue
            labels.append(self.steps[start + at].correct)
            start += at + 1
        return labels


@verifiers("critique", card=12, paper="arXiv:2411.16579", fidelity="code", since="0.1")
@dataclass(frozen=True, kw_only=True)
class Critique:
    """Judges solutions step by step.

    Attributes:
        max_tokens: most tokens of one critique, >= 1.
        temperature: of the critique; 0 is greedy.
    """

    max_tokens: int = 1536
    temperature: float = 0.0

    def __post_init__(self) -> None:
        if self.max_tokens < 1 or not self.temperature >= 0:
            raise ConfigError("a critique needs max_tokens >= 1 and temperature >= 0")

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
        """Score every candidate; missing for a failed call, an unreadable verdict, or once the run must end."""
        first: dict[str, int] = {}
        for candidate in candidates:
            if candidate.ok:
                first.setdefault(candidate.text, candidate.index)
        critic = ctx.model("critic")
        found = await gather_all([partial(self._judge, critic, task, text, i) for text, i in first.items()])
        by_text = dict(zip(first, found, strict=True))
        return [
            by_text[candidate.text] if candidate.ok else Score.missing(f"no answer: {candidate.error}")
            for candidate in candidates
        ]

    async def _judge(self, critic: Metered, task: Task, solution: str, index: int) -> Score:
        law = Sampling(temperature=self.temperature, top_p=1.0, max_tokens=self.max_tokens)
        try:
            reply = await critic.ask(critique_chat(task, solution), path=("critique", task.id, index), sampling=law)
        except Interrupted as err:
            return Score.missing(f"not judged: {err}")
        except (ProviderError, BadInput) as err:  # BadInput: the solution does not fit the critic's context
            return Score.missing(f"the critic failed: {err}")
        return critique_score(reply.text, solution)


def critique_chat(task: Task, solution: str) -> tuple[Message, ...]:
    """Return what the critic is asked about a solution: its lines are the steps, blank ones are left out."""
    lines = "\n".join(solution_steps(solution[:LONGEST]))
    return filled("critique.md", task, question=request_text(task), solution=lines)


def critique_score(text: str, solution: str) -> Score:
    """Return a critique as a score: the verdict as 1 or 0, the labels of the solution's lines where all have one."""
    reading = read_critique(text)
    if reading.verdict is None:
        return Score.missing("the critique has no verdict on the final answer that can be read")
    labels = reading.labels_of(solution_steps(solution[:LONGEST]))
    steps = tuple(float(label) for label in labels if label is not None)
    return Score(
        value=float(reading.verdict),
        steps=steps if len(steps) == len(labels) else (),
        reason=text.strip()[:500],
    )


def read_critique(text: str) -> CritiqueReading:
    """Read a critique strictly: labels are the words Correct or Wrong and nothing else; brackets and bold are allowed.

    A block begins with its "Step sentence:" line; a label without such a line is a block of its own.
    """
    steps: list[StepLabel] = []
    finals: set[bool | None] = set()
    waiting = False  # whether the last block still lacks its label
    for line in text.splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        value = found["value"].strip(" \t*_[].")
        match found["what"].lower():
            case "step sentence":
                steps.append(StepLabel(value, None))
                waiting = True
            case "correctness of the step":
                sentence = steps.pop().sentence if waiting else ""
                steps.append(StepLabel(sentence, _WORDS.get(value.lower())))
                waiting = False
            case _:
                finals.add(_WORDS.get(value.lower()))
    return CritiqueReading(tuple(steps), finals.pop() if len(finals) == 1 else None)


def _alike(line: str, sentence: str) -> float:
    return difflib.SequenceMatcher(None, line[:_COMPARED], sentence[:_COMPARED], autojunk=False).ratio()
