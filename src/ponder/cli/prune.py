"""`ponder prune`: drop what a reasoning trace does not need (card 59) and write a training set of what is left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ponder.cli import exits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ponder.training.trace_pruning import Pruned, TracePruning
    from ponder.training.trace_records import TraceRecord

__all__ = ["prune"]


def prune(
    traces: Annotated[
        Path,
        typer.Argument(help='JSON lines: {"messages": [...], "answer"}, or {"question", "reasoning", "answer"}.'),
    ],
    out: Annotated[Path, typer.Argument(help="File to write: chats as JSON lines, with what was dropped beside them.")],
    model: Annotated[str, typer.Option("--model", "-m", metavar="MODEL", help="It must score text.")] = "hf:smollm2",
    ratio: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of each kind of step that goes; 0.2 to 0.4 served the paper best."),
    ] = 0.3,
    way: Annotated[
        str, typer.Option(help="How steps are scored: removal (the paper's), or arrival, which reads far less.")
    ] = "removal",
    scores: Annotated[
        str,
        typer.Option(help="Score all functional steps, or only the deciding ones: the same go, with less reading."),
    ] = "all",
    rank: Annotated[
        str,
        typer.Option(help="What goes first: pir, or a baseline: random functional steps, or any steps by importance."),
    ] = "pir",
    labels: Annotated[
        str, typer.Option(help="Who labels steps without a marker phrase: rules (they stay), or model.")
    ] = "rules",
    split: Annotated[str, typer.Option(help="Who parts a trace into steps: rules, or model.")] = "rules",
    labeler: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Parts and labels.  [default: the model that scores]")
    ] = None,
    least_words: Annotated[int, typer.Option(min=1, help="Fewest words of a step that rules part off.")] = 30,
    lead: Annotated[str, typer.Option(help="What stands between a trace and its answer.")] = "\\n\\nThe answer is",
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Drop checks, detours and corrections from reasoning traces where the answer does not need them."""
    import asyncio

    from ponder.cli.console import tell
    from ponder.core.errors import ConfigError
    from ponder.training.trace_pruning import TracePruning
    from ponder.training.trace_records import read_traces
    from ponder.verifiers._importance import Scoring

    if way not in ("removal", "arrival"):
        raise ConfigError(f"--way must be removal or arrival, got {way!r}")
    scoring = Scoring(way=way, lead=lead.replace("\\n", "\n"))  # type: ignore[arg-type]  # checked
    settings = TracePruning(
        ratio=ratio,
        least_words=least_words,
        scoring=scoring,
        scores=scores,  # type: ignore[arg-type]  # it refuses what it is not
        rank=rank,  # type: ignore[arg-type]  # the same
        split=split,  # type: ignore[arg-type]  # the same
        labels=labels,  # type: ignore[arg-type]  # the same
    )
    records = read_traces(traces)
    try:
        found = asyncio.run(_prune(model, labeler, records, settings, out))
    except (KeyboardInterrupt, asyncio.CancelledError):
        tell("ponder: aborted; what was pruned is in the file")
        raise typer.Exit(exits.ABORTED) from None
    _report(found, out, len(records), as_json=as_json)
    if found and found[-1].stopped != "done":
        raise typer.Exit(exits.of_run(found[-1].stopped, answered=True))


async def _prune(
    model: str, labeler: str | None, records: Sequence[TraceRecord], settings: TracePruning, out: Path
) -> list[Pruned]:
    from contextlib import AsyncExitStack

    from ponder.cli.console import tell
    from ponder.cli.interrupts import interruptible
    from ponder.core.solve import Control, load
    from ponder.training.trace_pruning import prune_traces

    control: Control = Control()

    def progress(done: int, total: int) -> None:
        if done * 10 // total != (done - 1) * 10 // total:
            tell(f"{done} of {total} traces done")

    async with AsyncExitStack() as stack:
        opened = load(model)
        stack.push_async_callback(opened.close)
        helper = None if labeler is None else load(labeler)
        if helper is not None:
            stack.push_async_callback(helper.close)
        with interruptible(control, tell):
            return await prune_traces(
                opened, records, settings, file=out, labeler=helper, control=control, progress=progress
            )


def _report(found: Sequence[Pruned], out: Path, asked: int, *, as_json: bool) -> None:
    from ponder.cli.console import show, show_json, spell_usage
    from ponder.core.usage import Usage

    before, after = sum(one.before for one in found), sum(one.after for one in found)
    kinds = {kind: [0, 0] for kind in "PVME"}
    for one in found:
        for kind, _, kept in one.steps:
            kinds[kind][0] += 1
            kinds[kind][1] += kept
    usage: dict[str, Usage] = {}
    for one in found:
        for role, used in one.usage.items():
            usage[role] = usage.get(role, Usage()) + used
    cached, problems = sum(one.cached for one in found), sum(bool(one.problem) for one in found)
    facts = {
        "file": str(out),
        "traces": len(found),
        "asked": asked,
        "tokens_before": before,
        "tokens_after": after,
        "steps": {kind: {"all": all_, "kept": kept} for kind, (all_, kept) in kinds.items()},
        "cached_tokens": cached,
        "labelled_by_model": sum(one.labelled for one in found),
        "with_problems": problems,
        "usage": {role: used.to_json() for role, used in usage.items()},
    }
    if as_json:
        show_json(facts)
        return
    names = {"P": "progressive", "V": "verification", "M": "other methods", "E": "error correction"}
    saved = f", {1 - after / before:.1%} less" if before else ""
    lines = [
        f"{len(found)} of {asked} traces: {before:,} tokens before, {after:,} after{saved}",
        *(f"{names[kind]}: {kept} of {all_} steps kept" for kind, (all_, kept) in kinds.items()),
        *(
            f"{role}: {spell_usage(used)}" + (f", {cached:,} prompt tokens of it not read again" * (role == "scorer"))
            for role, used in usage.items()
        ),
    ]
    if problems:
        lines.append(f"{problems} traces have steps that could not be labelled or scored; these stay (see the file)")
    show(*lines, str(out))
