"""What a sleeper wrote: the notes, and whether it calls them done.

Source: ours; the prompt of card 37 asks for plain text and a last line DONE. A refusal, or a reply that only says the
lines of its prompt again, is no notes.
"""

from __future__ import annotations

import re

__all__ = ["EMPTY", "read_notes"]

EMPTY = "[empty]"
_DONE = re.compile(r"(?:\A|\n)[ \t]*[\"'*_`]*DONE[\"'*_`.!]*[ \t]*\Z")
_REFUSED = ("i can't", "i cannot", "i'm sorry", "i am sorry", "as an ai")


def read_notes(text: str, prompt: str = "") -> tuple[str, bool]:
    """Return the notes of a reply and whether they are done; what is no notes is "", and ends nothing by itself.

    Args:
        text: of the reply.
        prompt: without earlier notes; a reply whose every line begins one of its lines says nothing of its own.
    """
    found = _DONE.search(text.strip())
    notes = _DONE.sub("", text.strip()).strip()
    if notes == EMPTY or notes.lower().startswith(_REFUSED) or _repeats(notes, prompt):
        notes = ""
    return notes, found is not None


def _repeats(notes: str, prompt: str) -> bool:
    shown = [line.strip().casefold() for line in prompt.splitlines()]
    said = [line.strip().rstrip(":").casefold() for line in notes.splitlines() if line.strip()]
    return all(any(line.startswith(one) for line in shown) for one in said)
