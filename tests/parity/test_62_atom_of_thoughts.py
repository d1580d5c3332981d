"""Card 62 (Atom of Thoughts): depth rules, scorers and readers as released, one transition, the plug-in's choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ponder.numerics import atomic, graphs
from tests.parity.cases import Case, Kind, Kinds, each_case

Inputs = Mapping[str, Any]


def released_depth(given: Inputs) -> dict[str, Any]:
    depth = graphs.released_depth(given["depend"])
    return {"depth": depth, "capped": min(3, depth)}


def paper_depth(given: Inputs) -> dict[str, Any]:
    free = graphs.independent(given["depend"])
    return {
        "longest_path": graphs.depth(given["depend"]),
        "independent": free,
        "dependent": [k for k in range(len(given["depend"])) if k not in free],
    }


def read_json(given: Inputs) -> dict[str, Any]:
    found = atomic.released_json(given["text"])
    return {"result": found, "ok": found is not None}


def multi_hop(given: Inputs) -> dict[str, Any]:
    score = atomic.token_f1(given["prediction"], given["gold"])
    return {"score": score or 0}  # released: an int where nothing is in common


def transition(given: Inputs) -> dict[str, Any]:
    answers = given["answers"]
    names = ("direct", "decompose", "contract")
    scores = [atomic.released_math(answers[name], answers["ensemble"]) for name in names]
    if all(answers[name] == answers["ensemble"] for name in names):
        scores = [1, 1, 1]
    chosen = names[atomic.choose_solution(scores)]
    calls = ["direct", "multistep", "label", "contract", "direct", "ensemble"]
    return {"calls": calls, "scores": scores, "method": chosen, "answer": answers[chosen]}


def plug_in(given: Inputs) -> dict[str, Any]:
    candidates = given["candidates"]
    scores = [atomic.released_math(c["answer"], given["ensemble"]) for c in candidates]
    at = atomic.choose_state(scores, [c["words"] for c in candidates])
    return {"chosen_question": f"newq{at}", "chosen_index": at, "n_calls": 4 * len(candidates) + 2}


KINDS: Kinds = {
    ("depth", "released"): Kind(released_depth, 0.0),
    ("depth", "paper"): Kind(paper_depth, 0.0),
    ("score_math", "released"): Kind(
        lambda given: {"score": atomic.released_math(given["prediction"], given["gold"])}, 0.0
    ),
    ("score_mc", "released"): Kind(
        lambda given: {"score": atomic.released_choice(given["prediction"], given["gold"])}, 0.0
    ),
    ("score_multi_hop", "released"): Kind(multi_hop, 1e-12),
    ("extract_tags", "released"): Kind(lambda given: {"result": atomic.released_tags(given["text"])}, 0.0),
    ("extract_json", "released"): Kind(read_json, 0.0),
    ("one_transition", "released"): Kind(transition, 0.0),
    ("plugin", "released"): Kind(plug_in, 0.0),
}


@each_case("62")
def test_fixture_case(case: Case, agree: Callable[[Case, Kinds], None]) -> None:
    agree(case, KINDS)
