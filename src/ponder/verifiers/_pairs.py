"""From verdicts on pairs of answers to one score for each answer; shared by the judges that compare.

Source: our own bookkeeping around Zheng et al. 2023, arXiv:2306.05685 (pairwise comparison with swapped positions): a
pair whose two orders disagree is a tie. A verdict that cannot be had is missing; where one order has none, the other
stands. A score is the share of points (1 a win, 1/2 a tie) over the pairs that have a verdict.
Cost: `pairings` says which pairs are asked for; two calls each with swapping.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple

from ponder.core.candidate import Candidate, Score
from ponder.core.tasks import gather_all
from ponder.numerics.judging import Letter, in_own_order

__all__ = ["Heard", "Shown", "compare_all", "merged", "most_said", "pairings"]


class Shown(NamedTuple):
    """An answer that is compared: its text and the number of the first candidate that gave it."""

    text: str
    number: int


class Heard(NamedTuple):
    """A verdict on one presentation: A is the answer shown first; None with the reason where there is none."""

    letter: Letter | None
    reason: str = ""


# Judges (first, second) as shown.
Ask = Callable[[Shown, Shown], Awaitable[Heard]]


def pairings(count: int, opponents: int = 0) -> list[tuple[int, int]]:
    """Return the pairs of `count` answers that are compared.

    Args:
        count: answers.
        opponents: 0 for all pairs; else each meets the next so many around a circle, and as many from behind.
    """
    if not opponents or 2 * opponents >= count - 1:
        return [(i, j) for i in range(count) for j in range(i + 1, count)]
    ring = {tuple(sorted((i, (i + step) % count))) for i in range(count) for step in range(1, opponents + 1)}
    return sorted((i, j) for i, j in ring)


def merged(straight: Heard, swapped: Heard | None) -> Heard:
    """Return the verdict on a pair from both orders, in the letters of the first."""
    if swapped is None:
        return straight
    back = in_own_order(swapped.letter)
    if straight.letter is None or back is None:
        return straight if straight.letter is not None else Heard(back, "" if back else straight.reason)
    return straight if straight.letter == back else Heard("tie", "the two orders disagree")


def most_said(heard: Sequence[Heard]) -> Heard:
    """Return the majority of several verdicts; as many for A as for B is a tie."""
    said = [one.letter for one in heard if one.letter is not None]
    if not said:
        return heard[0]
    first, second, ties = (said.count(letter) for letter in ("A", "B", "tie"))
    if ties > max(first, second) or first == second:
        return Heard("tie")
    return Heard("A" if first > second else "B")


async def compare_all(candidates: Sequence[Candidate], ask: Ask, *, swap: bool, opponents: int = 0) -> list[Score]:
    """Return a score for each candidate; equal texts are compared once, and not with each other.

    Args:
        candidates: of one task.
        ask: judges one presentation; what goes wrong comes back as a missing verdict.
        swap: whether each pair is shown in both orders.
        opponents: see `pairings`.
    """
    first: dict[str, int] = {}
    for candidate in candidates:
        if candidate.ok:
            first.setdefault(candidate.text, candidate.index)
    shown = [Shown(text, index) for text, index in first.items()]
    pairs = pairings(len(shown), opponents)
    asked = []
    for i, j in pairs:
        asked.append(partial(_told, ask, shown[i], shown[j]))
        if swap:
            asked.append(partial(_told, ask, shown[j], shown[i]))
    heard = iter(await gather_all(asked))
    points: list[list[float]] = [[] for _ in shown]
    missing: list[str] = [""] * len(shown)
    torn = [0] * len(shown)
    for i, j in pairs:
        straight = next(heard)
        swapped = next(heard) if swap else None
        found = merged(straight, swapped)
        if found.letter is None:
            missing[i], missing[j] = missing[i] or found.reason, missing[j] or found.reason
            continue
        gain = {"A": 1.0, "B": 0.0, "tie": 0.5}[found.letter]
        points[i].append(gain)
        points[j].append(1 - gain)
        for side in (i, j):
            torn[side] += bool(found.reason)
    scores = {
        one.text: _score(points[at], torn[at], missing[at], alone=len(shown) == 1) for at, one in enumerate(shown)
    }
    return [scores[c.text] if c.ok else Score.missing(f"no answer: {c.error}") for c in candidates]


async def _told(ask: Ask, one: Shown, other: Shown) -> Heard:
    return await ask(one, other)


def _score(points: Sequence[float], torn: int, why: str, *, alone: bool) -> Score:
    if alone:
        return Score.missing("there is no other answer to compare it with")
    if not points:
        return Score.missing(why or "no verdict can be read")
    wins, ties, losses = (sum(point == worth for point in points) for worth in (1.0, 0.5, 0.0))
    told = f"{wins} won, {ties} tied, {losses} lost"
    if torn:
        told += f"; in {torn} of them the two orders disagree"
    return Score(
        value=sum(points) / len(points), reason=f"{told}; one or more without a verdict: {why}" if why else told
    )
