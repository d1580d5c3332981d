"""A method of your own in one file: ask until two answers agree.

Run: python examples/own_method.py
In a package of your own, name the module under the entry point group `ponder.components`, and the command line, the
conformance suite and the catalogue will know it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ponder import Context, Result, ScriptedModel, Task, solve_sync, strategies
from ponder.engines.sample import sample
from ponder.numerics.votes import majority


@strategies("until_two_agree", since="0.1")
@dataclass(frozen=True, kw_only=True)
class UntilTwoAgree:
    """Ask at most n times, stop at the first answer that comes twice."""

    n: int = 8

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        return {"policy": self.n}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Sample one at a time until a group has two members."""
        drawn = await sample(
            task,
            ctx,
            n=self.n,
            stop=lambda groups, left: any(g is not None and groups.count(g) == 2 for g in groups),
            ahead=1,
        )
        return ctx.result(drawn.candidates, best=majority(drawn.groups), stopped=drawn.stopped, detail=drawn.detail)


if __name__ == "__main__":
    task = Task.of("How many legs have 4 spiders?", answer="number")
    result = solve_sync(task, model=ScriptedModel(replies=["32", "24", "It is 32."]), method="until_two_agree")
    print(result.answer, "after", result.cost.calls, "calls")
