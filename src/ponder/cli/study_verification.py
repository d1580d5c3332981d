"""`ponder study verification-dynamics`: which right answers does a verifier accept, which wrong ones does it reject?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ponder.cli.study_inputs import (
    MODEL,
    SPEC,
    Count,
    Family,
    MaxTokens,
    Problems,
    Rows,
    Store,
    component,
    read_studied,
    sampling,
)
from ponder.cli.study_job import StudyJob

if TYPE_CHECKING:
    from ponder.bench.studies.recording import Turn
    from ponder.core.model import Model

__all__ = ["verification_dynamics"]


def verification_dynamics(
    generator: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help=f"Model that answers; repeatable.  [default: {MODEL}]")
    ] = None,
    verifier: Annotated[
        list[str] | None, typer.Option(metavar=SPEC, help="What judges; repeatable.  [default: generative]")
    ] = None,
    judge: Annotated[
        list[str] | None,
        typer.Option(metavar="MODEL", help="Model that a verifier asks; repeatable.  [default: the first generator]"),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Answers to each problem.")] = 8,
    threshold: Annotated[float, typer.Option(help="Score above which an answer counts as accepted.")] = 0.5,
    rows: Rows = None,
    family: Family = "multiplication_stories",
    problems: Problems = None,
    count: Count = 24,
    out: Annotated[Path, typer.Option(help="Folder of the study.")] = Path("verification-dynamics"),
    seed: Annotated[int, typer.Option(help="Seed of the problems, the samples and the folds.")] = 0,
    temperature: Annotated[float, typer.Option(min=0, help="Of the samples.")] = 0.7,
    max_tokens: MaxTokens = 40,
    store: Store = None,
) -> None:
    """Measure what a verifier accepts and rejects. Right and wrong answers, by difficulty and generator."""
    from ponder.bench.studies import verification_dynamics as study
    from ponder.core import registry

    job = StudyJob(out=out, seed=seed, family=family, problems=problems, count=count, store=store)
    names = generator or [MODEL]
    judges = [component(text, registry.verifiers) for text in verifier or ["generative"]]

    def turns(opened: Mapping[str, Model]) -> list[Turn]:
        asked = []
        for name, settings in judges:
            models = [opened[spec] for spec in judge or names[:1]]
            program = not registry.verifiers.get(name).access
            for model in [None] if program else models:
                asked.append(study.Judge(verifier=name, model=model, settings=settings))
        return study.verification_turns([opened[spec] for spec in names], asked, samples=samples)

    if rows:
        job.show(study.verification_dynamics(read_studied(rows, family), threshold=threshold, seed=seed))
        return
    law = sampling(temperature, max_tokens)
    done = job.record([*names, *(judge or [])], turns, law)
    facts, warning = job.told(done, law)
    job.show(study.verification_dynamics(done.rows, threshold=threshold, seed=seed, facts=facts, warning=warning), done)
