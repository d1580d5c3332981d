"""A distribution over graphs of agents: draws of edges, roles and models, their log-probabilities and gradients.

Source: Agent-REINFORCE, arXiv:2511.00086 (card 31, D, F and G). An edge is on with probability sigmoid(logit + shift);
pairs are visited in order, and one that would close a cycle is passed over and counts for nothing. A node whose inputs
all answer fuses with probability min(1, softmax + 0.5), and that branch gives no gradient (as released); one that reads
a fuser answers; others draw from their logits.
Differs: a sweep that is rejected is cleared before the next (the released code keeps its edges), so that draws and
log-probabilities agree but for the normaliser of the rejection, which is left out as in the released code; running
means as a baseline are an option of ours.
Cost: quadratic in the candidate edges. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ponder.core.errors import BadInput
from ponder.numerics.agent_graphs import ANSWER, FUSE, closes_cycle, pairs_of, role_order, roles_hold

__all__ = [
    "SHIFT",
    "Adam",
    "Draw",
    "Edge",
    "Gradient",
    "Policy",
    "draw_graph",
    "draw_models",
    "edge_entropy",
    "log_prob",
    "model_log_prob",
    "reinforce",
    "sigmoid",
]

Edge = tuple[int, int]
SHIFT = -2.0  # -2 / temperature: a sparse start
_BONUS = 0.5
_TRIES = 2000


@dataclass
class Policy:
    """Logits of everything that is drawn.

    Attributes:
        count: nodes, the sink apart, >= 1.
        pairs: candidate edges in the order in which they are visited.
        edges: a logit for each pair.
        roles: two logits for each node, the sink last.
    """

    count: int
    pairs: list[Edge] = field(default_factory=list)
    edges: list[float] = field(default_factory=list)
    roles: list[list[float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.count < 1:
            raise BadInput("a graph has at least one node")
        self.pairs = self.pairs or pairs_of(self.count)
        self.edges = self.edges or [0.0] * len(self.pairs)
        self.roles = self.roles or [[0.0, 0.0] for _ in range(self.count + 1)]
        if len(self.edges) != len(self.pairs) or len(self.roles) != self.count + 1:
            raise BadInput("a policy needs a logit for each pair and two for each node and the sink")


@dataclass(frozen=True)
class Draw:
    """Edges that are on, and the role of each useful node."""

    edges: tuple[Edge, ...]
    roles: Mapping[int, int]


@dataclass
class Gradient:
    """Of a loss, by the logits of a policy."""

    edges: list[float]
    roles: list[list[float]]


def sigmoid(value: float) -> float:
    """Return 1 / (1 + exp(-value)) without overflow."""
    if value >= 0:
        return 1 / (1 + math.exp(-value))
    small = math.exp(value)
    return small / (1 + small)


def _softplus(value: float) -> float:
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))


def _softmax(row: Sequence[float]) -> list[float]:
    top = max(row)
    powers = [math.exp(value - top) for value in row]
    whole = sum(powers)
    return [power / whole for power in powers]


def draw_graph(policy: Policy, stream: random.Random, *, shift: float = SHIFT) -> Draw:
    """Draw edges until the sink has an input, and then roles until they hold (else all answer).

    Raises:
        BadInput: the sink never got an input.
    """
    for _ in range(_TRIES):
        edges: list[Edge] = []
        for pair, logit in zip(policy.pairs, policy.edges, strict=True):
            if not closes_cycle(edges, *pair) and stream.random() < sigmoid(logit + shift):
                edges.append(pair)
        if any(target == policy.count for _, target in edges):
            break
    else:
        raise BadInput(f"{_TRIES} draws gave the sink no input: the edges to it are too unlikely")
    order = role_order(policy.count, edges)
    for _ in range(_TRIES):
        roles: dict[int, int] = {}
        for node, reads in order:
            roles[node] = int(stream.random() < _fuses(policy.roles[node], [roles[u] for u in reads]))
        if roles_hold(policy.count, edges, roles):
            break
    else:
        roles = {node: ANSWER for node, _ in order}
    return Draw(tuple(edges), roles)


def _fuses(row: Sequence[float], read: Sequence[int]) -> float:
    """Return the probability that a node fuses, given the roles of what it reads."""
    if read and all(role == ANSWER for role in read):
        return min(1.0, _softmax(row)[FUSE] + _BONUS)
    if FUSE in read:
        return 0.0
    return _softmax(row)[FUSE]


def log_prob(policy: Policy, draw: Draw, *, shift: float = SHIFT) -> tuple[float, Gradient, list[int | None]]:
    """Return the log-probability of a draw, its gradient, and for each pair: on (1), off (0), passed over (None)."""
    on = set(draw.edges)
    total = 0.0
    gradient = Gradient([0.0] * len(policy.pairs), [[0.0, 0.0] for _ in policy.roles])
    visited: list[int | None] = []
    so_far: list[Edge] = []
    for at, (pair, logit) in enumerate(zip(policy.pairs, policy.edges, strict=True)):
        if closes_cycle(so_far, *pair):
            visited.append(None)
            continue
        chosen = pair in on
        visited.append(int(chosen))
        q = sigmoid(logit + shift)
        total -= _softplus(-(logit + shift)) if chosen else _softplus(logit + shift)
        gradient.edges[at] = (1 - q) if chosen else -q
        if chosen:
            so_far.append(pair)
    for node, reads in role_order(policy.count, draw.edges):
        row, role = policy.roles[node], draw.roles[node]
        read = [draw.roles[u] for u in reads]
        fuses = _fuses(row, read)
        chance = fuses if role == FUSE else 1 - fuses
        total += math.log(chance) if chance > 0 else -math.inf
        if not read:
            shares = _softmax(row)
            gradient.roles[node] = [float(kind == role) - share for kind, share in enumerate(shares)]
    return total, gradient, visited


def reinforce(
    policy: Policy, draws: Sequence[Draw], utilities: Sequence[float], *, baseline: float = 0.0, shift: float = SHIFT
) -> tuple[float, Gradient]:
    """Return the loss mean(-(U - baseline) log p) over the draws, and its gradient.

    Raises:
        BadInput: no draw, or not one utility each.
    """
    if not draws or len(draws) != len(utilities):
        raise BadInput("needs at least one draw, and a utility for each")
    loss = 0.0
    whole = Gradient([0.0] * len(policy.pairs), [[0.0, 0.0] for _ in policy.roles])
    for draw, utility in zip(draws, utilities, strict=True):
        weight = -(utility - baseline) / len(draws)
        value, gradient, _ = log_prob(policy, draw, shift=shift)
        if weight == 0:
            continue
        loss += weight * value
        whole.edges = [a + weight * b for a, b in zip(whole.edges, gradient.edges, strict=True)]
        whole.roles = [
            [a + weight * b for a, b in zip(old, new, strict=True)]
            for old, new in zip(whole.roles, gradient.roles, strict=True)
        ]
    return loss, whole


class Adam:
    """Adam on a list of numbers (betas 0.9 and 0.999, eps 1e-8)."""

    def __init__(self, count: int, *, rate: float = 0.1) -> None:
        self.rate, self.steps = rate, 0
        self._first, self._second = [0.0] * count, [0.0] * count

    def step(self, values: Sequence[float], gradient: Sequence[float]) -> list[float]:
        """Return the values after one step."""
        self.steps += 1
        out = []
        for at, (value, slope) in enumerate(zip(values, gradient, strict=True)):
            self._first[at] = 0.9 * self._first[at] + 0.1 * slope
            self._second[at] = 0.999 * self._second[at] + 0.001 * slope * slope
            first = self._first[at] / (1 - 0.9**self.steps)
            second = self._second[at] / (1 - 0.999**self.steps)
            out.append(value - self.rate * first / (math.sqrt(second) + 1e-8))
        return out


def draw_models(
    logits: Sequence[Sequence[float]], prices: Sequence[float], budget: float, stream: random.Random
) -> tuple[list[int], dict[int, int]]:
    """Draw a model for each node in a random order while one still fits; later nodes are dropped.

    Returns:
        The order, and the model of each node that is kept.
    """
    order = list(range(len(logits)))
    stream.shuffle(order)
    chosen: dict[int, int] = {}
    for node in order:
        fitting = [kind for kind, price in enumerate(prices) if price <= budget]
        if not fitting:
            break
        shares = _softmax([logits[node][kind] for kind in fitting])
        chosen[node] = stream.choices(fitting, shares)[0]
        budget -= prices[chosen[node]]
    return order, chosen


def model_log_prob(
    logits: Sequence[Sequence[float]],
    prices: Sequence[float],
    budget: float,
    order: Sequence[int],
    chosen: Mapping[int, int],
) -> tuple[float, float, list[list[float]]]:
    """Return the log-probability of models drawn so, the budget left, and the gradient.

    Raises:
        BadInput: a node has no model, or one that did not fit.
    """
    total = 0.0
    gradient = [[0.0] * len(prices) for _ in logits]
    for node in order:
        fitting = [kind for kind, price in enumerate(prices) if price <= budget]
        if not fitting:
            break
        if chosen.get(node) not in fitting:
            raise BadInput(f"node {node} has no model that fitted")
        shares = _softmax([logits[node][kind] for kind in fitting])
        for kind, share in zip(fitting, shares, strict=True):
            gradient[node][kind] = float(kind == chosen[node]) - share
        total += math.log(shares[fitting.index(chosen[node])])
        budget -= prices[chosen[node]]
    return total, budget, gradient


def edge_entropy(pairs: Sequence[Edge], logits: Sequence[float], *, weight: float = 0.05, eps: float = 1e-8) -> float:
    """Return `weight` times the sum over targets of the entropy of their incoming edges, normalised per target."""
    incoming: dict[int, list[float]] = {}
    for (_, target), logit in zip(pairs, logits, strict=True):
        incoming.setdefault(target, []).append(sigmoid(logit))
    total = 0.0
    for chances in incoming.values():
        whole = sum(chances) + eps
        total -= sum(c / whole * math.log(c / whole + eps) for c in chances)
    return weight * total
