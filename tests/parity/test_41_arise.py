"""Card 41 (Yin et al. 2025): the score, drops, adaptive runs, allocation, stability, and the slopes beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ponder.numerics.arise import (
    AdaptiveRuns,
    Levels,
    allocate_runs,
    arise,
    drops,
    question_arise,
    stability,
    variation,
)
from ponder.numerics.slopes import first_to_last_slope, pairwise_slope
from tests.parity.cases import Case, Kind, Kinds, each_case

Inputs = Mapping[str, Any]


def dataset(given: Inputs) -> dict[str, Any]:
    questions = [Levels(sample["accuracies"], sample["tokens"]) for sample in given["samples"]]
    found, fallen = arise(questions), drops(questions)
    changes = found.transitions
    out: dict[str, Any] = {
        "arise": found.value,
        "statistics": {
            "overall_arise": found.value,
            "sample_scores": found.scores,
            "mean": found.value,
            "std": found.std,
            "min": found.low,
            "max": found.high,
            "num_samples": len(found.scores),
            "transition_stats": {
                "improved": changes.improved,
                "degraded": changes.degraded,
                "always_correct": changes.always_right,
                "always_incorrect": changes.always_wrong,
                "mixed": changes.mixed,
            },
        },
        "negative": {
            "num_negative_samples": len({drop.question for drop in fallen}),
            "total_degradations": len(fallen),
            "severe_degradations": sum(drop.severe for drop in fallen),
            "avg_token_waste": _mean([drop.extra_tokens for drop in fallen]),
            "avg_arise_penalty": _mean([-drop.ratio for drop in fallen]),
            "negative_samples": [
                {
                    "sample_idx": drop.question,
                    "iteration": drop.level,
                    "accuracy_drop": drop.size,
                    "token_waste": drop.extra_tokens,
                    "token_ratio": drop.ratio,
                    "arise_penalty": -drop.ratio,
                }
                for drop in fallen
            ],
        },
    }
    if questions:
        accuracy, tokens = (
            [_mean(level) for level in zip(*side, strict=True)] for side in zip(*questions, strict=True)
        )
        out["first_to_last_slope"] = first_to_last_slope(tokens, accuracy)
    return out


def adaptive_sample(given: Inputs) -> dict[str, Any]:
    rule = AdaptiveRuns(least=given["m_min"], most=given["m_max"], threshold=given["threshold"], eps=given["epsilon"])
    accuracies, tokens = given["accuracy_stream"], given["token_stream"]
    runs = 0
    while rule.wants_more(accuracies[:runs], tokens[:runs]):
        runs += 1
    cell = rule.cell(accuracies[:runs], tokens[:runs])
    return {
        "num_samples": runs,
        "result": {
            "accuracy": cell.accuracy,
            "tokens": cell.tokens,
            "accuracy_std": cell.accuracy_std,
            "tokens_std": cell.tokens_std,
            "num_samples": cell.runs,
            "converged": cell.converged,
            "final_cv": cell.variation,
        },
    }


def repeated(given: Inputs) -> dict[str, Any]:
    scores = given["scores_per_run"]
    found = stability(scores)
    return {
        "mean": found.mean,
        "std": found.std,
        "cv": found.variation,
        "min": found.low,
        "max": found.high,
        "range": found.high - found.low,
        "num_runs": found.runs,
        "scores": scores,
    }


def allocate(given: Inputs) -> dict[str, Any]:
    runs = allocate_runs(given["cv_per_cell"], given["total_budget"], least=given["m_min"], most=given["m_max"])
    return {"runs": runs}


KINDS: Kinds = {
    ("sample_arise", "released"): Kind(
        lambda given: {"arise": question_arise(Levels(given["accuracies"], given["tokens"]))}, 1e-12
    ),
    ("dataset", "released"): Kind(dataset, 1e-12),
    ("cv", "released"): Kind(lambda given: {"cv": variation(given["values"])}, 1e-12),
    ("adaptive_sample", "released"): Kind(adaptive_sample, 1e-12),
    ("allocate", "released"): Kind(allocate, 0.0),
    ("stability", "released"): Kind(repeated, 1e-12),
    ("pairwise_slope", "paper"): Kind(
        lambda given: {"value": pairwise_slope(given["tokens"], given["accuracy"])}, 1e-12
    ),
}


@each_case("41")
def test_fixture_case(case: Case, agree: Callable[[Case, Kinds], None]) -> None:
    agree(case, KINDS)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
