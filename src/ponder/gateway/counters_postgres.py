"""Counters in PostgreSQL, for several replicas behind one balancer.

Source: our own. A reservation is one transaction: the counters' rows are locked in the order of their names (so two
requests cannot wait for each other), judged by the same rule as everywhere (`counters.decide`), and written. All
requests meet at the global counters' rows, so three round trips to the server bound their rate.
Needs: asyncpg (`pip install 'ponder[gateway]'`).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from ponder.core.registry import need
from ponder.gateway.counters import LATE, Ask, Balance, CountersDown, Short, decide, shares

__all__ = ["PostgresCounters"]

_LOCK = 0x706F6E646572  # "ponder", so that replicas which start together make the tables one after the other
_SCHEMA = """
CREATE TABLE IF NOT EXISTS ponder_counters (
    name text PRIMARY KEY, spent bigint NOT NULL DEFAULT 0, reserved bigint NOT NULL DEFAULT 0,
    forgotten double precision NOT NULL);
CREATE TABLE IF NOT EXISTS ponder_reservations (
    id text PRIMARY KEY, open boolean NOT NULL, expires double precision NOT NULL, shares text NOT NULL);
CREATE INDEX IF NOT EXISTS ponder_leases ON ponder_reservations (open, expires);
"""
_MAKE = (
    "INSERT INTO ponder_counters (name, forgotten) SELECT * FROM unnest($1::text[], $2::double precision[])"
    " ON CONFLICT DO NOTHING"
)
_HOLD = "SELECT name, spent, reserved FROM ponder_counters WHERE name = ANY($1::text[]) ORDER BY name FOR UPDATE"
_MOVE = (
    "UPDATE ponder_counters c SET spent = c.spent + m.spent, reserved = c.reserved + m.reserved"
    " FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS m (name, spent, reserved) WHERE c.name = m.name"
)


class PostgresCounters:
    """Counters in a PostgreSQL database; made by `open`."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._library = need("asyncpg", extra="gateway", feature="counters in PostgreSQL")

    @classmethod
    async def open(cls, url: str, *, connections: int = 8) -> PostgresCounters:
        """Connect, and make the tables where they are missing.

        Raises:
            MissingExtra: `asyncpg` is not installed.
            CountersDown: the server does not answer, or refuses.
        """
        library = need("asyncpg", extra="gateway", feature="counters in PostgreSQL")
        try:
            pool = await library.create_pool(url, min_size=1, max_size=connections, timeout=10, command_timeout=10)
        except (library.PostgresError, library.InterfaceError, OSError, TimeoutError, ValueError) as err:
            raise CountersDown(f"the counters in PostgreSQL cannot be used: {type(err).__name__}: {err}") from err
        counters = cls(pool)
        try:
            async with counters._transaction() as db:
                await db.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
                await db.execute(_SCHEMA)
        except CountersDown:
            pool.terminate()
            raise
        return counters

    async def reserve(self, reservation: str, asks: Sequence[Ask], *, expires: float) -> dict[str, int] | Short:
        """Reserve everywhere or nowhere; see `Counters`."""
        rows = sorted({(window.counter, window.forgotten) for ask in asks for window in ask.windows})
        names = [name for name, _ in rows]
        while True:
            async with self._transaction() as db:
                held = await db.fetch(_HOLD, names)
                if len(held) == len(names):
                    outcome = decide(asks, {row["name"]: Balance(row["spent"], row["reserved"]) for row in held})
                    if not isinstance(outcome, Short):
                        kept = shares(asks, outcome)
                        await db.execute(_MOVE, list(kept), [0] * len(kept), [amount for _, amount in kept.values()])
                        await db.execute(
                            "INSERT INTO ponder_reservations VALUES ($1, true, $2, $3)",
                            reservation,
                            expires,
                            json.dumps(kept),
                        )
                    return outcome
            # A window has begun. Its rows are made in a transaction of their own: no lock is held meanwhile.
            async with self._transaction() as db:
                await db.execute(_MAKE, names, [forgotten for _, forgotten in rows])

    async def settle(self, reservation: str, used: Mapping[str, int]) -> bool:
        """Replace a reservation by what was used; see `Counters`."""
        async with self._transaction() as db:
            row = await db.fetchrow("DELETE FROM ponder_reservations WHERE id = $1 RETURNING open, shares", reservation)
            if row is None:
                return False
            kept = json.loads(row["shares"])
            await db.fetch(_HOLD, list(kept))
            await db.execute(
                _MOVE,
                list(kept),
                [used.get(unit, 0) - (0 if row["open"] else amount) for unit, amount in kept.values()],
                [-amount if row["open"] else 0 for _, amount in kept.values()],
            )
        return True

    async def expire(self, now: float) -> int:
        """Count ended leases as spent and drop what is forgotten; see `Counters`."""
        async with self._transaction() as db:
            rows = await db.fetch(
                "UPDATE ponder_reservations SET open = false WHERE id IN (SELECT id FROM ponder_reservations"
                " WHERE open AND expires <= $1 FOR UPDATE SKIP LOCKED) RETURNING shares",
                now,
            )
            totals: dict[str, int] = {}
            for row in rows:
                for name, (_, amount) in json.loads(row["shares"]).items():
                    totals[name] = totals.get(name, 0) + amount
            if totals:
                await db.fetch(_HOLD, list(totals))
                await db.execute(_MOVE, list(totals), list(totals.values()), [-amount for amount in totals.values()])
            await db.execute("DELETE FROM ponder_reservations WHERE NOT open AND expires <= $1", now - LATE)
            await db.execute(
                "DELETE FROM ponder_counters WHERE name IN (SELECT name FROM ponder_counters WHERE forgotten <= $1"
                " ORDER BY name FOR UPDATE SKIP LOCKED)",
                now,
            )
        return len(rows)

    async def read(self, counters: Sequence[str]) -> dict[str, Balance]:
        """Return balances by name; see `Counters`."""
        async with self._transaction() as db:
            rows = await db.fetch(
                "SELECT name, spent, reserved FROM ponder_counters WHERE name = ANY($1::text[])", list(counters)
            )
        found = {row["name"]: Balance(row["spent"], row["reserved"]) for row in rows}
        return {name: found.get(name, Balance()) for name in counters}

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()

    @contextlib.asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Any]:
        library = self._library
        try:
            async with self._pool.acquire() as db, db.transaction():
                yield db
        except (library.PostgresError, library.InterfaceError, OSError, TimeoutError) as err:
            raise CountersDown(f"the counters in PostgreSQL cannot be used: {type(err).__name__}: {err}") from err
