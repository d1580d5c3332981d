"""Card 31 (Agent-REINFORCE): costs and caps, sets of models, log-probabilities, the REINFORCE step, entropy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ponder.numerics.graph_costs import Lengths, Size, complete_cost, graph_costs, multisets, node_cost
from ponder.numerics.graph_policy import (
    Adam,
    Draw,
    Policy,
    edge_entropy,
    log_prob,
    model_log_prob,
    reinforce,
    sigmoid,
)
from tests.parity.cases import Case, Kind, Kinds, each_case

Inputs = Mapping[str, Any]
# The sizes that the released code knows; files that state them come first.
SIZES = {"1B": Size(1e9, 16, 2048), "3B": Size(3e9, 28, 3072), "8B": Size(8e9, 32, 4096), "70B": Size(70e9, 80, 8192)}


def sizes(given: Inputs) -> dict[str, Size]:
    stated = given.get("model_cfg", {})
    return SIZES | {name: Size(size["M"], size["L"], size["D"]) for name, size in stated.items()}


def flops(given: Inputs) -> dict[str, Any]:
    known = sizes(given)
    edges = [(u, v) for u, v in given["edges"]]
    each = graph_costs(edges, [known[name] for name in given["models"]], Lengths(given["A"], given["B"]))
    return {"total": float(sum(each)), "per_node": [float(cost) for cost in each]}


def units(given: Inputs) -> dict[str, Any]:
    lengths = Lengths(given["A"], given["B"])
    unit = float(node_cost(sizes(given)["1B"], 0, lengths))
    return {"units": flops(given)["total"] / unit, "unit_flops": unit}


def cap(given: Inputs) -> dict[str, Any]:
    lengths = Lengths(given["A"], given["B"])
    cost = float(complete_cost(given["b"], SIZES["1B"], SIZES["3B"], lengths))
    base = {"math": 9.710e11, "mmlu": 8.680e11, "humaneval": 5.957e11}[given["task"]]
    exact = cost / node_cost(SIZES["1B"], 0, lengths)
    return {
        "cap_flops": cost,
        "cap_units_released_base": cost / base,
        "released_base_flops": base,
        "cap_units_exact": exact,
    }


def combos(given: Inputs) -> dict[str, Any]:
    found = multisets(given["budget"], list(given["prices"].values()))
    return {"count": len(found), "combos": [list(counts) for counts in found]}


def policy(given: Inputs) -> Policy:
    return Policy(
        count=given["sink"],
        pairs=[(u, v) for u, v in given["pairs"]],
        edges=list(given["edge_logits"]),
        roles=[list(row) for row in given["role_logits"]],
    )


def drawn(given: Inputs) -> Draw:
    return Draw(tuple((u, v) for u, v in given["edges_on"]), {int(node): role for node, role in given["roles"].items()})


def edge_log_prob(given: Inputs) -> dict[str, Any]:
    value, gradient, visited = log_prob(policy(given), drawn(given), shift=given["shift"])
    _, loss = reinforce(policy(given), [drawn(given)], [1], shift=given["shift"])
    assert loss.edges == [-slope for slope in gradient.edges]
    return {
        "visited": visited,
        "log_prob": value,
        "loss_U1": -value,
        "grad_edge": loss.edges,
        "grad_role": loss.roles,
    }


def step(given: Inputs) -> dict[str, Any]:
    law = policy(given)
    loss, gradient = reinforce(law, [drawn(one) for one in given["draws"]], given["utilities"])
    after = Adam(len(law.edges), rate=given["lr"]).step(law.edges, gradient.edges)
    return {"loss": loss, "grad_edge": gradient.edges, "edge_logits_after": after, "role_grad": gradient.roles}


def models(given: Inputs) -> dict[str, Any]:
    chosen = {int(node): kind for node, kind in given["chosen"].items()}
    value, left, _ = model_log_prob(given["model_logits"], given["prices"], given["budget"], given["order"], chosen)
    return {"log_prob": value, "kept": sorted(chosen), "budget_left": left}


def entropy(given: Inputs) -> dict[str, Any]:
    pairs = [(u, v) for u, v in given["pairs"]]
    return {"value": edge_entropy(pairs, given["edge_logits"], weight=given["lambda_q"], eps=given["eps"])}


def single(given: Inputs) -> dict[str, Any]:
    law = Policy(count=1, pairs=[(0, 1)], edges=[given["theta"]])
    on = ((0, 1),) if given["sampled_on"] else ()
    _, gradient = reinforce(law, [Draw(on, {0: 0})], [given["U"]], shift=given["shift"])
    return {"q": sigmoid(given["theta"] + given["shift"]), "grad": gradient.edges[0]}


KINDS: Kinds = {
    ("flops", "released"): Kind(flops, 1e-12),
    ("flops_units", "paper"): Kind(units, 1e-12),
    ("budget_cap", "released"): Kind(cap, 1e-12),
    ("multisets", "released"): Kind(combos, 0.0),
    ("edge_log_prob", "released"): Kind(edge_log_prob, 1e-4),
    ("reinforce_step", "released"): Kind(step, 1e-4),
    ("model_log_prob", "released"): Kind(models, 1e-4),
    ("entropy", "released"): Kind(entropy, 1e-4),
    ("single_edge", "paper"): Kind(single, 1e-4),
}


@each_case("31")
def test_fixture_case(case: Case, agree: Callable[[Case, Kinds], None]) -> None:
    agree(case, KINDS)
