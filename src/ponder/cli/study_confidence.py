"""`ponder study verbalized-confidence`: does a model know when it is right?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ponder.cli.study_inputs import (
    MODEL,
    Count,
    Endpoints,
    Family,
    MaxTokens,
    Problems,
    Rows,
    Store,
    read_studied,
    sampling,
)
from ponder.cli.study_job import StudyJob

if TYPE_CHECKING:
    from ponder.bench.studies.recording import Turn
    from ponder.core.model import Model

__all__ = ["verbalized_confidence"]


def verbalized_confidence(
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", metavar="MODEL", help=f"Model that answers; repeatable.  [default: {MODEL}]"),
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
    rows: Rows = None,
    family: Family = "multiplication_stories",
    problems: Problems = None,
    count: Count = 24,
    out: Annotated[Path, typer.Option(help="Folder of the study.")] = Path("verbalized-confidence"),
    seed: Annotated[int, typer.Option(help="Seed of the problems and the samples.")] = 0,
    temperature: Annotated[float, typer.Option(min=0, help="Of the answers.")] = 0.6,
    max_tokens: MaxTokens = 256,
    store: Store = None,
    endpoints: Endpoints = None,
) -> None:
    """Measure how far stated confidence is off. Also what withholding unsure answers would buy."""
    from ponder.bench.studies import verbalized_confidence as study

    job = StudyJob(out=out, seed=seed, family=family, problems=problems, count=count, store=store, endpoints=endpoints)
    if rows:
        found = study.verbalized_confidence(read_studied(rows, family), bins=bins, closed=closed)  # type: ignore[arg-type]
        job.show(found)
        return
    names = list(dict.fromkeys(model or [MODEL]))

    def turns(opened: Mapping[str, Model]) -> list[Turn]:
        return study.confidence_turns(
            [opened[spec] for spec in names], form or study.FORMS, reflection_tokens=reflection_tokens
        )

    law = sampling(temperature, max_tokens)
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
