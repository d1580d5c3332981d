"""`ponder study judge-scaling` and `inequality-proofs`: what judges of answers are worth, and what they find."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ponder.cli.study_inputs import MODEL, Count, Endpoints, Rows, Store, read_studied, sampling
from ponder.cli.study_job import StudyJob

if TYPE_CHECKING:
    from ponder.bench.studies.recording import Turn
    from ponder.core.model import Model
    from ponder.tasks.problem import Problem

__all__ = ["inequality_proofs", "judge_scaling"]

_Seed = Annotated[int, typer.Option(help="Seed of the problems, the samples and the intervals.")]


class _BothOrders(StudyJob):
    """Every pair in both orders."""

    def drawn(self) -> list[Problem]:
        """Return the pairs that are asked for, each twice."""
        from ponder.bench.studies.judge_scaling import both_orders

        return both_orders(super().drawn())


def judge_scaling(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model", "-m", metavar="MODEL", help=f"A judge; repeatable, to compare several.  [default: {MODEL}]"
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=0, help="Most forced continuations of a thought.")] = 4,
    thinking: Annotated[int, typer.Option(min=1, help="Most thinking tokens.")] = 96,
    cue: Annotated[str, typer.Option(help="What a thought is continued behind.")] = "Wait",
    verdict: Annotated[int, typer.Option(min=1, help="Most tokens of a verdict.")] = 16,
    markers: Annotated[
        str | None,
        typer.Option(
            help="How the judges set their thinking off: think, thought, m1 or scratchpad (for models that were not"
            " trained to think).  [default: think; scratchpad where a judge is the embedded model]"
        ),
    ] = None,
    rows: Rows = None,
    problems: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help='Rows {"prompt", "chosen", "rejected", "subset"} in place of the project\'s pairs.'
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Pairs; at most, where they come from a file.")] = 12,
    out: Annotated[Path, typer.Option(help="Folder of the study.")] = Path("judge-scaling"),
    seed: _Seed = 0,
    temperature: Annotated[float, typer.Option(min=0, help="Of thoughts and verdicts.")] = 0.0,
    store: Store = None,
    endpoints: Endpoints = None,
) -> None:
    """Measure judges that are told to think on. Accuracy by round, trend, changes of mind."""
    from ponder.bench.studies import judge_scaling as study

    names = list(dict.fromkeys(model or [MODEL]))
    job = _BothOrders(
        out=out,
        seed=seed,
        family="preferences",
        problems=problems,
        count=count,
        store=store,
        endpoints=endpoints,
        form="preferences",
    )
    if rows:
        job.show(study.judge_scaling(read_studied(rows, job.source), job.drawn(), seed=seed))
        return

    def turns(opened: Mapping[str, Model]) -> list[Turn]:
        return study.judge_turns(
            [opened[spec] for spec in names],
            rounds,
            thinking=thinking,
            cue=cue,
            verdict=verdict,
            markers=markers or ("scratchpad" if MODEL in names else "think"),
        )

    law = sampling(temperature, verdict)
    done = job.record(names, turns, law)
    facts, warning = job.told(done, law)
    found = study.judge_scaling(
        done.rows, job.drawn(), seed=seed, facts=(f"at most {thinking} thinking tokens", *facts), warning=warning
    )
    job.show(found, done)


def inequality_proofs(
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", metavar="MODEL", help=f"A solver; repeatable.  [default: {MODEL}]"),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Judges all solutions.  [default: each solver its own, which flatters it]"),
    ] = None,
    judge_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of a judgement.")] = 256,
    kind: Annotated[str, typer.Option(help="Of the project's problems: mixed, bound or relation.")] = "mixed",
    rows: Rows = None,
    problems: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Problems as IneqMath publishes them, in place of the family.")
    ] = None,
    count: Count = 8,
    out: Annotated[Path, typer.Option(help="Folder of the study.")] = Path("inequality-proofs"),
    seed: _Seed = 0,
    temperature: Annotated[float, typer.Option(min=0, help="Of the solutions.")] = 0.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of a solution.")] = 256,
    store: Store = None,
    endpoints: Endpoints = None,
) -> None:
    """Count right answers that a proof supports. Inequalities, one judge of answers and four of steps."""
    from ponder.bench.studies import inequality_proofs as study

    names = list(dict.fromkeys(model or [MODEL]))
    job = StudyJob(
        out=out,
        seed=seed,
        family="inequalities",
        problems=problems,
        count=count,
        store=store,
        endpoints=endpoints,
        form="ineqmath",
        settings={"kind": kind},
    )
    asked = job.drawn()
    if rows:
        job.show(study.inequality_proofs(read_studied(rows, job.source), asked, seed=seed))
        return

    def turns(opened: Mapping[str, Model]) -> list[Turn]:
        return study.inequality_turns(
            [opened[spec] for spec in names],
            judge=None if judge is None else opened[judge],
            judge_tokens=judge_tokens,
        )

    law = sampling(temperature, max_tokens)
    done = job.record([*names, *([] if judge is None else [judge])], turns, law)
    facts, warning = job.told(done, law)
    judged = f"judge {judge}" if judge is not None else "each solver judges itself"
    found = study.inequality_proofs(done.rows, asked, seed=seed, facts=(judged, *facts), warning=warning)
    job.show(found, done)
