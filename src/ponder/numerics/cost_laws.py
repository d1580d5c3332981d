"""What decoding costs when memory counts: FLOPs of weights and of attention, plus the traffic of keys and values.

An eFLOP adds the bytes of keys and values read, times the hardware's FLOPs per byte, to the FLOPs. Attention grows with
the square of the length, so that long answers cost far more than a count of FLOPs or tokens says.
Paper: Sadhukhan et al. 2025, arXiv:2506.05333 (card 54): dense, oracle top-k and block top-k attention, expected cost.
Costs are in Tera (e)FLOPs; what to spend them on is in `ponder.numerics.cost_allocation`.
Differs: sparse laws take the exact number of attended tokens. The closed form is wrong for answers shorter than the
budget leaves room for, and the released top-k code adds the term that it should subtract; both stay as `form`. As
released, reading the weights and prefill are not counted, and only the dense law and the block search share the prompt
among trials. `TransformerFlops`, which prices single calls, does count prefill.
Cost: constant time. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from ponder.core.errors import BadInput, ConfigError

__all__ = [
    "INTENSITY",
    "Cost",
    "Form",
    "Shape",
    "TransformerFlops",
    "attended_tokens",
    "block_topk_cost",
    "block_topk_search",
    "dense_cost",
    "expected_cost",
    "topk_cost",
]

INTENSITY = 562.5  # FLOPs in the time of reading a byte: peak figures of a B200
_TERA = 1e-12

# How attended tokens are counted: summed one by one; by the closed form (which the released block law uses); or by the
# closed form with the wrong sign (which the released top-k law uses).
Form: TypeAlias = Literal["exact", "minus", "plus"]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What costs depend on in a transformer.

    Attributes:
        active: weights that each token is multiplied with, > 0; of a mixture of experts, those used for one token.
        layers, heads, kv_heads, head_size: of attention, >= 1; heads are a multiple of kv_heads.
        parameters, hidden, vocabulary: further facts, None where unknown.
    """

    active: float
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    parameters: int | None = None
    hidden: int | None = None
    vocabulary: int | None = None

    def __post_init__(self) -> None:
        if not self.active > 0 or min(self.layers, self.heads, self.kv_heads, self.head_size) < 1:
            raise BadInput(f"weights, layers, heads and head size of a shape must be above 0, got {self!r}")
        if self.heads % self.kv_heads:
            raise BadInput(f"{self.heads} query heads cannot share {self.kv_heads} key heads evenly")

    @property
    def width(self) -> int:
        """Query elements of a token over all layers."""
        return self.layers * self.heads * self.head_size

    @property
    def kv_width(self) -> int:
        """Key elements of a token over all layers; values are as many."""
        return self.layers * self.kv_heads * self.head_size


@dataclass(frozen=True)
class TransformerFlops:
    """FLOPs of one call, reading of the prompt included: the dense law at intensity 0, with attended tokens exact.

    Attributes:
        active: weights that each token is multiplied with.
        width: query elements of a token over all layers.
    """

    active: float
    width: int

    def __call__(self, prompt: int, completion: int) -> float:
        """Return the FLOPs of reading `prompt` and writing `completion` tokens.

        Each token costs 2 per weight, and 4 per query element for each position that it attends to, its own included
        (the products with keys and with values).
        """
        total = prompt + completion
        return 2.0 * self.active * total + 4.0 * self.width * (total * (total + 1) / 2)

    def attended(self, flops: float, tokens: int) -> float:
        """Return how many positions the `tokens` of any number of calls attended to, if they cost `flops`."""
        return max(0.0, (flops - 2.0 * self.active * tokens) / (4.0 * self.width))


class Cost(NamedTuple):
    """Tera-FLOPs computed, and keys and values read in the Tera-FLOPs that they hold up."""

    compute: float
    memory: float

    @property
    def total(self) -> float:
        """Tera-eFLOPs."""
        return self.compute + self.memory


def dense_cost(
    shape: Shape,
    prompt: int,
    completion: int,
    *,
    trials: int = 1,
    intensity: float = INTENSITY,
    element_bytes: float = 2.0,
) -> Cost:
    """Return the cost of `trials` answers to one prompt, whose keys and values they share.

    Args:
        shape: of the model.
        prompt: tokens, >= 0.
        completion: tokens of each answer, >= 0.
        trials: answers, >= 1.
        intensity: FLOPs per byte read, >= 0; 0 gives the FLOPs alone.
        element_bytes: of one stored key or value element, > 0.

    Raises:
        ConfigError: a number out of its range.
    """
    _check(prompt, completion, trials, intensity, element_bytes)
    compute = 2.0 * shape.active * completion + 2.0 * (2 * prompt + completion) * completion * shape.width
    read = element_bytes * (2 * prompt + trials * completion) * completion * shape.kv_width
    return Cost(trials * compute * _TERA, intensity * read * _TERA)


