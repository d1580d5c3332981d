"""The live tree of a run in the terminal: its candidates, judgements and nested runs, from the events of its trace.

It holds no state of the run but what the events say, so any trace can be shown.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ponder.cli.console import method_text, one_line, plural

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text
    from rich.tree import Tree

    from ponder.core.result import Result
    from ponder.core.trace import Event

__all__ = ["LiveTree"]

_KEPT = 2000  # characters of a text that are kept for its one line
_ANSWER = 24  # longest answer that is shown beside its text
_OUTSIDE = 6  # lines of the terminal that are left to headlines and the prompt
_STYLES = {"writing": "cyan", "done": "green", "cut": "yellow", "failed": "red"}


@dataclass(eq=False)
class _Call:
    """One call on its way or at its end."""

    index: int
    role: str
    sample: bool
    tokens: int = 0
    text: str = ""
    state: str = "writing"
    stored: bool = False
    score: str = ""
    answer: str | None = None
    chosen: bool = False


@dataclass(eq=False)
class _Run:
    """A run, with its calls and the runs nested in it, in the order they began."""

    title: str
    children: dict[int, _Call | _Run] = field(default_factory=dict)
    ended: str = ""

    def calls(self) -> list[_Call]:
        """Return its own calls."""
        return [child for child in list(self.children.values()) if isinstance(child, _Call)]


class LiveTree:
    """Follows one run: pass `watch` and `progress` to `solve`, and show it with `live`.

    Events come from the event loop while another thread draws, so drawing works on copies.
    """

    def __init__(self, headline: str) -> None:
        self.headline = headline
        self.note = ""
        self.top: _Run | None = None
        self._nodes: dict[int, _Call | _Run] = {}
        self._begun = 0.0
        self._seconds: float | None = None

    @contextmanager
    def live(self) -> Iterator[None]:
        """Draw on standard error while the body runs; the last picture stays."""
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True, highlight=False, markup=False)

        def draw() -> RenderableType:
            return self.render(console.height, console.width)

        # What the library logs meanwhile is printed above the tree.
        with Live(console=console, get_renderable=draw, refresh_per_second=8, redirect_stdout=False) as live:
            live.refresh()  # it would wait for its first turn, and loading a model leaves it none
            yield

    def watch(self, event: Event) -> None:
        """Take an event of the trace in."""
        data = event.data
        match event.kind, event.phase:
            case "run", "open":
                run = _Run(method_text(data["method"], data["settings"]))
                self._add(event, run)
                if self.top is None:
                    self.top, self._begun = run, time.monotonic()
            case "run", "close":
                run_ended = self._nodes.get(event.id)
                if isinstance(run_ended, _Run):
                    run_ended.ended = str(data.get("stopped", ""))
                    if run_ended is self.top:
                        self._seconds = time.monotonic() - self._begun
            case "call", "open":
                path = data.get("path") or [""]
                self._add(event, _Call(data["index"], data["role"], sample=path[0] == "sample"))
            case "call", "close":
                call = self._nodes.get(event.id)
                if isinstance(call, _Call):
                    _close(call, data)
            case "score", "instant":
                self._score(event.parent, data)

    def progress(self, span: int, text: str, tokens: int) -> None:
        """Take streamed tokens in."""
        call = self._nodes.get(span)
        if isinstance(call, _Call):
            call.tokens += tokens
            call.text = (call.text + text)[-_KEPT:]

    def finish(self, result: Result) -> None:
        """Mark the chosen candidate, and note what each one answers."""
        if self.top is None:
            return
        answers = {candidate.index: candidate.answer for candidate in result.candidates}
        best = None if result.candidate is None else result.candidate.index
        for call in self.top.calls():
            if call.sample:
                call.answer, call.chosen = answers.get(call.index), call.index == best

    def render(self, height: int, width: int) -> RenderableType:
        """Return the picture for a terminal of `height` lines of `width` columns."""
        from rich.text import Text
        from rich.tree import Tree

        head = Text(one_line(self.headline), style="bold", no_wrap=True, overflow="ellipsis")
        if self.top is None:
            return head.append(" ...", style="dim")
        tree = Tree(head, guide_style="dim")
        self._fill(tree, self.top, max(3, height - _OUTSIDE), width)
        return tree

    def _add(self, event: Event, node: _Call | _Run) -> None:
        self._nodes[event.id] = node
        around = self._nodes.get(event.parent)
        if isinstance(around, _Run):
            around.children[event.id] = node

    def _score(self, run: int, data: Mapping[str, Any]) -> None:
        around = self._nodes.get(run)
        if isinstance(around, _Run):
            value = data["score"]["value"]
            for call in around.calls():
                if call.sample and call.index == data["index"]:
                    call.score = "no score" if value is None else f"score {float(value):.3g}"

    def _fill(self, tree: Tree, run: _Run, room: int, width: int) -> None:
        """Add a run's line and as many of its children as there is room for: those at work, then the latest."""
        from rich.text import Text

        branch = tree.add(self._line(run))
        children = list(run.children.values())
        shown = _choose(children, room - 1)
        for child in shown:
            if isinstance(child, _Run):
                self._fill(branch, child, max(3, (room - 1) // max(1, len(shown))), width)
            else:
                branch.add(_call_line(child))
        if hidden := len(children) - len(shown):
            branch.add(Text(f"{hidden:,} more", style="dim"))

    def _line(self, run: _Run) -> Text:
        from rich.text import Text

        calls = run.calls()
        busy = sum(call.state == "writing" for call in calls)
        tokens = sum(call.tokens for call in calls)
        text = f"{plural(len(calls), 'call')}, {plural(tokens, 'token')}"
        if run is self.top:
            text += f", {self._seconds or time.monotonic() - self._begun:.1f} s"
        if run.ended:
            text += f": {run.ended}"
        elif busy:
            text += f", {busy} at work"
        if self.note and not run.ended:
            text += f"; {self.note}"
        line = Text(one_line(run.title), no_wrap=True, overflow="ellipsis")
        return line.append(f"  {text}", style="dim")


def _close(call: _Call, data: Mapping[str, Any]) -> None:
    """Note how a call ended."""
    usage = data.get("usage")
    if usage is not None:
        call.tokens = usage["completion_tokens"]
    call.text = (data.get("error") or data.get("text") or "")[:_KEPT]
    call.stored = bool(data.get("stored"))
    finish = data.get("finish")
    if data.get("error"):
        call.state = "failed"
    elif finish == "length":
        call.state = "cut"
    elif finish == "cancelled" or finish is None:
        call.state = data.get("interrupted") or "dropped"
    else:
        call.state = "done" if finish in ("stop", "tool_calls") else finish


def _choose(children: list[_Call | _Run], room: int) -> list[_Call | _Run]:
    """Return the children that are shown, in their order: the chosen one and those at work before all others."""
    if len(children) <= room:
        return children
    at_work = [place for place, child in enumerate(children) if _urgent(child)]
    ranked = at_work + [place for place in reversed(range(len(children))) if place not in set(at_work)]
    return [children[place] for place in sorted(ranked[: max(1, room - 1)])]


def _urgent(child: _Call | _Run) -> bool:
    return child.chosen or child.state == "writing" if isinstance(child, _Call) else not child.ended


def _call_line(call: _Call) -> Text:
    from rich.text import Text

    line = Text(no_wrap=True, overflow="ellipsis")
    name = f"#{call.index}" if call.sample else f"{call.role} {call.index}"
    line.append(f"{'▶' if call.chosen else ' '}{name:<4}", style="bold" if call.chosen else "")
    line.append(f" {call.state:<9}", style=_STYLES.get(call.state, "dim"))
    line.append(f"{call.tokens:>5} tokens", style="dim")
    if call.stored:
        line.append(" stored", style="dim")
    if call.score:
        line.append(f"  {call.score}", style="magenta")
    text = one_line(call.text)
    if call.answer is not None and len(call.answer) <= _ANSWER and one_line(call.answer) != text:
        line.append(f"  {one_line(call.answer)}", style="bold")
    # While it is written the end of a text is what is new.
    return line.append(f"  {text[-60:].lstrip() if call.state == 'writing' else text}", style="dim")
