"""Split a reasoning trace into steps, and tell steps that make progress from steps that look back.

Source: the four kinds of steps of Xiao et al. 2025, arXiv:2505.19187 (LIMOPro, card 59): progressive, verification,
multi-method validation, error correction.
Differs: the paper splits and labels with a strong model and does not print its markers; here blank lines and marker
phrases do both (our own list), so no call is made. The steps spell the trace when joined.
Cost: one pass over the text. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ponder.core.errors import ConfigError
from ponder.numerics.trace_pruning import Kind

__all__ = ["classify_step", "join_kept", "split_trace", "without_conclusion"]

_SENTENCE = re.compile(r"(?<=[.!?])[ \t]+|\n+")
# Looked for near the beginning of a step, in this order: a correction is often found by a check.
_MARKERS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    (
        "E",
        re.compile(
            r"\b(?:(?:i|we)(?:'ve| have)? (?:made|make) (?:a|an|the|some) (?:\w+ )?(?:mistake|error|slip)"
            r"|(?:that|this|which)(?:'s| is| was| seems| can't be| cannot be) (?:not right|wrong|incorrect|impossible)"
            r"|(?:i|we) (?:was|were) wrong|oops|my mistake|let(?:'s| me| us) (?:correct|fix) (?:that|this|it)"
            r"|correction:|wait,? no\b|no,? wait\b|(?:i|we) (?:misread|miscounted|forgot|overlooked))",
            re.IGNORECASE,
        ),
    ),
    (
        "M",
        re.compile(
            r"\b(?:alternatively|(?:another|different|second|other) (?:way|approach|method)"
            r"|let(?:'s| me| us) try (?:a different|another)"
            r"|(?:i|we) (?:can|could) also (?:solve|compute|calculate|do|find|get))\b",
            re.IGNORECASE,
        ),
    ),
    (
        "V",
        re.compile(
            r"\b(?:let(?:'s| me| us) (?:\w+ )?(?:double[- ]?check|check|verify|confirm|re-?check|make sure|test)"
            r"|(?:to|just to) (?:be sure|make sure|verify|confirm|double[- ]?check|check)|double[- ]?check(?:ing)?"
            r"|check(?:ing)?:|verif(?:y|ying|ication)\b|sanity check|plug(?:ging)? (?:it|this|that|these|back)"
            r"|wait\b|hold on\b|is that right|does (?:that|this|it) make sense)",
            re.IGNORECASE,
        ),
    ),
)
_NEAR = 120  # characters in which a marker says what a step is


def split_trace(trace: str, *, least: int = 30) -> list[str]:
    """Split a trace at blank lines and before marker phrases, and join what is short to what stands before it.

    A piece that begins with a marker is never joined to the step before it, however short.

    Args:
        trace: the text; where it has no blank lines, single line breaks part it.
        least: fewest words of a step, >= 1.

    Returns:
        Steps that give the trace when joined; none for a blank trace.

    Raises:
        ConfigError: least out of range.
    """
    if least < 1:
        raise ConfigError(f"least must be at least 1, got {least!r}")
    steps: list[str] = []
    for piece in _pieces(trace):
        joined = bool(steps) and not _begins_with_marker(piece)
        if joined and (len(piece.split()) < least or len(steps[-1].split()) < least):
            steps[-1] += piece
        else:
            steps.append(piece)
    return steps


def classify_step(step: str) -> Kind:
    """Return the kind of a step by the marker phrase near its beginning; without one it is progressive."""
    head = step.lstrip()[:_NEAR].replace("\u2019", "'")
    for kind, marker in _MARKERS:
        if marker.search(head):
            return kind
    return "P"


def join_kept(steps: Sequence[str], kept: Sequence[int]) -> str:
    """Return the steps that stay as one text; the space behind the last of all goes behind the last that stays."""
    if not kept:
        return ""
    text = "".join(steps[at] for at in kept)
    return text.rstrip() + steps[-1][len(steps[-1].rstrip()) :]


def without_conclusion(steps: Sequence[str], answer: str) -> list[str]:
    """Return the steps without the last sentence of the last one, and what follows it, where it states the answer.

    An answer that the trace has just stated is certain whatever else is left out. Where the last step is nothing but
    that sentence it is empty afterwards.
    """
    if not steps or not answer.strip():
        return list(steps)
    stated = re.compile(rf"(?<!\w){re.escape(answer.strip())}(?!\w)")
    last, starts = steps[-1], [0]
    starts += [found.end() for found in _SENTENCE.finditer(steps[-1])]
    for start, end in zip(reversed(starts), reversed([*starts[1:], len(last)]), strict=True):
        if stated.search(last[start:end]):
            return [*steps[:-1], last[:start]]
        if last[start:end].strip():
            break
    return list(steps)


def _pieces(trace: str) -> list[str]:
    if not trace.strip():
        return []
    lead = len(trace) - len(trace.lstrip())
    body = trace[lead:]
    cut = re.compile(r"\n\s*\n\s*") if re.search(r"\n\s*\n", body.rstrip()) else re.compile(r"\n\s*")
    pieces, start = [], 0
    for found in cut.finditer(body):
        pieces.append(body[start : found.end()])
        start = found.end()
    pieces.append(body[start:])
    out: list[str] = []
    for piece in pieces:
        out += _at_markers(piece)
    out = [piece for piece in out if piece]
    out[0] = trace[:lead] + out[0]
    return out


def _at_markers(piece: str) -> list[str]:
    """Cut a paragraph before each sentence that begins with a marker."""
    parts, start = [], 0
    for found in _SENTENCE.finditer(piece):
        if found.end() > start and _begins_with_marker(piece[found.end() :]):
            parts.append(piece[start : found.end()])
            start = found.end()
    return [*parts, piece[start:]]


def _begins_with_marker(text: str) -> bool:
    head = text.lstrip()[:_NEAR].replace("\u2019", "'")
    return any((found := marker.search(head)) is not None and found.start() <= 6 for _, marker in _MARKERS)
