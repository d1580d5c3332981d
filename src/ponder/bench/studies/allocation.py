"""Compute-optimal choice: for each bin of difficulty and budget the configuration that did best on other questions.

Source: Snell et al. 2024, arXiv:2408.03314, section 3 (card 04, A); bins by absolute thresholds and the dependence on
the verifier, Liu et al. 2025, arXiv:2502.06703 (card 13).
Differs: a budget of N answers admits every configuration of at most N, so that an easy bin may stop at fewer; equal
accuracy goes to the cheaper one. The bins are learned on the fold that the choice is learned on, so a question takes
part in nothing that is decided about it. A bin without a question in that fold takes what is best over all bins.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ponder.bench.summary import Key
from ponder.core.errors import BadInput
from ponder.core.seeds import derive
from ponder.planning.difficulty import Bins, Difficulty

__all__ = [
    "Choice",
    "Outcome",
    "Picked",
    "Policy",
    "Question",
    "choose",
    "cross_fit",
    "fit_policy",
    "hindsight",
    "split",
]


class Outcome(NamedTuple):
    """One configuration on one question: whether its answer was right, and its cost in tokens (probe included)."""

    correct: bool
    cost: float


@dataclass(frozen=True, kw_only=True)
class Question:
    """All that is known about one question.

    Attributes:
        id: its name.
        value: estimate of its difficulty (high is easy), or None.
        outcomes: by configuration, given as (curve, n).
    """

    id: str
    value: float | None
    outcomes: Mapping[Key, Outcome]


class Choice(NamedTuple):
    """The configuration taken, and on how much it rests: accuracy and number of the questions it was chosen on."""

    key: Key
    accuracy: float
    questions: int


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What to run at one budget.

    Attributes:
        bins: of difficulty.
        table: by name of the bin.
        otherwise: for bins that the table does not hold.
    """

    bins: Bins
    table: Mapping[str, Choice]
    otherwise: Choice

    def pick(self, value: float | None) -> Choice:
        """Return what to run on a question of this difficulty."""
        return self.table.get(self.bins.of(value), self.otherwise)


class Picked(NamedTuple):
    """What the policy of the other fold did on a question."""

    question: str
    fold: int
    bin: str
    key: Key
    outcome: Outcome


def choose(questions: Sequence[Question], budget: int, *, slack: float = 0.0) -> Choice:
    """Return the cheapest configuration within `slack` of the best accuracy on these questions.

    Args:
        questions: at least one, all with the same configurations.
        budget: most samples n of a configuration.
        slack: accuracy that may be given up for a lower cost, >= 0; 0 is the paper's rule.

    Raises:
        BadInput: no question, or no configuration within the budget.
    """
    keys = [key for key in questions[0].outcomes if key[1] <= budget] if questions else []
    if not keys:
        raise BadInput(f"no configuration of at most {budget} samples to choose from")
    count = len(questions)
    accuracy = {key: sum(q.outcomes[key].correct for q in questions) / count for key in keys}
    cost = {key: math.fsum(q.outcomes[key].cost for q in questions) for key in keys}
    least = max(accuracy.values()) - slack - 1e-12
    good = [key for key in keys if accuracy[key] >= least]
    key = min(good, key=lambda key: (cost[key], -accuracy[key]))
    return Choice(key, accuracy[key], count)


def fit_policy(questions: Sequence[Question], difficulty: Difficulty, budget: int, *, slack: float = 0.0) -> Policy:
    """Learn bins and choices on these questions."""
    bins = difficulty.fit([question.value for question in questions])
    members: dict[str, list[Question]] = {}
    for question in questions:
        members.setdefault(bins.of(question.value), []).append(question)
    order = [name for name in bins.names if name in members] + [name for name in members if name not in bins.names]
    return Policy(
        bins=bins,
        table={name: choose(members[name], budget, slack=slack) for name in order},
        otherwise=choose(questions, budget, slack=slack),
    )


def split(questions: Sequence[Question], *, seed: int = 0) -> list[int]:
    """Return the fold of each question, 0 or 1: neighbours in difficulty go to different folds, at random.

    So each bin is halved too (two folds within each bin). The outcomes play no part.
    """
    rng = derive(seed, "allocation", "split")
    order = sorted(range(len(questions)), key=lambda at: (_rank(questions[at].value), rng.random()))
    folds = [0] * len(questions)
    for start in range(0, len(order), 2):
        first = rng.randrange(2)
        for place, at in enumerate(order[start : start + 2]):
            folds[at] = first ^ place
    return folds


def cross_fit(
    questions: Sequence[Question],
    difficulty: Difficulty,
    budgets: Iterable[int],
    *,
    seed: int = 0,
    slack: float = 0.0,
) -> tuple[dict[int, list[Picked]], dict[int, tuple[Policy, Policy]]]:
    """Choose on one half of the questions, measure on the other, and the reverse.

    Args:
        questions: all with the same configurations, at least two.
        difficulty: how values become bins.
        budgets: most samples; each is a point of the curve.
        seed: of the split.
        slack: see `choose`.

    Returns:
        By budget, what was picked for every question (in the given order), and the policy that was used on each fold.

    Raises:
        BadInput: fewer than two questions, or nothing to choose from.
    """
    if len(questions) < 2:
        raise BadInput("two folds need at least two questions")
    folds = split(questions, seed=seed)
    halves = [[q for q, at in zip(questions, folds, strict=True) if at != fold] for fold in (0, 1)]
    picked: dict[int, list[Picked]] = {}
    policies: dict[int, tuple[Policy, Policy]] = {}
    for budget in budgets:
        first, second = (fit_policy(others, difficulty, budget, slack=slack) for others in halves)
        policies[budget] = first, second
        picked[budget] = []
        for question, fold in zip(questions, folds, strict=True):
            policy = policies[budget][fold]
            key = policy.pick(question.value).key
            picked[budget].append(
                Picked(question.id, fold, policy.bins.of(question.value), key, question.outcomes[key])
            )
    return picked, policies


def hindsight(questions: Sequence[Question], budget: int) -> list[bool]:
    """Return for each question whether any configuration within the budget answers it: no choice can do better."""
    return [any(found.correct for key, found in q.outcomes.items() if key[1] <= budget) for q in questions]


def _rank(value: float | None) -> float:
    return math.inf if value is None else -value
