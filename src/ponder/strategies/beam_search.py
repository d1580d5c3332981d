"""Beam search: grow n partial answers step by step, keep the best-scored ones of each round and branch only from these.

Paper: Snell et al. 2024, arXiv:2408.03314, section 5 (card 04): n candidates a round, n/branch survivors, `branch` next
steps from each, then weighted best-of-N. `variant="released"`: the released code of Liu et al. 2025, arXiv:2502.06703
(card 13): finished beams leave the pool, later rounds keep fewer, a prefix with as many scores too few or too many has
the value 0, answers are equal as strings, steps may repeat without end.
Differs: finished answers stay in the pool with their score (the paper leaves it open); a missing score ranks last and
is not 0; equal siblings are dropped (card 13), so votes count different solutions; the vote is over the survivors
(`final_pool="all"`: over every finished answer). A verifier that judges only whole answers is shown each prefix as one.
Cost: n calls of one step a round, at most `depth` rounds, and n prefixes for the verifier each round; a step's call
reads the whole prefix again where the back-end caches none. Needs: exact continuation of a prefix; a step verifier.
When: questions that one sample seldom gets right, answers of several steps, and a verifier that tells early.
When not: easy questions at large n (it finds the answer that fools the verifier best); answers of one step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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

__all__ = ["BeamSearch"]


@strategies(
    "beam_search",
    card=(4, 13),
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
class BeamSearch(StepSettings):
    r"""Step-wise beam search.

    Attributes:
        n: candidates of a round (N), >= 1.
        branch: next steps from each survivor (the paper's beam width M), >= 1; n/branch survive. 1 keeps all of them,
            n is greedy step by step.
        variant: "paper" or "released".
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
    variant: Literal["paper", "released"] = "paper"
    final_pool: FinalPool = "survivors"
    rule: Rule = "prm_last_vote"
    aggregation: Aggregation = "last"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n < 1 or self.branch < 1:
            raise ConfigError(f"n and branch must be at least 1, got n={self.n!r}, branch={self.branch!r}")
        if self.variant == "released" and self.n % self.branch:
            raise ConfigError(f"the released variant needs n divisible by branch, got {self.n!r} and {self.branch!r}")

    def calls(self) -> dict[str, int]:
        """Most calls by role (the verifier's own come on top)."""
        return {"policy": self.n * self.depth * self.attempts}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Search, then vote."""
        released = self.variant == "released"
        root = Node.root(task, ctx)
        groups = [(self.n, beam_counts(self.n, self.branch).survivors)]
        beam = Beam(root, groups, final_pool=self.final_pool, released=released)
        found = await step_search(task, ctx, root, beam, self, aggregation=self.aggregation, parity=self.variant)
        return await conclude(task, ctx, found, by_rule(self.rule, self.variant), strict=released)
