"""Card 60 (Plan-and-Budget): schedules, allocation in whole tokens, the BAM optimum and its closed form, E^3."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ponder.numerics import budget_schedules as schedules
from ponder.numerics.economy import e3
from tests.parity.cases import Case, Kind, Kinds, each_case

Inputs = Mapping[str, Any]


def allocated(given: Inputs, *, released: bool) -> dict[str, Any]:
    return schedules.allocate(given["credits"], given["total"], given["schedule"], released=released)._asdict()


def bam(given: Inputs) -> dict[str, Any]:
    c, beta, total = given["c"], given["beta"], given["total"]
    exact, multiplier = schedules.bam_exact(c, beta, total)
    closed = schedules.bam_paper(c, beta, total)
    return {
        "exact": exact,
        "multiplier": multiplier,
        "closed_form": closed,
        "uncertainty_exact": schedules.residual(c, beta, exact),
        "uncertainty_closed_form": schedules.residual(c, beta, closed),
        "uncertainty_uniform": schedules.residual(c, beta, [total / len(c)] * len(c)),
    }


KINDS: Kinds = {
    ("allocate", "released"): Kind(lambda given: allocated(given, released=True), 1e-12),
    ("allocate", "paper"): Kind(lambda given: allocated(given, released=False), 1e-12),
    ("schedule_weights", "released"): Kind(
        lambda given: {name: schedules.decay(name, given["N"]) for name in schedules.SCHEDULES}, 1e-12
    ),
    ("uniform", "paper"): Kind(lambda given: {"tokens": schedules.uniform(given["total"], given["m"])}, 0.0),
    ("e3", "paper"): Kind(
        lambda given: {"e3": e3(given["A_percent"], given["T"]), "a_per_t": given["A_percent"] / given["T"]}, 1e-12
    ),
    ("bam", "paper"): Kind(bam, 1e-8),
    ("unimodal_weight", "paper"): Kind(
        lambda given: {"weight": [schedules.bam_weight(given["c"], beta) for beta in given["beta"]]}, 1e-12
    ),
}


@each_case("60")
def test_fixture_case(case: Case, agree: Callable[[Case, Kinds], None]) -> None:
    agree(case, KINDS)
