"""Card 21 (Zhou et al. 2025): verdicts, Wilson intervals, bins of difficulty, rates, and the gain of filtering."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ponder.numerics.verification import (
    Vote,
    balanced_accuracy,
    credit_interval,
    filtered_pass_rate,
    mean_difficulty,
    pass_rate_intervals,
    population_gain,
    population_pass_rate,
    quartiles,
    rates,
    read_verdict,
    verification_gain,
)
from tests.parity.cases import Case, Kind, Kinds, each_case

Inputs = Mapping[str, Any]
VOTES: dict[int, Vote] = {1: True, 2: False, -1: None}
CODES = {vote: code for code, vote in VOTES.items()}


def wilson(given: Inputs) -> dict[str, Any]:
    assert given["confidence"] == 0.95
    share, low, high = credit_interval(given["successes"], given["trials"])
    return {"p": share, "lower": low, "upper": high}


def rank_bins(given: Inputs) -> dict[str, Any]:
    pass_rates = given["rates"]
    members = quartiles(pass_rates)
    values = [[pass_rates[index] for index in bin_] for bin_ in members]
    return {
        "members_index": members,
        "thresholds": [[min(found), max(found)] if found else [0, 0] for found in values],
        "counts": [len(bin_) for bin_ in members],
    }


def filtered(given: Inputs) -> dict[str, Any]:
    votes, labels = _judged(given)
    found = rates(votes, labels)
    return {
        "p_before": sum(labels) / len(labels),
        "p_after": filtered_pass_rate(votes, labels),
        "tpr_strict": _known(found.strict_tpr),
        "tnr_strict": _known(found.strict_tnr),
        "tp": found.strictly_accepted,
        "tn": found.not_accepted,
        "fp": found.wrong - found.not_accepted,
        "fn": found.right - found.strictly_accepted,
        "credit_true": float(found.accepted),
        "credit_false": float(found.rejected),
        "n_true": found.right,
        "n_false": found.wrong,
        "tpr_half": _known(found.tpr),
        "tnr_half": _known(found.tnr),
    }


def pooled(given: Inputs) -> dict[str, Any]:
    problems = [_judged(problem) for problem in given["problems"]]
    found = rates(
        [vote for votes, _ in problems for vote in votes], [label for _, labels in problems for label in labels]
    )
    tpr, tnr = _known(found.tpr), _known(found.tnr)
    return {
        "tpr": tpr,
        "tnr": tnr,
        "balanced": balanced_accuracy(tpr, tnr),
        "gain": verification_gain(problems),
        "tpr_wilson": list(credit_interval(found.accepted, found.right)[1:]),
        "tnr_wilson": list(credit_interval(found.rejected, found.wrong)[1:]),
    }


def population(given: Inputs) -> dict[str, Any]:
    p, tpr, tnr = float(given["p"]), given["tpr"], given["tnr"]
    return {
        "p_after": population_pass_rate(p, tpr, tnr),
        "gain": population_gain(p, tpr, tnr),
        "balanced": balanced_accuracy(tpr, tnr),
    }


KINDS: Kinds = {
    ("parse", "released"): Kind(lambda given: {"vote": CODES[read_verdict(given["text"])]}, 0.0),
    ("wilson", "released"): Kind(wilson, 1e-12),
    ("quartiles", "released"): Kind(rank_bins, 1e-12),
    ("intervals", "released"): Kind(lambda given: pass_rate_intervals(given["rates"]), 0.0),
    ("difficulty_mean", "released"): Kind(lambda given: {"difficulty": mean_difficulty(given["rates"])}, 1e-12),
    ("filter", "released"): Kind(filtered, 1e-12),
    ("pooled", "paper"): Kind(pooled, 1e-12),
    ("population", "paper"): Kind(population, 1e-12),
}


@each_case("21")
def test_fixture_case(case: Case, agree: Callable[[Case, Kinds], None]) -> None:
    agree(case, KINDS)


def _judged(given: Inputs) -> tuple[list[Vote], list[bool]]:
    return [VOTES[code] for code in given["votes"]], [bool(label) for label in given["labels"]]


def _known(rate: float | None) -> float:
    return math.nan if rate is None else rate
