"""Card 54 (Sadhukhan et al. 2025): dense and sparse cost laws, coverage, expected cost, oracle allocation, masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from ponder.numerics.cost_allocation import Option, best_model, oracle_allocation
from ponder.numerics.cost_laws import (
    Cost,
    Form,
    Shape,
    attended_tokens,
    block_topk_cost,
    block_topk_search,
    dense_cost,
    expected_cost,
    topk_cost,
)
from ponder.numerics.pass_at_k import pass_at_k
from ponder.numerics.sparse_attention import block_mask, local_mask, masked_softmax, strided_block_mask, topk_mask
from tests.parity.cases import Case, Kind, Kinds, each_case

Given = Mapping[str, Any]


def shape_of(given: Given) -> Shape:
    """D_h of the fixtures is the head size times the layers: one layer of that head size costs the same."""
    return Shape(active=given["P"], layers=1, heads=given["Hq"], kv_heads=given["Hkv"], head_size=given["D_h"])


def dense(given: Given) -> Given:
    cost = dense_cost(shape_of(given), given["L_in"], given["L_out"], trials=given["N"], intensity=given["I"])
    return {**cost._asdict(), "total": cost.total}


def topk(given: Given, form: Form) -> Cost:
    return topk_cost(
        shape_of(given),
        given["L_in"],
        given["L_out"],
        budget=given["budget"],
        trials=given["N"],
        intensity=given["I"],
        form=form,
    )


def topk_paper(given: Given) -> Given:
    forms: dict[str, Form] = {"exact": "exact", "closed_form_minus": "minus"}
    return {
        name: {
            "attended": attended_tokens(given["L_in"], given["L_out"], given["budget"], form=form),
            **topk(given, form)._asdict(),
        }
        for name, form in forms.items()
    }


def block(given: Given, form: Form) -> Given:
    return block_topk_cost(
        shape_of(given),
        given["L_in"],
        given["L_out"],
        block_size=given["block_size"],
        blocks=given["top_blocks"],
        local=given["local"],
        trials=given["N"],
        intensity=given["I"],
        form=form,
    )._asdict()


def block_paper(given: Given) -> Given:
    search = block_topk_search(
        shape_of(given),
        given["L_in"],
        given["L_out"],
        block_size=given["block_size"],
        trials=given["N"],
        intensity=given["I"],
    )
    budget = given["local"] + given["block_size"] * given["top_blocks"]
    return {
        **block(given, "exact"),
        "attended_exact": attended_tokens(given["L_in"], given["L_out"], budget),
        "search_compute": search.compute,
        "search_memory": search.memory,
    }


def coverage(given: Given) -> Given:
    scores = given["scores"]
    return {"coverage": [pass_at_k(len(scores), sum(scores), n) for n in given["n"]]}


def expected(given: Given) -> Given:
    law = partial(dense_cost, shape_of(given), given["L_in"], trials=given["N"], intensity=given["I"])
    cost = expected_cost(law, given["L_out_samples"])
    return {"mean_compute": cost.compute, "mean_memory": cost.memory}


def oracle(given: Given) -> Given:
    rows: list[dict[str, Any]] = []
    for record in given["records"]:
        shape, lengths, right = shape_of(given["shapes"][record["model"]]), record["lengths"], record["correct"]
        for n in given["N_grid"]:
            if n <= len(right):
                law = partial(dense_cost, shape, given["L_in"], trials=n, intensity=given["I"])
                cost = expected_cost(law, lengths)
                rows.append(
                    {
                        "model": record["model"],
                        "query": record["query"],
                        "N": n,
                        "acc": pass_at_k(len(right), sum(right), n),
                        "cost": cost.total,
                        "flops_only": cost.compute,
                    }
                )
    return {
        "rows": rows,
        "eflops": frontier(rows, "cost", given["caps_eflops"]),
        "flops_only": frontier(rows, "flops_only", given["caps_flops_only"]),
    }


def frontier(rows: list[dict[str, Any]], unit: str, caps: list[float]) -> Given:
    options = [Option(row["model"], row["query"], row["acc"], row[unit]) for row in rows]
    found = [oracle_allocation(options, cap) for cap in caps]
    best = [best_model(accuracies) for accuracies in found]
    return {
        "acc_per_model": {model: [accuracies[model] for accuracies in found] for model in found[0]},
        "best_model": best,
        "best_acc": [accuracies[model] for accuracies, model in zip(found, best, strict=True)],
    }


def mask(given: Given) -> Given:
    logits = np.array(given["logits"], dtype=np.float32)
    ends = {"sink": given["sink"], "local": given["local"]}
    heads = given["kv_heads"]
    if "topk" in given:
        keep = topk_mask(logits, kv_heads=heads, budget=given["topk"], **ends)
    elif "block_size" in given:
        sizes = {"block_size": given["block_size"], "blocks": given["topk_block"]}
        if "stride" in given:
            keep = strided_block_mask(logits, kv_heads=heads, stride=given["stride"], **sizes, **ends)
        else:
            keep = block_mask(logits, kv_heads=heads, **sizes, **ends)
    else:
        keep = local_mask(logits, **ends)
    return {"keep": keep.astype(int).tolist(), "softmax": masked_softmax(logits, keep).tolist()}


KINDS: Kinds = {
    ("dense_cost", "released"): Kind(dense, 1e-12),
    ("topk_cost", "released"): Kind(lambda given: topk(given, "plus")._asdict(), 1e-12),
    ("topk_cost", "paper"): Kind(topk_paper, 1e-12),
    ("block_cost", "released"): Kind(lambda given: block(given, "minus"), 1e-12),
    ("block_cost", "paper"): Kind(block_paper, 1e-12),
    ("coverage", "released"): Kind(coverage, 1e-12),
    ("expected_cost", "released"): Kind(expected, 1e-12),
    ("oracle_allocation", "paper"): Kind(oracle, 1e-12),
    ("mask", "released"): Kind(mask, 1e-6),
}


@each_case("54")
def test_fixture_case(case: Case, agree: Callable[[Case, Kinds], None]) -> None:
    agree(case, KINDS)
