"""JSON in replies: found inside prose and code fences, and mended where a model wrote it nearly right.

Source: our own; the mending of lone backslashes after a first parse has failed is the rule of card 38
(arXiv:2512.00466) made safe for valid escapes. What is mended: lone backslashes, line breaks inside strings, single or
typographic quotes, trailing commas, True/False/None, and brackets left open by a cut (what was begun last is dropped).
Cost: linear in the text but for broken values, of which a bounded number is tried. Needs: nothing beyond the base
install.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator
from typing import Any

__all__ = ["json_values", "mend", "repeats", "unthought"]

_FENCE = re.compile(r"```[\w-]*[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
_THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_OPEN = re.compile(r"[{\[]")
_ESCAPES = frozenset('"\\/bfnrtu')
_WORDS = {"True": "true", "False": "false", "None": "null"}
_QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019"}
_CLOSING = {"{": "}", "[": "]"}
_MOST = 100  # openings tried, and elements dropped at a cut
_LONGEST = 200_000  # characters


def unthought(text: str) -> str:
    """Return the text without its <think>...</think> parts (one that is never closed goes to the end)."""
    return _THOUGHT.sub("", text).strip()


def json_values(text: str) -> Iterator[Any]:
    """Yield the objects and arrays in a reply: those in code fences first, then all of them, then mended ones."""
    text = unthought(text)[:_LONGEST]
    blocks = [*_FENCE.findall(text), text]
    for block in blocks:
        yield from _parsed(block)
    for block in blocks:
        opening = _OPEN.search(block)
        if opening is not None and (value := mend(block[opening.start() :])) is not None:
            yield value


def mend(text: str) -> dict[str, Any] | list[Any] | None:
    """Return the value that `text` begins with once its usual faults are mended, or None where that is no JSON."""
    written, open_, commas, whole = _rewrite(text)
    for _ in range(_MOST):
        try:
            value: dict[str, Any] | list[Any] = json.loads(written + "".join(_CLOSING[b] for b in reversed(open_)))
        except (ValueError, RecursionError):
            if whole or not commas:
                return None
            # The text was cut: drop what was begun after the last comma.
            place, open_ = commas.pop()
            written = written[:place]
        else:
            return value
    return None


def repeats(reply: str, prompt: str) -> bool:
    """Return whether the JSON of a reply says nothing but what the example at the end of its prompt says.

    Small models copy the form that they are shown. Only texts count, whatever their case: numbers may well be the same.
    Of the last text of a reply that was cut, the beginning is enough.
    """
    example = deque(_parsed(prompt), maxlen=1)
    shown = set(_texts(example[0])) if example else set()
    said = list(_texts(next(json_values(reply), None)))
    if not said:
        return False
    *before, last = said
    ends = any(text.startswith(last) for text in shown) if _cut(reply) else last in shown
    return set(before) <= shown and ends


def _cut(reply: str) -> bool:
    """Return whether the JSON of a reply ends before it is closed, so that nothing of it can be read as it is."""
    text = unthought(reply)[:_LONGEST]
    opening = _OPEN.search(text)
    if opening is None or next(_parsed(text), None) is not None:
        return False
    _, _, _, whole = _rewrite(text[opening.start() :])
    return not whole


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        if text := value.strip().casefold():
            yield text
    elif isinstance(value, dict):
        yield from (text for inner in value.values() for text in _texts(inner))
    elif isinstance(value, list):
        yield from (text for inner in value for text in _texts(inner))


def _parsed(text: str) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    position = 0
    for _ in range(_MOST):
        opening = _OPEN.search(text, position)
        if opening is None:
            return
        try:
            value, position = decoder.raw_decode(text, opening.start())
        except (ValueError, RecursionError):
            position = opening.end()
        else:
            yield value


def _rewrite(text: str) -> tuple[str, list[str], list[tuple[int, list[str]]], bool]:
    """Return the mended text up to the end of its first value, and what was open at its end.

    Returns:
        The text; the brackets still open; for each comma its place and the brackets open there; whether it was closed.
    """
    out: list[str] = []
    size = 0
    open_: list[str] = []
    commas: list[tuple[int, list[str]]] = []

    def write(piece: str) -> None:
        nonlocal size
        out.append(piece)
        size += len(piece)

    at = 0
    while at < len(text):
        char = text[at]
        if char in _QUOTES:
            body, at, closed = _string(text, at + 1, _QUOTES[char])
            write(f'"{body}"' if closed else f'"{body}')
            if not closed:
                return "".join(out) + '"', open_, commas, False
            continue
        if char in "{[":
            open_.append(char)
            write(char)
        elif char in "}]":
            while out and (not out[-1].strip() or out[-1] == ","):  # a trailing comma, and the space after it
                size -= len(out.pop())
            if not open_ or _CLOSING[open_[-1]] != char:
                return "".join(out), open_, commas, False
            open_.pop()
            write(char)
            if not open_:
                return "".join(out), open_, commas, True
        elif char == ",":
            commas.append((size, list(open_)))
            write(char)
        elif char.isalpha():
            word = re.match(r"[A-Za-z_]+", text[at:])
            name = word.group() if word else char
            write(_WORDS.get(name, name))
            at += len(name)
            continue
        else:
            write(char)
        at += 1
    return "".join(out), open_, commas, False


def _string(text: str, at: int, closing: str) -> tuple[str, int, bool]:
    """Return the JSON body of the string that begins at `at`, where it ends, and whether it was closed."""
    body: list[str] = []
    while at < len(text):
        char = text[at]
        if char == "\\" and at + 1 < len(text):
            following = text[at + 1]
            if following == "'":
                body.append("'")
            elif following in _ESCAPES and not (following == "u" and not re.match(r"[0-9a-fA-F]{4}", text[at + 2 :])):
                body.append(char + following)
            else:
                body.append("\\\\" + following)
            at += 2
            continue
        # An apostrophe between letters does not end a string in single quotes.
        inside = closing in "'\u2019" and text[at - 1].isalnum() and at + 1 < len(text) and text[at + 1].isalnum()
        if char == closing and not inside:
            return "".join(body), at + 1, True
        body.append({'"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}.get(char, char))
        at += 1
    return "".join(body), at, False
