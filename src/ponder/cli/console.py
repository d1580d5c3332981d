"""What every command prints with: errors in one line, tables that fit a terminal and a pipe, costs in words."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ponder.core.errors import PonderError

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from ponder.core.result import Result
    from ponder.core.usage import Usage

__all__ = [
    "columns",
    "complain",
    "cost_lines",
    "method_text",
    "one_line",
    "plural",
    "printable",
    "show",
    "show_json",
    "spell_usage",
    "table",
    "tell",
]

_LONGEST = 60  # characters of a model's spelling that are shown


def complain(error: PonderError) -> None:
    """Print an error in one line, and what a person can do in another."""
    tell(f"ponder: {one_line(str(error))}")
    if error.hint and error.hint not in str(error):
        tell(f"hint: {error.hint}")


def tell(line: str) -> None:
    """Print one line on standard error, where all that is not the result goes."""
    print(printable(line), file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Return `text` with control characters shown, not obeyed: a model must not steer the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode("ascii") for c in text)


def one_line(text: str) -> str:
    """Return `text` printable and without line breaks."""
    return printable(" ".join(text.split()))


def plural(count: int, noun: str) -> str:
    """Return "1 call", "2 calls", "1,200 calls"."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def columns(*, stderr: bool = False) -> int | None:
    """Return the width of the terminal, or None where the stream is none."""
    import shutil

    stream = sys.stderr if stderr else sys.stdout
    return shutil.get_terminal_size().columns if stream.isatty() else None


def table(*headers: str, right: Sequence[str] = ()) -> Table:
    """Return an empty table; the columns named in `right` hold numbers, the last one wraps."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for header in headers:
        made.add_column(header, justify="right" if header in right else "left", no_wrap=header != headers[-1])
    return made


def show(*renderables: RenderableType) -> None:
    """Print on standard output: in colour to the terminal's width, or plain and unwrapped into a pipe."""
    from rich.console import Console

    if columns() is not None:
        Console(highlight=False, markup=False).print(*renderables, sep="\n")
        return
    # A pipe gets one record a line, without the blanks that pad a table.
    console = Console(highlight=False, markup=False, width=10_000, no_color=True, force_terminal=False)
    with console.capture() as capture:
        console.print(*renderables, sep="\n")
    print("\n".join(line.rstrip() for line in capture.get().splitlines()), flush=True)


def show_json(value: Any) -> None:
    """Print a value as JSON on standard output."""
    import json

    print(json.dumps(value, ensure_ascii=False, indent=1), flush=True)


def method_text(name: str, settings: Mapping[str, Any]) -> str:
    """Return a method as "self_consistency n=16": with its n, and the settings that are not the default."""
    from ponder.core.registry import strategies

    fields = getattr(strategies.get(name).cls, "__dataclass_fields__", {}) if name in strategies.names() else {}
    told = [f"{key}={value}" for key, value in settings.items() if key == "n" or value != fields[key].default]
    return " ".join([name, *told])


def spell_usage(usage: Usage) -> str:
    """Return "3 calls, 120 prompt + 340 completion tokens", and money where it is known."""
    text = (
        f"{plural(usage.calls, 'call')}, {usage.prompt_tokens:,} prompt + {usage.completion_tokens:,} completion tokens"
    )
    if usage.thinking_tokens:
        text += f" ({usage.thinking_tokens:,} of thinking)"
    if usage.usd is not None:
        text += f", ${usage.usd:.6f}"
    return text if usage.exact else f"at most {text}"


def cost_lines(result: Result, *, model: str) -> list[str]:
    """Return what a run did and what it cost, in a few lines."""
    model = model if len(model) <= _LONGEST else model[: _LONGEST - 1] + "…"
    why = f" ({result.detail})" if result.detail else ""
    method = method_text(result.method, result.settings)
    lines = [f"{method} on {model}: {result.stopped} in {result.seconds:.1f} s{why}"]
    lines += [f"{role}: {_role(result, role)}" for role in dict.fromkeys((*result.usage, *result.paid))]
    return [one_line(line) for line in lines]


def _role(result: Result, role: str) -> str:
    from ponder.core.usage import Usage

    usage, paid = (cost.get(role, Usage()) for cost in (result.usage, result.paid))
    text = spell_usage(usage)
    if _counts(usage) == _counts(paid):
        return text
    if not paid.calls:
        return f"{text}; paid: nothing, all of it was stored"
    if (paid.calls, paid.usd) == (usage.calls, usage.usd):  # siblings that share their prompt
        return f"{text}; paid: {paid.prompt_tokens:,} + {paid.completion_tokens:,}"
    return f"{text}; paid: {spell_usage(paid)}"


def _counts(usage: Usage) -> Iterable[object]:
    return (usage.calls, usage.prompt_tokens, usage.completion_tokens, usage.usd)
