"""QAlign: sample answers from the model tilted by the reward, instead of searching for the best-rewarded one, and vote.

Paper: Faria & Smith 2025, arXiv:2504.03790 (card 02). A Markov chain over answers cuts the current one at a random
token, lets the model write the rest again, and accepts the new one with min(1, exp((r' - r) / beta) |y| / |y'|): it
samples p(y) exp(r(y) / beta). A refused proposal repeats the old state. The answer is the vote over the states, the one
that agrees most with the others (minimum Bayes risk), or the last.
Differs: 64 steps by default instead of 1024 to 4096; `max_tokens` caps the whole answer, with a forced end of text,
which keeps the chain exact (the released code caps the continuation); a proposal without a reward is refused, and a
chain that starts without one starts afresh: the target has no mass there. Prefixes travel as text (see
`ponder.engines.chain`). Equal votes go to the answer seen first; without any readable answer the last state is
returned, and the result says so. Words of the MBR utilities are the model's tokens.
Cost: chains * (steps + 1) calls, each but the first of about half an answer, and as many rewards at most; one chain is
sequential. Needs: a verifier for the reward, continuation of a prefix, token texts (told with log-probabilities).
When: an imperfect reward and much compute: best-of-N then finds what fools the reward, this does not. Tune `beta` so
that 20 to 60 % of the moves are accepted.
When not: small budgets (gains come with hundreds of samples), or where latency counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

from ponder.core.access import Access
from ponder.core.candidate import Candidate
from ponder.core.context import Context
from ponder.core.errors import ConfigError
from ponder.core.registry import strategies
from ponder.core.result import Result
from ponder.core.task import Task
from ponder.engines.chain import Chains, Law, run_chains
from ponder.numerics.metropolis import effective_sample_size, mbr_pick, rouge1_f1, unigram_overlap
from ponder.numerics.votes import majority

__all__ = ["QAlign"]


@strategies(
    "qalign",
    card=2,
    paper="arXiv:2504.03790",
    fidelity="code",
    access=(Access.TEXT, Access.PREFIX, Access.LOGPROBS),
    needs=("verifier",),
    tags={
        "what": ("sequential", "hybrid"),
        "how": ("sampling", "verification", "voting"),
        "where": ("reasoning", "general"),
        "how_well": ("accuracy",),
    },
    since="0.1",
)
@dataclass(frozen=True, kw_only=True)
class QAlign:
    """Metropolis-Hastings over answers, then a vote.

    Attributes:
        steps: proposals of each chain after its start, >= 0.
        beta: temperature of the reward in its own units, > 0; smaller follows the reward more.
        chains: independent chains, >= 1, whose states are put together.
        burn_in: states dropped at the start of each chain, >= 0.
        thin: every how many states one is kept, >= 1.
        choose: "vote", "mbr" or "last".
        utility: of "mbr": "rouge1" (F1 of shared tokens) or "ucs" (distinct shared tokens).
        reward_limit: rewards are clipped to [-reward_limit, reward_limit], > 0.
    """

    steps: int = 64
    beta: float = 0.5
    chains: int = 1
    burn_in: int = 0
    thin: int = 1
    choose: Literal["vote", "mbr", "last"] = "vote"
    utility: Literal["rouge1", "ucs"] = "rouge1"
    reward_limit: float = 40.0

    def __post_init__(self) -> None:
        if self.steps < 0 or self.chains < 1 or self.burn_in < 0 or self.thin < 1:
            raise ConfigError("qalign needs steps >= 0, chains >= 1, burn_in >= 0 and thin >= 1")
        if self.burn_in > self.steps:
            raise ConfigError(f"burn_in={self.burn_in} leaves none of the {self.steps + 1} states")
        if not self.beta > 0 or not self.reward_limit > 0:
            raise ConfigError(f"beta and reward_limit must be above 0, got {self.beta!r} and {self.reward_limit!r}")
        if self.choose not in ("vote", "mbr", "last") or self.utility not in ("rouge1", "ucs"):
            raise ConfigError(f"no choice {self.choose!r} by utility {self.utility!r}")

    def calls(self) -> dict[str, int]:
        """Most calls by role (the verifier's own come on top)."""
        return {"policy": self.chains * (self.steps + 1)}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Walk, then choose among the states."""
        law = Law(beta=self.beta, limit=self.reward_limit)
        walked = await run_chains(task, ctx, chains=self.chains, steps=self.steps, law=law)
        kept = self._kept(walked.states)
        notes = [walked.detail, _diagnosis(walked, ctx)]
        if not kept and any(walked.states):
            kept = [index for states in walked.states for index in states]
            notes.append("the chains ended within their burn-in: all states count")
        groups = await ctx.answers(task).group([c.answer for c in walked.candidates])
        if not kept:
            best = next((i for i, group in enumerate(groups) if group is not None), None)
            notes.append("no proposal has a reward: the first readable answer")
        elif self.choose == "mbr":
            best = self._mbr(kept, walked.candidates)
        else:
            at = majority([groups[index] for index in kept]) if self.choose == "vote" else None
            best = kept[-1 if at is None else at]
            if self.choose == "vote" and at is None:
                notes.append("no state has a readable answer: the last state")
        detail = "; ".join(filter(None, notes))
        return ctx.result(walked.candidates, best=best, stopped=walked.stopped, detail=detail)

    def _kept(self, states: Sequence[Sequence[int]]) -> list[int]:
        """Return the states that count, those of all chains interleaved in the order of their steps."""
        parts = [chain[self.burn_in :: self.thin] for chain in states]
        longest = max(map(len, parts), default=0)
        return [part[step] for step in range(longest) for part in parts if step < len(part)]

    def _mbr(self, kept: Sequence[int], candidates: Sequence[Candidate]) -> int:
        counts = Counter(kept)
        distinct = list(counts)
        words = [_words(candidates[index]) for index in distinct]
        vocabulary = max(1, len({word for found in words for word in found}))

        def utility(left: Sequence[Hashable], right: Sequence[Hashable]) -> float:
            return rouge1_f1(left, right) if self.utility == "rouge1" else unigram_overlap(left, right, vocabulary)

        picked = mbr_pick(words, utility, [counts[index] for index in distinct])
        assert picked is not None
        return distinct[picked]


def _words(candidate: Candidate) -> list[str]:
    tokens = None if candidate.completion is None else candidate.completion.tokens
    return candidate.text.split() if tokens is None else [text for text in tokens.texts if text]


def _diagnosis(walked: Chains, ctx: Context) -> str:
    """Say how well the chains mixed, in the trace and in words."""
    states = sum(map(len, walked.states))
    facts = {
        "states": states,
        "acceptance_rate": walked.accepted / walked.proposed if walked.proposed else None,
        "mean_cut": walked.mean_cut,
        "effective_sample_size": sum(map(effective_sample_size, walked.rewards)),
        "distinct_states": len({index for chain in walked.states for index in chain}),
    }
    ctx.trace.instant("chains", ctx.span, **facts)
    if not walked.proposed:
        return ""
    return (
        f"{walked.accepted} of {walked.proposed} moves accepted, {states} states worth "
        f"{facts['effective_sample_size']:.1f} independent ones"
    )
