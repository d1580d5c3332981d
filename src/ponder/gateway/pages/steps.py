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
from ponder.gateway.pages.spots import Spot, spot_of_call

__all__ = ["add_steps", "step_place"]

_SPACE = re.compile(r"\s+")
_REASONS = {"duplicate": "it says the same as a step beside it"}
_DRAWN = frozenset({"step", "draft"})


def add_steps(run: Spot, node: Node, result: Mapping[str, Any]) -> dict[tuple[int, ...], Spot]:
    """Hang the steps of a run below it, and return them by their numbers; none where the run searches no steps."""
    told = [child for child in node.children if child.kind in ("step", "dropped")]
    if not told:
        return {}
    calls: dict[tuple[int, ...], Node] = {}
    for child in node.children:
        if child.kind == "call" and (place := _drawn(child)) is not None:
            calls.setdefault(place, child)
    steps: dict[tuple[int, ...], Spot] = {}
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
        steps.setdefault(place, spot)
    for place, spot in sorted(steps.items(), key=lambda item: (len(item[0]), item[0])):
        steps.get(place[:-1], run).children.append(spot)
    _mark(steps, str(result.get("text") or ""))
    for event in node.children:
        if event.kind == "dead_end" and (dead := steps.get(tuple(event.data.get("node") or ()))) is not None:
            dead.state, dead.why = "pruned", "A dead end: no usable next step came out of it."
    return steps


def step_place(call: Node, steps: Mapping[tuple[int, ...], Spot]) -> tuple[int, ...] | None:
    """Return the numbers of the step that a call drew, or None where it drew none that is known."""
    place = _drawn(call)
    return place if place is not None and place in steps else None


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
    spot.facts.append(("end", str(data.get("end") or "goes on")))


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
        elif dict(spot.facts).get("end", "goes on") == "goes on":
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
