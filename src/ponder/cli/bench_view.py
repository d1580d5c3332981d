"""What `ponder bench` shows: progress while it runs, and the table of all curves at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from ponder.bench.findings import percent
from ponder.bench.progress import Status
from ponder.bench.rows import Row
from ponder.bench.summary import CurvePoint, summarise
from ponder.cli.console import columns, one_line, plural, printable, show, table, tell
from ponder.core.result import total

if TYPE_CHECKING:
    from ponder.bench.runner import Done

__all__ = ["Progress", "headline", "show_done", "show_rows"]

_EVERY = 15.0  # seconds between lines where standard error is no terminal
_UNITS = {"usd": ("USD", ".6f"), "flops": ("FLOPs", ".2e"), "eflops": ("TeFLOPs", ".3g"), "joules": ("J", ".3g")}


class Progress:
    """Shows where a job stands: drawn on a terminal, else a line now and then."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._status: Status | None = None
        self._drawn = columns(stderr=True) is not None
        self._clock, self._said, self._waiting = clock, -_EVERY, ""

    @contextmanager
    def live(self) -> Iterator[None]:
        """Show progress while the body runs."""
        if not self._drawn:
            yield
            return
        console = Console(stderr=True, highlight=False)
        with Live(console=console, get_renderable=self._render, refresh_per_second=4, transient=True):
            yield

    def tell(self, status: Status) -> None:
        """Take in where the job stands."""
        self._status = status
        if self._drawn:
            return
        now, waiting = self._clock(), status.waiting
        if waiting != self._waiting:
            self._waiting = waiting
            tell(f"waiting: {one_line(waiting)}" if waiting else "it answers again")
        if now >= self._said + _EVERY:
            self._said = now
            tell(headline(status))

    def _render(self) -> RenderableType:
        status = self._status
        if status is None:
            return Text("...")
        parts: list[RenderableType] = [
            Text(headline(status)),
            ProgressBar(total=max(1, status.total), completed=status.done, width=60),
        ]
        if status.waiting:
            parts.append(Text(f"waiting: {one_line(status.waiting)}", style="yellow"))
        return Group(*parts)


def headline(status: Status) -> str:
    """Return "120 of 960 runs, 14 s, 98 s left, 15,200 tokens paid, $0.0123"."""
    parts = [f"{status.done:,} of {plural(status.total, 'run')}", _time(status.seconds)]
    if status.left is not None:
        parts.append(f"{_time(status.left)} left")
    if status.missing:
        parts.append(f"{status.missing:,} left out")
    paid = total(status.paid)
    parts.append(f"{paid.tokens:,} tokens paid")
    if paid.usd is not None:
        parts.append(f"${paid.usd:.4f}")
    return ", ".join(parts)


def show_rows(rows: Sequence[Row], *, seed: int = 0) -> None:
    """Print a line for each point of each curve of each family."""
    points = summarise(rows, seed=seed)
    models = {row.model for row in rows}
    known = f"@{models.pop()}" if len(models) == 1 else ""
    units = [unit for unit in _UNITS if any(unit in point.costs for point in points)]
    for family in dict.fromkeys(point.family for point in points):
        found = [point for point in points if point.family == family]
        on = f" on {known[1:]}" if known else ""
        show(printable(f"{family}{on}: {plural(max(point.prompts for point in found), 'problem')}"))
        numbers = ("n", "accuracy [95 %]", "runs", "tokens", *(_UNITS[unit][0] for unit in units), "cut", "unread")
        lines = table("curve", *numbers, "stopped by", right=numbers)
        for point in found:
            name = printable(point.curve.replace(known, "", 1))
            lines.add_row(name, *_cells(point, units), _ends(rows, point))
        show(lines, "")
    notes = [
        "Accuracy is over runs, its interval resamples problems (* Wilson, where all came out the same). Tokens (of the"
        " policy) and costs (of all roles) are nominal, per run: what the point would cost alone.",
    ]
    if any(point.graded < point.runs for point in points):
        notes.append("Some runs could not be graded; they count in no accuracy.")
    if failed := sum(row.failed > 0 for row in rows):
        notes.append(f"In {plural(failed, 'run')} the provider failed to give an answer: --retry-failed asks again.")
    show(*notes)


def show_done(done: Done) -> None:
    """Say on standard error what the session did, and what is missing."""
    paid = total(done.paid)
    there = f" ({done.before:,} were there)" if done.before else ""
    usd = "" if paid.usd is None else f", ${paid.usd:.6f}"
    tell(
        f"{done.done:,} of {plural(done.total, 'run')}{there} in {_time(done.seconds)};"
        f" paid {plural(paid.calls, 'call')}, {paid.tokens:,} tokens{usd}"
    )
    if done.taken_out:
        tell(f"made again, as the provider had failed to give an answer: {plural(done.taken_out, 'run')}")
    if done.untraced:
        tell(one_line(done.untraced))
    for why, count in done.missing.items():
        tell(f"missing: {plural(count, 'run')}: {one_line(why)}")
    if done.detail:
        tell(f"ended early: {one_line(done.detail)}")


def _cells(point: CurvePoint, units: Sequence[str]) -> tuple[str, ...]:
    costs = (format(point.costs[unit], _UNITS[unit][1]) if unit in point.costs else "" for unit in units)
    shares = (f"{share:.0%}" if share else "" for share in (point.cut, point.unread))
    accuracy = percent(point.accuracy)
    return f"{point.n}", accuracy, f"{point.runs:,}", f"{point.tokens:,.0f}", *costs, *shares


def _ends(rows: Sequence[Row], point: CurvePoint) -> str:
    """Say how many runs ended otherwise than by themselves."""
    ends = [r.stopped for r in rows if (r.family, r.curve, r.n) == (point.family, point.curve, point.n)]
    return ", ".join(f"{why} {ends.count(why):,}" for why in dict.fromkeys(ends) if why != "done")


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
