r"""Chain-of-Action-Thought: a solution as steps that begin with continue, reflect or explore, and what to count in it.

Source: Shen et al. 2025, arXiv:2502.02508 (Satori, card 18). The first step has no action. `restart` is the prefix of
Restart and Explore: the last t steps off, a reflect mark behind; `restart_reward` and `margin_loss` are the training's
reward and the reward model's loss. For models without these tokens lines "Continue:", "Reflect:", "Explore:" stand for
them (the card's choice).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.medical_answers import extract_boxed

__all__ = [
    "TOKENS",
    "WORDS",
    "Action",
    "Corrections",
    "Marks",
    "Step",
    "Trajectory",
    "corrections",
    "margin_loss",
    "read_trajectory",
    "restart",
    "restart_reward",
]

Action = Literal["start", "continue", "reflect", "explore"]


class Marks(NamedTuple):
    """What a step begins with, by action."""

    proceed: str
    reflect: str
    explore: str


TOKENS = Marks("<|continue|>", "<|reflect|>", "<|explore|>")
WORDS = Marks("Continue:", "Reflect:", "Explore:")


class Step(NamedTuple):
    """One step.

    Attributes:
        action: "start" for a first step without a mark.
        text: with its mark, and with the space around it: the steps spell the solution when joined.
    """

    action: Action
    text: str


class Trajectory(NamedTuple):
    """A solution, read.

    Attributes:
        steps: in order.
        answers: the boxed answers in order, one for each run of steps between reflections that has any (its last).
    """

    steps: tuple[Step, ...]
    answers: tuple[str, ...]

    def count(self, action: Action) -> int:
        """Return how many steps have this action."""
        return sum(step.action == action for step in self.steps)

    @property
    def before_last_reflection(self) -> str | None:
        """The last boxed answer in front of the last reflection; None without a reflection, or an answer there."""
        at = max((at for at, step in enumerate(self.steps) if step.action == "reflect"), default=0)
        return _boxed("".join(step.text for step in self.steps[:at]))

    @property
    def final(self) -> str | None:
        """The last boxed answer; None for none."""
        return _boxed("".join(step.text for step in self.steps))


def read_trajectory(text: str, marks: Marks = TOKENS) -> Trajectory:
    """Return the steps of a solution. Marks that are words count at the beginning of a line only; case counts."""
    names: dict[str, Action] = {marks.proceed: "continue", marks.reflect: "reflect", marks.explore: "explore"}
    either = "|".join(map(re.escape, marks))
    pattern = either if marks.proceed.startswith("<") else rf"(?m)^[ \t]*[*_#]*(?:{either})"
    starts = [found.start() for found in re.finditer(pattern, text)]
    bounds = [*([] if starts[:1] == [0] else [0]), *starts, len(text)]
    pieces = [text[a:b] for a, b in pairwise(bounds) if b > a]
    steps = tuple(Step(_action(piece, names), piece) for piece in pieces)
    answers: list[str] = []
    part = ""
    for step in (*steps, Step("reflect", "")):
        if step.action == "reflect":
            if (found := _boxed(part)) is not None:
                answers.append(found)
            part = ""
        part += step.text
    return Trajectory(steps, tuple(answers))


def restart(steps: Sequence[str], back: int, mark: str) -> str:
    """Return the first steps, the last `back` of them off, with the reflect mark behind; one step always stays.

    Raises:
        ConfigError: back < 0.
        BadInput: no steps.
    """
    if back < 0:
        raise ConfigError(f"steps cannot be put back by {back!r}")
    if not steps:
        raise BadInput("there is no step to restart from")
    return "".join(steps[: max(1, len(steps) - back)]) + mark


def restart_reward(
    correct: bool, *, status: Literal[-1, 0, 1] = 0, outcome: float | None = None, bonus: float = 0.5
) -> float:
    """Return (1[correct] - 1) + sigmoid(outcome) + bonus of a rollout.

    Args:
        correct: whether the final answer is right.
        status: of the state it started from: -1 a wrong prefix, +1 a right one, 0 the bare problem.
        outcome: raw score of the outcome reward model; None leaves it out.
        bonus: beta: gained by a right answer from a wrong prefix, lost by a wrong one from a right prefix.

    Raises:
        ConfigError: another status.
    """
    if status not in (-1, 0, 1):
        raise ConfigError(f"status must be -1, 0 or 1, got {status!r}")
    extra = bonus if status == -1 and correct else -bonus if status == 1 and not correct else 0.0
    return (0.0 if correct else -1.0) + (0.0 if outcome is None else _sigmoid(outcome)) + extra


def margin_loss(gap: float, *, margin: float = 2.0) -> float:
    """Return -log sigmoid(gap - margin) for the reward of a right answer minus that of a wrong one."""
    x = gap - margin
    return math.log1p(math.exp(-x)) if x > 0 else math.log1p(math.exp(x)) - x


class Corrections(NamedTuple):
    """What reflections did where they changed the answer.

    Attributes:
        changed: solutions whose answer before the last reflection differs from the final one.
        to_right: of these, from wrong to right.
        to_wrong: from right to wrong.
    """

    changed: int
    to_right: int
    to_wrong: int

    @property
    def shares(self) -> tuple[float, float] | None:
        """Shares of `changed` that went to right and to wrong; None where nothing changed."""
        return (self.to_right / self.changed, self.to_wrong / self.changed) if self.changed else None


def corrections(graded: Sequence[tuple[bool, bool, bool]]) -> Corrections:
    """Return the counts from (differs, right before, right after) of each solution that reflected."""
    changed = [(before, after) for differs, before, after in graded if differs]
    return Corrections(
        len(changed),
        sum(after and not before for before, after in changed),
        sum(before and not after for before, after in changed),
    )


def _action(piece: str, names: dict[str, Action]) -> Action:
    head = piece.lstrip(" \t*_#")
    return next((action for mark, action in names.items() if head.startswith(mark)), "start")


def _boxed(text: str) -> str | None:
    return extract_boxed(text) if "\\boxed{" in text else None


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
