"""Universal self-consistency: sample n answers, then ask the model which one agrees best with the others.

Paper: Chen et al. 2023, arXiv:2311.17311, as the baseline of card 26 (Kang et al. 2025, arXiv:2502.18581).
Differs: responses are numbered from 0; a reply that names none, or one that is not there, chooses response 0 (as the
card); where the chosen one has no readable answer the first that has one is taken. Responses that do not fit the
model's context make it take the first readable one; the result says so.
Cost: n calls and one call of the role "judge" that reads them all. Needs: nothing beyond text.
When: free text, where a vote cannot count.
When not: models too weak to compare long texts; large n (the judge's prompt grows with n).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.resources import files

from ponder.core.context import Context
from ponder.core.errors import BadInput, ConfigError, Interrupted, ProviderError
from ponder.core.registry import strategies
from ponder.core.result import Result
from ponder.core.task import Message, Task
from ponder.engines.sample import sample
from ponder.numerics.usc import last_response

__all__ = ["UniversalSelfConsistency"]


@strategies(
    "universal_self_consistency",
    card=26,
    paper="arXiv:2311.17311",
    fidelity="paper",
    tags={
        "what": ("parallel",),
        "how": ("sampling", "self-evaluation"),
        "where": ("reasoning", "general"),
        "how_well": ("accuracy",),
    },
    since="0.1",
)
@dataclass(frozen=True, kw_only=True)
class UniversalSelfConsistency:
    """The model chooses the most consistent of its samples.

    Attributes:
        n: samples, >= 1.
        judge_tokens: most tokens of the judge's reply, >= 1.
    """

    n: int = 8
    judge_tokens: int = 256

    def __post_init__(self) -> None:
        if self.n < 1 or self.judge_tokens < 1:
            raise ConfigError("n and judge_tokens must be at least 1")

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        return {"policy": self.n, "judge": 1}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Sample, ask, choose."""
        drawn = await sample(task, ctx, n=self.n)
        shown = [c for c in drawn.candidates if c.ok and c.finish != "cancelled"]
        if not shown:
            return ctx.result(drawn.candidates, best=None, stopped=drawn.stopped, detail=drawn.detail)
        listed = "\n\n".join(f"Response {k}:\n{c.text}" for k, c in enumerate(shown))
        template = files(__package__).joinpath("prompts/universal_self_consistency.md").read_text(encoding="utf-8")
        prompt = template.format(count=len(shown), question=task.prompt, responses=listed)
        law = replace(ctx.sampling, temperature=0.0, max_tokens=self.judge_tokens, stop=())
        named, note, stopped = None, "", drawn.stopped
        try:
            reply = await ctx.model("judge").ask([Message("user", prompt)], path=("usc", task.id), sampling=law)
            named = last_response(reply.text)
        except (BadInput, ProviderError, Interrupted) as err:
            stopped = err.reason if isinstance(err, Interrupted) else stopped
            note = f"the judge could not choose ({err}): the first readable answer"
        chosen = shown[named if named is not None and named < len(shown) else 0]
        if chosen.answer is None:
            chosen = next((c for c in shown if c.answer is not None), chosen)
        detail = "; ".join(filter(None, (drawn.detail, note)))
        best = drawn.candidates.index(chosen)
        return ctx.result(drawn.candidates, best=best, stopped=stopped, detail=detail)
