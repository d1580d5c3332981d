"""A hard limit on what a run may spend, and the meter that keeps it.

Every call is reserved before it is sent and settled after. Reservations queue in the order in which their tickets
were issued (sample order, not arrival order): one that does not fit waits while earlier ones are in flight; only a
head with nothing in flight is clipped to what is left, and below its minimum it is refused. So the set of admitted
calls, and the size of each, is that of a run that makes its calls one after another.

Source: our own (DESIGN, principles 1 and 3). Meters form a tree: a call must fit its own meter and all above it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Literal, TypeAlias

from ponder.core.errors import ConfigError, Interrupted, OutOfBudget, Stopped
from ponder.core.model import ModelInfo
from ponder.core.usage import Usage

__all__ = ["ADDITIVE", "DISTURBING", "Budget", "Meter", "Need", "Reservation", "Ticket", "Unit"]

Unit: TypeAlias = Literal["calls", "prompt_tokens", "completion_tokens", "tokens", "usd", "flops"]
ADDITIVE: tuple[Unit, ...] = ("calls", "prompt_tokens", "completion_tokens", "tokens", "usd", "flops")

# Ends of a run that another run with the same seed need not share.
DISTURBING: frozenset[Stopped] = frozenset({"deadline", "cancelled", "endpoint", "overrun"})
# Sums of dollars are rounded sums: a limit of 64 calls at 0.01 must admit the 64th.
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What may be spent; None is no limit.

    Attributes:
        calls: completions.
        prompt_tokens, completion_tokens: tokens read and written.
        tokens: both together.
        seconds: a deadline from the start of the run (not additive).
        usd, flops: refused before spending where the model's price or shape is not known.
    """

    calls: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    usd: float | None = None
    flops: float | None = None

    def __post_init__(self) -> None:
        for name in _NAMES:
            value = getattr(self, name)
            if value is not None and not (value > 0 and (math.isfinite(value))):
                raise ConfigError(f"budget {name} must be a positive number, got {value!r}")
        for part in ("prompt_tokens", "completion_tokens"):
            value = getattr(self, part)
            if value is not None and self.tokens is not None and value > self.tokens:
                raise ConfigError(f"contradictory budget: {part}={value} can never be used within tokens={self.tokens}")

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read "tokens=4000,seconds=60".

        Raises:
            ConfigError: unknown unit, a unit given twice, or a value that is no number.
        """
        values: dict[str, float | int] = {}
        whole = {"calls", "prompt_tokens", "completion_tokens", "tokens"}
        names = [item.name for item in fields(cls)]
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            name, equals, value = (piece.strip() for piece in part.partition("="))
            if name not in names or not equals:
                raise ConfigError(f"budget: cannot read {part!r}; write UNIT=NUMBER with a unit of {', '.join(names)}")
            if name in values:
                raise ConfigError(f"contradictory budget: {name} is given twice")
            try:
                number = float(value)
                values[name] = int(number) if name in whole and number.is_integer() else number
            except ValueError:
                raise ConfigError(f"budget: {value!r} is no number (in {part!r})") from None
            if name in whole and not isinstance(values[name], int):
                raise ConfigError(f"budget {name} must be a whole number, got {value!r}")
        return cls(**values)  # type: ignore[arg-type]  # names and types were checked above

    def limits(self) -> dict[Unit, float]:
        """Return the additive limits that are set."""
        return {unit: value for unit in ADDITIVE if (value := getattr(self, unit)) is not None}

    def share(self, fraction: float) -> Budget:
        """Return this budget with every limit multiplied by `fraction` in (0, 1], whole units rounded down to >= 1."""
        if not 0 < fraction <= 1:
            raise ConfigError(f"a share must be in (0, 1], got {fraction!r}")
        values: dict[str, float | int | None] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            scaled = None if value is None else value * fraction
            values[item.name] = max(1, math.floor(scaled)) if isinstance(value, int) and scaled is not None else scaled
        return Budget(**values)  # type: ignore[arg-type]  # same fields, same types


_NAMES = tuple(item.name for item in fields(Budget))  # a gateway makes several budgets for each request


@dataclass(frozen=True, kw_only=True)
class Need:
    """What one call may cost at most.

    Attributes:
        prompt: prompt tokens (exact or an upper bound).
        completion: most completion tokens, >= 1.
        minimum: fewest completion tokens that make the call worth sending, in [1, completion].
        info: prices of the model that is called.
    """

    prompt: int
    completion: int
    minimum: int = 1
    info: ModelInfo

    def amount(self, unit: Unit, completion: int) -> float:
        """Return the cost in `unit` when `completion` tokens are written."""
        match unit:
            case "calls":
                return 1
            case "prompt_tokens":
                return self.prompt
            case "completion_tokens":
                return completion
            case "tokens":
                return self.prompt + completion
            case "usd":
                return self.info.usd(self.prompt, completion) or 0.0
            case "flops":
                return 0.0 if self.info.flops is None else self.info.flops(self.prompt, completion)


class Ticket:
    """A place in the queue, taken in sample order before the call's need is known."""

    def __init__(self, meter: Meter, role: str) -> None:
        self.meter, self.role = meter, role
        self.need: Need | None = None
        self.reservation: Reservation | None = None
        self.refusal: Interrupted | None = None
        self.closed = False
        self._notify: Callable[[], None] | None = None

    @property
    def decided(self) -> bool:
        """Whether the meter has admitted or refused it."""
        return self.reservation is not None or self.refusal is not None

    def ask(self, need: Need, notify: Callable[[], None]) -> None:
        """State the need; `notify` is called once the ticket is decided (at once, where it fits)."""
        self.need, self._notify = need, notify
        self.meter.pump()

    def close(self) -> None:
        """Give the place up (harmless once decided)."""
        if not self.closed:
            self.closed = True
            self.meter.pump()

    def decide(self, outcome: Reservation | Interrupted) -> None:
        """Called by the meter: admit or refuse."""
        if isinstance(outcome, Reservation):
            self.reservation = outcome
        else:
            self.refusal = outcome
        self.closed = True
        if self._notify is not None:
            self._notify()


