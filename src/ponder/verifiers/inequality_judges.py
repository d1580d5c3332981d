"""Inequality judges: four flaws that a right answer can hide, each with a judge of its own; one flaw and a proof fails.

Paper: Sheng et al. 2025, arXiv:2506.07927 (IneqMath, card 19): a general claim concluded from special cases, a claim
without justification, decimals in place of exact values, and equations between numbers that do not hold. The final
answer is judged apart, by the answer types `bound` and `relation`; `ponder.numerics.inequality.overall` joins the five.
Differs: the prompts are ours, and one model judges all four (the paper has a model for each). For the fourth flaw the
model lists equations and a program evaluates them in float64 to `tolerance` (the paper runs code that the model
writes); an equation that it cannot evaluate is not checked. A judgement that cannot be read is missing.
Shared blind spots, from the paper: symmetry taken for proof, a loss of generality that is not argued, a constant that
is only given as a decimal, arithmetic that is not listed.
Cost: one call of the role "judge" for each flaw and each distinct solution, in parallel. Needs: a judge that can follow
a proof; the paper's are o4-mini, o1 and GPT-4.1-mini.
When: proofs with one right constant or relation, where the answer alone says little about the argument.
When not: an empty or cut solution passes most judges: read with the answer's accuracy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from ponder.core.candidate import Candidate, Score
from ponder.core.context import Context
from ponder.core.errors import BadInput, ConfigError, Interrupted, ProviderError
from ponder.core.model import Sampling
from ponder.core.registry import verifiers
from ponder.core.task import Message, Task
from ponder.core.tasks import gather_all
from ponder.engines.replies import unthought
from ponder.numerics.inequality import numeric_check, overall
from ponder.verifiers._shown import LONGEST, parts, request_text

__all__ = ["FLAWS", "InequalityJudges", "Soundness", "read_equations", "read_soundness"]

FLAWS = ("toy", "gap", "approximation", "computation")

_SOUND = re.compile(r"^[*_#\s]*sound[*_\s]*[:=][*_`\s]*(true|false|yes|no)\b", re.IGNORECASE | re.MULTILINE)
_STEP = re.compile(r"^[*_#\s]*flagged(?: step)?[*_\s]*[:=][*_\s]*(.+)$", re.IGNORECASE | re.MULTILINE)
_EQUATION = re.compile(r"^[*_#\s-]*equation[*_\s]*:[*_`\s]*(.+)$", re.IGNORECASE | re.MULTILINE)
_NONE = re.compile(r"^[*_`]*none\b", re.IGNORECASE)


class Soundness(NamedTuple):
    """What one judge says of a solution.

    Attributes:
        sound: whether its flaw is absent; None where that cannot be told.
        step: what it flags, or why nothing can be told; "" for nothing.
    """

    sound: bool | None
    step: str = ""


@verifiers(
    "inequality_judges",
    card=19,
    paper="arXiv:2506.07927",
    fidelity="paper",
    tags={"how": ("process",), "where": ("math", "evaluation"), "how_well": ("accuracy",)},
    since="0.3",
)
@dataclass(frozen=True, kw_only=True)
class InequalityJudges:
    """Judges the steps of a solution.

    Attributes:
        flaws: which are looked for, of "toy", "gap", "approximation" and "computation", at least one.
        max_tokens: most tokens of one judgement, >= 1; thinking models need some 8192.
        temperature: of a judgement; 0 is greedy.
        tolerance: below which two sides of an equation are equal, > 0.
    """

    flaws: tuple[str, ...] = FLAWS
    max_tokens: int = 2048
    temperature: float = 0.0
    tolerance: float = 1e-2

    def __post_init__(self) -> None:
        object.__setattr__(self, "flaws", tuple(self.flaws))
        if not self.flaws or any(flaw not in FLAWS for flaw in self.flaws):
            raise ConfigError(f"flaws must be some of {', '.join(FLAWS)}, got {self.flaws!r}")
        if self.max_tokens < 1 or not self.temperature >= 0 or not self.tolerance > 0:
            raise ConfigError("the judges need max_tokens >= 1, temperature >= 0 and tolerance > 0")

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
        """Score 1 for a solution without any of the flaws, 0 for one with any; the reason lists the judges."""
        first: dict[str, int] = {}
        for candidate in candidates:
            if candidate.ok:
                first.setdefault(candidate.text, candidate.index)
        found = await gather_all([partial(self.judge, task, text, ctx, number=i) for text, i in first.items()])
        scores = {text: _score(judged) for text, judged in zip(first, found, strict=True)}
        return [scores[c.text] if c.ok else Score.missing(f"no answer: {c.error}") for c in candidates]

    async def judge(self, task: Task, solution: str, ctx: Context, *, number: int = 0) -> dict[str, Soundness]:
        """Return what each judge says of one solution.

        Args:
            task: the problem.
            solution: the whole of it.
            ctx: the run.
            number: names the draws, for several solutions of one task.
        """
        found = await gather_all([partial(self._ask, flaw, task, solution, ctx, number) for flaw in self.flaws])
        ctx.trace.instant(
            "soundness",
            ctx.span,
            index=number,
            **{flaw: one.sound for flaw, one in zip(self.flaws, found, strict=True)},
        )
        return dict(zip(self.flaws, found, strict=True))

    async def _ask(self, flaw: str, task: Task, solution: str, ctx: Context, number: int) -> Soundness:
        shown = parts("inequality_judges")
        form = shown["equations" if flaw == "computation" else "form"].template
        text = shown["shown"].substitute(
            flaw=shown[flaw].template, form=form, problem=request_text(task), solution=solution[:LONGEST]
        )
        try:
            reply = await ctx.model("judge").ask(
                (Message("user", text),),
                path=("inequality", flaw, task.id, number),
                sampling=Sampling(temperature=self.temperature, top_p=1.0, max_tokens=self.max_tokens),
            )
        except Interrupted as err:
            return Soundness(None, f"not judged: {err}")
        except (ProviderError, BadInput) as err:  # BadInput: the solution does not fit the judge's context
            return Soundness(None, f"the judge failed: {err}")
        said = unthought(reply.text)
        read = self._check(said) if flaw == "computation" else read_soundness(said)
        if read.sound is None and reply.finish == "length":
            return Soundness(None, f"{read.step} (it was cut)")
        return read

    def _check(self, text: str) -> Soundness:
        equations = read_equations(text)
        if equations is None:
            return Soundness(None, "no equation is listed, and not that there is none")
        for left, right in equations:
            if numeric_check(left, right, tolerance=self.tolerance) is False:
                return Soundness(False, f"{left} = {right}"[:200])
        return Soundness(True)


def read_soundness(text: str) -> Soundness:
    """Return the last "Sound: True" or "Sound: False" of a judgement, and what it flags."""
    verdicts = _SOUND.findall(text)
    if not verdicts:
        return Soundness(None, "no judgement can be read")
    sound = verdicts[-1].lower() in ("true", "yes")
    steps = [] if sound else _STEP.findall(text)
    return Soundness(sound, steps[-1].strip()[:200] if steps else "")


def read_equations(text: str) -> list[tuple[str, str]] | None:
    """Return the sides of each equation in lines "Equation: left = right"; chains give one for each neighbours.

    Returns:
        None where there is no such line; an empty list for "Equation: none". Lines with an inequality or an
        approximation in them are left out, as no equations.
    """
    lines = [line.strip().strip("`") for line in _EQUATION.findall(text)]
    if not lines:
        return None
    found = []
    for line in lines:
        if _NONE.match(line) or re.search(r"[<>≤≥≈≠]|\\(?:leq?|geq?|approx|neq?|sim)\b", line):
            continue
        sides = [side.strip().rstrip(".;,") for side in line.split("=")]
        found += list(pairwise(sides))
    return found


def _score(judged: dict[str, Soundness]) -> Score:
    words = {True: "sound", False: "flawed", None: "cannot tell"}
    told = "; ".join(
        f"{flaw}: {words[one.sound]}" + (f" ({one.step})" if one.step else "") for flaw, one in judged.items()
    )
    found = overall([one.sound for one in judged.values()])
    return Score.missing(told) if found is None else Score(value=float(found), reason=told)
