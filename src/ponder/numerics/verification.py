"""How well a verifier accepts right answers and rejects wrong ones, and what filtering by it is worth.

A vote is True (accepted), False (rejected) or None (the verdict cannot be read); an unreadable one counts half on
either side, or, in the strict rates, as not accepted.

Source: Zhou et al. 2025, arXiv:2509.17995, and its released analysis (card 21).
Differs: a rate over no answers at all is None.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple, TypeAlias

from ponder.core.errors import BadInput
from ponder.core.seeds import derive
from ponder.numerics.intervals import Interval, wilson

__all__ = [
    "Rates",
    "Vote",
    "balanced_accuracy",
    "credit",
    "credit_interval",
    "filtered_pass_rate",
    "mean_difficulty",
    "pass_rate_intervals",
    "pick_rates",
    "population_gain",
    "population_pass_rate",
    "quartiles",
    "rates",
    "read_verdict",
    "verification_gain",
]

Vote: TypeAlias = bool | None

_MARK = "Verdict:"


class Rates(NamedTuple):
    """Acceptance of right and rejection of wrong answers, pooled over all answers that were judged.

    Attributes:
        right, wrong: how many answers of either kind there are.
        accepted, rejected: credit on each of them: 1 for the right verdict, 1/2 for an unreadable one.
        strictly_accepted: right answers with the verdict "correct".
        not_accepted: wrong answers with any other verdict, unreadable ones included.
    """

    right: int
    wrong: int
    accepted: float
    rejected: float
    strictly_accepted: int
    not_accepted: int

    @property
    def tpr(self) -> float | None:
        """Share of right answers accepted, with half credit."""
        return self.accepted / self.right if self.right else None

    @property
    def tnr(self) -> float | None:
        """Share of wrong answers rejected, with half credit."""
        return self.rejected / self.wrong if self.wrong else None

    @property
    def strict_tpr(self) -> float | None:
        """Share of right answers with the verdict "correct"."""
        return self.strictly_accepted / self.right if self.right else None

    @property
    def strict_tnr(self) -> float | None:
        """Share of wrong answers without the verdict "correct"."""
        return self.not_accepted / self.wrong if self.wrong else None


def read_verdict(text: str) -> Vote:
    """Return the verdict that a verifier's text states: it names exactly one of "Correct" and "Incorrect".

    What follows the last "Verdict:" is read, or the whole text where there is none; both words are case-sensitive.
    """
    stated = text.rpartition(_MARK)[2]
    right, wrong = "Correct" in stated, "Incorrect" in stated
    return right if right != wrong else None


def credit(vote: Vote) -> float:
    """Return the weight of an answer with this vote when answers are filtered: 1, 0, or 1/2 where it is unreadable."""
    return 0.5 if vote is None else float(vote)


def rates(votes: Sequence[Vote], labels: Sequence[bool]) -> Rates:
    """Return the rates of one or many problems' votes; `labels` says which answers are right."""
    pairs = list(zip(votes, labels, strict=True))
    on_right = [vote for vote, label in pairs if label]
    on_wrong = [vote for vote, label in pairs if not label]
    return Rates(
        right=len(on_right),
        wrong=len(on_wrong),
        accepted=sum(map(credit, on_right)),
        rejected=sum(1 - credit(vote) for vote in on_wrong),
        strictly_accepted=sum(vote is True for vote in on_right),
        not_accepted=sum(vote is not True for vote in on_wrong),
    )


def balanced_accuracy(tpr: float, tnr: float) -> float:
    """Return the mean of both rates: unlike accuracy it does not depend on how many answers are right."""
    return (tpr + tnr) / 2


def credit_interval(credited: float, n: int) -> Interval:
    """Return a rate with its 95 % Wilson interval; `credited` may hold halves. All zeros without any answer."""
    if not n:
        return Interval(0.0, 0.0, 0.0)
    # wilson's formula holds for halves too; its signature asks for whole successes.
    share, low, high = wilson(credited, n)
    return Interval(share, max(0.0, low), min(1.0, high))


def filtered_pass_rate(votes: Sequence[Vote], labels: Sequence[bool]) -> float:
    """Return the share of right answers among those that the verifier leaves, by weight.

    Where it rejects everything nothing is filtered. This is the pass rate of a random answer that is left, not the
    accuracy of a vote.

    Raises:
        BadInput: no answers.
    """
    if not labels:
        raise BadInput("a pass rate needs at least one answer")
    weights = [credit(vote) for vote in votes]
    total = math.fsum(weights)
    if not total:
        return sum(labels) / len(labels)
    return math.fsum(w for w, label in zip(weights, labels, strict=True) if label) / total