def topk_cost(
    shape: Shape,
    prompt: int,
    completion: int,
    *,
    budget: int,
    trials: int = 1,
    intensity: float = INTENSITY,
    element_bytes: float = 2.0,
    form: Form = "exact",
) -> Cost:
    """Return the cost where each token attends to `budget` earlier ones at most, found for free.

    Args:
        shape: of the model.
        prompt: tokens, >= 0.
        completion: tokens of each answer, >= 0.
        budget: tokens attended to, >= 1.
        trials: answers, >= 1; they share nothing.
        intensity: FLOPs per byte read, >= 0.
        element_bytes: of one stored key or value element, > 0.
        form: how attended tokens are counted; "plus" as in the released code.

    Raises:
        ConfigError: a number out of its range.
    """
    _check(prompt, completion, trials, intensity, element_bytes)
    attended = attended_tokens(prompt, completion, budget, form=form)
    compute = 2.0 * shape.active * completion + 4.0 * attended * shape.width
    read = 2.0 * element_bytes * attended * shape.kv_width
    return Cost(trials * compute * _TERA, trials * intensity * read * _TERA)


def block_topk_search(
    shape: Shape,
    prompt: int,
    completion: int,
    *,
    block_size: int,
    trials: int = 1,
    intensity: float = INTENSITY,
    element_bytes: float = 2.0,
) -> Cost:
    """Return what scoring the mean key of every block costs; trials share those of the prompt.

    Raises:
        ConfigError: a number out of its range.
    """
    _check(prompt, completion, trials, intensity, element_bytes)
    if block_size < 1:
        raise ConfigError(f"a block holds at least 1 token, got {block_size!r}")
    compute = (2 * prompt + completion) // block_size * completion * shape.width
    read = element_bytes / 2 * ((2 * prompt + trials * completion) // block_size) * completion * shape.kv_width
    return Cost(trials * compute * _TERA, intensity * read * _TERA)


def block_topk_cost(
    shape: Shape,
    prompt: int,
    completion: int,
    *,
    block_size: int,
    blocks: int,
    local: int = 0,
    trials: int = 1,
    intensity: float = INTENSITY,
    element_bytes: float = 2.0,
    form: Form = "exact",
) -> Cost:
    """Return the cost where each token attends to the `blocks` best blocks and the `local` last tokens.

    Args:
        shape: of the model.
        prompt: tokens, >= 0.
        completion: tokens of each answer, >= 0.
        block_size: tokens in a block, >= 1.
        blocks: kept, >= 1.
        local: last tokens always kept, >= 0.
        trials: answers, >= 1; they share the search in the prompt.
        intensity: FLOPs per byte read, >= 0.
        element_bytes: of one stored key or value element, > 0.
        form: how attended tokens are counted; "minus" as in the released code.

    Raises:
        ConfigError: a number out of its range.
    """
    if blocks < 1 or local < 0:
        raise ConfigError("at least 1 block must be kept, and no fewer than 0 local tokens")
    search = block_topk_search(
        shape,
        prompt,
        completion,
        block_size=block_size,
        trials=trials,
        intensity=intensity,
        element_bytes=element_bytes,
    )
    kept = topk_cost(
        shape,
        prompt,
        completion,
        budget=local + block_size * blocks,
        trials=trials,
        intensity=intensity,
        element_bytes=element_bytes,
        form=form,
    )
    return Cost(kept.compute + search.compute, kept.memory + search.memory)


def attended_tokens(prompt: int, completion: int, budget: int, *, form: Form = "exact") -> float:
    """Return the tokens attended to while writing: the sum of min(budget, prompt + t) over t = 1..completion.

    Raises:
        ConfigError: a budget below 1, or lengths below 0.
    """
    if budget < 1 or min(prompt, completion) < 0:
        raise ConfigError("a budget must be at least 1 and lengths at least 0")
    short = max(0, budget - prompt)  # tokens written before the budget binds
    if form == "exact":
        short = min(short, completion)
        return short * prompt + short * (short + 1) // 2 + budget * (completion - short)
    square = 0.5 * short**2
    return budget * completion - square if form == "minus" else budget * completion + square


def expected_cost(cost: Callable[[int], Cost], lengths: Sequence[int]) -> Cost:
    """Return the mean of `cost` over recorded answer lengths, which is not the cost of their mean.

    Raises:
        BadInput: no length.
    """
    if not lengths:
        raise BadInput("an expected cost needs at least one recorded length")
    costs = [cost(length) for length in lengths]
    return Cost(
        math.fsum(one.compute for one in costs) / len(costs), math.fsum(one.memory for one in costs) / len(costs)
    )


def _check(prompt: int, completion: int, trials: int, intensity: float, element_bytes: float) -> None:
    if min(prompt, completion) < 0 or trials < 1:
        raise ConfigError(f"lengths must be at least 0 and trials at least 1, got {prompt}, {completion}, {trials}")
    if not (math.isfinite(intensity) and intensity >= 0 and math.isfinite(element_bytes) and element_bytes > 0):
        raise ConfigError("intensity must be finite and at least 0, and an element take more than 0 bytes")
