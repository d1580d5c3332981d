"""`ponder study compute-optimal`: which configuration pays for which difficulty?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    numbers,
    read_studied,
    sampling,
)
from ponder.cli.study_job import StudyJob

if TYPE_CHECKING:
    from ponder.bench.studies.recording import Turn
    from ponder.core.model import Model
    from ponder.planning.difficulty import Difficulty

__all__ = ["compute_optimal"]


def compute_optimal(
    model: Annotated[str, typer.Option("--model", "-m", metavar="MODEL", help="The policy.")] = MODEL,
    method: Annotated[
        list[str] | None,
        typer.Option(
            metavar=SPEC, help="Method to choose from; repeatable.  [default: greedy, self_consistency, best_of_n]"
        ),
    ] = None,
    sizes: Annotated[str, typer.Option(metavar="N,...", help="Numbers of samples.")] = "1,2,4,8,16",
    verifier: Annotated[str, typer.Option(metavar=SPEC, help="Of the methods that need one.")] = "arithmetic",
    judge: Annotated[str | None, typer.Option(metavar="MODEL", help="Model that the verifier asks.")] = None,
    difficulty: Annotated[
        str, typer.Option(help="Estimated by agreement, verifier, certainty, or oracle (gold; an upper bound).")
    ] = "agreement",
    bins: Annotated[
        str, typer.Option(metavar="B or T,...", help="Number of bins of equal counts, or thresholds such as 0.5,0.1.")
    ] = "5",
    probe: Annotated[int, typer.Option(min=1, help="Samples from which difficulty is estimated.")] = 4,
    uniform: Annotated[
        str | None, typer.Option(metavar="CURVE", help="Curve to compare with.  [default: best_of_n]")
    ] = None,
    margin: Annotated[float, typer.Option(help="Loss of accuracy that still counts as equal.")] = 0.02,
    slack: Annotated[float, typer.Option(help="Accuracy that a choice may give up for a lower cost.")] = 0.0,
    larger: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Larger model to exchange inference against, at equal FLOPs.")
    ] = None,
    scale: Annotated[
        float | None, typer.Option(help="Its parameters over the policy's.  [default: from the models]")
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROLE=W",
            help="What a token of a role costs in the policy's; repeatable.  [default: by parameters, else 1]",
        ),
    ] = None,
    rows: Rows = None,
    family: Family = "multiplication_stories",
    problems: Problems = None,
    count: Count = 24,
    out: Annotated[Path, typer.Option(help="Folder of the study.")] = Path("compute-optimal"),
    seed: Annotated[int, typer.Option(help="Seed of the problems, the samples and the folds.")] = 0,
    temperature: Annotated[float, typer.Option(min=0, help="Of the samples.")] = 0.8,
    max_tokens: MaxTokens = 40,
    store: Store = None,
) -> None:
    """Find what pays at which difficulty. Choosing by it is compared with one rule for all."""
    from ponder.bench.studies import compute_optimal as study
    from ponder.cli.inputs import pairs
    from ponder.core import registry

    measure = _difficulty(difficulty, bins)
    weights = {role: numbers(text, float, "--weight")[0] for role, text in pairs(weight or [], "--weight").items()}
    options: dict[str, Any] = {"uniform": uniform, "margin": margin, "slack": slack, "seed": seed}
    job = StudyJob(out=out, seed=seed, family=family, problems=problems, count=count, store=store)
    if rows:
        job.show(study.compute_optimal(read_studied(rows, family), measure, scale=scale, weights=weights, **options))
        return
    made = [component(text, registry.strategies) for text in method or ["greedy", "self_consistency", "best_of_n"]]
    name, judging = component(verifier, registry.verifiers)
    points = study.compute_optimal_points(
        [study.Configuration(method=chosen, settings=settings) for chosen, settings in made],
        numbers(sizes, int, "--sizes"),
        difficulty=measure,
        probe=probe,
        verifier=name,
        judging=judging,
    )
    known: dict[str, float | None] = {}

    def turns(opened: Mapping[str, Model]) -> list[Turn]:
        known["scale"] = scale or _ratio(opened, larger, model)
        known["judge"] = _ratio(opened, judge, model)
        if larger is not None and known["scale"] is None:
            from ponder.core.errors import ConfigError

            raise ConfigError("the number of parameters is not known: give --scale")
        return study.compute_optimal_turns(
            opened[model],
            points,
            judge=None if judge is None else opened[judge],
            larger=None if larger is None else opened[larger],
        )

    law = sampling(temperature, max_tokens)
    done = job.record([spec for spec in (model, judge, larger) if spec is not None], turns, law)
    facts, warning = job.told(done, law)
    if known["judge"] is not None:
        weights.setdefault("judge", known["judge"])
    job.show(
        study.compute_optimal(
            done.rows,
            measure,
            scale=known["scale"],
            weights=weights,
            facts=(*facts, *_spell_weight(judge, weights.get("judge"))),
            warning=warning,
            **options,
        ),
        done,
    )


def _spell_weight(judge: str | None, weight: float | None) -> list[str]:
    if judge is None:
        return []
    return [f"judge {judge}, whose token counts as {1 if weight is None else weight:.2g} of the policy's"]


def _ratio(opened: Mapping[str, Model], other: str | None, policy: str) -> float | None:
    """Return a model's parameters over the policy's, where both are known."""
    if other is None:
        return None
    theirs, ours = opened[other].info.parameters, opened[policy].info.parameters
    return None if theirs is None or ours is None else theirs / ours


def _difficulty(estimator: str, bins: str) -> Difficulty:
    """Read an estimator, and "5" (bins of equal counts) or "0.5,0.1" (thresholds)."""
    from ponder.planning.difficulty import Absolute, Binning, Difficulty, Quantiles

    binning: Binning
    if bins.isdigit():
        binning = Quantiles(bins=int(bins))
    else:
        edges = numbers(bins, float, "--bins")
        names = Absolute().names if len(edges) == 2 else (*(f">= {edge:g}" for edge in edges), f"< {edges[-1]:g}")
        binning = Absolute(thresholds=tuple(edges), names=names)
    return Difficulty(estimator=estimator, binning=binning)  # type: ignore[arg-type]  # it refuses what it is not
