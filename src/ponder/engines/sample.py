"""Draw N answers, extract what each says, group equal ones: the loop under every sampling method.

Source: our own (DESIGN §5). Samples of a task have the path ("sample", task.id, k) without the method's name, so
methods share samples and compare in pairs, and a curve over N costs its largest point.
Cost: n calls. Early stops are decided on the contiguous prefix of samples, whatever order they arrive in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from ponder.core.access import Access
from ponder.core.candidate import Candidate
from ponder.core.context import AnswerType, Context, Grouping
from ponder.core.errors import Interrupted, ProviderError, Stopped
from ponder.core.model import Request, Sampling
from ponder.core.siblings import Draw
from ponder.core.task import Task

__all__ = ["Enough", "Samples", "StopRule", "sample"]

# Given the group of each sample so far (None: no answer) and how many may still come: stop here?
StopRule = Callable[[Sequence[int | None], int], bool]
# Given the candidates so far, the last of them new: is one of them good enough to stop?
Enough = Callable[[Sequence[Candidate]], Awaitable[bool]]


@dataclass(frozen=True, kw_only=True)
class Samples:
    """What was drawn.

    Attributes:
        candidates: in sample order; failed and broken-off ones included.
        groups: for each candidate the index of the first with an equal answer; None where there is no answer to count
            (nothing extracted, failed, or broken off by the end of the run).
        stopped: "done" when all were drawn, "agreement" when the stop rule ended the sampling, else why it ended.
        detail: the same in words.
    """

    candidates: tuple[Candidate, ...]
    groups: tuple[int | None, ...]
    stopped: Stopped = "done"
    detail: str = ""


async def sample(
    task: Task,
    ctx: Context,
    *,
    n: int,
    sampling: Sampling | None = None,
    stop: StopRule | None = None,
    enough: Enough | None = None,
    ahead: int | None = None,
    top_logprobs: int = 0,
) -> Samples:
    """Draw up to `n` answers to a task.

    Args:
        task: what to answer.
        ctx: the run.
        n: most samples.
        sampling: the law; by default the context's.
        stop: ends the sampling at the first prefix where it says so ("agreement").
        enough: the same, of the candidates themselves; it may ask a verifier ("done").
        ahead: how many samples are in flight at once when one of these is given; a smaller number wastes less on
            samples that the stop drops, a larger one is quicker. By default all.
        top_logprobs: how many likely tokens to ask for at each step. Certainty is asked for wherever the model gives
            it: it costs next to nothing, and so methods with and without it share samples.

    Raises:
        ProviderError: every sample failed; the last failure.
    """
    answers = ctx.answers(task)
    request = Request(
        messages=task.messages,
        sampling=sampling or ctx.sampling,
        certainty=Access.LOGITS in ctx.model().access,
        logprobs=top_logprobs or None,
    )
    candidates: list[Candidate] = []
    groups: list[int | None] = []
    grouping = _grouping(answers)
    agreed = accepted = False
    early = stop is not None or enough is not None
    ended: Interrupted | None = None

    async def absorb(draws: Sequence[Draw]) -> None:
        for draw in draws:
            candidate = _candidate(draw, answers)
            if candidate is not None:
                candidates.append(candidate)
                ctx.candidates.append(candidate)
                groups.append(await grouping.add(candidate.answer if candidate.finish != "cancelled" else None))

    wave = n if not early or ahead is None else ahead
    while len(candidates) < n and not agreed and not accepted and ended is None:
        first = len(candidates)
        count = min(wave, n - first)

        async def until(draws: Sequence[Draw]) -> bool:
            nonlocal agreed, accepted
            before = len(candidates)
            await absorb(draws[-1:])
            left = n - len(candidates)
            agreed = stop is not None and left > 0 and stop(groups, left)
            accepted = enough is not None and len(candidates) > before and await enough(candidates)
            return agreed or accepted

        draws = await ctx.model().sample(
            replace(request, n=count),
            path=("sample", task.id),
            first=first,
            until=until if early else None,
        )
        if not early:
            await absorb(draws)
        ended = next((draw.interrupted for draw in draws if draw.interrupted is not None), None)
    failures = [c.error for c in candidates if c.error is not None]
    if candidates and len(failures) == len(candidates):
        raise ProviderError(f"all {len(failures)} samples failed: {failures[-1]}")
    stopped: Stopped = "agreement" if agreed else "done"
    detail = ""
    if ended is not None and not agreed and not accepted:
        stopped, detail = ended.reason, f"{ended}; {len(candidates)} of {n} samples"
    return Samples(candidates=tuple(candidates), groups=tuple(groups), stopped=stopped, detail=detail)


class _Regrouping:
    """Groups all answers again at each one: for answer types that have no `grouping`."""

    def __init__(self, answers: AnswerType) -> None:
        self._answers, self._seen = answers, list[str | None]()

    async def add(self, answer: str | None) -> int | None:
        self._seen.append(answer)
        return (await self._answers.group(self._seen))[-1]


def _grouping(answers: AnswerType) -> Grouping:
    own = getattr(answers, "grouping", None)
    made: Grouping = _Regrouping(answers) if own is None else own()
    return made


def _candidate(draw: Draw, answers: AnswerType) -> Candidate | None:
    """Turn a draw into a candidate; one that was never sent is none."""
    if draw.error is not None:
        return Candidate(index=draw.index, usage=draw.usage, error=str(draw.error))
    if draw.completion is None:
        return None
    message = draw.completion.message
    return Candidate(
        index=draw.index,
        message=message,
        answer=answers.extract(message.text),
        finish=draw.completion.finish,
        usage=draw.usage,
        completion=draw.completion,
    )
