"""Verdicts on pairs of answers: reading them, how they change as a judge thinks on, and how good a judge is.

Source: Chan et al. 2025, arXiv:2505.11875 (J1, card 08). What the paper leaves open follows the card: the verdict is
the last `[[A]]` or `[[B]]` behind the end of thinking; a judge that thinks on is a Markov chain between right and
wrong, p' = p (1 - b) + (1 - p) a; the trend is what the accuracy gains from the first to the last round.
A verdict that cannot be read is None: it counts as wrong in an accuracy, and never as a change of mind.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ponder.core.errors import BadInput, ConfigError

__all__ = [
    "Confusion",
    "JudgeChain",
    "Letter",
    "Rounds",
    "consistent",
    "in_own_order",
    "macro_mean",
    "majority_accuracy",
    "read_letter",
    "rounds_of",
    "slope",
]

Letter = Literal["A", "B", "tie"]

_VERDICT = re.compile(r"\[\[(A|B|C|[Tt]ie)\]\]")


def read_letter(text: str, *, end: str = "", ties: bool = False) -> Letter | None:
    """Return the last verdict of a judgement, or None where there is none.

    Args:
        text: the judgement.
        end: marker of the end of thinking; only what stands behind the last one is read, and without one nothing is.
            Empty where the whole text is the verdict's.
        ties: whether `[[C]]` or `[[tie]]` may say that neither is better; otherwise these are no verdicts.
    """
    if end:
        _, found, text = text.rpartition(end)
        if not found:
            return None
    verdicts = [word for word in _VERDICT.findall(text) if ties or word in ("A", "B")]
    if not verdicts:
        return None
    last: str = verdicts[-1]
    return "A" if last == "A" else "B" if last == "B" else "tie"


def in_own_order(verdict: Letter | None) -> Letter | None:
    """Return a verdict on the pair (b, a) as one on (a, b)."""
    return {"A": "B", "B": "A", "tie": "tie", None: None}[verdict]


def consistent(first: Letter | None, swapped: Letter | None) -> bool:
    """Return whether verdicts on (a, b) and on (b, a), each in its own letters, name the same answer, or both tie."""
    return first is not None and first == in_own_order(swapped)


def majority_accuracy(k: int, p: float) -> float:
    """Return the accuracy of a majority of k independent verdicts with accuracy p.

    Args:
        k: odd, >= 1.
        p: in [0, 1].

    Raises:
        ConfigError: k is even or below 1, or p is no probability.
    """
    if k < 1 or k % 2 == 0 or not 0 <= p <= 1:
        raise ConfigError(f"a majority needs an odd k >= 1 and p in [0, 1], got {k!r} and {p!r}")
    return math.fsum(math.comb(k, right) * p**right * (1 - p) ** (k - right) for right in range(k // 2 + 1, k + 1))


def macro_mean(values: Sequence[float]) -> float:
    """Return the unweighted mean over data sets.

    Raises:
        BadInput: there are none.
    """
    if not values:
        raise BadInput("a mean over data sets needs at least one")
    return math.fsum(values) / len(values)


def slope(values: Sequence[float]) -> float:
    """Return the least-squares slope of values over 0, 1, 2, ...; 0 for a single one.

    Raises:
        BadInput: there are none.
    """
    if not values:
        raise BadInput("a slope needs at least one value")
    middle, mean = (len(values) - 1) / 2, math.fsum(values) / len(values)
    spread = math.fsum((at - middle) ** 2 for at in range(len(values)))
    return math.fsum((at - middle) * (value - mean) for at, value in enumerate(values)) / spread if spread else 0.0


@dataclass(frozen=True, kw_only=True)
class JudgeChain:
    """A judge whose verdict is right or wrong after each round, and changes with fixed chances.

    Attributes:
        start: accuracy before the first extra round, in [0, 1].
        gain: chance a of going from wrong to right in a round, in [0, 1].
        loss: chance b of going from right to wrong.
    """

    start: float
    gain: float
    loss: float

    def __post_init__(self) -> None:
        if not all(0 <= value <= 1 for value in (self.start, self.gain, self.loss)):
            raise ConfigError("start, gain and loss must be in [0, 1]")

    def accuracies(self, rounds: int) -> list[float]:
        """Return the accuracy after 0, 1, ..., `rounds` rounds."""
        found = [self.start]
        for _ in range(rounds):
            found.append(found[-1] * (1 - self.loss) + (1 - found[-1]) * self.gain)
        return found

    def unchanged(self, rounds: int) -> list[float]:
        """Return the share of verdicts that a round leaves as they are, for each of them."""
        return [1 - p * self.loss - (1 - p) * self.gain for p in self.accuracies(rounds)[:-1]]

    @property
    def limit(self) -> float:
        """The accuracy after ever more rounds: a / (a + b); the start, where nothing changes."""
        both = self.gain + self.loss
        return self.gain / both if both else self.start


class Rounds(NamedTuple):
    """What thinking on did to the verdicts of a judge.

    Attributes:
        accuracies: after 0, 1, ... rounds; unreadable verdicts are wrong ones.
        trend: last accuracy minus the first.
        slope: of the least-squares line of the accuracies.
        to_right: verdicts that went from wrong (or unreadable) to right, for each round.
        to_wrong: the other way.
        unchanged: share of verdicts that a round left as they were, for each round. Stability is no sign of quality.
        unread: verdicts that could not be read, after each number of rounds.
    """

    accuracies: tuple[float, ...]
    trend: float
    slope: float
    to_right: tuple[int, ...]
    to_wrong: tuple[int, ...]
    unchanged: tuple[float, ...]
    unread: tuple[int, ...]


def rounds_of(verdicts: Sequence[Sequence[Letter | None]], labels: Sequence[Letter]) -> Rounds:
    """Return what rounds of thinking did.

    Args:
        verdicts: of each pair, after 0, 1, ... rounds; a pair that stopped early keeps its last verdict.
        labels: what is right for each pair.

    Raises:
        BadInput: no pairs, one without any verdict, or as many labels are not there.
    """
    if not verdicts or len(verdicts) != len(labels) or not all(verdicts):
        raise BadInput("rounds need at least one pair, with a label and at least one verdict each")
    most = max(map(len, verdicts))
    filled = [[*found, *[found[-1]] * (most - len(found))] for found in verdicts]
    right = [[verdict == label for verdict in found] for found, label in zip(filled, labels, strict=True)]
    accuracies = tuple(sum(found[at] for found in right) / len(right) for at in range(most))
    steps = range(1, most)
    return Rounds(
        accuracies=accuracies,
        trend=accuracies[-1] - accuracies[0],
        slope=slope(accuracies),
        to_right=tuple(sum(found[at] and not found[at - 1] for found in right) for at in steps),
        to_wrong=tuple(sum(found[at - 1] and not found[at] for found in right) for at in steps),
        unchanged=tuple(sum(found[at] == found[at - 1] for found in filled) / len(filled) for at in steps),
        unread=tuple(sum(found[at] is None for found in filled) for at in range(most)),
    )


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """How a judge of right and wrong did against labels; "positive" is what it calls sound.

    Attributes:
        tp, fn, fp, tn: counts, >= 0.
    """

    tp: int
    fn: int
    fp: int
    tn: int

    def __post_init__(self) -> None:
        if min(self.tp, self.fn, self.fp, self.tn) < 0:
            raise BadInput("counts cannot be below 0")

    @property
    def accuracy(self) -> float | None:
        """Share of right verdicts; None without any."""
        return _share(self.tp + self.tn, self.tp + self.tn + self.fp + self.fn)

    @property
    def precision(self) -> float | None:
        """Share of what it calls sound that is."""
        return _share(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float | None:
        """Share of what is sound that it calls so."""
        return _share(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None where nothing is sound and nothing is called so."""
        return _share(2 * self.tp, 2 * self.tp + self.fp + self.fn)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
