"""The rules by which step-wise rewards choose an answer: an aggregation of the steps, then the maximum or a vote.

Source: Liu et al. 2025, arXiv:2502.06703 (card 13); names of the seven rules as in RyanLiu112/compute-optimal-tts, with
the product added.
Differs from the released code, unless parity="released": a solution without steps has a missing score (released: -1);
the reward belongs to the chosen solution (released: for `*_vote` it is read at an index into the winning answer's own
solutions, so it can be another one's).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Generic, Literal, NamedTuple, TypeVar, get_args

from ponder.numerics.aggregation import Aggregation, aggregate
from ponder.numerics.votes import best_of, majority, weighted_vote

__all__ = ["RULES", "Choice", "Rule", "choose", "solution_scores"]

A = TypeVar("A", bound=Hashable)
Parity = Literal["paper", "released"]
Rule = Literal[
    "majority_vote",
    "prm_min_max",
    "prm_min_vote",
    "prm_last_max",
    "prm_last_vote",
    "prm_avg_max",
    "prm_avg_vote",
    "prm_prod_max",
    "prm_prod_vote",
]
RULES: tuple[Rule, ...] = get_args(Rule)

_AGGREGATIONS: Mapping[str, Aggregation] = {"min": "min", "last": "last", "avg": "mean", "prod": "product"}


class Choice(NamedTuple, Generic[A]):
    """What a rule chose.

    Attributes:
        answer: the winning answer.
        solution: the one that stands for it, whose steps are its reward.
    """

    answer: A
    solution: int


def choose(
    rule: Rule, answers: Sequence[A | None], step_scores: Sequence[Sequence[float]], *, parity: Parity = "paper"
) -> Choice[A] | None:
    """Return the choice of `rule`, or None where nothing can win.

    Args:
        rule: its name.
        answers: one per solution; None is an invalid one, which is dropped with its scores before the vote.
        step_scores: the scores of each solution's steps; may be empty.
        parity: "released" reproduces the official code (see above).
    """
    valid = [(index, answer) for index, answer in enumerate(answers) if answer is not None]
    kept = [answer for _, answer in valid]
    if rule == "majority_vote":
        at = majority(kept)
    else:
        _, short, selection = rule.split("_")
        scores = solution_scores([step_scores[index] for index, _ in valid], _AGGREGATIONS[short], parity=parity)
        at = best_of(scores) if selection == "max" else weighted_vote(kept, scores)
        if at is not None and selection == "vote" and parity == "released":
            return Choice(kept[at], valid[kept[:at].count(kept[at])][0])
    return None if at is None else Choice(kept[at], valid[at][0])


def solution_scores(
    step_scores: Sequence[Sequence[float]], aggregation: Aggregation, *, parity: Parity = "paper"
) -> list[float | None]:
    """Return one score per solution; without steps it is missing (released: -1)."""
    empty = -1.0 if parity == "released" else None
    return [aggregate(steps, aggregation, empty=empty) for steps in step_scores]
