"""The steps of a search as the page draws them: each below the one it goes on from, with what became of it.

A step is known by its numbers: (2, 0) is the first continuation of the third beginning. What was dropped before it
became a step, and what the search did not go on from, is kept: that is what one wants to see.
Source: our own; the events are those of `ponder.engines.step_search`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ponder.bench.trace_tree import Node
from ponder.gateway.pages.spots import Spot, path_of, spot_of_call

__all__ = ["add_steps"]

_SPACE = re.compile(r"\s+")
_REASONS = {"duplicate": "it says the same as a step beside it"}
_GOES_ON = "it can be gone on from"
# Judges that number what they are shown.
_BATCHED = frozenset({"judge", "generative", "critique"})
_DRAWN = frozenset({"step", "draft"})


def add_steps(run: Spot, node: Node, result: Mapping[str, Any]) -> tuple[dict[tuple[int, ...], Spot], set[int]]:
    """Hang the steps of a run below it.

    Returns:
        The steps by their numbers, none where the run searches no steps; and the `id` of each node that is in them.
    """
    told = [child for child in node.children if child.kind in ("step", "dropped")]
    if not told:
        return {}, set()
    calls: dict[tuple[int, ...], Node] = {}
    for child in node.children:
        if child.kind == "call" and (place := _drawn(child)) is not None:
            calls.setdefault(place, child)
    steps: dict[tuple[int, ...], Spot] = {}
    used: set[int] = set()
    for event in told:
        place = tuple(event.data.get("node") or ())
        call = calls.get(place)
        spot = Spot("step", "") if call is None else spot_of_call(call)
        spot.kind, spot.label, spot.place = "step", f"step {'.'.join(map(str, place))}", place
        if event.kind == "dropped":
            reason = str(event.data.get("reason", ""))
            spot.state, spot.why = "pruned", f"Dropped: {_REASONS.get(reason, reason)}."
        else:
            _value(spot, event.data)
        if steps.setdefault(place, spot) is spot and call is not None:
            used.add(id(call))
    for place, spot in sorted(steps.items(), key=lambda item: (len(item[0]), item[0])):
        steps.get(place[:-1], run).children.append(spot)
    _mark(steps, str(result.get("text") or ""))
    for event in node.children:
        if event.kind == "dead_end" and (dead := steps.get(tuple(event.data.get("node") or ()))) is not None:
            dead.state, dead.why = "pruned", "A dead end: no usable next step came out of it."
    used |= _add_judgements(node, steps)
    return steps, used


def _add_judgements(node: Node, steps: Mapping[tuple[int, ...], Spot]) -> set[int]:
    """Hang what judges said below the steps that it is about, and return the nodes.

    A judge is shown several steps at once and numbers them; the events of the steps follow in the same order.
    """
    used: set[int] = set()
    shown: list[Node] = []
    told = 0
    for child in node.children:
        if child.kind == "step":
            place = tuple(child.data.get("node") or ())
            for call in shown:
                if path_of(call)[1] == (told,) and place in steps:
                    steps[place].children.append(spot_of_call(call))
                    used.add(id(call))
            told += 1
        elif child.kind == "call":
            judged = path_of(child)[0] in _BATCHED
            if told or not judged:
                shown, told = [], 0
            if judged:
                shown.append(child)
    return used


def _drawn(call: Node) -> tuple[int, ...] | None:
    path = list(call.data.get("path") or [])
    index = call.data.get("index")
    if not path or not isinstance(index, int) or (path[0] not in _DRAWN and path[0] != "<text>"):
        return None
    return (*(part for part in path[1:] if isinstance(part, int)), index)


def _value(spot: Spot, data: Mapping[str, Any]) -> None:
    value = data.get("value")
    spot.score = value if isinstance(value, int | float) else None
    score = dict(data.get("score") or {})
    verifier = str(data.get("verifier") or "score")
    spot.scores = [f"{verifier} {'missing' if value is None else f'{value:.4g}' if spot.score is not None else value}"]
    if score.get("reason"):
        spot.facts.append((f"{verifier} says", str(score["reason"])))
    if score.get("steps"):
        spot.facts.append((f"{verifier}, by step", ", ".join(f"{step:.3g}" for step in score["steps"])))
    spot.facts.append(("end", _GOES_ON if data.get("end") in (None, "", "boundary") else str(data["end"])))


def _mark(steps: Mapping[tuple[int, ...], Spot], text: str) -> None:
    """Say which steps became the answer, and why the others did not."""
    wanted = _SPACE.sub("", text)
    alive = [spot for spot in steps.values() if spot.state != "pruned"]
    ends = [spot for spot in alive if not any(child.state != "pruned" for child in spot.children)]
    chosen = next((spot for spot in ends if wanted and wanted != "<text>" and _whole(steps, spot) == wanted), None)
    winners = [] if chosen is None else [steps[p] for p in _above(chosen.place) if p in steps]
    for spot in winners:
        spot.state = "chosen"
    for spot in alive:
        if spot in winners:
            continue
        spot.state = "lost"
        if spot not in ends:
            spot.why = "The search went on from it, but no continuation of it became the answer."
        elif dict(spot.facts).get("end", _GOES_ON) == _GOES_ON:
            spot.state, spot.why = "pruned", _beaten(spot, alive)
        elif chosen is None:
            spot.why = "It came to its end; which ended answer was given is not recorded by step."
        elif spot.score == chosen.score:
            spot.why = f"It came to its end with the score of the chosen one ({_said(chosen)}); the final rule decided."
        else:
            spot.why = f"It came to its end with {_said(spot)}; the chosen answer ended with {_said(chosen)}."


def _beaten(spot: Spot, alive: list[Spot]) -> str:
    went_on = [
        other.score
        for other in alive
        if len(other.place) == len(spot.place) and other.score is not None and other.children
    ]
    if not went_on:
        return f"The search did not go on from it ({_said(spot)}): no step of its depth was gone on from."
    return (
        f"The search did not go on from it: {_said(spot)}, and of its depth the steps it went on from have"
        f" {min(went_on):.4g} to {max(went_on):.4g}."
    )


def _said(spot: Spot) -> str:
    return spot.scores[-1] if spot.scores else "no score"


def _whole(steps: Mapping[tuple[int, ...], Spot], spot: Spot) -> str:
    return _SPACE.sub("", "".join(steps[place].text for place in _above(spot.place) if place in steps))


def _above(place: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [place[:length] for length in range(1, len(place) + 1)]
