"""Agent-REINFORCE: search, before any question comes, for the graph of models that answers best within a cap of FLOPs.

Paper: arXiv:2511.00086 (card 31). A set of models is chosen under a start budget and tried out; then graphs are drawn,
run on small batches and scored, and either a model reads graph, accuracy and table of probabilities and writes the next
ones (`how="text"`), or plain REINFORCE moves the logits ("numeric"), or both in turns ("alternate"), or Bayesian
optimisation chooses edges and roles ("bayes"), or graphs are drawn at random ("random"). With `latency` the seconds of
a question count too. A cap in tokens is held by the meter in every run of a graph, one in FLOPs by the cost model.
Differs: the best graph by repeated measurement is returned, not the last one (`return_last` as released); candidate
teams are tried on 8 questions, each with its own reference, and the best one wins (the released filter passes all);
replies are JSON; after `retries` unreadable ones the logits are moved by one numeric step instead; what the optimiser
spends is counted. The Parzen estimators of "bayes" are our own, not the library of the released code; how the two kinds
of step take turns is ours. TextGrad is `insights=False, pretest=0, history=1`.
Cost: (pretest * teams + iterations * batch + finalists * recheck) runs of a graph, and with "text" about one call of
the optimiser for each iteration ("alternate": for every second one).
Needs: tasks with references, models in their roles.
The result is served by the method `agent_graph`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ponder.core.errors import BadInput, ConfigError, Stopped
from ponder.core.model import Model, Sampling
from ponder.core.solve import Control
from ponder.core.store import Store
from ponder.numerics.agent_graphs import AgentGraph
from ponder.numerics.graph_costs import Lengths
from ponder.tasks.problem import Problem
from ponder.training._graph_bayes import by_bayes
from ponder.training._graph_found import Found, Member, Trial
from ponder.training._graph_numeric import by_numbers
from ponder.training._graph_random import at_random
from ponder.training._graph_textual import by_text
from ponder.training._graph_trials import Ended, Trials

__all__ = ["AgentReinforce", "Found", "Member", "Trial"]


@dataclass(frozen=True, kw_only=True)
class AgentReinforce:
    """Settings of a search.

    Attributes:
        start: start budget b: smallest models in the densest graph that the cap allows, >= 1.
        cap: most that a graph may cost, in the unit; None for what the start budget's densest graph costs.
        unit: of the cap: "flops", in smallest models without inputs, or "tokens" read and written for a question.
        how: "text", "numeric", "alternate", "bayes" or "random".
        iterations: graphs (numeric: batches of them) that are tried, >= 1.
        batch: questions of each, >= 1.
        pretest: questions on which each candidate team is tried, >= 0; 0 takes the first choice untried.
        variants: of a team: it and those with models left out, >= 1.
        recheck: questions on which finalists are measured again, >= 1.
        finalists: graphs that are measured again, >= 1.
        history: earlier rounds that the optimiser sees, >= 0; none with more than 5 models.
        retries: readings of the optimiser that may fail, >= 0.
        insights: tell the optimiser the paper's insights.
        baseline: of the numeric step: "none" (as released) or the running "mean" of utilities.
        rate: of the numeric step, > 0.
        threshold: probability above which an edge is in the numeric result.
        lengths: mean tokens of a question and of an answer of the task.
        sink: name of the sink's model; "" for the second smallest.
        latency: tell the optimiser how long a question took, and of finalists that are equally right take the fastest;
            the result then depends on the clock.
        return_last: return the last graph, as released.
        optimiser_tokens: most tokens of a reply of the optimiser.
    """

    start: int = 8
    cap: float | None = None
    unit: Literal["flops", "tokens"] = "flops"
    how: Literal["text", "numeric", "alternate", "bayes", "random"] = "text"
    iterations: int = 10
    batch: int = 3
    pretest: int = 8
    variants: int = 5
    recheck: int = 8
    finalists: int = 3
    history: int = 2
    retries: int = 3
    insights: bool = True
    baseline: Literal["none", "mean"] = "none"
    rate: float = 0.1
    threshold: float = 0.55
    lengths: Lengths = field(default_factory=lambda: Lengths(202, 275))
    sink: str = ""
    latency: bool = False
    return_last: bool = False
    optimiser_tokens: int = 2048

    def __post_init__(self) -> None:
        object.__setattr__(self, "lengths", Lengths(*self.lengths))
        whole = (self.start, self.iterations, self.batch, self.variants, self.recheck, self.finalists)
        if min(whole) < 1 or min(self.pretest, self.history, self.retries) < 0 or self.optimiser_tokens < 1:
            raise ConfigError("counts must be at least 1; pretest, history and retries at least 0")
        if self.how not in ("text", "numeric", "alternate", "bayes", "random") or self.baseline not in ("none", "mean"):
            raise ConfigError(f"no search {self.how!r} with baseline {self.baseline!r}")
        if self.unit not in ("flops", "tokens") or (self.cap is not None and not self.cap > 0):
            raise ConfigError(f"needs a cap above 0 in flops or tokens, got {self.cap!r} in {self.unit!r}")
        if not self.rate > 0 or not 0 < self.threshold < 1:
            raise ConfigError("needs rate > 0 and a threshold in (0, 1)")

    async def search(
        self,
        problems: Sequence[Problem],
        members: Mapping[str, Member],
        *,
        optimiser: Model | None = None,
        alone: Mapping[str, float] | None = None,
        sampling: Sampling | None = None,
        seed: int = 0,
        store: Store | None = None,
        control: Control | None = None,
    ) -> Found:
        """Search.

        Args:
            problems: with references; batches go through them in turns.
            members: by name, smallest first.
            optimiser: writes graphs; needed for "text" and "alternate", and chooses teams for all where it is given.
            alone: accuracy of each model by itself, told to the optimiser.
            sampling: the law of the answers.
            seed: of everything that is drawn.
            store: keeps answers.
            control: ends it early with the best so far.

        Raises:
            ConfigError: no members, no optimiser, an unknown sink, or a model without a shape.
            BadInput: no problems, or one without a reference.
        """
        run = Trials(self, problems, members, optimiser, alone or {}, sampling or Sampling(), seed, store, control)
        return await _search(run)


async def _search(run: Trials) -> Found:
    """Run the search that was asked for, and measure what it found again."""
    stopped: Stopped = "done"
    detail = ""
    final: list[AgentGraph] = []
    accuracy: float | None = None
    try:
        if run.given.how in ("text", "alternate"):
            await by_text(run)
        elif run.given.how == "bayes":
            await by_bayes(run)
        elif run.given.how == "numeric":
            final = [await by_numbers(run)]
        else:
            await at_random(run)
        if not run.given.return_last:
            best, accuracy = await run.recheck(final)
            return run.found(best, accuracy, stopped, detail)
    except Ended as why:
        stopped, detail = why.stopped, why.detail
    if run.given.return_last and final:
        return run.found(final[-1], None, stopped, detail)
    if not run.trials:
        raise BadInput(f"no graph was tried: {detail}")
    chosen = run.trials[-1].graph if run.given.return_last else run.ranked()[0]
    return run.found(chosen, accuracy, stopped, detail)
