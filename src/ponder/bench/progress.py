"""How far a job is, when it will end and what it has cost so far.

Source: our own. The time left is that of the runs left at the mean pace of this session; waits for a dead endpoint are
not part of the pace. Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ponder.bench.rows import Row
from ponder.core.usage import Usage, add_up

__all__ = ["Status", "Tally"]


@dataclass(frozen=True, kw_only=True)
class Status:
    """Where a job stands.

    Attributes:
        done: runs that are in the folder, and how many of them were there
        before: this session.
        total: runs of the job.
        missing: runs that were left out in this session.
        seconds: since the session began.
        left: seconds that the rest should take; None before anything is known.
        paid: what this session has sent, by role.
        waiting: what it waits for, or "".
    """

    done: int
    before: int
    total: int
    missing: int
    seconds: float
    left: float | None
    paid: Mapping[str, Usage]
    waiting: str = ""


@dataclass
class Tally:
    """Counts the runs of a session and tells where it stands.

    Attributes:
        total: runs of the job.
        before: runs that were there.
        tell: called when something has changed.
        clock: seconds that only go forward.
    """

    total: int
    before: int
    tell: Callable[[Status], None] | None = None
    clock: Callable[[], float] = time.monotonic
    paid: dict[str, Usage] = field(default_factory=dict)
    new: int = 0
    missing: int = 0
    waiting: str = ""

    def __post_init__(self) -> None:
        self._started = self.clock()
        self._waited, self._since = 0.0, 0.0

    def add(self, row: Row) -> None:
        """Count a run."""
        self.new += 1
        for role, used in row.paid.items():
            self.paid[role] = self.paid.get(role, Usage()) + used
        self.say()

    def spend(self, paid: Mapping[str, Usage]) -> None:
        """Count what was paid for no row."""
        self.paid = add_up([self.paid, paid])

    def leave_out(self, runs: int) -> None:
        """Count runs that did not come."""
        self.missing += runs
        self.say()

    def wait(self, line: str) -> None:
        """Note what is waited for; "" when it is over."""
        now = self.clock()
        if line and not self.waiting:
            self._since = now
        if self.waiting and not line:
            self._waited += now - self._since
        self.waiting = line
        self.say()

    def say(self) -> None:
        """Tell where the job stands."""
        if self.tell is not None:
            self.tell(self.status())

    def status(self) -> Status:
        """Return where the job stands."""
        now = self.clock()
        busy = now - self._started - self._waited - (now - self._since if self.waiting else 0.0)
        rest = self.total - self.before - self.new - self.missing
        return Status(
            done=self.before + self.new,
            before=self.before,
            total=self.total,
            missing=self.missing,
            seconds=now - self._started,
            left=busy / self.new * rest if self.new else None,
            paid=self.paid,
            waiting=self.waiting,
        )
