"""What a graph of models costs: FLOPs of each node by its inputs, the cap of a start budget, sets of models under it.

Source: Agent-REINFORCE, arXiv:2511.00086 (card 31, B and C). A node with d inputs reads the question and d texts of
the mean output length, and writes one; the unit is the smallest model without inputs.
Cost: closed forms; the sets of models are enumerated. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ponder.core.errors import BadInput

__all__ = ["Lengths", "Size", "complete_cost", "graph_costs", "multisets", "node_coefficients", "node_cost"]


class Size(NamedTuple):
    """A model: weights, layers, hidden size, each > 0."""

    parameters: float
    layers: int
    hidden: int


class Lengths(NamedTuple):
    """Mean tokens of a task: of its question, and of an answer."""

    prompt: float
    answer: float


def node_coefficients(size: Size, lengths: Lengths) -> tuple[float, float, float]:
    """Return (alpha, beta, gamma): a node with d inputs costs alpha d^2 + beta d + gamma FLOPs."""
    weights, depth = size.parameters, size.layers * size.hidden
    a, b = lengths
    alpha = 2 * depth * b * b
    beta = 2 * weights * b + 2 * depth * b * (2 * a + 2 * b + 1)
    gamma = 2 * (weights + depth) * (a + b) + 2 * depth * (a + b) ** 2
    return alpha, beta, gamma


def node_cost(size: Size, inputs: int, lengths: Lengths) -> float:
    """Return the FLOPs of a node.

    Args:
        size: of its model.
        inputs: texts that it reads beside the question, >= 0.
        lengths: of the task.

    Raises:
        BadInput: inputs < 0.
    """
    if inputs < 0:
        raise BadInput("a node has at least 0 inputs")
    weights, depth = size.parameters, size.layers * size.hidden
    reads, writes = lengths.prompt + inputs * lengths.answer, lengths.answer
    prefill = 2 * weights * reads + 2 * depth * reads * (reads + 1)
    decode = 2 * weights * writes + 2 * depth * writes * (2 * reads + writes + 1)
    return prefill + decode


def graph_costs(edges: Sequence[tuple[int, int]], sizes: Sequence[Size], lengths: Lengths) -> list[float]:
    """Return the FLOPs of each node of a graph.

    Args:
        edges: (from, to), positions in `sizes`.
        sizes: of the nodes' models.
        lengths: of the task.

    Raises:
        BadInput: an edge to a node that there is not.
    """
    inputs = [0] * len(sizes)
    for source, target in edges:
        if not (0 <= source < len(sizes) and 0 <= target < len(sizes)):
            raise BadInput(f"an edge from {source} to {target}, and there are {len(sizes)} nodes")
        inputs[target] += 1
    return [node_cost(size, count, lengths) for size, count in zip(sizes, inputs, strict=True)]


def complete_cost(count: int, smallest: Size, sink: Size, lengths: Lengths) -> float:
    """Return the FLOPs of the densest graph of `count` smallest models, all of which the sink reads: the cap.

    Raises:
        BadInput: count < 1.
    """
    if count < 1:
        raise BadInput("a start budget is at least one model")
    return sum(node_cost(smallest, d, lengths) for d in range(count)) + node_cost(sink, count, lengths)


def multisets(budget: int, prices: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the counts of models, by price, that leave least of a budget.

    The dearest model varies slowest, and the first one fills what the others leave.

    Args:
        budget: whole units, >= 0.
        prices: of one model each, >= 1.

    Raises:
        BadInput: out of range.
    """
    if budget < 0 or not prices or min(prices) < 1:
        raise BadInput("needs a budget >= 0 and prices >= 1")

    def fill(left: int, kind: int) -> Iterator[tuple[tuple[int, ...], int]]:
        if kind == 0:
            yield (left // prices[0],), left % prices[0]
            return
        for count in range(left // prices[kind] + 1):
            for counts, rest in fill(left - count * prices[kind], kind - 1):
                yield (*counts, count), rest

    found = list(fill(budget, len(prices) - 1))
    least = min(rest for _, rest in found)
    return [counts for counts, rest in found if rest == least]
