"""Roll-outs: sample solutions of a task, complete each of their prefixes and read them, not knowing the right answer.

Source: Monte-Carlo labels of Snell et al. 2024, arXiv:2408.03314, appendix D (card 04), and Zhao et al. 2025,
arXiv:2504.00891 (card 57): K completions of each step; the last step of a solution needs none, its own answer counts.
Differs: a prefix that several solutions of a task share is rolled out once; a step that the token limit cut is dropped.
Cost: `solutions` calls, k for each distinct prefix of a solution that is not its end, and one pass over each solution.
Needs: exact continuation of a prefix, and the access of the features.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from ponder.core.access import Access
from ponder.core.candidate import Candidate
from ponder.core.context import Context
from ponder.core.errors import BadInput, ConfigError, Interrupted
from ponder.core.model import Request
from ponder.core.result import Result
from ponder.core.task import Task
from ponder.core.tasks import gather_all
from ponder.core.usage import Usage
from ponder.engines.sample import sample
from ponder.verifiers._passes import metered_pass
from ponder.verifiers._steps import split_steps
from ponder.verifiers.prm_features import ACCESS, Features, read_steps

__all__ = ["Rollouts"]


class _Completed(NamedTuple):
    """Whole answers, and why the run ended before there were more."""

    texts: list[str]
    why: Interrupted | None = None


@dataclass(frozen=True, kw_only=True)
class Rollouts:
    r"""A method that answers nothing: its candidates are the solutions, with the steps and roll-outs in their metadata.

    `metadata["steps"]` are the steps of a solution; `metadata["rollouts"]` has for each of them the whole answers that
    begin with the steps so far: k completions, or for the end of a finished solution just itself; `metadata["seen"]`
    has the features of each step.

    Attributes:
        solutions: of each task, >= 1.
        k: completions of each prefix, >= 1.
        delimiter: text that ends a step.
        depth: steps of a solution that are looked at, >= 1; later ones are dropped.
        features, layer: what is read, as `verifiers.prm_features.read_steps` takes them.
    """

    solutions: int = 4
    k: int = 4
    delimiter: str = "\n"
    depth: int = 10
    features: Features = "certainty"
    layer: int = 0

    def __post_init__(self) -> None:
        if self.solutions < 1 or self.k < 1 or self.depth < 1 or not self.delimiter:
            raise ConfigError("solutions, k and depth must be at least 1, and a delimiter must be given")

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        return {"policy": self.solutions * (1 + self.depth * self.k)}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Sample, then roll out."""
        ctx.model().require(Access.PREFIX, ACCESS[self.features], what="a PRM's training")
        drawn = await sample(task, ctx, n=self.solutions)
        usable = [c for c in drawn.candidates if c.ok and c.finish in ("stop", "length")]
        steps = [self._steps(candidate) for candidate in usable]
        ends: dict[str, bool] = {}  # each distinct prefix, and whether it is a whole solution
        for candidate, parts in zip(usable, steps, strict=True):
            for count in range(1, len(parts) + 1):
                ends.setdefault("".join(parts[:count]), False)
            if "".join(parts) == candidate.text and parts:  # neither cut nor too deep: here the answer ends
                ends["".join(parts)] = True
        texts = list(ends)
        wholes = await gather_all(
            [partial(self._complete, task, ctx, text, number, ends[text]) for number, text in enumerate(texts)]
        )
        found = {text: completed for text, (completed, _) in zip(texts, wholes, strict=True)}
        why = next((why for _, why in wholes if why is not None), None)
        seen = await gather_all([partial(self._read, task, ctx, parts) for parts in steps])
        candidates = [
            replace(
                candidate,
                index=at,
                metadata={
                    "steps": list(parts),
                    "rollouts": [found["".join(parts[:count])] for count in range(1, len(parts) + 1)],
                    "seen": vectors,
                },
            )
            for at, (candidate, parts, vectors) in enumerate(zip(usable, steps, seen, strict=True))
        ]
        if why is not None:
            return ctx.result(candidates, best=None, stopped=why.reason, detail=str(why))
        return ctx.result(candidates, best=None, stopped=drawn.stopped, detail=drawn.detail)

    def _steps(self, candidate: Candidate) -> tuple[str, ...]:
        steps = split_steps(candidate.text, self.delimiter)
        return (steps if candidate.complete else steps[:-1])[: self.depth]

    async def _read(self, task: Task, ctx: Context, steps: tuple[str, ...]) -> list[list[float]]:
        """Return the features of each step; none where the run has ended."""
        model = ctx.models["policy"]

        async def work() -> tuple[list[list[float]], Usage | None]:
            return await read_steps(model, task, steps, self.features, layer=self.layer)

        if not steps:
            return []
        tokens = model.count(Request(messages=task.messages, prefix="".join(steps))).tokens
        try:
            return await metered_pass(ctx, "prm", model.info, tokens, work)
        except (BadInput, Interrupted):
            return []

    async def _complete(self, task: Task, ctx: Context, prefix: str, number: int, whole: bool) -> _Completed:
        """Return whole answers that begin with a prefix."""
        if whole:
            return _Completed([prefix])
        request = Request(messages=task.messages, prefix=prefix, n=self.k, sampling=ctx.sampling)
        try:
            draws = await ctx.model().sample(request, path=("label", task.id, number))
        except BadInput:
            return _Completed([])  # no room for an answer
        complete = [d.completion for d in draws if d.completion is not None and d.interrupted is None]
        why = next((d.interrupted for d in draws if d.interrupted is not None), None)
        return _Completed([prefix + completion.text for completion in complete], why)
