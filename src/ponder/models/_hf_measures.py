"""What is noted of a next-token law: log-probability of the token, certainty, the likeliest tokens.

Source: certainty is KL(uniform || p), card 26 (arXiv:2502.18581).
Cost: one pass over the logits while they are at hand. Needs: the extra `torch`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

__all__ = ["Measures", "Top", "certainty", "measure"]

Top = tuple[tuple[int, float], ...]


class Measures(NamedTuple):
    """One entry per law: log-probability of the token taken, certainty (both in nats), the likeliest (id, logprob)."""

    logprobs: list[float]
    certainty: list[float]
    top: list[Top]


def measure(logits: torch.Tensor, tokens: Sequence[int], *, top: int) -> Measures:
    """Measure the laws given by raw logits [rows, vocabulary], of which `tokens` [rows] were taken.

    Args:
        logits: raw, of any precision; the sums are made in float32.
        tokens: one id for each row.
        top: how many of the likeliest tokens to list, likeliest first; 0 for none.
    """
    logp = torch.log_softmax(logits.float(), -1)
    taken = logp.gather(1, torch.tensor(tokens, device=logp.device)[:, None])[:, 0].clamp(max=0.0)
    likeliest: list[Top] = [()] * len(tokens)
    if top:
        values, ids = logp.topk(min(top, logp.shape[-1]))
        likeliest = [tuple(zip(*pair, strict=True)) for pair in zip(ids.tolist(), values.tolist(), strict=True)]
    return Measures(taken.tolist(), certainty(logp).tolist(), likeliest)


def certainty(logp: torch.Tensor) -> torch.Tensor:
    """Return KL(uniform || p) in nats for log-probabilities [rows, vocabulary]: >= 0, larger is surer."""
    return -logp.mean(-1) - math.log(logp.shape[-1])
