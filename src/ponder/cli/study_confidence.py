"""`ponder study verbalized-confidence`: does a model know when it is right?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ponder.bench.studies.recording import Turn
    from ponder.core.model import Model

__all__ = ["verbalized_confidence"]

_MODEL = "llamacpp:smollm2"


def verbalized_confidence(
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", metavar="MODEL", help=f"Model that answers; repeatable.  [default: {_MODEL}]"),
    ] = None,
    form: Annotated[
        list[str] | None,
        typer.Option(
            help="percent, probability, reflection, or fill for small models; repeatable.  [default: the first three]"
        ),
    ] = None,
    reflection_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of a reflection.")] = 1024,
    bins: Annotated[int, typer.Option(min=1, help="Bins of ECE, ACE and the diagram.")] = 10,
    closed: Annotated[str, typer.Option(help="Side of a bin that belongs to it: right or left.")] = "right",
    rows: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Study these recorded rows and run nothing; repeatable.")
    ] = None,
    family: Annotated[
        str, typer.Option(help="Task family that problems are drawn from; of recorded rows, where they hold several.")
    ] = "multiplication_stories",
    problems: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help='JSON lines {"prompt", "reference", "answer"} in place of a family.'),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Problems; at most, where they come from a file.")] = 24,
    out: Annotated[Path, typer.Option(help="Folder of the study.")] = Path("verbalized-confidence"),
    seed: Annotated[int, typer.Option(help="Seed of the problems and the samples.")] = 0,
    temperature: Annotated[float, typer.Option(min=0, help="Of the answers.")] = 0.6,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of one answer.")] = 256,
    store: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep answers here, to go on after a break.")
    ] = None,
) -> None:
    """Ask for a confidence beside each answer; measure how far it is off, and what withholding answers would buy."""
    from ponder.bench.studies import verbalized_confidence as study
    from ponder.cli.study import _Job, _read, _sampling

    job = _Job(out=out, seed=seed, family=family, problems=problems, count=count, store=store)
    if rows:
        found = study.verbalized_confidence(_read(rows, family), bins=bins, closed=closed)  # type: ignore[arg-type]
        job.show(found)
        return
    names = list(dict.fromkeys(model or [_MODEL]))

    def turns(opened: Mapping[str, Model]) -> list[Turn]:
        return study.confidence_turns(
            [opened[spec] for spec in names], form or study.FORMS, reflection_tokens=reflection_tokens
        )

    law = _sampling(temperature, max_tokens)
    done = job.record(names, turns, law)
    facts, warning = job.told(done, law)
    made = study.verbalized_confidence(
        done.rows,
        bins=bins,
        closed=closed,  # type: ignore[arg-type]  # it refuses what it is not
        facts=facts,
        warning=warning,
    )
    job.show(made, done)
