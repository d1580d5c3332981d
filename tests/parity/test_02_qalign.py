"""Card 02 (Faria & Smith 2025): acceptance, law of the cut, exact stationary laws, states held, votes, minimum risk."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy

from ponder.numerics.metropolis import (
    acceptance,
    checkpoints,
    cut_log_probability,
    cut_support,
    held_states,
    log_acceptance,
    log_quest_acceptance,
    mbr_pick,
    rouge1_f1,
    softmax_weights,
    unigram_overlap,
)
from ponder.numerics.released_answers import last_number
from ponder.numerics.votes import majority, totals
from tests.numerics.enumerable_law import (
    Chance,
    Law,
    mean,
    reachable,
    read_law,
    target,
    total_variation,
    transition_matrix,
)
from tests.parity.cases import Case, Kind, Kinds, each_case

Inputs = Mapping[str, Any]


def exact_chain(given: Inputs) -> dict[str, Any]:
    law, beta = read_law(given), given["beta"]
    wanted = target(law, beta)

    def rule(length: Callable[[int], int]) -> Chance:
        def chance(a: int, b: int) -> float:
            ratio = log_acceptance(law.reward[a], law.reward[b], beta=beta, length_old=length(a), length_new=length(b))
            return acceptance(ratio)

        return chance

    def size(a: int) -> int:
        return len(law.answers[a])

    right = rule(size)
    matrix = transition_matrix(law, right)
    without_lengths = transition_matrix(law, rule(lambda a: 1))
    without_eos = transition_matrix(law, rule(lambda a: max(1, size(a) - 1)), count_eos=False)
    moduli = sorted(numpy.abs(numpy.linalg.eigvals(numpy.array(matrix))))
    everyone = range(len(law.answers))
    return {
        "n_sequences": len(law.answers),
        "base_expected_reward": mean(law.base, law.reward),
        "target_expected_reward": mean(wanted, law.reward),
        "target_expected_length": mean(wanted, [float(size(a)) for a in everyone]),
        "stationary_expected_reward": mean(_stationary(matrix), law.reward),
        "second_eigenvalue": float(moduli[-2]),
        "target": wanted,
        "transition_matrix": matrix,
        "alpha_where_reachable": [
            [1.0 if a == b else right(a, b) if reachable(law, a, b) else math.nan for b in everyone] for a in everyone
        ],
        "no_length": _wrong(without_lengths, law, wanted),
        "no_eos": _wrong(without_eos, law, wanted),
    }


def _wrong(matrix: list[list[float]], law: Law, wanted: list[float]) -> dict[str, float]:
    found = _stationary(matrix)
    return {"expected_reward": mean(found, law.reward), "tv_to_target": total_variation(found, wanted)}


def _stationary(matrix: list[list[float]]) -> list[float]:
    size = len(matrix)
    equations = numpy.vstack([numpy.array(matrix).T - numpy.eye(size), numpy.ones(size)])
    law, *_ = numpy.linalg.lstsq(equations, numpy.append(numpy.zeros(size), 1.0), rcond=None)
    return [float(p) for p in law]


def accept(given: Inputs) -> dict[str, Any]:
    ratio = log_acceptance(
        given["reward_old"],
        given["reward_new"],
        beta=given["beta"],
        length_old=given["len_old"],
        length_new=given["len_new"],
        block={"uniform": 1, "constant 0": None}[given["index_law"]],
        clamp=given["clamp"],
    )
    return {"alpha": acceptance(ratio)}


def quest(given: Inputs) -> dict[str, Any]:
    ratio = log_quest_acceptance(
        given["reward_old"],
        given["reward_new"],
        beta=given["beta"],
        logprobs_old=given["logprobs_old"],
        logprobs_new=given["logprobs_new"],
        cut=given["index"],
    )
    return {"alpha": acceptance(ratio)}


def cuts(given: Inputs) -> dict[str, Any]:
    length, block = given["length"], given["block"]
    assert given["index"] in cut_support(length, block)
    return {"log_prob": cut_log_probability(length, block), "support": list(cut_support(length, block))}


def minimum_risk(given: Inputs) -> dict[str, Any]:
    lists, vocabulary = given["token_lists"], given["vocab"]

    def overlap(left: Any, right: Any) -> float:
        return unigram_overlap(left, right, vocabulary)

    heads = [lists[:k] for k in range(1, len(lists) + 1)]
    return {
        "rouge1_f1": [[rouge1_f1(left, right) for right in lists] for left in lists],
        "ucs": [[overlap(left, right) for right in lists] for left in lists],
        "pick_prefix_rouge": [mbr_pick(head) for head in heads],
        "pick_prefix_ucs": [mbr_pick(head, overlap) for head in heads],
    }


def mode_vote(given: Inputs) -> dict[str, Any]:
    answers = given["answers"][given["burn_in"] : given["n"]]
    at = majority(answers)
    mode = None if at is None else answers[at]
    return {
        "correct": int(mode == given["gold"]),
        "share_of_gold": answers.count(given["gold"]) / len(answers) if given["gold"] in answers else 0,
        "mode": mode,
    }


def weighted_mode_vote(given: Inputs) -> dict[str, Any]:
    sums = totals(given["answers"], softmax_weights(given["rewards"], given["beta_w"]))
    return {"totals": sums, "winner": max(sums, key=sums.__getitem__)}


KINDS: Kinds = {
    ("exact_chain", "released"): Kind(exact_chain, 1e-8),
    ("acceptance", "released"): Kind(accept, 1e-10),
    ("acceptance_quest", "released"): Kind(quest, 1e-10),
    ("index_law", "released"): Kind(cuts, 1e-10),
    ("expand", "released"): Kind(lambda given: {"index": held_states(given["accept"])}, 0.0),
    ("mbr", "released"): Kind(minimum_risk, 1e-10),
    ("mode_vote", "released"): Kind(mode_vote, 1e-10),
    ("weighted_mode_vote", "released"): Kind(weighted_mode_vote, 1e-10),
    ("last_number", "released"): Kind(lambda given: {"number": last_number(given["text"])}, 0.0),
    ("axis", "released"): Kind(lambda given: {"axis": checkpoints(given["limit"], given["k"])}, 0.0),
}


@each_case("02")
def test_fixture_case(case: Case, agree: Callable[[Case, Kinds], None]) -> None:
    agree(case, KINDS)
