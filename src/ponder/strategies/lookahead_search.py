"""Look-ahead search: beam search in which a prefix is scored where a short greedy roll-out of it ends.

Paper: Snell et al. 2024, arXiv:2408.03314, section 5 (card 04): k further steps at temperature 0, stopped early where
the answer ends; the score there is the value of the prefix, and the roll-out is thrown away. k = 0 is beam search.
Differs: as `beam_search`; a roll-out that cannot go on (budget, a step too long) is scored as far as it came.
Cost: up to n (k + 1) calls of one step a round: the paper counts N (k + 1) answers. Needs: exact continuation of a
prefix; a step verifier.
When: the verifier judges what has happened well and what will come badly, and calls are cheap.
When not: at equal cost the paper finds it below beam search and best-of-N.
"""

from __future__ import annotations

from dataclasses import dataclass

from ponder.core.access import Access
from ponder.core.context import Context
from ponder.core.errors import ConfigError
from ponder.core.registry import strategies
from ponder.core.result import Result
from ponder.core.task import Task
from ponder.engines.beam import Beam, FinalPool
from ponder.engines.conclude import by_rule, conclude
from ponder.engines.step_search import StepSettings, step_search
from ponder.engines.tree import Node
from ponder.numerics.aggregation import Aggregation
from ponder.numerics.exchange import beam_counts
from ponder.numerics.prm_rules import Rule

__all__ = ["LookaheadSearch"]


@strategies(
    "lookahead_search",
    card=4,
    paper="arXiv:2408.03314",
    fidelity="paper",
    access=(Access.TEXT, Access.PREFIX),
    needs=("verifier",),
    tags={
        "what": ("hybrid",),
        "how": ("search", "verification"),
        "where": ("reasoning",),
        "how_well": ("accuracy",),
    },
    since="0.1",
)
@dataclass(frozen=True, kw_only=True)
class LookaheadSearch(StepSettings):
    r"""Beam search with roll-outs.

    Attributes:
        n: candidates of a round (N), >= 1.
        branch: next steps from each survivor (the paper's beam width M), >= 1; n/branch survive.
        k: steps of a roll-out, >= 0.
        final_pool: what votes: "survivors" or "all" finished answers.
        rule: chooses among them, a name of `numerics.prm_rules`; "prm_last_vote" is weighted best-of-N.
        aggregation: from step scores to the value by which a round is pruned: "last", "min", "mean", "product".
        delimiter: text that ends a step; empty: each `step_tokens` tokens are a step.
        step_tokens: most tokens of a step; longer ones are dropped.
        depth: most steps of an answer.
        final: regular expression; a step in which it is found ends the answer.
        retries: further attempts where an expansion gave no usable step.
        repeats: most times that one step may stand in an answer; 0 for no cap.
    """

    n: int = 16
    branch: int = 4
    k: int = 1
    final_pool: FinalPool = "survivors"
    rule: Rule = "prm_last_vote"
    aggregation: Aggregation = "last"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n < 1 or self.branch < 1 or self.k < 0:
            raise ConfigError("n and branch must be at least 1, k at least 0")

    def calls(self) -> dict[str, int]:
        """Most calls by role (the verifier's own come on top)."""
        return {"policy": self.n * self.depth * (self.attempts + self.k)}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Search, then vote."""
        root = Node.root(task, ctx)
        beam = Beam(root, [(self.n, beam_counts(self.n, self.branch).survivors)], final_pool=self.final_pool)
        found = await step_search(task, ctx, root, beam, self, aggregation=self.aggregation, lookahead=self.k)
        return await conclude(task, ctx, found, by_rule(self.rule))
