"""Recorded outcomes with a known truth, for the tests of tuning."""

from __future__ import annotations

import random

import numpy as np

from ponder.planning.outcomes import Look, Option, Outcomes
from ponder.planning.policy import Choice, Probe

ONCE, MANY, GUIDED = range(3)
OPTIONS = (
    Option(choice=Choice(method="greedy"), shares=False),
    Option(choice=Choice(method="self_consistency", settings={"n": 16}), shares=True),
    Option(choice=Choice(method="beam_search", settings={"n": 16}), shares=False),
)


def recorded(count: int, *, seed: int = 0, signal: bool = True) -> Outcomes:
    """Half of the questions are easy: one answer does. The others need 16; a guided search is dear and no better."""
    rng = random.Random(seed)
    easy = [i % 2 == 0 for i in range(count)]
    rates = [(0.95, 0.95) if simple else (0.1, 0.8) for simple in easy]
    lots = [rng.random() for _ in rates]  # one for all options: they are right on the same questions
    correct = np.array([[float(lot < p) for p in row] for row, lot in zip(rates, lots, strict=True)])[:, [0, 1, 1]]
    costs = np.array([[10.0, 160.0, 400.0]] * count)
    seen = [1.0 if (simple if signal else rng.random() < 0.5) else 0.25 for simple in easy]
    look = Look(probe=Probe(n=4), values=np.array(seen), costs=np.full(count, 40.0))
    return Outcomes(
        questions=tuple(f"q{i}" for i in range(count)),
        families=("f",) * count,
        options=OPTIONS,
        correct=correct,
        costs=costs,
        looks=(look,),
    )
