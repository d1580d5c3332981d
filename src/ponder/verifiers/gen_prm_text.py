r"""What GenPRM's texts hold: code blocks, boxed verdicts, analyses.

Source: Zhao et al. 2025, arXiv:2504.00891 (card 57), and RyanLiu112/GenPRM for `normalize_boxed` and `analysis_text`.
Differs: `read_verdict` takes the last `\boxed{Yes}` or `\boxed{No}`; the released reward takes the first "yes}" or
"no}" anywhere, also in the analysis (`ponder.numerics.verdict.released_reward`).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ponder.verifiers.answers._marks import last

__all__ = ["Boxes", "Verdict", "analysis_text", "last_block", "normalize_boxed", "read_verdict"]

_BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
_ANALYSIS = re.compile(r"<analyze>(.*?)</analyze>", re.DOTALL)
_VERDICT = r"(?:\\text\{\s*(?P<inner>yes|no)\s*\}|(?P<plain>yes|no))"
_CONTENT = r"(?P<content>(?:[^{}]|\{[^{}]*\})*)"
_STRICT, _GENERAL = (
    re.compile(rf"(?:\\\[\s*)?\\boxed\{{\s*{content}\s*\}}(?:\s*\\\])?", re.IGNORECASE)
    for content in (_VERDICT, _CONTENT)
)
_TEXT = re.compile(r"\\text\{(.*)\}", re.DOTALL)
_FLAGS = {"yes": 1, "no": 0}


class Verdict(NamedTuple):
    """A boxed verdict.

    Attributes:
        good: whether it says yes.
        start: where the word begins in the text.
    """

    good: bool
    start: int


class Boxes(NamedTuple):
    """What the boxes of a text hold, tidied.

    Attributes:
        text: the text with tidy boxes: no spaces, no inner text command, no display brackets, "Yes" and "No".
        contents: of each box.
    """

    text: str
    contents: list[str]

    @property
    def flags(self) -> list[int]:
        """1 or 0 for each box that says yes or no."""
        return [flag for flag in map(_flag, self.contents) if flag is not None]

    @property
    def last_flag(self) -> int | None:
        """1 or 0 where the last box says yes or no."""
        return _flag(self.contents[-1]) if self.contents else None


def read_verdict(text: str) -> Verdict | None:
    """Return the last boxed yes or no (any case), or None."""
    found = last(_STRICT.finditer(text))
    if found is None:
        return None
    name = "inner" if found["inner"] else "plain"
    return Verdict(found[name].lower() == "yes", found.start(name))


def normalize_boxed(text: str, *, verdicts_only: bool) -> Boxes:
    """Tidy the boxes of a text, with one level of braces inside them.

    Args:
        text: any.
        verdicts_only: leave boxes alone that say neither yes nor no.
    """
    contents: list[str] = []

    def tidy(found: re.Match[str]) -> str:
        content = (found["inner"] or found["plain"]) if verdicts_only else found["content"].strip()
        if inner := _TEXT.fullmatch(content):
            content = inner[1].strip()
        if content.lower() in _FLAGS:
            content = content.capitalize()
        contents.append(content)
        return f"\\boxed{{{content}}}"

    return Boxes((_STRICT if verdicts_only else _GENERAL).sub(tidy, text), contents)


def analysis_text(text: str) -> str | None:
    """Return what the first analysis says after its first colon; the whole text without one; None without a colon."""
    block = _ANALYSIS.search(text)
    if block is None:
        return text
    _, colon, said = block[1].partition(":")
    return said.strip() if colon else None


def last_block(text: str) -> str | None:
    """Return the last closed Python block, or None."""
    found = last(_BLOCK.finditer(text))
    return None if found is None else found[1]


def _flag(content: str) -> int | None:
    return _FLAGS.get(content.lower())
