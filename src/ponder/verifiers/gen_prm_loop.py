"""How GenPRM verifies one step: analysis, then code that is run as it is written, then a boxed verdict.

Source: Zhao et al. 2025, arXiv:2504.00891, and `GenPRM._single_inference` of RyanLiu112/GenPRM (card 57): the order of
the calls, their stop strings and token limits, and the forced verdict when the rounds or the tokens are used up.
The model, the code and the token count come in as functions, so that the loop can be followed without any of them.
Differs: an analysis that was cut is closed before going on; where the verdict's probability cannot be read, the verdict
itself counts as 1 or 0; without a verdict there is no reward (released: 0.5).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from ponder.core.model import Tokens
from ponder.numerics.verdict import yes_probability
from ponder.verifiers.gen_prm_text import last_block, read_verdict

__all__ = ["Plan", "Said", "Templates", "Verification", "verify_step"]

END_ANALYSIS, END_CODE, END_VERIFY, END_OUTPUT = "</analyze>\n", "\n```\n", "</verify>\n", "</output>\n"
_FORCED_TOKENS = 20


class Templates(NamedTuple):
    """How each part of a verification begins; the model goes on from there."""

    analysis: str
    verify: str
    output: str


class Said(NamedTuple):
    """What one call wrote.

    Attributes:
        text: with the stop string that ended it.
        tokens: with the likeliest alternatives, where the back-end gives them.
        cut: whether the token limit ended it.
    """

    text: str
    tokens: Tokens | None = None
    cut: bool = False


class Verification(NamedTuple):
    """One verification of one step.

    Attributes:
        text: all of it.
        reward: probability in [0, 1] that the step is good, or None where there is no verdict.
        forced: whether the verdict was forced from the analysis alone, which shifts its distribution.
    """

    text: str
    reward: float | None
    forced: bool = False


Say = Callable[[str, tuple[str, ...], int], Awaitable[Said]]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a verification consists of.

    Attributes:
        analyse: begin with an analysis.
        verify: write code that checks it.
        execute: run that code; otherwise the model imagines what it prints.
        rounds: most code blocks, >= 1.
        max_tokens: most tokens of the analysis, and of all but a forced verdict together.
    """

    analyse: bool = True
    verify: bool = True
    execute: bool = True
    rounds: int = 3
    max_tokens: int = 2048


async def verify_step(
    plan: Plan,
    templates: Templates,
    *,
    say: Say,
    execute: Callable[[str], Awaitable[str]],
    count: Callable[[str], int],
) -> Verification:
    """Verify one step.

    Args:
        plan: its parts.
        templates: their beginnings.
        say: continues a text: (text, stop strings, most tokens) -> what it wrote.
        execute: runs a program and returns what to show for it.
        count: tokens of a text.
    """
    text = analysis = ""
    if plan.analyse:
        said = await say(templates.analysis, (END_ANALYSIS,), plan.max_tokens)
        text = analysis = _closed(templates.analysis + said.text, END_ANALYSIS)
    if not plan.verify:
        text += templates.output
        said = await say(text, (END_OUTPUT,), max(1, plan.max_tokens - count(text)))
        return _verification(text + said.text, said)
    text += templates.verify
    stops = (END_CODE, END_OUTPUT) if plan.execute else (END_OUTPUT,)
    for _ in range(plan.rounds):
        room = plan.max_tokens - count(text)
        if room <= 0:
            break
        said = await say(text, stops, room)
        text += said.text
        if said.text.endswith(END_CODE):
            code = last_block(text)
            output = "no Python code found" if code is None else await execute(code)
            text += f"[Code Output]\n\n```\n{output}\n```\n"
        elif said.cut:
            break
        else:
            return _verification(text, said)
    text = (analysis or _closed(text, END_VERIFY)) + templates.output
    said = await say(text, (END_OUTPUT,), _FORCED_TOKENS)
    return _verification(text + said.text, said)._replace(forced=True)


def _closed(text: str, end: str) -> str:
    return text if text.endswith(end) else text + end


def _verification(text: str, said: Said) -> Verification:
    """Read the verdict from what the last call wrote, and its probability at the token where the word begins."""
    verdict = read_verdict(text)
    written = len(text) - len(said.text)
    if verdict is None or verdict.start < written:
        return Verification(text, None)
    probability = None
    if said.tokens is not None and said.tokens.top is not None:
        at = written
        for token, top in zip(said.tokens.texts, said.tokens.top, strict=True):
            at += len(token)
            if at > verdict.start:
                probability = yes_probability([(spelling, logprob) for _, spelling, logprob in top]) if top else None
                break
    return Verification(text, float(verdict.good) if probability is None else probability)
