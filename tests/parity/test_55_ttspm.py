"""Card 55 (Wang et al. 2025): saturating curves, saturation points, fits, mixtures, chains, allocation, stop rule."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ponder.numerics.pass_at_k import pass_at_k
from ponder.numerics.saturation import (
    BetaMix,
    QuestionMix,
    SaturationModel,
    allocate,
    chain_accuracy,
    fit_weights,
    two_answer_vote,
)
from tests.parity.cases import Case, Kind, Kinds, arrays, folders

Given = Mapping[str, Any]
# What a key means where it is given; in a kind that computes it, it is among OUTPUTS.
INPUTS = frozenset({"N", "p_fmax", "p_fmax_eps", "rho", "p", "y", "n", "ab", "p01_p10", "rounds", "budget", "eps"})
INPUTS |= {"S", "c", "k", "prior", "success"}
OUTPUTS = {"sat": {"N", "F_at_N"}, "share": {"N"}, "fit": {"weights", "p_fmax", "weighted_sse"}}


def curve(given: Given) -> Given:
    models = [SaturationModel(*row) for row in given["p_fmax"]]
    return {
        "F": [[model.value(n) for n in given["N"]] for model in models],
        "gain": [[model.gain(n) for n in given["N"]] for model in models],
    }


def sat(given: Given) -> Given:
    models = [(SaturationModel(p, f_max), eps) for p, f_max, eps in given["p_fmax_eps"]]
    found = [model.saturation(eps) for model, eps in models]
    return {"N": found, "F_at_N": [model.value(n) for (model, _), n in zip(models, found, strict=True)]}


def share(given: Given) -> Given:
    return {"N": [[SaturationModel(p).budget_for(rho) for rho in given["rho"]] for p in given["p"]]}


def fit(given: Given) -> Given:
    weights = fit_weights(given["y"], given["n"])
    model = SaturationModel.from_curve(given["N"], given["y"], weights)
    miss = math.fsum(w * (y - model.value(n)) ** 2 for n, y, w in zip(given["N"], given["y"], weights, strict=True))
    return {"weights": weights, "p_fmax": [model.p, model.f_max], "weighted_sse": miss}


def hetero(given: Given) -> Given:
    mix = QuestionMix(tuple(given["p"]))
    return {
        "mean_curve": [mix.value(n) for n in given["N"]],
        "pooled_curve": [mix.pooled().value(n) for n in given["N"]],
    }


def chain(given: Given) -> Given:
    def rows(start: float) -> list[list[float]]:
        return [
            [chain_accuracy(p01, p10, rounds, start=start) for rounds in given["rounds"]]
            for p01, p10 in given["p01_p10"]
        ]

    return {"accuracy_from_wrong": rows(0.0), "accuracy_from_right": rows(1.0)}


def alloc(given: Given) -> Given:
    found = allocate([SaturationModel(*row) for row in given["p_fmax"]], given["budget"], eps=given["eps"])
    return {"units": list(found.units), "total": found.total}


def stop(given: Given) -> Given:
    belief, beliefs = BetaMix(*given["prior"]), []
    for right in given["success"]:
        belief = belief.seen(right, 1 - right)
        beliefs.append(belief)
    return {
        "posterior_mean": [belief.mean for belief in beliefs],
        "expected_gain_after_N": [[belief.gain(m) for m in (0, 1, 4)] for belief in beliefs],  # m as the README says
    }


KINDS: Kinds = {
    ("curve", "paper"): Kind(curve, 1e-12),
    ("sat", "paper"): Kind(sat, 1e-12),
    ("share", "paper"): Kind(share, 0.0),
    ("fit", "paper"): Kind(fit, 1e-6),
    ("hetero", "paper"): Kind(hetero, 1e-12),
    ("beta", "paper"): Kind(
        lambda given: {"curve": [[BetaMix(*row).value(n) for n in given["N"]] for row in given["ab"]]}, 1e-12
    ),
    ("chain", "paper"): Kind(chain, 1e-12),
    ("alloc", "paper"): Kind(alloc, 1e-12),
    ("pass", "paper"): Kind(
        lambda given: {"value": [[pass_at_k(given["S"], c, k) for k in given["k"]] for c in given["c"]]}, 1e-12
    ),
    ("vote", "paper"): Kind(
        lambda given: {"accuracy": [[two_answer_vote(p, n) for n in given["n"]] for p in given["p"]]}, 1e-12
    ),
    ("stop", "paper"): Kind(stop, 1e-12),
}


def cases() -> list[Case]:
    """The cases of the file; a key is `<kind><number>.<array>`."""
    tables: dict[str, dict[str, Any]] = {}
    for folder in folders("55"):
        for key, value in arrays(folder / "cases.npz").get("", {}).items():
            name, _, array = key.partition(".")
            tables.setdefault(name, {})[array] = value.tolist()
    found = []
    for place, (name, held) in enumerate(tables.items()):
        kind = re.sub(r"\d+$", "", name)
        wanted = OUTPUTS.get(kind) or held.keys() - INPUTS
        outputs = {key: held[key] for key in wanted}
        found.append(
            Case("55", place, kind, "paper", name, {k: v for k, v in held.items() if k not in wanted}, outputs)
        )
    return found


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_fixture_case(case: Case, agree: Callable[[Case, Kinds], None]) -> None:
    agree(_flat(case), KINDS)


def _flat(case: Case) -> Case:
    """A noisy fit is judged by what it misses (at most 1.0001 times the fixture's), since its parameters lie flat."""
    if case.kind != "fit" or not case.outputs["weighted_sse"]:
        return case
    miss = fit(case.inputs)["weighted_sse"]
    assert miss <= 1.0001 * case.outputs["weighted_sse"]
    kept = {"weights": case.outputs["weights"]}
    return Case(case.card, case.place, case.kind, case.version, case.name, case.inputs, kept)
