"""Diverse verifier tree search (DVTS): many small greedy searches that do not compete, then a vote over their answers.

Paper: Liu et al. 2025, arXiv:2502.06703 (card 13), after Beeching et al. 2024 (DVTS): n/branch independent subtrees; in
each `branch` next steps a round, of which the best is kept; one solution per subtree.
Differs: a subtree that ends unfinished gives no solution (in a public implementation it does); a missing score ranks
last and is not 0; where `branch` does not divide n the first subtrees get one more candidate. A verifier that judges
only whole answers is shown each prefix as one.
Cost: n calls of one step a round, at most `depth` rounds; as beam search, with all subtrees' calls independent.
Needs: exact continuation of a prefix; a step verifier.
When: larger n, where beam search narrows down to variants of one solution.
When not: small n (few subtrees, each nearly greedy); `branch=1` is sampling without guidance.
"""

from __future__ import annotations

from dataclasses import dataclass

from ponder.core.access import Access
from ponder.core.context import Context
from ponder.core.errors import ConfigError
from ponder.core.registry import strategies
from ponder.core.result import Result
from ponder.core.task import Task
from ponder.engines.beam import Beam
from ponder.engines.conclude import by_rule, conclude
from ponder.engines.step_search import StepSettings, step_search
from ponder.engines.tree import Node
from ponder.numerics.aggregation import Aggregation
from ponder.numerics.prm_rules import Rule

__all__ = ["Dvts"]


@strategies(
    "dvts",
    card=13,
    paper="arXiv:2502.06703",
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
class Dvts(StepSettings):
    r"""Independent greedy subtrees.

    Attributes:
        n: candidates of a round over all subtrees (N), >= 1.
        branch: candidates of a round in one subtree (M), >= 1; there are n/branch subtrees.
        rule: chooses among their solutions, a name of `numerics.prm_rules`.
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
    rule: Rule = "prm_last_vote"
    aggregation: Aggregation = "last"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n < 1 or self.branch < 1:
            raise ConfigError(f"n and branch must be at least 1, got n={self.n!r}, branch={self.branch!r}")

    def calls(self) -> dict[str, int]:
        """Most calls by role (the verifier's own come on top)."""
        return {"policy": self.n * self.depth * self.attempts}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Search every subtree, then vote."""
        root = Node.root(task, ctx)
        subtrees = max(1, self.n // self.branch)
        each, more = divmod(self.n, subtrees)
        search = Beam(root, [(each + (tree < more), 1) for tree in range(subtrees)])
        found = await step_search(task, ctx, root, search, self, aggregation=self.aggregation)
        return await conclude(task, ctx, found, by_rule(self.rule))
