"""`ponder study thinking-budget` and `machine-translation`: what thinking longer buys, and where it costs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ponder.cli.study_inputs import MODEL, Endpoints, Rows, Store, numbers, read_studied, sampling
from ponder.cli.study_job import StudyJob

if TYPE_CHECKING:
    from ponder.bench.studies.recording import Turn
    from ponder.core.model import Model
    from ponder.tasks.problem import Problem

__all__ = ["machine_translation", "thinking_budget"]

_Model = Annotated[str, typer.Option("--model", "-m", metavar="MODEL", help="The model that thinks.")]
_Budgets = Annotated[str, typer.Option(metavar="B,...", help="Most thinking tokens.")]
_Answer = Annotated[int, typer.Option(min=1, help="Most tokens of an answer, thinking apart.")]
_Markers = Annotated[
    str | None,
    typer.Option(
        help="How the model sets its thinking off: think, thought, m1 or scratchpad (for models that were not trained"
        " to think).  [default: think; scratchpad for the embedded model]"
    ),
]
_Seed = Annotated[int, typer.Option(help="Seed of the problems, the samples and the intervals.")]
_Temperature = Annotated[float, typer.Option(min=0, help="Of thoughts and answers.")]


def thinking_budget(
    model: _Model = MODEL,
    budgets: _Budgets = "16,32,64,128",
    cues: Annotated[
        str, typer.Option(metavar="N,...", help="How often a thought that ended early is told to wait.")
    ] = "0",
    answer: _Answer = 40,
    markers: _Markers = None,
    level: Annotated[float, typer.Option(help="That all intervals of falls have together.")] = 0.95,
    rows: Rows = None,
    family: Annotated[str, typer.Option(help="Task family; of recorded rows, where they hold several.")] = (
        "medical_choice"
    ),
    problems: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help='JSON lines {"prompt", "reference", "answer"} in place of a family.'),
    ] = None,
    form: Annotated[
        str, typer.Option("--format", metavar="NAME", help="Published format of that file: medqa, gsm8k, ...")
    ] = "",
    count: Annotated[int, typer.Option(min=1, help="Problems; at most, where they come from a file.")] = 12,
    out: Annotated[Path, typer.Option(help="Folder of the study.")] = Path("thinking-budget"),
    seed: _Seed = 0,
    temperature: _Temperature = 0.0,
    store: Store = None,
    endpoints: Endpoints = None,
) -> None:
    """Measure accuracy by thinking budget. Finds where thinking longer makes answers worse."""
    from ponder.bench.studies import thinking_budget as study

    rules = study.MatchRules()
    job = StudyJob(
        out=out,
        seed=seed,
        family=family,
        problems=problems,
        count=count,
        store=store,
        endpoints=endpoints,
        form=form,
        seen=rules.see,
    )
    if rows:
        job.show(study.thinking_budget(read_studied(rows, family), level=level, seed=seed))
        return
    sizes, waits = numbers(budgets, int, "--budgets"), numbers(cues, int, "--cues")

    def turns(opened: Mapping[str, Model]) -> list[Turn]:
        return study.thinking_turns(opened[model], sizes, waits, answer=answer, markers=_marked(markers, model))

    law = sampling(temperature, answer)
    done = job.record([model], turns, law)
    facts, warning = job.told(done, law)
    found = study.thinking_budget(
        done.rows, rules=rules.counts, level=level, seed=seed, facts=(model, *facts), warning=warning
    )
    job.show(found, done)


def machine_translation(
    model: _Model = MODEL,
    budgets: _Budgets = "0,16,32",
    scenario: Annotated[
        str, typer.Option(metavar="NAME,...", help="Among direct, wait, edit, edit+score.")
    ] = "direct,wait,edit",
    editor: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Edits drafts.  [default: the model itself]")
    ] = None,
    judge: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Scores drafts for edit+score.  [default: the model itself]")
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="chrf, bleu, a plug-in, or MODULE:FUNCTION; repeatable.  [default: chrf, bleu]"
        ),
    ] = None,
    origin: Annotated[str, typer.Option(help="Language of the project's sentences: en, de, fr or es.")] = "en",
    into: Annotated[str, typer.Option(help="Language that they are translated into.")] = "de",
    answer: _Answer = 60,
    markers: _Markers = None,
    rows: Rows = None,
    problems: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='Rows {"source", "reference", "source_language", "target_language"} in place of the sentences.',
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Sentences; at most, where they come from a file.")] = 12,
    out: Annotated[Path, typer.Option(help="Folder of the study.")] = Path("machine-translation"),
    seed: _Seed = 0,
    temperature: _Temperature = 0.6,
    store: Store = None,
    endpoints: Endpoints = None,
) -> None:
    """Measure translations by thinking budget. Directly, told once to wait, and by post-editing a draft."""
    from ponder.bench.studies import machine_translation as study
    from ponder.bench.translation_metrics import load_metric

    metrics = [load_metric(name) for name in metric or ["chrf", "bleu"]]
    job = StudyJob(
        out=out,
        seed=seed,
        family="translation",
        problems=problems,
        count=count,
        store=store,
        endpoints=endpoints,
        form="translation",
        settings={"origin": origin, "into": into},
    )
    asked = job.drawn()
    if rows:
        job.show(study.machine_translation(read_studied(rows, job.source), asked, metrics, seed=seed))
        return
    sizes = numbers(budgets, int, "--budgets")

    def turns(opened: Mapping[str, Model]) -> list[Turn]:
        return study.translation_turns(
            opened[model],
            sizes,
            scenarios=[name for name in scenario.split(",") if name],
            editor=None if editor is None else opened[editor],
            judge=None if judge is None else opened[judge],
            answer=answer,
            markers=_marked(markers, model),
        )

    law = sampling(temperature, answer)
    done = job.record([spec for spec in (model, editor, judge) if spec is not None], turns, law)
    facts, warning = job.told(done, law)
    languages = sorted({f"{_language(p, 'source')} to {_language(p, 'target')}" for p in asked})
    found = study.machine_translation(
        done.rows, asked, metrics, seed=seed, facts=(", ".join(languages), model, *facts), warning=warning
    )
    job.show(found, done)


def _marked(markers: str | None, model: str) -> str:
    return markers or ("scratchpad" if model == MODEL else "think")


def _language(problem: Problem, side: str) -> str:
    return str(problem.task.metadata.get(f"{side}_language", "?"))
