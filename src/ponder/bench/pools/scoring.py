"""Scores of recorded samples by several verifiers, and what each of them cost.

A verifier sees all samples of a problem at once, as it does in a live run, so its random draws are the same there.
Source: our own. Differs: what a verifier's model calls cost is known for all samples together; it is divided evenly
among them (whole tokens, the remainder to the first ones), marked as not exact, and adds up to what was measured.
Cost: the verifiers' own calls. Needs: the models that the verifiers ask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ponder.core import registry
from ponder.core.budget import Meter
from ponder.core.candidate import Candidate, Score
from ponder.core.context import Context, Verifier
from ponder.core.model import Model, Sampling
from ponder.core.solve import Control
from ponder.core.store import Store
from ponder.core.task import Task
from ponder.core.trace import Trace
from ponder.core.usage import Usage

__all__ = ["Judge", "Judged", "judge", "shares"]


@dataclass(frozen=True, kw_only=True)
class Judge:
    """A verifier as it was asked for.

    Attributes:
        name: registered name.
        settings: of the verifier.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Under which a pool keeps its scores: the name, and the settings that were given."""
        told = ",".join(f"{key}={value}" for key, value in sorted(self.settings.items()))
        return f"{self.name}:{told}" if told else self.name

    def make(self) -> Verifier:
        """Return the verifier.

        Raises:
            ConfigError: it does not have these settings.
        """
        made: Verifier = registry.verifiers.get(self.name).make(**self.settings)
        return made

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {"name": self.name, "settings": dict(self.settings)}


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What the verifiers said.

    Attributes:
        scores: one per candidate, by label.
        costs: nominal usage by role of each candidate's share, by label.
        paid: what was sent, by role.
        broken: why they were broken off, or "".
    """

    scores: Mapping[str, tuple[Score, ...]]
    costs: Mapping[str, tuple[Mapping[str, Usage], ...]]
    paid: Mapping[str, Usage]
    broken: str = ""


async def judge(
    task: Task,
    candidates: Sequence[Candidate],
    judges: Sequence[Judge],
    *,
    models: Mapping[str, Model],
    sampling: Sampling,
    seed: int = 0,
    store: Store | None = None,
    control: Control | None = None,
) -> Judged:
    """Score the candidates of one task.

    Args:
        task: what was asked; it holds no reference.
        candidates: all samples, in their order.
        judges: the verifiers.
        models: by role; "policy" must be there.
        sampling: the law of the samples.
        seed: of the run.
        store: keeps what the models said.
        control: stops it.
    """
    meter = Meter()
    if control is not None:
        control.attach(meter)
    root = Context(models=models, meter=meter, trace=Trace(), seed=seed, sampling=sampling, store=store)
    scores: dict[str, tuple[Score, ...]] = {}
    costs: dict[str, tuple[Mapping[str, Usage], ...]] = {}
    for one in judges:
        own = Meter(parent=meter)
        ctx = replace(root, meter=own, verifier=one.make(), verifier_name=one.label, method="record")
        scored = await ctx.score(task, candidates)
        scores[one.label] = tuple(candidate.scores[one.label] for candidate in scored)
        split = {role: shares(used, len(candidates)) for role, used in own.nominal.items()}
        costs[one.label] = tuple({role: parts[at] for role, parts in split.items()} for at in range(len(candidates)))
    why = meter.reason()
    return Judged(scores=scores, costs=costs, paid=dict(meter.paid), broken="" if why is None else str(why))


def shares(total: Usage, count: int) -> list[Usage]:
    """Divide a usage evenly into `count` >= 1 parts that add up to it; more than one part is not exact."""

    def part(whole: int, at: int) -> int:
        return whole // count + (at < whole % count)

    return [
        Usage(
            calls=part(total.calls, at),
            prompt_tokens=part(total.prompt_tokens, at),
            cached_tokens=part(total.cached_tokens, at),
            completion_tokens=part(total.completion_tokens, at),
            thinking_tokens=part(total.thinking_tokens, at),
            usd=None if total.usd is None else total.usd / count,
            flops=None if total.flops is None else total.flops / count,
            exact=total.exact and count == 1,
        )
        for at in range(count)
    ]
