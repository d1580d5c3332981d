"""Why an answer was not the one that was given: what can be read off scores, votes and ends, and nothing more.

A method's rule is its own; this says the numbers that the rule looked at. Where they do not tell two answers apart,
it says that they do not.
Source: our own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ponder.gateway.pages.spots import Spot

__all__ = ["judge"]


def judge(answers: Sequence[Spot], chosen: Spot | None) -> None:
    """Mark answers that lost, and say why.

    Args:
        answers: of one run, with scores and read answers.
        chosen: one of them, or None where none of them is the run's answer.
    """
    votes = Counter(spot.answer for spot in answers if spot.answer is not None)
    for spot in answers:
        if spot is chosen or spot.state == "failed":
            continue
        if chosen is None:
            continue
        spot.state = "lost"
        said = [_ended(spot), _scored(spot, chosen), _voted(spot, chosen, votes), _rewritten(spot, chosen)]
        told = [line for line in said if line]
        spot.why = (
            " ".join(told) or "Nothing that was recorded tells it from the chosen one; the method's rule decided."
        )


def _ended(spot: Spot) -> str:
    ended = dict(spot.facts).get("ended", "")
    if ended == "length":
        return "It was cut at the token limit."
    return "It was broken off before its end." if ended in ("cancelled", "not ended") else ""


def _scored(spot: Spot, chosen: Spot) -> str:
    if not spot.scores and not chosen.scores:
        return ""
    theirs = chosen.scores[-1] if chosen.scores else "no score"
    if spot.score is None:
        return f"It has no usable score ({spot.scores[-1] if spot.scores else 'none'}); the chosen one has {theirs}."
    if chosen.score is None:
        return f"It has {spot.scores[-1]}; the chosen one has {theirs}."
    if spot.score == chosen.score:
        return f"Its score is the same as the chosen one's ({theirs}); the method's rule for ties decided."
    side = "lower" if spot.score < chosen.score else "higher"
    return f"Its score is {side}: {spot.scores[-1]}, the chosen one {theirs}."


def _voted(spot: Spot, chosen: Spot, votes: Counter[str]) -> str:
    if spot.answer is None:
        return "No answer could be read out of it." if chosen.answer is not None else ""
    if spot.answer == chosen.answer:
        return "It has the same answer as the chosen one, so it counted for it."
    total = sum(votes.values())
    if chosen.answer is None or total < 2:
        return ""
    mine, theirs = votes[spot.answer], votes[chosen.answer]
    return f"Its answer came out {_times(mine)} of {total}; the chosen answer {_times(theirs)}."


def _rewritten(spot: Spot, chosen: Spot) -> str:
    below = list(spot.children)
    while below:
        one = below.pop()
        if one is chosen:
            return "The chosen answer is a rewriting of it."
        below += one.children
    return ""


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
