"""Counters in Redis, for several replicas behind one balancer.

Source: our own. Each operation is one Lua script, which Redis runs alone, so there is nothing to retry and no lock to
lose. All keys hold the tag `{ponder}`, so a cluster keeps them in one slot. Amounts are added by HINCRBY (64-bit
integers); comparisons are made in Lua's doubles, exact up to 2^53 (nine million dollars in one window).
How much survives a crash of the server is its own setting (`appendonly yes`, `appendfsync everysec` loses a second).
Needs: redis (`pip install 'ponder[gateway]'`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from ponder.core.registry import need
from ponder.gateway.counters import LATE, Ask, Balance, CountersDown, Short

__all__ = ["RedisCounters"]

_COUNTER, _RESERVATION = "{ponder}:counter:", "{ponder}:reservation:"
_LEASES, _ENDED = "{ponder}:leases", "{ponder}:ended"

# KEYS: reservation, leases, counters in the order of the windows.
# ARGV: id, expires; then by ask: unit, wanted, least, number of windows; by window: limit or "", forgotten.
# Returns {1, granted by ask...} or {0, (ask, window, spent, reserved)...}, counted from 1.
_RESERVE = """
local place, counter = 3, 3
local asks, short = {}, {0}
while place <= #ARGV do
  local ask = {unit = ARGV[place], amount = tonumber(ARGV[place + 1]), keys = {}}
  local least, windows = tonumber(ARGV[place + 2]), tonumber(ARGV[place + 3])
  place = place + 4
  for window = 1, windows do
    local key = KEYS[counter]
    counter = counter + 1
    if ARGV[place] ~= '' then
      local held = redis.call('HMGET', key, 'spent', 'reserved')
      local spent, reserved = held[1] or '0', held[2] or '0'
      local left = tonumber(ARGV[place]) - tonumber(spent) - tonumber(reserved)
      if left < least then
        for _, value in ipairs({#asks + 1, window, spent, reserved}) do table.insert(short, tostring(value)) end
      end
      if left < ask.amount then ask.amount = left end
    end
    table.insert(ask.keys, {key, ARGV[place + 1]})
    place = place + 2
  end
  table.insert(asks, ask)
end
if #short > 1 then return short end
local answer = {1}
for _, ask in ipairs(asks) do
  local amount = string.format('%.0f', math.max(ask.amount, 0))
  table.insert(answer, amount)
  for _, held in ipairs(ask.keys) do
    redis.call('HINCRBY', held[1], 'reserved', amount)
    redis.call('EXPIREAT', held[1], held[2])
    redis.call('HSET', KEYS[1], held[1], ask.unit .. ' ' .. amount)
  end
end
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
return answer
"""

# KEYS: reservation, leases, ended leases (the reservation names its counters). ARGV: id, then unit, amount, ...
_SETTLE = """
local held = redis.call('HGETALL', KEYS[1])
if #held == 0 then return 0 end
local still = redis.call('ZREM', KEYS[2], ARGV[1])
local used = {}
for place = 2, #ARGV, 2 do used[ARGV[place]] = tonumber(ARGV[place + 1]) end
for place = 1, #held, 2 do
  local unit, amount = string.match(held[place + 1], '^(%S+) (%d+)$')
  local spent = used[unit] or 0
  if redis.call('EXISTS', held[place]) == 1 then
    if still == 1 then
      redis.call('HINCRBY', held[place], 'reserved', amount == '0' and '0' or '-' .. amount)
    else
      spent = spent - tonumber(amount)
    end
    redis.call('HINCRBY', held[place], 'spent', string.format('%.0f', spent))
  end
end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[3], ARGV[1])
return 1
"""

# KEYS: leases, ended leases. ARGV: now, prefix of reservations, time of leases that wait for no settlement any more.
# Counters that are forgotten, Redis drops by itself (EXPIREAT).
_EXPIRE = """
local ended = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
for _, id in ipairs(ended) do
  local held = redis.call('HGETALL', ARGV[2] .. id)
  for place = 1, #held, 2 do
    local _, amount = string.match(held[place + 1], '^(%S+) (%d+)$')
    if redis.call('EXISTS', held[place]) == 1 then
      redis.call('HINCRBY', held[place], 'reserved', amount == '0' and '0' or '-' .. amount)
      redis.call('HINCRBY', held[place], 'spent', amount)
    end
  end
  redis.call('ZADD', KEYS[2], redis.call('ZSCORE', KEYS[1], id), id)
  redis.call('ZREM', KEYS[1], id)
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[3])) do
  redis.call('DEL', ARGV[2] .. id)
  redis.call('ZREM', KEYS[2], id)
