"""Card 12 (Xi et al. 2024): filters, reading and comparing answers as released, votes, gains and cost of refinement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ponder.numerics.critique_data import keep_refinement, soft_filter
from ponder.numerics.refinement import accuracy_after, calls_always
from ponder.numerics.released_answers import (
    contained,
    equal_values,
    extract_reference,
    extract_response,
    last_box,
    normalise_latex,
)
from ponder.numerics.votes import majority
from tests.parity.cases import Case, Kind, Kinds, each_case

Inputs = Mapping[str, Any]
TEST_SETS = {"math": 5000, "gsm8k": 1319}  # the released accuracies divide by these, whatever was run


def normal_form(given: Inputs) -> dict[str, Any]:
    try:
        return {"normalised": normalise_latex(given["text"])}
    except (IndexError, TypeError) as err:
        return {"normalised": f"error:{type(err).__name__}"}


def compare(given: Inputs) -> dict[str, Any]:
    reference, answer = extract_reference(given["reference"], given["task"]), given["extracted"]
    return {"equal": equal_values(reference, answer), "equal_or_contained": contained(reference, answer)}


def majority_and_pass(given: Inputs) -> dict[str, Any]:
    questions = list(zip(given["references"], given["answers"], strict=True))
    modes = [None if (at := majority(answers)) is None else answers[at] for _, answers in questions]
    right = [equal_values(reference, mode) for (reference, _), mode in zip(questions, modes, strict=True)]
    passed = [any(equal_values(reference, answer) for answer in answers) for reference, answers in questions]
    return {"majority_correct": sum(right), "pass_at_k_correct": sum(passed), "modes": modes}


def markov(given: Inputs) -> dict[str, Any]:
    gates = {name: given[name] for name in ("detect", "false_alarm")} if given["gated"] else {}
    return {"accuracy": accuracy_after(given["start"], 4, fix=given["fix"], keep=given["keep"], **gates)}


KINDS: Kinds = {
    ("shortcut_barrier", "released"): Kind(
        lambda given: {"keep": keep_refinement(given["reference"], given["original"], given["new"])}, 0.0
    ),
    ("boxed", "released"): Kind(lambda given: {"content": last_box(given["text"])}, 0.0),
    ("answer_process", "released"): Kind(normal_form, 0.0),
    ("extract_response", "released"): Kind(
        lambda given: {"answer": extract_response(given["text"], given["task"])}, 0.0
    ),
    ("extract_answer", "released"): Kind(
        lambda given: {"answer": extract_reference(given["text"], given["task"])}, 0.0
    ),
    ("compare", "released"): Kind(compare, 0.0),
    ("majority_pass", "released"): Kind(majority_and_pass, 0.0),
    ("accuracy", "released"): Kind(
        lambda given: {name: count / TEST_SETS[name] for name, count in given["correct"].items()}, 1e-12
    ),
    ("markov", "paper"): Kind(markov, 1e-12),
    ("soft_filter", "paper"): Kind(
        lambda given: {"keep": soft_filter(given["correct"], given["K"], given["tau"])}, 0.0
    ),
    ("call_count", "paper"): Kind(lambda given: {"always_mode": calls_always(given["K"], given["R"])}, 0.0),
}


@each_case("12")
def test_fixture_case(case: Case, agree: Callable[[Case, Kinds], None]) -> None:
    agree(case, KINDS)
