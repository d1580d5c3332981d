"""Card 19 (Sheng et al. 2025): where answers stand, relations, bounds that are equal exactly, counts and judges."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ponder.bench.studies.inequality_proofs import inequality_proofs
from ponder.numerics import inequality
from ponder.numerics.judging import Confusion
from ponder.planning.difficulty import Evidence
from ponder.tasks.inequalities import Inequalities
from ponder.verifiers.answers.bound import BoundAnswer
from ponder.verifiers.inequality_judges import FLAWS
from tests.bench.studies.study_worlds import row
from tests.parity.cases import Case, Kind, Kinds, each_case

Inputs = Mapping[str, Any]
ASK = "needs_llm"  # the fixture's word for what the released code leaves to a model


def option(given: Inputs) -> dict[str, Any]:
    text = given["text"]
    return {
        "choice": inequality.released_option(text) or ASK,
        "letter": inequality.read_relation(text, parity="released"),
    }


def quick(given: Inputs) -> dict[str, Any]:
    found = inequality.quick_bound(given["text"])
    return {"extracted": ASK if found is None else found}


def spelled(given: Inputs) -> dict[str, Any]:
    return {"result": inequality.same_bound_text(given["gold"], given["prediction"]) or ASK}


def equivalent(given: Inputs) -> dict[str, Any]:
    return {"equivalent": asyncio.run(BoundAnswer(seconds=60).same(given["gold"], given["prediction"]))}


def metrics(given: Inputs) -> dict[str, Any]:
    found = Confusion(**given)
    return {"accuracy": found.accuracy, "precision": found.precision, "recall": found.recall, "f1": found.f1}


def checked(given: Inputs) -> dict[str, Any]:
    left, right = (inequality.evaluate(given[side]) for side in ("lhs", "rhs"))
    assert left is not None
    assert right is not None
    passes = inequality.numeric_check(given["lhs"], given["rhs"], tolerance=given["tolerance"])
    return {"abs_difference": abs(left - right), "passes": passes}


def joined(given: Inputs) -> dict[str, Any]:
    """The rule itself, and the study that joins rows of the five judges by it."""
    final, *flaws = (bool(verdict) for verdict in given["final_toy_gap_approx_comp"])
    problem = Inequalities().generate(1, seed=0)[0]
    rows = [
        row(
            problem.task.id,
            "best_of_n",
            1,
            right=final,
            verifier="inequality_judges",
            judging={"flaws": [flaw]},
            evidence=Evidence(groups=(0,), scores=(float(sound),), grades=(final,)),
        )
        for flaw, sound in zip(FLAWS, flaws, strict=True)
    ]
    (model,) = inequality_proofs(rows, [problem]).data["models"]
    (solution,) = model["solutions"]
    assert solution["overall"] == inequality.overall([final, *flaws])
    assert model["shares"]["all"]["overall"][0] == float(solution["overall"])
    assert model["shares"]["all"]["answer"][0] == float(final)
    return {"overall": solution["overall"]}


KINDS: Kinds = {
    ("locate", "released"): Kind(lambda i: {"located": inequality.locate(i["text"])}, 0),
    ("relation", "released"): Kind(option, 0),
    ("relation", "paper"): Kind(lambda i: {"letter": inequality.read_relation(i["text"])}, 0),
    ("bound_quick", "released"): Kind(quick, 0),
    ("bound_string", "released"): Kind(spelled, 0),
    ("bound_equivalence", "paper"): Kind(equivalent, 0),
    ("score", "released"): Kind(lambda i: inequality.score_table(i["items"], parity="released"), 1e-9),
    ("score", "paper"): Kind(lambda i: inequality.score_table(i["items"]), 1e-9),
    ("overall", "paper"): Kind(joined, 0),
    ("judge_metrics", "paper"): Kind(metrics, 1e-9),
    ("numeric_check", "paper"): Kind(checked, 1e-9),
}


@pytest.mark.math
@each_case("19")
def test_fixture_case(case: Case, agree: Callable[[Case, Kinds], None]) -> None:
    agree(case, KINDS)
