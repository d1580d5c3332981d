"""Card 26 (Kang et al. 2025): self-certainty and the other measures, Borda votes, best-of-N, reading USC replies."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ponder.numerics.certainty import (
    answer_rows,
    log_softmax,
    mean_certainty,
    negative_perplexity,
    released_self_certainty,
    token_certainty,
)
from ponder.numerics.usc import last_response
from ponder.numerics.votes import best_of, borda, borda_weights, totals
from tests.parity.cases import Case, Kind, Kinds, each_case, numbers

Inputs = Mapping[str, Any]


def released_score(given: Inputs) -> dict[str, Any]:
    confidence = []
    for logits, mask in zip(numbers(given["logits"]), given["answer_mask"], strict=True):
        rows = answer_rows(given["prompt_len"], len(mask), parity="released")
        sums = [sum(log_softmax(logits[row])) for row in rows]
        confidence.append(released_self_certainty(sums, mask, len(logits[0])))
    return {"self_certainty": confidence}


def paper_score(given: Inputs) -> dict[str, Any]:
    out: dict[str, list[Any]] = {}
    batch = zip(numbers(given["logits"]), given["answer_mask"], given["answer_token_ids"], strict=True)
    for logits, mask, ids in batch:
        rows = [logits[row] for row in answer_rows(given["prompt_len"], len(mask))]
        tokens = [token_certainty(row) for row in rows]
        certainty = _mean([token.kl for token in tokens], mask)
        logp = [log_softmax(row)[token] for row, token, keep in zip(rows, ids, mask, strict=True) if keep]
        perplexity = negative_perplexity(logp)
        measures = {
            "per_token_kl": [token.kl if keep else 0.0 for token, keep in zip(tokens, mask, strict=True)],
            "self_certainty": certainty,
            "cross_entropy_form": certainty + math.log(len(logits[0])),
            "avg_logp": _mean(logp, [1] * len(logp)),
            "neg_perplexity": math.nan if perplexity is None else perplexity,
            "gini": _mean([token.gini for token in tokens], mask),
            "neg_entropy": _mean([token.negative_entropy for token in tokens], mask),
            "distributional_perplexity": _mean([token.distributional_perplexity for token in tokens], mask),
        }
        for name, value in measures.items():
            out.setdefault(name, []).append(value)
    return out


def logprob_sum(given: Inputs) -> dict[str, Any]:
    rows = zip(numbers(given["logprob_sum"]), given["mask"], strict=True)
    return {"confidence": [released_self_certainty(sums, mask, given["V"]) for sums, mask in rows]}


def borda_votes(given: Inputs) -> dict[str, Any]:
    answers, confidences = _used(given)
    sums = totals(answers, borda_weights(confidences, given["p"]))
    index = borda(answers, confidences, given["p"])
    return {
        "chosen_index": 0 if index is None else index,  # without any answer the released code returns the first output
        "chosen_answer": None if index is None else answers[index],
        "winning_total": max(sums.values(), default=0),
        "totals": sums,
    }


def best_of_n(given: Inputs) -> dict[str, Any]:
    answers, confidences = _used(given)
    # The released code scores what has no answer this low, and so picks the first output if none has one.
    scores = [-1e9 if answer is None else c for answer, c in zip(answers, confidences, strict=True)]
    index = best_of(scores)
    return {"chosen_index": index, "chosen_confidence": None if index is None else scores[index]}


KINDS: Kinds = {
    ("score", "released"): Kind(released_score, 1e-5),
    ("score", "paper"): Kind(paper_score, 1e-9),
    ("logprob_sum", "released"): Kind(logprob_sum, 1e-5),
    ("borda", "released"): Kind(borda_votes, 1e-9),
    ("best_of_n", "released"): Kind(best_of_n, 0.0),
    ("usc_parse", "released"): Kind(lambda given: {"index": last_response(given["text"])}, 0.0),
}


@each_case("26")
def test_fixture_case(case: Case, agree: Callable[[Case, Kinds], None]) -> None:
    agree(case, KINDS)


def _used(given: Inputs) -> tuple[list[str | None], list[float]]:
    count = given["best_N"]
    return given["answers"][:count], numbers(given["confidences"])[:count]


def _mean(values: list[float], mask: list[int]) -> float:
    mean = mean_certainty(values, mask)
    return math.nan if mean is None else mean
