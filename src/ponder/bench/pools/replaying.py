"""Rows of the bench made from a pool: what each method would have answered, and what it would have cost alone.

In the recorded order they are the rows that a live bench on the same samples writes, but for the clock and for what was
paid, which is nothing. Further orders give further rows, marked by the seed: the recorded one plus the order's number.
A problem with fewer samples than a point asks for has no row of it.
Source: our own. Differs: where a verifier's model was paid for all samples together, its cost is divided evenly.
Cost: no model call, except for programs that check answers. Needs: numpy (extra `bench`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from ponder._version import __version__
from ponder.bench.curve import Point, run_points
from ponder.bench.job import Named
from ponder.bench.pools.orders import in_order
from ponder.bench.pools.pool import FINISHES, Block, Pool
from ponder.bench.pools.selectors import choices, label_of, way_of
from ponder.bench.rows import Row
from ponder.core import registry
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Model, ModelInfo, Sampling
from ponder.core.store import Store
from ponder.core.usage import Usage
from ponder.models.replay import ReplayModel, info_of
from ponder.planning.costs import PriceTable, costs_of
from ponder.planning.difficulty import Evidence

__all__ = ["ReplaySource", "array_rows", "method_rows", "source_of"]

_CUT = FINISHES.index("length")


@dataclass(frozen=True, kw_only=True)
class ReplaySource:
    """Who answered, as rows name it.

    Attributes:
        model: spelling.
        info: shape and prices.
        seed: of the samples.
        sampling: the law, or None where it is not known.
        roles: spellings of further models.
        prices: for the costs in rows.
    """

    model: str
    info: ModelInfo
    seed: int
    sampling: Sampling | None
    roles: dict[str, str]
    prices: PriceTable | None = None


def source_of(pool: Pool) -> ReplaySource:
    """Return what a pool says about its model.

    Raises:
        BadInput: `pool.json` is not what this version writes.
    """
    facts, model = pool.facts, pool.facts.get("model", {})
    try:
        law = facts.get("sampling")
        return ReplaySource(
            model=model.get("spec", "replay"),
            info=info_of(model["info"]) if "info" in model else ModelInfo(fingerprint=""),
            seed=int(facts.get("seed") or 0),
            sampling=None if law is None else Sampling(**{**law, "stop": tuple(law.get("stop", ()))}),
            roles=dict(facts.get("roles", {})),
        )
    except (TypeError, ValueError, AttributeError) as err:
        raise BadInput(f"{pool.name}: pool.json is not what this ponder writes: {err!r}") from err


def array_rows(
    pool: Pool, points: Sequence[Point], *, orders: int = 1, seed: int = 0, prices: PriceTable | None = None
) -> Iterator[Row]:
    """Yield the rows of points that `way_of` calls "arrays" or "greedy".

    Args:
        pool: the samples.
        points: what is replayed.
        orders: how many orders of the samples, >= 1; the first is the recorded one. Greedy answers have one.
        seed: of the other orders.
        prices: by spelling of the model, for the costs in rows.
    """
    source = replace(source_of(pool), prices=prices)
    for order in range(orders):
        block = in_order(pool.samples, order, seed=seed)
        tables = [_Table(pool, block, task) for task in range(len(pool.ids))]
        for point in points:
            if way_of(point, pool) == "greedy":
                if order == 0:
                    for task in range(len(pool.ids)):
                        yield _row(pool, source, point, _Table(pool, pool.greedy, task), 1, 0, 0)
                continue
            if point.n > block.width:
                continue
            chosen = choices(point, block, [point.n])[:, 0].tolist()
            for table in tables:
                if table.present >= point.n:
                    yield _row(pool, source, point, table, point.n, chosen[table.task], order)


async def method_rows(
    pool: Pool,
    problems: Sequence[Named],
    points: Sequence[Point],
    model: ReplayModel,
    *,
    prices: PriceTable | None = None,
) -> list[Row]:
    """Return the rows of points that are run by their methods on the replay model, in the recorded order.

    Raises:
        ConfigError: a method asks for more than the pool holds.
    """
    source, rows = source_of(pool), []
    sampling = source.sampling or Sampling(max_tokens=1 << 20)
    place = {name: at for at, name in enumerate(pool.ids)}
    policy: Model = model
    for named in problems:
        at = place.get(named.problem.task.id)
        own = [] if at is None else [point for point in points if point.n <= pool.samples.present[at]]
        if not own:
            continue
        runs = await run_points(
            named.problem,
            own,
            model=policy,
            store=Store(),
            family=named.family,
            sampling=sampling,
            seed=source.seed,
            names={"policy": source.model},
            prices=prices,
            keys=[_key(source, point, named.family, named.problem.task.id, 0) for point in own],
        )
        for run in runs:
            if run.broken_off or run.row.failed:
                why = run.result.detail or next((c.error for c in run.result.candidates if c.error), "")
                raise ConfigError(f"{run.point.method} asks for what the pool does not hold: {why}")
            rows.append(replace(run.row, result="", seconds=None, measured=False, fingerprint=source.info.fingerprint))
    return rows


class _Table:
    """One problem's samples in plain numbers, with what the first n of them cost and show."""

    def __init__(self, pool: Pool, block: Block, task: int) -> None:
        self.task, self.block, self.present = task, block, int(block.present[task])
        self.used = _sums(block.costs.each(task))
        self.groups = [None if g < 0 else g for g in block.groups[task].tolist()]
        self.grades = [None if g < 0 else bool(g) for g in block.grades[task].tolist()]
        self.certain = _values(block.certainty[task].tolist())
        cut = [finish == _CUT for finish in block.finishes[task].tolist()]
        unread = [code < 0 for code in block.codes[task].tolist()]
        self.cut, self.unread = list(accumulate(cut)), list(accumulate(unread))
        self.flawed = list(accumulate(a or b for a, b in zip(cut, unread, strict=True)))
        self.gradable = any(grade is not None for grade in self.grades)
        self._judged: dict[str, dict[str, list[Usage]]] = {}
        self._scores: dict[str, list[float | None]] = {}

    def judged(self, label: str) -> dict[str, list[Usage]]:
        if label not in self._judged:
            roles = self.block.judging.get(label, {})
            self._judged[label] = {role: _sums(costs.each(self.task)) for role, costs in roles.items()}
        return self._judged[label]

    def scores(self, label: str) -> list[float | None]:
        if label not in self._scores:
            self._scores[label] = _values(self.block.scores[label][self.task].tolist()) if label else []
        return self._scores[label]


