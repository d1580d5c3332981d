"""What compute buys: test-time compute against a larger model, and what a beam search costs.

Source: Snell et al. 2024, arXiv:2408.03314, sections 5 and 7 (card 04): training costs 6 FLOPs a parameter and token,
inference 2.
Differs: where the width does not divide the budget the survivors are rounded down, to at least one (our choice).
"""

from __future__ import annotations

from typing import NamedTuple

from ponder.core.errors import ConfigError

__all__ = ["BeamCounts", "FlopsMatch", "beam_counts", "flops_match", "inference_multiplier"]


class FlopsMatch(NamedTuple):
    """A model's compute and what a larger one would cost.

    Attributes:
        pretraining: FLOPs of training the model.
        inference: FLOPs of all its inference.
        larger_total: FLOPs of both for a model with `scale` times the parameters.
        multiplier: by how much the small model may multiply its inference to cost the same.
    """

    pretraining: float
    inference: float
    larger_total: float
    multiplier: float


class BeamCounts(NamedTuple):
    """The arithmetic of a beam search.

    Attributes:
        survivors: beams kept in each round.
        candidates: prefixes scored in each round.
        cost: in answers, lookahead included.
    """

    survivors: int
    candidates: int
    cost: int


def inference_multiplier(scale: float, ratio: float) -> float:
    """Return by how much a model may multiply its inference compute to match one with `scale` times the parameters.

    Args:
        scale: M, > 0.
        ratio: R, inference tokens per pretraining token, > 0.

    Raises:
        ConfigError: ratio or scale not positive.
    """
    if not (scale > 0 and ratio > 0):
        raise ConfigError(f"scale and ratio must be positive, got {scale!r} and {ratio!r}")
    return scale + 3 * (scale - 1) / ratio


def flops_match(parameters: float, pretraining_tokens: float, inference_tokens: float, scale: float) -> FlopsMatch:
    """Return the compute of a model and of one `scale` times larger; all arguments are positive.

    The numbers balance: pretraining + multiplier * inference = larger_total.

    Raises:
        ConfigError: scale or a number of tokens not positive.
    """
    if not (pretraining_tokens > 0 and inference_tokens > 0):
        raise ConfigError(f"tokens must be positive, got {pretraining_tokens!r} and {inference_tokens!r}")
    pretraining = 6 * parameters * pretraining_tokens
    inference = 2 * parameters * inference_tokens
    multiplier = inference_multiplier(scale, inference_tokens / pretraining_tokens)
    return FlopsMatch(pretraining, inference, scale * (pretraining + inference), multiplier)


def beam_counts(budget: int, width: int, lookahead: int = 0) -> BeamCounts:
    """Return the counts of a beam search that ends with `budget` answers.

    Args:
        budget: N >= 1.
        width: M >= 1, next steps sampled from each survivor (not the number of survivors).
        lookahead: k >= 0, steps of a rollout before its prefix is scored.

    Raises:
        ConfigError: an argument out of range.
    """
    if budget < 1 or width < 1 or lookahead < 0:
        raise ConfigError(f"no beam search with budget {budget!r}, width {width!r}, lookahead {lookahead!r}")
    return BeamCounts(max(1, budget // width), budget, budget * (lookahead + 1))
