"""Roll-outs: sample solutions of a task, complete each of their prefixes and read them, not knowing the right answer.

Source: Monte-Carlo labels of Snell et al. 2024, arXiv:2408.03314, appendix D (card 04), and Zhao et al. 2025,
arXiv:2504.00891 (card 57): K completions of each step; the last step of a solution needs none, its own answer counts.
Differs: a solution is itself a roll-out of each of its prefixes (given the prefix, the rest is a draw of the policy),
so that k may be 0 and many solutions of many tasks do with the same calls; a prefix that several solutions of a task
share is labelled once, by all of them; a step that the token limit cut is dropped.
Cost: `solutions` calls, k for each distinct prefix of a solution that is not its end, and one pass over each distinct
solution.
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
from ponder.core.model import Model, Request
from ponder.core.result import Result
from ponder.core.task import Task
from ponder.core.tasks import gather_all
from ponder.core.usage import Usage
from ponder.engines.sample import sample
from ponder.verifiers._passes import metered_pass
from ponder.verifiers._steps import split_steps
from ponder.verifiers.prm_features import ACCESS, Features, read_steps

__all__ = ["Rollouts"]

_PARTS = 4


class _Completed(NamedTuple):
    """Whole answers, and why the run ended before there were more."""

    texts: list[str]
    why: Interrupted | None = None


@dataclass(frozen=True, kw_only=True)
class Rollouts:
    r"""A method that answers nothing: its candidates are the solutions, with the steps and roll-outs in their metadata.

    `metadata["steps"]` are the steps of a solution; `metadata["rollouts"]` has for each of them the whole answers that
    begin with the steps so far: the solutions that do and k completions, or for the end of a finished solution just
    itself; `metadata["seen"]` has the features of each step.

    Attributes:
        solutions: of each task, >= 1.
        k: completions of each prefix beyond the solutions themselves, >= 0.
        delimiter: text that ends a step.
        depth: steps of a solution that are looked at, >= 1; later ones are dropped.
        features: what is read, as `verifiers.prm_features.read_steps` takes it.
        layers: hidden states that are read, with hidden features; () for a few spread over the model's depth.
    """

    solutions: int = 8
    k: int = 0
    delimiter: str = "\n"
    depth: int = 10
    features: Features = "hidden"
    layers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.solutions < 1 or self.k < 0 or self.depth < 1 or not self.delimiter:
            raise ConfigError("solutions and depth must be at least 1, k at least 0, and a delimiter must be given")

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        return {"policy": self.solutions * (1 + self.depth * self.k)}

    def layers_of(self, model: Model) -> tuple[int, ...]:
        """Return the hidden states that are read: `layers`, or the ends of equal parts of the model's depth.

        Raises:
            ConfigError: the model has no such layer, or none is named and it does not say how deep it is.
        """
        if self.features != "hidden":
            return ()
        depth = model.info.layers
        if self.layers:
            if depth is not None and not all(0 <= layer <= depth for layer in self.layers):
                raise ConfigError(f"layers must be of 0 to {depth}, got {', '.join(map(str, self.layers))}")
            return self.layers
        if depth is None:
            raise ConfigError(f"{model.name} does not say how many layers it has: name the layers to read")
        return tuple(dict.fromkeys(max(1, round(depth * part / _PARTS)) for part in range(1, _PARTS + 1)))

    async def run(self, task: Task, ctx: Context) -> Result:
        """Sample, then roll out."""
        ctx.model().require(Access.PREFIX, ACCESS[self.features], what="a PRM's training")
        layers = self.layers_of(ctx.models["policy"])
        layers = self.layers_of(ctx.models["policy"])
        drawn = await sample(task, ctx, n=self.solutions)
        usable = [c for c in drawn.candidates if c.ok and c.finish in ("stop", "length")]
        steps = [self._steps(candidate) for candidate in usable]
        found: dict[str, list[str]] = {}  # each distinct prefix, and the whole answers that begin with it
        for candidate, parts in zip(usable, steps, strict=True):
            for count in range(1, len(parts) + 1):
                found.setdefault("".join(parts[:count]), []).append(candidate.text)
        # Where a solution ends, neither cut nor too deep, its own answer is all there is.
        ends = {c.text for c, parts in zip(usable, steps, strict=True) if parts and "".join(parts) == c.text}
        found |= {text: [text] for text in ends}
        open_ = [text for text in found if text not in ends] if self.k else []
        wholes = await gather_all(
            [partial(self._complete, task, ctx, text, number) for number, text in enumerate(open_)]
        )
        for text, (completed, _) in zip(open_, wholes, strict=True):
            found[text] += completed
        why = next((why for _, why in wholes if why is not None), None)
        distinct = list(dict.fromkeys(steps))
        read = await gather_all([partial(self._read, task, ctx, parts, layers) for parts in distinct])
        seen = dict(zip(distinct, read, strict=True))
        candidates = [
            replace(
                candidate,
                index=at,
                metadata={
                    "steps": list(parts),
                    "rollouts": [found["".join(parts[:count])] for count in range(1, len(parts) + 1)],
                    "seen": seen[parts],
                },
            )
            for at, (candidate, parts) in enumerate(zip(usable, steps, strict=True))
        ]
        if why is not None:
            return ctx.result(candidates, best=None, stopped=why.reason, detail=str(why))
        return ctx.result(candidates, best=None, stopped=drawn.stopped, detail=drawn.detail)

    def _steps(self, candidate: Candidate) -> tuple[str, ...]:
        steps = split_steps(candidate.text, self.delimiter)
        return (steps if candidate.complete else steps[:-1])[: self.depth]

    async def _read(
        self, task: Task, ctx: Context, steps: tuple[str, ...], layers: tuple[int, ...]
    ) -> list[list[float]]:
        """Return the features of each step; none where the run has ended."""
        model = ctx.models["policy"]

        async def work() -> tuple[list[list[float]], Usage | None]:
            return await read_steps(model, task, steps, self.features, layers=layers)

        if not steps:
            return []
        tokens = model.count(Request(messages=task.messages, prefix="".join(steps))).tokens
        try:
            return await metered_pass(ctx, "prm", model.info, tokens, work)
        except (BadInput, Interrupted):
            return []

    async def _complete(self, task: Task, ctx: Context, prefix: str, number: int) -> _Completed:
        """Return k more whole answers that begin with a prefix."""
        request = Request(messages=task.messages, prefix=prefix, n=self.k, sampling=ctx.sampling)
        try:
            draws = await ctx.model().sample(request, path=("label", task.id, number))
        except BadInput:
            return _Completed([])  # no room for an answer
        complete = [d.completion for d in draws if d.completion is not None and d.interrupted is None]
        why = next((d.interrupted for d in draws if d.interrupted is not None), None)
        return _Completed([prefix + completion.text for completion in complete], why)
