"""`ponder train wqrm`: fit a writing-quality reward to edits, on any encoder, and say how good it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ponder.cli import exits

__all__ = ["wqrm"]


def wqrm(
    edits: Annotated[
        Path,
        typer.Argument(help='JSON lines {"draft", "edited", "draft_score", "edited_score"}; scores may be missing.'),
    ],
    out: Annotated[Path, typer.Argument(help="Directory to write, for the verifier wqrm.")],
    encoder: Annotated[
        Path, typer.Option(help="Directory of an encoder with its tokenizer (the paper's is ModernBERT-large).")
    ],
    kinds: Annotated[str, typer.Option(help="Learn from pairs (P), from scores (R), or from both (PR).")] = "PR",
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the edits.")] = 5,
    batch: Annotated[int, typer.Option(min=1, help="Items of a step.")] = 8,
    rate: Annotated[float, typer.Option(help="Learning rate; a small new encoder wants about 1e-3.")] = 1e-5,
    held_out: Annotated[float, typer.Option(help="Share of the edits that only measure.")] = 0.2,
    longest: Annotated[int, typer.Option(min=0, help="Most tokens of a row; 0 for what the encoder takes.")] = 0,
    device: Annotated[str, typer.Option(help="auto, or a torch device.")] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of split, order and dropout.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Train a reward of writing quality on edits. The edited text is better than its draft."""
    from ponder.cli.console import show_json, tell
    from ponder.core.errors import ConfigError
    from ponder.training.edit_pairs import read_pairs
    from ponder.training.wqrm import WqrmTraining, train_wqrm

    if kinds not in ("P", "R", "PR"):
        raise ConfigError(f"--kinds must be P, R or PR, got {kinds!r}")
    settings = WqrmTraining(
        kinds=kinds,  # type: ignore[arg-type]  # checked
        epochs=epochs,
        batch=batch,
        rate=rate,
        held_out=held_out,
        longest=longest or None,
        seed=seed,
    )
    pairs = read_pairs(edits)

    def progress(done: int, total: int, loss: float | None) -> None:
        if done * 10 // total != (done - 1) * 10 // total:
            tell(f"{done} of {total} batches" + ("" if loss is None else f", validation loss {loss:.4f}"))

    try:
        network = train_wqrm(encoder, pairs, settings, device=device, progress=progress)
    except KeyboardInterrupt:
        tell("ponder: aborted; nothing was written")
        raise typer.Exit(exits.ABORTED) from None
    path = network.save(out)
    if as_json:
        show_json({"directory": str(path), **network.report})
    else:
        _show(network.report, path)


def _show(report: dict[str, Any], path: Path) -> None:
    from ponder.cli.console import show

    held = report["held_out"]
    lines = [
        f"{report['edits']['train']} edits learnt from, {report['edits']['held_out']} held out",
        f"validation loss {report['validation_loss']:.4f}"
        + (
            ""
            if report["below_ceiling"]
            else f", not below {report['settings']['ceiling']:g}: learn longer or from more"
        ),
    ]
    if held["accuracy"] is not None:
        lines.append(
            f"held-out edits preferred to their draft: {held['accuracy']:.1%} of {held['pairs']} by the reward,"
            f" mean gap {held['gap']:+.2f} of 10 points"
        )
    if held["pair_head"] is not None:
        lines.append(f"by the pair head: {held['pair_head']:.1%}, both orders")
    show(*lines, str(path))
