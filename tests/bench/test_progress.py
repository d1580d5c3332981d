from __future__ import annotations

import pytest

from ponder.bench.progress import Status, Tally
from tests.bench.bench_doubles import row


def test_the_time_left_follows_the_pace_of_this_session_without_its_waits():
    now = [0.0]
    told: list[Status] = []
    tally = Tally(total=20, before=10, tell=told.append, clock=lambda: now[0])
    assert tally.status().left is None
    now[0] = 4.0
    tally.add(row("a", True))
    tally.add(row("b", True))
    assert tally.status().left == pytest.approx(2.0 * 8)
    tally.wait("gone")
    now[0] = 104.0
    assert tally.status().left == pytest.approx(2.0 * 8)
    tally.wait("")
    tally.leave_out(3)
    status = tally.status()
    assert (status.done, status.before, status.missing, status.seconds) == (12, 10, 3, 104.0)
    assert status.left == pytest.approx(2.0 * 5)
    assert status.paid["policy"].calls == 2
    assert [status.waiting for status in told] == ["", "", "gone", "", ""]
