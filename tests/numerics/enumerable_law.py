"""A language model small enough to list all its answers, and the exact law of a chain over them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

Answer = tuple[int, ...]
Chance = Callable[[int, int], float]  # acceptance probability from answer a to answer b (indices)


class Law(NamedTuple):
    """All answers (the end of text counted as a token), their probabilities and rewards."""

    answers: list[Answer]
    base: list[float]
    reward: list[float]
    next_token: Callable[[Answer], Sequence[float]]

    def suffix(self, cut: int, answer: int) -> float:
        """Probability of writing the rest of an answer after its first `cut` tokens."""
        tokens = self.answers[answer]
        return math.prod(self.next_token(tokens[:at])[tokens[at]] for at in range(cut, len(tokens)))


def read_law(given: Mapping[str, Any]) -> Law:
    """Read the law of a fixture; the last place forces the end of text."""
    table, eos, places = given["token_probs_pos_prev"], given["eos"], given["max_len"]
    forced = [float(token == eos) for token in range(len(table[0][0]))]

    def next_token(prefix: Answer) -> Sequence[float]:
        if len(prefix) == places - 1:
            return forced
        probabilities: Sequence[float] = table[len(prefix)][prefix[-1] if prefix else eos]
        return probabilities

    return Law([tuple(s) for s in given["sequences"]], given["base_prob"], given["reward"], next_token)


def target(law: Law, beta: float) -> list[float]:
    """The law that a right chain converges to."""
    highest = max(law.reward)
    weights = [p * math.exp((r - highest) / beta) for p, r in zip(law.base, law.reward, strict=True)]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def transition_matrix(law: Law, chance: Chance, *, count_eos: bool = True) -> list[list[float]]:
    """P[a][b] by enumeration of the cuts; without the end of text there is one cut less (a lone one is cut at 0)."""
    size = len(law.answers)
    matrix = [[0.0] * size for _ in range(size)]
    for a, left in enumerate(law.answers):
        cuts = len(left) if count_eos else max(1, len(left) - 1)
        for b, right in enumerate(law.answers):
            for cut in range(cuts):
                if left[:cut] == right[:cut] and len(right) > cut:
                    matrix[a][b] += law.suffix(cut, b) * chance(a, b) / cuts if a != b else 0.0
        matrix[a][a] = 1 - math.fsum(matrix[a])
    return matrix


def reachable(law: Law, a: int, b: int) -> bool:
    """Whether b can be proposed from a: the suffix has positive probability for some cut."""
    left, right = law.answers[a], law.answers[b]
    return any(left[:cut] == right[:cut] and len(right) > cut and law.suffix(cut, b) > 0 for cut in range(len(left)))


def mean(weights: Sequence[float], values: Sequence[float]) -> float:
    return math.fsum(w * v for w, v in zip(weights, values, strict=True))


def total_variation(left: Sequence[float], right: Sequence[float]) -> float:
    return math.fsum(abs(a - b) for a, b in zip(left, right, strict=True)) / 2