class Reservation:
    """An admitted call, to be settled exactly once; `close` settles what was left open.

    Attributes:
        completion: completion tokens granted; fewer than asked where the call was clipped.
    """

    def __init__(self, ticket: Ticket, completion: int) -> None:
        assert ticket.need is not None
        self.meter, self.role, self.need, self.completion = ticket.meter, ticket.role, ticket.need, completion
        self.open = True
        self.streamed: int | None = None

    def progress(self, tokens: int) -> None:
        """Note that so many more tokens were streamed."""
        self.streamed = (self.streamed or 0) + tokens

    def settle(self, usage: Usage, *, paid: Usage | None = None, book: bool = True) -> None:
        """Replace the reservation by what the call cost.

        Args:
            usage: nominal cost, as if the call had been made alone.
            paid: what was really sent for it (nothing for a stored reply); by default `usage`.
            book: count it as nominal usage now. A call made ahead of a decision that may drop it is booked later, with
                `Meter.book`, when the decision has kept it; dropped, it counts as paid and against the budget only.
        """
        if self.open:
            self.open = False
            self.meter.settle(self, usage, usage if paid is None else paid)
            if book:
                self.meter.book(self.role, usage)

    def used(self) -> Usage:
        """Return the cost of a call that was broken off: the streamed count if known, else the full reservation."""
        exact_count = self.streamed is not None
        usage = Usage(
            calls=1,
            prompt_tokens=self.need.prompt,
            completion_tokens=min(self.streamed or 0, self.completion) if exact_count else self.completion,
            exact=False,
        )
        return self.need.info.price(usage)

    def close(self, *, book: bool = True) -> None:
        """Settle a call that did not come back."""
        self.settle(self.used(), book=book)


