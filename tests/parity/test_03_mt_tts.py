"""Card 03 (Li et al. 2025): the controller's logits and states, the quality score, the judge's number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ponder.numerics.thinking_control import Controller, ThinkingTokens, apply, quality_score, read_judgement
from ponder.numerics.thinking_split import split_released
from tests.parity.cases import Case, Kind, Kinds, each_case

Inputs = Mapping[str, Any]


def controller(given: Inputs) -> Controller:
    ids = given["ids"]
    tokens = ThinkingTokens(open=(ids["<think>"],), close=(ids["</think>"],), newline=ids["\n"], wait=(ids["wait"],))
    return Controller(tokens, given["B"] or 0, wait=given["wait"], parity="released")


def state(made: Controller) -> dict[str, Any]:
    return {
        "counter": made.count,
        "in_thinking": made.inside,
        "stopped": made.stopped,
        "wait_done": made.waited,
    }


def generation(given: Inputs) -> dict[str, Any]:
    """Decode greedily: the likeliest token of the processed row is the next one, the lowest id of equals."""
    made = controller(given)
    sequence, told = list(given["prompt_and_open"]), []
    known = {step["step"]: step["logits"] for step in given["steps"]}
    logits: list[float] = []
    for number in range(max(known) + 1):
        logits = known.get(number, logits)  # steps that a file leaves out repeat the row before them
        row = apply(made, sequence[-1], logits)
        if number in known:
            told.append({"step": number, "processed": row, **state(made)})
        sequence.append(max(range(len(row)), key=lambda at: (row[at], -at)))
    return {"steps": told, "sequence": sequence}


def forced_history(given: Inputs) -> dict[str, Any]:
    made = controller(given)
    rows, counts = [], []
    for token, logits in zip(given["last_tokens"], given["logits"], strict=True):
        rows.append(apply(made, token, logits))
        counts.append(made.count)
    return {"processed": rows, "counter": counts}


KINDS: Kinds = {
    ("generation", "released"): Kind(generation, 1e-6),
    ("logits", "released"): Kind(forced_history, 1e-6),
    ("split", "released"): Kind(
        lambda given: split_released(given["text"], given["family"], given.get("budget", 0)), 0
    ),
    ("quality_score", "paper"): Kind(lambda given: {"qs": quality_score(given["grb"], given["grf"])}, 0),
    ("judge_parse", "paper"): Kind(lambda given: {"score": read_judgement(given["text"])}, 0),
}


@each_case("03")
def test_fixture_case(case: Case, agree: Callable[[Case, Kinds], None]) -> None:
    agree(case, KINDS)