def verification_gain(problems: Sequence[tuple[Sequence[Vote], Sequence[bool]]]) -> float:
    """Return the mean pass rate after filtering minus the mean before, over problems of (votes, labels).

    All sampled answers are needed: a balanced subsample has another pass rate.

    Raises:
        BadInput: no problems, or one without answers.
    """
    if not problems:
        raise BadInput("a gain needs at least one problem")
    after = math.fsum(filtered_pass_rate(votes, labels) for votes, labels in problems)
    before = math.fsum(sum(labels) / len(labels) for _, labels in problems)
    return after / len(problems) - before / len(problems)


def population_pass_rate(p: float, tpr: float, tnr: float) -> float:
    """Return the pass rate after filtering with these rates, from p before; p where everything is rejected."""
    left = p * tpr + (1 - p) * (1 - tnr)
    return p * tpr / left if left else p


def population_gain(p: float, tpr: float, tnr: float) -> float:
    """Return what filtering with these rates adds to the pass rate p."""
    return population_pass_rate(p, tpr, tnr) - p


def mean_difficulty(pass_rates: Mapping[str, Sequence[float]]) -> list[float]:
    """Return for each problem the mean pass rate over all generators (high is easy).

    Leave a generator out before its own answers are judged by difficulty.
    """
    return [math.fsum(column) / len(column) for column in zip(*pass_rates.values(), strict=True)]


def quartiles(pass_rates: Sequence[float], bins: int = 4) -> list[list[int]]:
    """Return the problems of each bin, hardest bin first: equal counts by rank, ties in the given order.

    Bin b of B holds ranks int(n b / B) to int(n (b + 1) / B), so the last ones may hold one more.
    """
    n = len(pass_rates)
    order = sorted(range(n), key=pass_rates.__getitem__)
    edges = [n * at // bins for at in range(bins + 1)]
    return [order[low:high] for low, high in pairwise(edges)]


def pass_rate_intervals(pass_rates: Sequence[float]) -> dict[str, list[int]]:
    """Return the problems by pass rate, easiest first: exactly 1, ten intervals of 0.1, exactly 0.

    The two ends hold problems that filtering cannot change.
    """
    names = [f"[{k / 10},{(k + 1) / 10})" if k else "(0.0,0.1)" for k in range(10)]
    out: dict[str, list[int]] = {name: [] for name in ("1.0", *reversed(names), "0.0")}
    for index, rate in enumerate(pass_rates):
        if rate in (0.0, 1.0):
            out[f"{float(rate)}"].append(index)
        else:
            # The edges are the decimals themselves: 0.3 belongs to [0.3,0.4) although 0.3 * 10 rounds down.
            out[names[max(k for k in range(10) if rate >= k / 10)]].append(index)
    return out


def pick_rates(
    answers: Mapping[str, Sequence[Sequence[tuple[Vote, bool]]]],
    *,
    wanted: Literal["right", "wrong"],
    runs: int = 8,
    seed: int = 42,
) -> dict[str, float]:
    """Return for each generator the acceptance of right (or rejection of wrong) answers on the problems all share.

    Only problems count where every generator has an answer of the wanted kind, so that generators are compared on the
    same problems; one of them is picked at random per problem, and the whole is repeated and averaged.

    Args:
        answers: by generator, for each problem its answers as (vote, label).
        wanted: which answers.
        runs: repetitions, >= 1.
        seed: of the picks.

    Raises:
        BadInput: no problem has such answers of all generators.
    """
    right = wanted == "right"
    pools = {
        name: [[vote for vote, label in problem if label == right] for problem in problems]
        for name, problems in answers.items()
    }
    shared = [k for k, column in enumerate(zip(*pools.values(), strict=True)) if all(column)]
    if not shared:
        raise BadInput(f"no problem has a {wanted} answer of every generator")
    out: dict[str, float] = {}
    for name, problems in pools.items():
        rng = derive(seed, "pick_rates", name)
        picked = [credit(rng.choice(problems[k])) for _ in range(runs) for k in shared]
        mean = math.fsum(picked) / len(picked)
        out[name] = mean if right else 1 - mean
    return out