class Meter:
    """Keeps one budget. Not thread-safe: used from one event loop.

    Attributes:
        budget: the limits.
        spent: what counts against the budget (settled calls, stored and discarded ones included).
        nominal: by role, what equal-cost comparison uses.
        paid: by role, what was really sent.
        stopped: why no more calls are admitted, once that is so.
        refused: the last call that did not fit these limits.
        overruns: one line for each call that cost more than its reservation.
        disturbed: whether a clock, a cancellation or a fault has ended this run or one inside it.
    """

    def __init__(self, budget: Budget | None = None, *, parent: Meter | None = None) -> None:
        self.budget = budget or Budget()
        self.parent = parent
        self.root: Meter = self if parent is None else parent.root
        self.path: tuple[Meter, ...] = (self,) if parent is None else (self, *parent.path)
        self.spent = Usage()
        self.nominal: dict[str, Usage] = {}
        self.paid: dict[str, Usage] = {}
        self.stopped: Interrupted | None = None
        self.refused: OutOfBudget | None = None
        self.overruns: list[str] = []
        self.disturbed = False
        self.in_flight = 0
        self._limits = self.budget.limits()
        self._spent: dict[Unit, float] = dict.fromkeys(self._limits, 0.0)
        self._reserved: dict[Unit, float] = dict.fromkeys(self._limits, 0.0)
        self._queue: deque[Ticket] = deque()  # used at the root only
        self._pumping = False
        self._on_stop: dict[int, Callable[[Interrupted], None]] = {}
        self._next_key = 0

    # -- tickets ---------------------------------------------------------------------------------------------------

    def ticket(self, role: str) -> Ticket:
        """Take the next place in the queue."""
        ticket = Ticket(self, role)
        self.root._queue.append(ticket)
        return ticket

    def check_prices(self, info: ModelInfo, name: str) -> None:
        """Refuse a budget in units that cannot be computed for this model.

        Raises:
            ConfigError: dollars without prices, or FLOPs without a shape.
        """
        for meter in self.path:
            if "usd" in meter._limits and info.usd(1, 1) is None:
                raise ConfigError(f"a budget in usd needs prices, and none are known for {name!r}")
            if "flops" in meter._limits and info.flops is None:
                raise ConfigError(f"a budget in flops needs the model's shape, and none is known for {name!r}")

    def pump(self) -> None:
        """Decide as many tickets as can be decided now, in order."""
        root = self.root
        if root._pumping:  # a notification asked again: the loop below goes on anyway
            return
        root._pumping = True
        try:
            while root._queue:
                head = root._queue[0]
                if not head.closed:
                    if head.need is None:
                        return
                    outcome = self._judge(head)
                    if outcome is None:
                        return
                    root._queue.popleft()
                    if isinstance(outcome, Reservation):
                        self._hold(outcome, +1)
                    head.decide(outcome)
                else:
                    root._queue.popleft()
        finally:
            root._pumping = False

    @staticmethod
    def _judge(ticket: Ticket) -> Reservation | Interrupted | None:
        """Admit, refuse, or (None) let wait."""
        need, path = ticket.need, ticket.meter.path
        assert need is not None
        for meter in path:
            if meter.stopped is not None:
                return meter.stopped
        tight = [meter for meter in path if meter._short(need, need.completion) is not None]
        if not tight:
            return Reservation(ticket, need.completion)
        if any(meter.in_flight for meter in tight):
            return None
        low, high = 0, need.completion  # the largest completion that fits every tight meter, by bisection
        while low < high:
            middle = (low + high + 1) // 2
            if all(meter._short(need, middle) is None for meter in tight):
                low = middle
            else:
                high = middle - 1
        if low >= need.minimum:
            return Reservation(ticket, low)
        for meter in tight:
            if (unit := meter._short(need, need.minimum)) is not None:
                needed = need.amount(unit, need.minimum)
                meter.refused = OutOfBudget(unit, limit=meter._limits[unit], needed=needed)
                return meter.refused
        raise AssertionError("a tight meter is short at the minimum")

    def _short(self, need: Need, completion: int) -> Unit | None:
        """Return the first unit in which the call does not fit what is free here, or None."""
        for unit, limit in self._limits.items():
            free = limit - self._spent[unit] - self._reserved[unit]
            if need.amount(unit, completion) > free + _ROUNDING * limit * (unit in ("usd", "flops")):
                return unit
        return None

    @staticmethod
    def _hold(reservation: Reservation, sign: int) -> None:
        for meter in reservation.meter.path:
            meter.in_flight += sign
            for unit in meter._limits:
                meter._reserved[unit] += sign * reservation.need.amount(unit, reservation.completion)

    # -- settling --------------------------------------------------------------------------------------------------

    def settle(self, reservation: Reservation, usage: Usage, paid: Usage) -> None:
        """Take the cost of a call off the budget (use `Reservation.settle`)."""
        self._hold(reservation, -1)
        over: str | None = None
        for meter in self.path:
            meter.spent = meter.spent + usage
            for unit, limit in meter._limits.items():
                actual = float(getattr(usage, unit) or 0.0)
                held = reservation.need.amount(unit, reservation.completion)
                if actual > held * (1 + _ROUNDING):
                    over = f"{reservation.role}: {unit} {actual:g} reported, {held:g} reserved"
                # A call that was tried again was paid for twice, and the limit is on what is really spent; but it still
                # is one completion, which is what a limit on calls counts.
                repeated = 0.0 if unit == "calls" else float(getattr(paid, unit) or 0.0)
                meter._spent[unit] += max(actual, repeated)
                if meter._spent[unit] > limit * (1 + _ROUNDING) and over is None:
                    over = f"{reservation.role}: repeated attempts took {unit} beyond its limit of {limit:g}"
            meter.paid[reservation.role] = meter.paid.get(reservation.role, Usage()) + paid
        if over is not None:
            for meter in self.path:
                meter.overruns.append(over)
            self.root.stop(Interrupted(f"a call cost more than it was allowed: {over}", reason="overrun"))
        self.pump()

    def book(self, role: str, usage: Usage) -> None:
        """Count a settled call as nominal usage, here and above."""
        # What a prefix cache served depends on what ran before: it belongs to what was paid.
        if usage.cached_tokens:
            usage = replace(usage, cached_tokens=0)
        for meter in self.path:
            meter.nominal[role] = meter.nominal.get(role, Usage()) + usage

    def left(self, unit: Unit) -> float:
        """Return what is neither spent nor reserved in `unit`, over this meter and all above (inf: no limit)."""
        free = [m._limits[unit] - m._spent[unit] - m._reserved[unit] for m in self.path if unit in m._limits]
        return min(free, default=math.inf)

    # -- stopping --------------------------------------------------------------------------------------------------

    def stop(self, why: Interrupted) -> None:
        """Admit nothing more here and below, and break off what is in flight. The first reason stands."""
        if self.stopped is not None:
            return
        self.stopped = why
        for meter in self.path:
            meter.disturbed = meter.disturbed or why.reason in DISTURBING
        for ticket in self.root._queue:  # those of a nested run may stand behind others that still wait
            if not ticket.closed and ticket.need is not None and self in ticket.meter.path:
                ticket.decide(why)
        for notify in list(self._on_stop.values()):
            notify(why)
        self.pump()

    @contextmanager
    def listening(self, notify: Callable[[Interrupted], None]) -> Iterator[None]:
        """Call `notify` when this meter or one above it stops (at once where it has)."""
        keys = []
        for meter in self.path:
            meter._next_key += 1
            meter._on_stop[meter._next_key] = notify
            keys.append(meter._next_key)
        try:
            reason = self.reason()
            if reason is not None:
                notify(reason)
            yield
        finally:
            for meter, key in zip(self.path, keys, strict=True):
                meter._on_stop.pop(key, None)

    def refusal(self) -> OutOfBudget | None:
        """Return the last refusal of this meter, else of the one above it, or None."""
        return next((meter.refused for meter in self.path if meter.refused is not None), None)

    def reason(self) -> Interrupted | None:
        """Return why calls under this meter are no longer admitted, or None."""
        return next((meter.stopped for meter in self.path if meter.stopped is not None), None)
