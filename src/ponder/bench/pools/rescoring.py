"""Scores by further verifiers for a pool that is there, whoever recorded it.

Nothing is sampled: a verifier that asks a model needs one of its own (a role). What it said is kept in the pool's
store, so a killed run goes on without paying twice; the new lines replace the old ones.
Source: our own. Cost: the verifiers' own calls. Needs: the models that the verifiers ask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ponder.bench.answers import Answers
from ponder.bench.pools.folder import PoolFolder, read_problems
from ponder.bench.pools.scoring import Judge, judge
from ponder.core import registry
from ponder.core.candidate import Candidate
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Model, Sampling
from ponder.core.solve import Control
from ponder.models.replay import Recorded, ReplayModel, read_facts, read_pool

__all__ = ["Scored", "score_pool"]


class Scored(NamedTuple):
    """How many problems were scored, and why it was broken off, or ""; the same call goes on with it."""

    done: int
    broken: str = ""


async def score_pool(
    path: Path | str,
    judges: Sequence[Judge],
    *,
    roles: Mapping[str, Model] | None = None,
    names: Mapping[str, str] | None = None,
    control: Control | None = None,
    tell: Callable[[int, int], None] | None = None,
) -> Scored:
    """Score all samples of a pool by verifiers whose scores it lacks.

    Args:
        path: folder of the pool.
        judges: the verifiers.
        roles: models by role ("judge", ...).
        names: their spellings, which the pool keeps.
        control: stops it; what was scored stays.
        tell: called with (problems done, problems) as they end.

    Raises:
        ConfigError: no verifier, or one that asks a model without a role of its own.
        BadInput: no pool folder, or one that cannot be used.
    """
    if not judges:
        raise ConfigError("name at least one verifier with --verifier")
    for one in judges:
        one.make()
        if registry.verifiers.get(one.name).access and not roles:
            raise ConfigError(f"verifier {one.name!r} asks a model, and a pool is none: name it with --judge")
    facts = read_facts(path)
    if not facts:
        raise BadInput(f"{str(path)!r} is no folder of a pool")
    named, records = read_problems(path), _by_problem(read_pool(path))
    policy = ReplayModel(pool=[])
    facts = {**facts, "verifiers": {one.label: one.to_json() for one in judges}, "roles": dict(names or {})}
    done = 0
    with PoolFolder(path, facts, named) as folder:
        for at, problem in enumerate(named, 1):
            for found in records.get(problem.problem.task.id, {}).values():
                missing = [one for one in judges if any(one.label not in record.scores for record in found)]
                if not missing:
                    continue
                judged = await judge(
                    problem.problem.task,
                    [_candidate(record) for record in found],
                    missing,
                    models={"policy": policy, **(roles or {})},
                    sampling=Sampling(),
                    seed=int(facts.get("seed") or 0),
                    store=Answers(folder.store),
                    control=control,
                )
                if judged.broken:
                    return Scored(done, judged.broken)
                folder.write(
                    [
                        replace(
                            record,
                            scores={**record.scores, **{label: scores[i] for label, scores in judged.scores.items()}},
                            judging={
                                **record.judging,
                                **{label: costs[i] for label, costs in judged.costs.items() if costs[i]},
                            },
                        )
                        for i, record in enumerate(found)
                    ]
                )
                done += 1
            if tell is not None:
                tell(at, len(named))
    return Scored(done)


def _by_problem(records: Sequence[Recorded]) -> dict[str, dict[bool, list[Recorded]]]:
    found: dict[str, dict[bool, list[Recorded]]] = {}
    for record in sorted(records, key=lambda one: one.index):
        found.setdefault(record.problem, {}).setdefault(record.greedy, []).append(record)
    return found


def _candidate(record: Recorded) -> Candidate:
    done = record.completion
    return Candidate(
        index=record.index,
        message=done.message,
        answer=record.answer,
        finish=done.finish,
        usage=done.usage,
        completion=done,
    )
