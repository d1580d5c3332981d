"""Card 13 (Liu et al. 2025): the released voting rules over step rewards, their filter of invalid answers, bins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ponder.numerics.aggregation import Aggregation, two_token_score
from ponder.numerics.difficulty import absolute_bin
from ponder.numerics.prm_rules import RULES, choose, solution_scores
from ponder.numerics.votes import best_of, totals, weighted_vote
from tests.parity.cases import Case, Kind, Kinds, each_case, numbers

Inputs = Mapping[str, Any]
AGGREGATIONS: dict[str, Aggregation] = {"min": "min", "last": "last", "avg": "mean"}


def prm_rules(given: Inputs) -> dict[str, Any]:
    answers, steps = given["answers"], numbers(given["step_scores"])
    out: dict[str, Any] = {}
    for rule in RULES:
        choice = choose(rule, answers, steps, parity="released")
        out[rule] = choice and choice.answer
        out[f"{rule}__step_scores_of_pick"] = choice and steps[choice.solution]
    for short, how in AGGREGATIONS.items():
        scores = solution_scores(steps, how, parity="released")
        out[f"{short}_scores"], out[f"{short}_totals"] = scores, totals(answers, scores)
    return out


def prm_prod(given: Inputs) -> dict[str, Any]:
    answers, steps = given["answers"], numbers(given["step_scores"])
    scores = solution_scores(steps, "product", parity="released")  # the fixture takes over the released -1
    largest, voted = (choose(rule, answers, steps, parity="released") for rule in ("prm_prod_max", "prm_prod_vote"))
    return {
        "scores": scores,
        "totals": totals(answers, scores),
        "prod_max": largest and largest.answer,
        "prod_vote": voted and voted.answer,
    }


def orm_rules(given: Inputs) -> dict[str, Any]:
    answers, scores = given["answers"], numbers(given["scores"])
    voted, largest = weighted_vote(answers, scores), best_of(scores)
    return {
        "orm_vote": None if voted is None else answers[voted],
        "orm_max": None if largest is None else answers[largest],
        "orm_vote_index_within_winning_answers": None if voted is None else answers[:voted].count(answers[voted]),
    }


def judge(given: Inputs) -> dict[str, Any]:
    answers = [None if answer == given["invalid_marker"] else answer for answer in given["answers"]]
    steps = numbers(given["step_scores"])
    chosen = {rule: choose(rule, answers, steps, parity="released") for rule in RULES}
    return {r: int(choice is not None and choice.answer == given["reference"]) for r, choice in chosen.items()}


def prm_reader(given: Inputs) -> dict[str, Any]:
    return {"scores": [two_token_score(good, bad) for good, bad in numbers(given["logits_good_bad"])]}


KINDS: Kinds = {
    ("prm_rules", "released"): Kind(prm_rules, 1e-12),
    ("prm_prod", "paper"): Kind(prm_prod, 1e-12),
    ("orm_rules", "released"): Kind(orm_rules, 1e-12),
    ("judge", "released"): Kind(judge, 0.0),
    ("prm_reader", "paper"): Kind(prm_reader, 1e-12),
    ("difficulty_bins", "paper"): Kind(lambda given: {"bins": [absolute_bin(p) for p in given["pass_at_1"]]}, 0.0),
}


@each_case("13")
def test_fixture_case(case: Case, agree: Callable[[Case, Kinds], None]) -> None:
    agree(case, KINDS)
