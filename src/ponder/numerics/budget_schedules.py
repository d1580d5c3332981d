"""Splitting a token budget over the steps of a plan: decay schedules, whole tokens, and the optimum they stand for.

Source: Plan-and-Budget, arXiv:2505.16122 (card 60). A step with budget b leaves the uncertainty c / b^beta; the sum of
these is least under a total budget B where c_j beta_j / b_j^(beta_j + 1) is the same multiplier for all steps. The
paper's closed form divides B in proportion to (c beta)^(1 / (beta + 1)), which is that optimum where all beta are
equal. For models whose c and beta are not known, credits times a decay schedule are the cheap stand-in.
Differs: floors take 1e-9 on top, so that 0.29 * 100 is 29 (`released=True`: without).
Cost: one pass; the optimum by bisection on the logarithm of the multiplier.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

from ponder.core.errors import BadInput

__all__ = [
    "LEVELS",
    "SCHEDULES",
    "Allocation",
    "Schedule",
    "allocate",
    "bam_exact",
    "bam_paper",
    "bam_weight",
    "decay",
    "residual",
    "uniform",
]

Schedule = Literal["constant", "linear", "polynomial", "exponential", "cosine"]
SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)
# Total budget by difficulty level.
LEVELS = {1: 200, 2: 250, 3: 350, 4: 450, 5: 600}
_POWER, _BASE, _OFFSET = 2, 0.9, 0.1
_FLOOR = 1e-9


class Allocation(NamedTuple):
    """A budget split over steps.

    Attributes:
        tokens: whole numbers >= 0 that sum to the total.
        shares: credit times decay, normalised to 1.
    """

    tokens: list[int]
    shares: list[float]


def decay(schedule: Schedule, steps: int) -> list[float]:
    """Return d(i, N) for i = 0..N-1, N = `steps` >= 0.

    constant 1; linear N - i; polynomial (N - i)^2; exponential 0.9^i; cosine (1 + cos(pi i / (N - 1))) / 2 + 0.1, where
    the 0.1 keeps the last step alive, and 1 for N = 1.

    Raises:
        BadInput: no such schedule.
    """
    match schedule:
        case "constant":
            return [1.0] * steps
        case "linear":
            return [float(steps - i) for i in range(steps)]
        case "polynomial":
            return [float((steps - i) ** _POWER) for i in range(steps)]
        case "exponential":
            return [_BASE**i for i in range(steps)]
        case "cosine":
            if steps == 1:
                return [1.0]
            return [0.5 * (1 + math.cos(math.pi * i / (steps - 1))) + _OFFSET for i in range(steps)]
    raise BadInput(f"no schedule {schedule!r}: one of {', '.join(SCHEDULES)}")


def allocate(credits: Sequence[float], total: int, schedule: Schedule, *, released: bool = False) -> Allocation:
    """Split `total` tokens over the steps by credit times decay.

    Each step gets the floor of its share; what is left goes one by one to the largest shares, equal ones in order.

    Args:
        credits: >= 0, not all 0, of any scale.
        total: >= 0.
        schedule: the decay.
        released: plain floors of floating-point products, as the released code.

    Raises:
        BadInput: no credits, a negative one, all of them 0, or a negative total.
    """
    if total < 0 or not credits or not all(math.isfinite(c) and c >= 0 for c in credits) or not any(credits):
        raise BadInput("a budget >= 0 is split by credits >= 0 of which at least one is above 0")
    weights = [credit * d for credit, d in zip(credits, decay(schedule, len(credits)), strict=True)]
    norm = sum(weights)
    shares = [weight / norm for weight in weights]
    extra = 0.0 if released else _FLOOR
    tokens = [math.floor(share * total + extra) for share in shares]
    by_share = sorted(range(len(shares)), key=lambda i: -shares[i])
    for at in by_share[: total - sum(tokens)]:
        tokens[at] += 1
    return Allocation(tokens, shares)


def uniform(total: int, steps: int) -> list[int]:
    """Return total // steps for each of `steps` >= 1 (up to steps - 1 tokens are left over)."""
    return [total // steps] * steps


def bam_weight(c: float, beta: float) -> float:
    """Return (c beta)^(1 / (beta + 1)), c and beta > 0: as a function of beta it rises, then falls."""
    return float((c * beta) ** (1 / (beta + 1)))


def bam_paper(c: Sequence[float], beta: Sequence[float], total: float) -> list[float]:
    """Return the paper's closed form: `total` divided in proportion to `bam_weight`.

    Raises:
        BadInput: see `bam_exact`.
    """
    _check(c, beta, total)
    weights = [bam_weight(cj, bj) for cj, bj in zip(c, beta, strict=True)]
    norm = math.fsum(weights)
    return [total * weight / norm for weight in weights]


def bam_exact(c: Sequence[float], beta: Sequence[float], total: float) -> tuple[list[float], float]:
    """Return the split with the least residual uncertainty and its multiplier.

    b_j = (c_j beta_j / lambda)^(1 / (1 + beta_j)) with lambda such that they sum to `total`.

    Args:
        c: initial uncertainty of each step, > 0.
        beta: how fast thinking reduces it, > 0.
        total: > 0.

    Raises:
        BadInput: out of range, or not as many c as beta.
    """
    _check(c, beta, total)
    pairs = list(zip(c, beta, strict=True))

    def split(log_lambda: float) -> list[float]:
        return [math.exp((math.log(cj * bj) - log_lambda) / (1 + bj)) for cj, bj in pairs]

    # The budget is at least total / n for some step and at most total for all: that brackets the multiplier.
    low = min(math.log(cj * bj) - (1 + bj) * math.log(total) for cj, bj in pairs)
    high = max(math.log(cj * bj) - (1 + bj) * math.log(total / len(pairs)) for cj, bj in pairs)
    for _ in range(200):
        middle = (low + high) / 2
        if math.fsum(split(middle)) > total:
            low = middle
        else:
            high = middle
    middle = (low + high) / 2
    return split(middle), math.exp(middle)


def residual(c: Sequence[float], beta: Sequence[float], budgets: Sequence[float]) -> float:
    """Return the sum of c_j / b_j^beta_j, all b_j > 0."""
    return math.fsum(cj / bj**betaj for cj, betaj, bj in zip(c, beta, budgets, strict=True))


def _check(c: Sequence[float], beta: Sequence[float], total: float) -> None:
    if len(c) != len(beta) or not c or not all(x > 0 for x in (*c, *beta, total)):
        raise BadInput("needs as many c as beta, all above 0, and a total above 0")
