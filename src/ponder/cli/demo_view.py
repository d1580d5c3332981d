"""What `ponder demo` shows in the terminal: progress while it runs, then tables, curves and findings."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ponder.bench.demo import Demo, Kind, Progress
from ponder.bench.figure import Figure
from ponder.bench.findings import (
    NOTES,
    Findings,
    findings,
    percent,
    spell_comparison,
    spell_ledger,
    spell_saving,
)
from ponder.bench.summary import CurvePoint
from ponder.bench.terminal_plot import MARKS, draw
from ponder.cli.console import one_line, plural

__all__ = ["View"]

_STYLES = ("bold", "blue", "magenta", "yellow", "green", "cyan")
_EVERY = 15.0  # seconds between lines where the output is no terminal


class View:
    """The terminal side of the demo."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self._progress: Progress | None = None
        self._model = ""
        self._line = 0.0

    @contextmanager
    def live(self, model: str) -> Iterator[None]:
        """Show progress while the body runs."""
        self._model = model
        if not self.console.is_terminal:
            self.console.print(f"loading {model}", markup=False)
            yield
            return
        with Live(console=self.console, get_renderable=self._render, refresh_per_second=5, transient=True):
            yield

    def tell(self, progress: Progress) -> None:
        """Take in where the job stands."""
        new = self._progress is None or self._progress.phase != progress.phase
        self._progress = progress
        if not self.console.is_terminal and (new or progress.seconds >= self._line + _EVERY):
            self._line = progress.seconds
            self.console.print(self._headline(progress))

    def _headline(self, now: Progress) -> Text:
        pace = f", {now.tokens / now.seconds:.0f} tokens/s" if now.seconds > 0.5 and now.tokens else ""
        if now.phase == "probe":
            return Text(f"speed probe: {now.tokens} tokens in {now.seconds:.1f} s{pace}")
        return Text(f"prompt {min(now.done + 1, now.total)} of {now.total}, {now.seconds:.0f} s{pace}")

    def _render(self) -> RenderableType:
        now = self._progress
        if now is None:
            return Text(f"loading {self._model} ...")
        parts: list[RenderableType] = [self._headline(now)]
        if now.phase == "run":
            parts.append(ProgressBar(total=max(1, now.total), completed=now.done, width=60))
            parts.append(_tally(now))
        return Group(*parts)

    def facts(self) -> list[str]:
        """Return facts about this process for the page."""
        peak = _peak_memory()
        return [] if peak is None else [f"peak memory {peak / 2**20:.0f} MB"]

    def show(self, job: Demo) -> None:
        """Show what the job did."""
        out = self.console
        if job.probe is not None:
            seen = job.probe
            pace = "nothing came" if not seen.tokens else f"{seen.tokens / seen.seconds:.0f} tokens/s"
            each = "" if seen.forecast is None else f", {seen.forecast:.1f} s for a prompt of each kind"
            out.print(f"Speed probe: {pace} in {seen.seconds:.1f} s{each}: {seen.count} prompts of each kind.")
        if job.stopped != "done":
            done = len({(run.row.family, run.row.problem) for run in job.runs})
            why = one_line(job.detail)
            out.print(f"Ended after {done} of {job.planned} prompts: {why}.", style="yellow", markup=False)
        if not job.runs:
            return
        found = findings(job)
        for kind in job.kinds:
            points = found.of(kind.family)
            if points:
                self._kind(kind, points, found)
        out.print()
        law = job.sampling
        out.print(
            f"{job.model}, seed {job.seed}, temperature {law.temperature:g}, top-p {law.top_p:g}, at most"
            f" {law.max_tokens} tokens an answer; generation {job.seconds:.0f} s"
            + "".join(f", {fact}" for fact in self.facts())
            + ".",
            markup=False,
        )
        for note in NOTES:
            out.print(f"- {note}", style="dim", markup=False)

    def done(self, page: Path) -> None:
        """Say where the page is."""
        self.console.print(f"\nEvery prompt and candidate: {page}", markup=False, soft_wrap=True)

    def _kind(self, kind: Kind, points: Sequence[CurvePoint], found: Findings) -> None:
        out = self.console
        out.print()
        title = Text(kind.title, style="bold")
        title.append(f"  {plural(points[0].prompts, 'prompt')}", style="dim")
        if any(point.self_graded for point in points):
            title.append("  verifier = grader", style="yellow")
        out.rule(title, align="left", style="dim")
        out.print(kind.note, style="dim", markup=False)
        out.print(_table(points))
        figure = found.figures.get(kind.family)
        if figure is not None:
            out.print(_plot(figure, min(out.width, 84)))
        lines = [spell_comparison(entry) for entry in found.comparisons if entry.family == kind.family]
        lines += [spell_saving(entry) for entry in found.savings if entry.family == kind.family]
        lines += [spell_ledger(entry) for entry in found.ledgers if entry.family == kind.family]
        for line in lines:
            out.print(f"- {line}", markup=False)


def _table(points: Sequence[CurvePoint]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("method", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("accuracy", justify="right", no_wrap=True)
    roles = list(dict.fromkeys(role for point in points for role in point.usage))
    for role in roles:
        table.add_column(f"{role}:\nprompt", justify="right", no_wrap=True)
        table.add_column("tokens\nwritten", justify="right", no_wrap=True)
    for name in ("seconds", "cut", "unread"):
        table.add_column(name, justify="right", no_wrap=True)
    last = ""
    for point in points:
        tokens = [f"{point.mean(kind, role):,.0f}" for role in roles for kind in ("prompt_tokens", "completion_tokens")]
        time_ = "-" if point.seconds is None else f"{'' if point.measured else '~'}{point.seconds:.1f}"
        table.add_row(
            point.curve if point.curve != last else "",
            str(point.n),
            percent(point.accuracy),
            *tokens,
            time_,
            f"{point.cut:.0%}",
            f"{point.unread:.0%}",
        )
        last = point.curve
    return table


def _plot(figure: Figure, width: int) -> Text:
    text = Text("accuracy", style="dim", no_wrap=True)
    used = len(text)
    for number, series in enumerate(figure.series):
        item = f"{MARKS[number % len(MARKS)]} {series.label}"
        used += 3 + len(item)
        if used > width:
            used = 8 + 3 + len(item)
            text.append("\n        ")
        text.append(f"   {item}", style=_STYLES[number % len(_STYLES)])
    for row in draw(figure, width=width):
        text.append("\n")
        for cell in row:
            text.append(cell.char, style="dim" if cell.series is None else _STYLES[cell.series % len(_STYLES)])
    return text.append("\n      policy tokens per problem, prompt + completion (log scale)", style="dim")


def _tally(now: Progress) -> Table:
    """Say how many prompts each curve's largest point has answered rightly so far."""
    counts: dict[tuple[str, str], tuple[int, int, int]] = {}
    for run in now.runs:
        key = run.row.family, run.row.curve
        n, right, seen = counts.get(key, (0, 0, 0))
        if run.row.n > n:
            n, right, seen = run.row.n, 0, 0
        if run.row.n == n:
            counts[key] = n, right + bool(run.row.correct), seen + 1
    grid = Table.grid(padding=(0, 2, 0, 0))
    for (family, curve), (n, right, seen) in counts.items():
        grid.add_row(family.replace("_", " "), curve, f"n = {n}", f"{right} of {seen} right", style="dim")
    return grid


def _peak_memory() -> int | None:
    """Return the most bytes that this process has held, or None where the system does not tell."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
