"""REINFORCE++ and its neighbours: returns with a KL penalty, batch-normalised advantages, clipped loss, GAE.

Source: REINFORCE++ as card 08 (Chan et al. 2025, arXiv:2505.11875) states it: r_t = 1[t = T] R - beta KL_t, returns
with gamma = 1, advantages normalised over all tokens of the batch (population deviation), PPO's clipped loss, no
critic. GAE: Schulman et al. 2016, arXiv:1506.02438, as card 18 (arXiv:2502.02508) uses it. Log-ratios are natural.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ponder.core.errors import BadInput, ConfigError

__all__ = ["advantages", "clip_loss", "generalised_advantages", "normalise", "returns"]


def returns(reward: float, kl: Sequence[float], *, beta: float) -> list[float]:
    """Return sum over s >= t of r_s for each token t of one answer.

    Args:
        reward: R, given at the last token.
        kl: log pi - log pi_ref of each token (nats), at least one.
        beta: weight of the penalty.

    Raises:
        BadInput: no tokens.
    """
    if not kl:
        raise BadInput("an answer needs at least one token")
    found, ahead = [], reward
    for penalty in reversed(kl):
        ahead -= beta * penalty
        found.append(ahead)
    return found[::-1]


def normalise(values: Sequence[float], *, eps: float = 1e-8) -> list[float]:
    """Return (v - mean) / (deviation + eps), with the population's deviation; equal values give zeros.

    Raises:
        ConfigError: eps <= 0.
    """
    if not eps > 0:
        raise ConfigError(f"eps must be above 0, got {eps!r}")
    if not values:
        return []
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    return [(value - mean) / (deviation + eps) for value in values]


def advantages(answers: Sequence[Sequence[float]], *, eps: float = 1e-8) -> list[list[float]]:
    """Return the returns of several answers normalised over all tokens of all of them; shapes are kept."""
    flat = iter(normalise([value for answer in answers for value in answer], eps=eps))
    return [[next(flat) for _ in answer] for answer in answers]


def clip_loss(ratios: Sequence[float], values: Sequence[float], *, eps: float = 0.2) -> list[float]:
    """Return -min(rho A, clip(rho, 1 - eps, 1 + eps) A) of each token.

    Args:
        ratios: rho = pi / pi_old, > 0.
        values: advantages A.
        eps: in [0, 1).

    Raises:
        BadInput: sequences of unequal length.
        ConfigError: eps out of range.
    """
    if len(ratios) != len(values):
        raise BadInput(f"{len(ratios)} ratios for {len(values)} advantages")
    if not 0 <= eps < 1:
        raise ConfigError(f"eps must be in [0, 1), got {eps!r}")
    return [-min(rho * a, min(max(rho, 1 - eps), 1 + eps) * a) for rho, a in zip(ratios, values, strict=True)]


def generalised_advantages(
    rewards: Sequence[float], values: Sequence[float], *, gamma: float = 1.0, smoothing: float = 0.95
) -> list[float]:
    """Return A_t = delta_t + gamma lambda A_{t+1}, delta_t = r_t + gamma V_{t+1} - V_t, with V = 0 behind the end.

    Args:
        rewards: of each token.
        values: V of each token.
        gamma: discount.
        smoothing: lambda.

    Raises:
        BadInput: sequences of unequal length.
    """
    if len(rewards) != len(values):
        raise BadInput(f"{len(rewards)} rewards for {len(values)} values")
    found: list[float] = []
    ahead = after = 0.0
    for reward, value in zip(reversed(rewards), reversed(values), strict=True):
        ahead = reward + gamma * after - value + gamma * smoothing * ahead
        after = value
        found.append(ahead)
    return found[::-1]
