"""Whole answers as steps, for verifiers that score steps.

Source: our own; a step keeps the delimiter that ended it, so that the steps spell the answer, as in `engines.tree`.
"""

from __future__ import annotations

__all__ = ["split_steps"]


def split_steps(text: str, delimiter: str) -> tuple[str, ...]:
    """Return the steps of an answer; blank ones belong to the step before them (at the start, to the one after)."""
    if not delimiter:
        return (text,) if text.strip() else ()
    pieces = text.split(delimiter)
    parts = [piece + delimiter for piece in pieces[:-1]] + [pieces[-1]]
    steps: list[str] = []
    lead = ""
    for part in parts:
        if part.strip():
            steps.append(lead + part)
            lead = ""
        elif steps:
            steps[-1] += part
        else:
            lead += part
    return tuple(steps)