end
return #ended
"""


class RedisCounters:
    """Counters in a Redis server; made by `open`."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._errors = need("redis.exceptions", extra="gateway", feature="counters in Redis")
        self._reserve, self._settle, self._expire = (
            client.register_script(script) for script in (_RESERVE, _SETTLE, _EXPIRE)
        )

    @classmethod
    async def open(cls, url: str) -> RedisCounters:
        """Connect.

        Raises:
            MissingExtra: `redis` is not installed.
            CountersDown: the server does not answer.
        """
        library = need("redis.asyncio", extra="gateway", feature="counters in Redis")
        client = library.Redis.from_url(url, decode_responses=True, socket_timeout=10, socket_connect_timeout=10)
        counters = cls(client)
        try:
            await counters._call(client.ping)
        except CountersDown:
            await client.aclose()
            raise
        return counters

    async def reserve(self, reservation: str, asks: Sequence[Ask], *, expires: float) -> dict[str, int] | Short:
        """Reserve everywhere or nowhere; see `Counters`."""
        arguments: list[str | int] = [reservation, repr(expires)]
        for ask in asks:
            arguments += [ask.unit, ask.wanted, ask.least, len(ask.windows)]
            for window in ask.windows:
                arguments += ["" if window.limit is None else window.limit, int(window.forgotten)]
        counters = [_COUNTER + window.counter for ask in asks for window in ask.windows]
        keys = [_RESERVATION + reservation, _LEASES, *counters]
        ok, *answer = await self._call(lambda: self._reserve(keys=keys, args=arguments))
        if ok:
            return {ask.unit: int(amount) for ask, amount in zip(asks, answer, strict=True)}
        short = []
        for place in range(0, len(answer), 4):
            number, index, spent, reserved = (int(value) for value in answer[place : place + 4])
            ask = asks[number - 1]
            short.append((ask.unit, ask.windows[index - 1], Balance(spent, reserved)))
        return Short(windows=tuple(short))

    async def settle(self, reservation: str, used: Mapping[str, int]) -> bool:
        """Replace a reservation by what was used; see `Counters`."""
        arguments = [reservation, *(value for pair in used.items() for value in pair)]
        keys = [_RESERVATION + reservation, _LEASES, _ENDED]
        return bool(await self._call(lambda: self._settle(keys=keys, args=arguments)))

    async def expire(self, now: float) -> int:
        """Count ended leases as spent; see `Counters`."""
        arguments = [repr(now), _RESERVATION, repr(now - LATE)]
        return int(await self._call(lambda: self._expire(keys=[_LEASES, _ENDED], args=arguments)))

    async def read(self, counters: Sequence[str]) -> dict[str, Balance]:
        """Return balances by name; see `Counters`."""
        pipe = self._client.pipeline(transaction=False)
        for name in counters:
            pipe.hmget(_COUNTER + name, "spent", "reserved")
        rows = await self._call(pipe.execute)
        return {
            name: Balance(int(spent or 0), int(reserved or 0))
            for name, (spent, reserved) in zip(counters, rows, strict=True)
        }

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _call(self, call: Callable[[], Awaitable[Any]]) -> Any:
        try:
            return await call()
        except (self._errors.RedisError, OSError, TimeoutError) as err:
            raise CountersDown(f"the counters in Redis cannot be used: {type(err).__name__}: {err}") from err