def _row(pool: Pool, source: ReplaySource, point: Point, table: _Table, n: int, chosen: int, order: int) -> Row:
    label, task = label_of(point), table.task
    usage = {"policy": table.used[n - 1]}
    for role, sums in table.judged(label).items():
        if sums[n - 1].calls:
            usage[role] = usage.get(role, Usage()) + sums[n - 1]
    correct = (table.grades[chosen] if chosen >= 0 else False) if table.gradable else None
    made = registry.strategies.get(point.method).make(**point.settings)
    return Row(
        run=_key(source, point, pool.families[task], pool.ids[task], order),
        problem=pool.ids[task],
        family=pool.families[task],
        curve=point.curve,
        method=point.method,
        settings=registry.parameters(made),
        verifier=point.verifier or "",
        judging=point.judging,
        budget=point.budget,
        n=point.n,
        answer=pool.answer(table.block, task, chosen) if chosen >= 0 else None,
        correct=correct,
        grader=pool.graders[task],
        level=pool.levels[task],
        usage=dict(sorted(usage.items())),
        paid={role: Usage() for role in sorted(usage)},
        costs=costs_of(
            usage, {"policy": source.info}, prices=source.prices, names={"policy": source.model, **source.roles}
        ),
        candidates=n,
        cut=table.cut[n - 1],
        unread=table.unread[n - 1],
        flawed=table.flawed[n - 1],
        seconds=None,
        measured=False,
        model=source.model,
        fingerprint=source.info.fingerprint,
        roles=source.roles,
        seed=source.seed + order,
        version=__version__,
        evidence=Evidence(
            groups=tuple(table.groups[:n]),
            scores=tuple(table.scores(label)[:n]),
            certainties=tuple(table.certain[:n]),
            grades=tuple(table.grades[:n]),
        ),
    )


def _key(source: ReplaySource, point: Point, family: str, problem: str, order: int) -> str:
    body: list[Any] = ["pool", source.info.fingerprint, source.model, source.seed, order, repr(source.sampling)]
    made = registry.strategies.get(point.method).make(**point.settings)
    what = [point.method, registry.parameters(made), point.verifier, dict(point.judging)]
    text = json.dumps([*body, what, family, problem], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _sums(each: Sequence[Usage]) -> list[Usage]:
    return list(accumulate(each))


def _values(found: Sequence[float]) -> list[float | None]:
    return [None if value != value else value for value in found]
