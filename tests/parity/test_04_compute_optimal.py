"""Card 04 (Snell et al. 2024): weighted and hierarchical choice, bins, the exchange with pretraining."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ponder.numerics.aggregation import aggregate
from ponder.numerics.difficulty import quantile_bins
from ponder.numerics.exchange import beam_counts, flops_match, inference_multiplier
from ponder.numerics.losses import soft_cross_entropy
from ponder.numerics.votes import best_of, hierarchical_vote, majority, totals, weighted_vote
from tests.parity.cases import Case, Kind, Kinds, each_case, numbers

Inputs = Mapping[str, Any]


def weighted_best_of_n(given: Inputs) -> dict[str, Any]:
    answers, scores = given["answers"], numbers(given["scores"])
    best = best_of([None if answer is None else score for answer, score in zip(answers, scores, strict=True)])
    return {
        "weighted": _at(answers, weighted_vote(answers, scores)),
        "totals": totals(answers, scores),
        "best_of_n": _at(answers, best),
        "best_index": best,
        "majority": _at(answers, majority(answers)),
    }


def hierarchical(given: Inputs) -> dict[str, Any]:
    chains = [[(answer, numbers(score)) for answer, score in chain] for chain in given["chains"]]
    choice = hierarchical_vote(chains)
    chosen = [
        None if at is None else (*chain[at], at) for chain, at in zip(chains, choice.representatives, strict=True)
    ]
    present = [member for member in chosen if member is not None]
    every = [answer for chain in chains for answer, _ in chain]
    return {
        "representatives": chosen,
        "final": None if choice.chain is None else chains[choice.chain][choice.representatives[choice.chain] or 0][0],
        "totals": totals([member[0] for member in present], [member[1] for member in present]),
        "flat_majority": _at(every, majority(every)),
    }


def exchange(given: Inputs) -> dict[str, Any]:
    return {"k_match": inference_multiplier(given["M"], given["R"])}


def flops(given: Inputs) -> dict[str, Any]:
    match = flops_match(given["P"], given["D_pre"], given["D_inf"], given["M"])
    return {
        "pretrain_flops": match.pretraining,
        "inference_flops": match.inference,
        "larger_total": match.larger_total,
        "k_match": match.multiplier,
    }


def beam(given: Inputs) -> dict[str, Any]:
    counts = beam_counts(given["N"], given["M"], given["k"])
    return {"survivors": counts.survivors, "candidates_per_round": counts.candidates, "cost": counts.cost}


def step_aggregators(given: Inputs) -> dict[str, Any]:
    steps = numbers(given["steps"])
    return {
        "min": aggregate(steps, "min"),
        "prod": aggregate(steps, "product"),
        "last": aggregate(steps, "last"),
        "mean": aggregate(steps, "mean"),
    }


KINDS: Kinds = {
    ("weighted_best_of_n", "paper"): Kind(weighted_best_of_n, 1e-12),
    ("hierarchical", "paper"): Kind(hierarchical, 1e-12),
    ("quantile_bins", "paper"): Kind(lambda given: {"bin": quantile_bins(given["pass_rates"], given["bins"])}, 0.0),
    ("exchange", "paper"): Kind(exchange, 1e-12),
    ("flops_match", "paper"): Kind(flops, 1e-12),
    ("beam_counts", "paper"): Kind(beam, 0.0),
    ("soft_bce", "paper"): Kind(lambda given: {"loss": soft_cross_entropy(given["y"], given["yhat"])}, 1e-12),
    ("step_aggregators", "paper"): Kind(step_aggregators, 1e-12),
}


@each_case("04")
def test_fixture_case(case: Case, agree: Callable[[Case, Kinds], None]) -> None:
    agree(case, KINDS)


def _at(answers: list[str | None], index: int | None) -> str | None:
    return None if index is None else answers[index]
