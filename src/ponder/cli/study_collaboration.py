"""`ponder study multi-agent-debate` and `sleep-time`: answers that read each other, and thinking before questions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ponder.cli.study_inputs import MODEL, MaxTokens, Rows, Store, numbers, read_studied, sampling
from ponder.cli.study_job import StudyJob, open_kept

if TYPE_CHECKING:
    from ponder.bench.studies.recording import Turn
    from ponder.core.model import Model

__all__ = ["multi_agent_debate", "sleep_time"]

_Seed = Annotated[int, typer.Option(help="Seed of the problems, the samples and the intervals.")]
_Temperature = Annotated[float, typer.Option(min=0, help="Of the answers.")]
_Count = Annotated[int, typer.Option(min=1, help="Problems.")]


def multi_agent_debate(
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", metavar="MODEL", help=f"Whose agents talk; repeatable.  [default: {MODEL}]"),
    ] = None,
    answers: Annotated[int, typer.Option(min=2, help="Answers that each curve spends on a problem.")] = 16,
    memory: Annotated[
        str, typer.Option(help="What agents see: the last round (markov), or their chat so far (history).")
    ] = "markov",
    persona: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Instruction of an agent, in turn; repeatable.")
    ] = None,
    mixed: Annotated[bool, typer.Option(help="With several models, also let agents of all of them talk.")] = True,
    rows: Rows = None,
    family: Annotated[str, typer.Option(help="Task family; of recorded rows, where they hold several.")] = (
        "arithmetic_chains"
    ),
    kind: Annotated[str, typer.Option(help="Of the family `safety`: attack, benign or mixed.")] = "",
    count: _Count = 24,
    out: Annotated[Path, typer.Option(help="Folder of the study.")] = Path("multi-agent-debate"),
    seed: _Seed = 0,
    temperature: _Temperature = 0.7,
    max_tokens: MaxTokens = 64,
    store: Store = None,
) -> None:
    """Compare a debate with a vote at equal cost. Self-refinement too, by difficulty, scale and diversity."""
    from ponder.bench.studies import debate as study

    settings: dict[str, Any] = {"kind": kind} if kind else {}
    job = StudyJob(out=out, seed=seed, family=family, problems=None, count=count, store=store, settings=settings)
    if rows:
        job.show(study.debate(read_studied(rows, family)))
        return
    names = model or [MODEL]

    def turns(opened: Mapping[str, Model]) -> list[Turn]:
        return study.debate_turns(
            [opened[name] for name in names], answers=answers, memory=memory, mixed=mixed, personas=persona or ()
        )

    law = sampling(temperature, max_tokens)
    done = job.record(names, turns, law)
    facts, warning = job.told(done, law)
    job.show(study.debate(done.rows, facts=(f"{answers} answers a curve", *facts), warning=warning), done)


def sleep_time(
    model: Annotated[str, typer.Option("--model", "-m", metavar="MODEL", help="Answers the questions.")] = MODEL,
    sleeper: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Thinks before them.  [default: the same model]")
    ] = None,
    verbosity: Annotated[
        str, typer.Option(metavar="V,...", help="Of answers, 0 (a sentence) to 4 (checks).")
    ] = "0,2,4",
    rounds: Annotated[int, typer.Option(min=1, help="Most rewritings of the notes.")] = 3,
    sleeps: Annotated[int, typer.Option(min=1, help="Independent sleeps that are joined.")] = 1,
    sleep_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of a rewriting.")] = 128,
    questions: Annotated[int, typer.Option(min=1, help="About each context.")] = 5,
    price: Annotated[float, typer.Option(help="Of a token at question time, in tokens of the sleep.")] = 10.0,
    predictor: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Says how predictable questions were; it must score text.")
    ] = None,
    rows: Rows = None,
    count: _Count = 25,
    out: Annotated[Path, typer.Option(help="Folder of the study.")] = Path("sleep-time"),
    seed: _Seed = 0,
    temperature: _Temperature = 0.0,
    max_tokens: MaxTokens = 64,
    store: Store = None,
) -> None:
    """Measure what a sleep before questions buys. Its cost is shared out over the questions of a context."""
    from ponder.bench.studies import sleep as study

    job = StudyJob(
        out=out,
        seed=seed,
        family="stateful",
        problems=None,
        count=count,
        store=store,
        settings={"questions": questions},
    )
    if rows:
        job.show(study.sleep(read_studied(rows, "stateful"), price=price, seed=seed))
        return
    levels = numbers(verbosity, int, "--verbosity")

    def turns(opened: Mapping[str, Model]) -> list[Turn]:
        return study.sleep_turns(
            opened[model],
            verbosities=levels,
            rounds=rounds,
            sleeps=sleeps,
            sleep_tokens=sleep_tokens,
            sleeper=None if sleeper is None else opened[sleeper],
        )

    law = sampling(temperature, max_tokens)
    done = job.record([spec for spec in (model, sleeper) if spec is not None], turns, law)
    predicted = None if predictor is None else _predicted(predictor, job)
    facts, warning = job.told(done, law)
    found = study.sleep(done.rows, price=price, predicted=predicted, seed=seed, facts=(model, *facts), warning=warning)
    job.show(found, done)


def _predicted(spec: str, job: StudyJob) -> dict[str, float]:
    """Open a model and score the questions."""
    import asyncio
    from contextlib import AsyncExitStack

    from ponder.bench.studies.sleep import predictabilities

    async def score() -> dict[str, float]:
        async with AsyncExitStack() as stack:
            return await predictabilities(job.drawn(), open_kept(spec, stack))

    return asyncio.run(score())
