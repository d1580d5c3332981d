"""Split a reply into thinking and answer at the markers of its model family.

Source: Li et al. 2025, arXiv:2510.06471 (card 03), A.3: before the closing tag is reasoning, behind it the answer;
where a tag is missing, everything is the answer. `split_released` has the released rules of the three families.
"""

from __future__ import annotations

from typing import NamedTuple

from ponder.core.errors import ConfigError

__all__ = ["Split", "split_released", "split_thinking"]


class Split(NamedTuple):
    """A reply in two parts, each without the space around it."""

    thinking: str
    response: str


def split_thinking(text: str, *, open: str = "<think>", close: str = "</think>") -> Split:
    """Split at the first opening marker and the first closing one behind it.

    A template may have opened the thought before the reply began: then only the closing marker is there, and what
    stands before it is thinking.
    """
    before, found, behind = text.partition(close)
    if not found:
        return Split("", text.strip())
    _, opened, inside = before.partition(open)
    return Split((inside if opened else before).strip(), behind.strip())


def split_released(text: str, family: str, budget: int = 0) -> dict[str, str]:
    """Split as the released scripts do.

    Args:
        text: the reply.
        family: "qwen", "cogito" or "drt".
        budget: thinking tokens; cogito without any has a chat header in front of its answer.

    Raises:
        ConfigError: no such family.
    """
    if family == "qwen":
        return _tagged(text, "<think>", "</think>")
    if family == "drt":
        thought, output = _between(text, "<thought>", "</thought>"), _between(text, "<output>", "</output>")
        if thought is None or output is None:
            return {"thinking": "", "response": text.strip()}
        return {"thinking": thought.strip(), "response": output.strip()}
    if family != "cogito":
        raise ConfigError(f"family must be qwen, cogito or drt, got {family!r}")
    if budget == 0:
        _, header, behind = text.partition("assistant\n\n")
        return {"thinking": "", "response": (behind if header else text).strip()}
    parts = _tagged(text, "<think>", "</think>")
    if "</think>" in text:
        _, blank, behind = parts["response"].partition("\n\n")
        response = behind if blank else parts["response"]
        parts["response"] = response.partition("\n\n(Note")[0].strip()
    return parts


def _tagged(text: str, open: str, close: str) -> dict[str, str]:
    start, end = text.find(open), text.find(close)
    if start < 0 or end < 0:
        return {"thinking": "", "response": text.strip()}
    return {"thinking": text[start + len(open) : end].strip(), "response": text[end + len(close) :].strip()}


def _between(text: str, open: str, close: str) -> str | None:
    start = text.find(open)
    end = text.find(close, start)
    return None if start < 0 or end < 0 else text[start + len(open) : end]
