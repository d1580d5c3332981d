"""Card 07 (Huang et al. 2025): budget forcing by the card and as released, reading and matching of answers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ponder.engines.thinking import Markers, Pace, Piece, answer_after, think
from ponder.numerics.medical_answers import extract_boxed, is_correct, match_option, read_options
from ponder.numerics.released_thinking import released_budget_forcing
from tests.parity.cases import Case, Kind, Kinds, each_case

Inputs = Mapping[str, Any]
TOKEN = re.compile(r"\n|[^\S\n]*[^\s]+|[^\S\n]+")


def cut(text: str, most: int) -> tuple[str, str]:
    """Return the first tokens of a text (a newline, or a run of non-space with the space before it)."""
    kept: list[str] = []
    tokens = 0
    for piece in TOKEN.findall(text):
        tokens += bool(piece.strip()) or piece == "\n"
        if tokens > most:
            return "".join(kept), "length"
        kept.append(piece)
    return "".join(kept), "stop"


def count(text: str) -> int:
    return sum(bool(piece.strip()) or piece == "\n" for piece in TOKEN.findall(text))


def released(given: Inputs) -> dict[str, Any]:
    scripts = [iter(script) for script in given["scripts"]]

    def write(numbers: Sequence[int], prompts: Sequence[str], most: int) -> list[tuple[str, str]]:
        return [cut(next(scripts[number]), most) for number in numbers]

    samples, calls = released_budget_forcing(
        [f"P{number}|{given['think_header']}" for number in range(len(scripts))],
        write,
        count,
        budget=given["B"],
        waits=given["W"],
        answer=given["A"],
        cue=given["wait"],
        prefix_stop=given["answer_prefix_stop"],
        prefix_length=given["answer_prefix_length"],
    )
    told = [
        {
            "prompts": list(call.prompts),
            "max_tokens": call.max_tokens,
            "stop": given["stop"],
            "returned": [{"text": text, "finish_reason": reason} for text, reason in call.returned],
        }
        for call in calls
    ]
    return {"calls": told, "results": [sample.to_json() for sample in samples]}


def by_the_card(given: Inputs) -> dict[str, Any]:
    markers = Markers(
        open=given["think_header"],
        close=given["answer_prefix_stop"],
        cut=given["answer_prefix_length"],
        stops=tuple(given["stop"]),
    )

    async def one(script: Sequence[str]) -> dict[str, Any]:
        *segments, last = script
        left = iter(segments)

        async def write(text: str, most: int) -> Piece:
            piece, reason = cut(next(left, ""), most)
            return Piece(piece, count(piece), reason)  # type: ignore[arg-type]

        async def reply(text: str, most: int) -> Piece:
            piece, reason = cut(last, most)
            return Piece(piece, count(piece), reason)  # type: ignore[arg-type]

        pace = Pace(budget=given["B"], cues=given["W"], cue=given["wait"])
        thought = await think(write, lambda text, cue: count(cue), pace)
        closing, piece = await answer_after(reply, thought, markers, given["A"])
        return {
            "thinking_text": thought.text,
            "thinking_tokens": thought.tokens,
            "waits": thought.cues,
            "thinking_finish": thought.finish,
            "answer_prefix": closing,
            "answer_text": closing + piece.text,
            "answer_finish": piece.finish,
        }

    return {"results": [asyncio.run(one(script)) for script in given["scripts"]]}


def matched(given: Inputs) -> dict[str, Any]:
    found = match_option(given["text"], list(read_options(given["options"]).items()))
    return {"letter": None if found is None else found.letter}


def graded(given: Inputs) -> dict[str, Any]:
    options = list(read_options(given["options"]).items())
    right, found = is_correct(given["extracted"], given["gold_letter"], given["gold_text"], options)
    return {"correct": right, "fallback_letter": None if found is None else found.letter}


KINDS: Kinds = {
    ("control_flow", "released"): Kind(released, 0),
    ("control_flow", "paper"): Kind(by_the_card, 0),
    ("extract", "released"): Kind(lambda i: {"extracted": extract_boxed(i["text"], parity="released")}, 0),
    ("match_choice", "released"): Kind(matched, 0),
    ("correct", "released"): Kind(graded, 0),
}


@each_case("07")
def test_fixture_case(case: Case, agree: Callable[[Case, Kinds], None]) -> None:
    agree(case, KINDS)
