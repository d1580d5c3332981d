"""`ponder study`: questions about test-time compute, answered live on a model or from recorded rows.

Each study writes rows.jsonl (live), table.json, table.md and page.html into a folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ponder.cli import exits, study_confidence

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from ponder.bench.curve import Run
    from ponder.bench.rows import Row
    from ponder.bench.studies.page import Study
    from ponder.bench.studies.recording import Recorded, Turn
    from ponder.core.model import Model, Sampling
    from ponder.core.registry import Registry
    from ponder.planning.difficulty import Difficulty
    from ponder.tasks.problem import Problem

__all__ = ["app", "compute_optimal", "verification_dynamics"]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Answer a question about test-time compute.")
app.command("verbalized-confidence")(study_confidence.verbalized_confidence)

_MODEL = "llamacpp:smollm2"

_Rows = Annotated[
    list[Path] | None, typer.Option(metavar="FILE", help="Study these recorded rows and run nothing; repeatable.")
]
_Family = Annotated[
    str, typer.Option(help="Task family that problems are drawn from; of recorded rows, where they hold several.")
]
_Problems = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help='JSON lines {"prompt", "reference", "answer"} in place of a family.'),
]
_Count = Annotated[int, typer.Option(min=1, help="Problems; at most, where they come from a file.")]
_Seed = Annotated[int, typer.Option(help="Seed of the problems, the samples and the folds.")]
_Temperature = Annotated[float, typer.Option(min=0, help="Of the samples.")]
_MaxTokens = Annotated[int, typer.Option(min=1, help="Most tokens of one answer.")]
_Store = Annotated[Path | None, typer.Option(metavar="FILE", help="Keep answers here, to go on after a break.")]
_Spec = "NAME[:KEY=VALUE,...]"


@app.command("verification-dynamics")
def verification_dynamics(
    generator: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help=f"Model that answers; repeatable.  [default: {_MODEL}]")
    ] = None,
    verifier: Annotated[
        list[str] | None, typer.Option(metavar=_Spec, help="What judges; repeatable.  [default: generative]")
    ] = None,
    judge: Annotated[
        list[str] | None,
        typer.Option(metavar="MODEL", help="Model that a verifier asks; repeatable.  [default: the first generator]"),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Answers to each problem.")] = 8,
    threshold: Annotated[float, typer.Option(help="Score above which an answer counts as accepted.")] = 0.5,
    rows: _Rows = None,
    family: _Family = "multiplication_stories",
    problems: _Problems = None,
    count: _Count = 24,
    out: Annotated[Path, typer.Option(help="Folder of the study.")] = Path("verification-dynamics"),
    seed: _Seed = 0,
    temperature: _Temperature = 0.7,
    max_tokens: _MaxTokens = 40,
    store: _Store = None,
) -> None:
    """Measure which right answers a verifier accepts and which wrong ones it rejects, by difficulty and generator."""
    from ponder.bench.studies import verification_dynamics as study
    from ponder.core import registry

    job = _Job(out=out, seed=seed, family=family, problems=problems, count=count, store=store)
    names = generator or [_MODEL]
    judges = [_component(text, registry.verifiers) for text in verifier or ["generative"]]

    def turns(opened: Mapping[str, Model]) -> list[Turn]:
        asked = []
        for name, settings in judges:
            models = [opened[spec] for spec in judge or names[:1]]
            program = not registry.verifiers.get(name).access
            for model in [None] if program else models:
                asked.append(study.Judge(verifier=name, model=model, settings=settings))
        return study.verification_turns([opened[spec] for spec in names], asked, samples=samples)

    if rows:
        job.show(study.verification_dynamics(_read(rows, family), threshold=threshold, seed=seed))
        return
    law = _sampling(temperature, max_tokens)
    done = job.record([*names, *(judge or [])], turns, law)
    facts, warning = job.told(done, law)
    job.show(study.verification_dynamics(done.rows, threshold=threshold, seed=seed, facts=facts, warning=warning), done)


@app.command("compute-optimal")
def compute_optimal(
    model: Annotated[str, typer.Option("--model", "-m", metavar="MODEL", help="The policy.")] = _MODEL,
    method: Annotated[
        list[str] | None,
        typer.Option(
            metavar=_Spec, help="Method to choose from; repeatable.  [default: greedy, self_consistency, best_of_n]"
        ),
    ] = None,
    sizes: Annotated[str, typer.Option(metavar="N,...", help="Numbers of samples.")] = "1,2,4,8,16",
    verifier: Annotated[str, typer.Option(metavar=_Spec, help="Of the methods that need one.")] = "arithmetic",
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
    rows: _Rows = None,
    family: _Family = "multiplication_stories",
    problems: _Problems = None,
    count: _Count = 24,
    out: Annotated[Path, typer.Option(help="Folder of the study.")] = Path("compute-optimal"),
    seed: _Seed = 0,
    temperature: _Temperature = 0.8,
    max_tokens: _MaxTokens = 40,
    store: _Store = None,
) -> None:
    """Find the configuration that pays for each difficulty, and compare choosing by it with one rule for all."""
    from ponder.bench.studies import compute_optimal as study
    from ponder.cli.inputs import pairs
    from ponder.core import registry

    measure = _difficulty(difficulty, bins)
    weights = {role: _numbers(text, float, "--weight")[0] for role, text in pairs(weight or [], "--weight").items()}
    options: dict[str, Any] = {"uniform": uniform, "margin": margin, "slack": slack, "seed": seed}
    job = _Job(out=out, seed=seed, family=family, problems=problems, count=count, store=store)
    if rows:
        job.show(study.compute_optimal(_read(rows, family), measure, scale=scale, weights=weights, **options))
        return
    made = [_component(text, registry.strategies) for text in method or ["greedy", "self_consistency", "best_of_n"]]
    name, judging = _component(verifier, registry.verifiers)
    points = study.compute_optimal_points(
        [study.Configuration(method=chosen, settings=settings) for chosen, settings in made],
        _numbers(sizes, int, "--sizes"),
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

    law = _sampling(temperature, max_tokens)
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


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What both studies share: problems, a live recording, and the folder that is written."""

    out: Path
    seed: int
    family: str
    problems: Path | None
    count: int
    store: Path | None
    form: str = ""  # a published format that the file of problems is read by
    seen: Callable[[Run], None] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the family

    @property
    def source(self) -> str:
        """The problems' name in rows."""
        return self.family if self.problems is None else self.problems.stem

    def record(
        self, specs: Sequence[str], turns: Callable[[Mapping[str, Model]], list[Turn]], law: Sampling
    ) -> Recorded:
        """Open the models, run, and return the rows; Ctrl-C once keeps the problems that are finished."""
        import asyncio

        from ponder.cli.console import one_line, tell

        problems = self.drawn()
        file = self._folder() / "rows.jsonl"
        if file.exists():
            from ponder.core.errors import BadInput

            raise BadInput(f"{str(file)!r} is there already: study it with --rows, or choose another --out")
        try:
            done = asyncio.run(self._record(list(dict.fromkeys(specs)), turns, problems, law, file))
        except (KeyboardInterrupt, asyncio.CancelledError):
            tell("ponder: aborted")
            raise typer.Exit(exits.ABORTED) from None
        if not done.rows:
            tell(f"ponder: {one_line(done.detail or 'there are no problems')}")
            raise typer.Exit(exits.of_run(done.stopped, answered=False))
        return done

    async def _record(
        self,
        specs: Sequence[str],
        turns: Callable[[Mapping[str, Model]], list[Turn]],
        problems: Sequence[Problem],
        law: Sampling,
        file: Path,
    ) -> Recorded:
        from contextlib import AsyncExitStack, closing, nullcontext

        from ponder.bench.studies.recording import record
        from ponder.cli.console import tell
        from ponder.cli.interrupts import interruptible
        from ponder.core.solve import Control
        from ponder.core.store import Store

        control = Control()
        kept = None if self.store is None else Store(self.store)
        async with AsyncExitStack() as stack:
            stack.enter_context(closing(kept) if kept is not None else nullcontext())
            opened = {spec: _open(spec, stack) for spec in specs}
            planned = turns(opened)
            stack.enter_context(interruptible(control, tell))
            return await record(
                problems,
                planned,
                family=self.source,
                sampling=law,
                seed=self.seed,
                store=kept,
                file=file,
                control=control,
                tell=lambda done, total: tell(f"{done} of {total} problems"),
                seen=self.seen,
            )

    def drawn(self) -> list[Problem]:
        """Return the problems that are asked for."""
        from ponder.tasks.loaders.load import load_problems

        if self.problems is not None and self.form:
            return load_problems(f"{self.form}:{self.problems}", count=self.count)
        if self.problems is not None:
            return load_problems(str(self.problems), count=self.count, answer="{answer}")
        return load_problems(self.family, count=self.count, seed=self.seed, **self.settings)

    def _folder(self) -> Path:
        from ponder.core.errors import BadInput

        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise BadInput(f"cannot make the folder {str(self.out)!r}: {err.strerror or err}") from err
        return self.out

    def told(self, done: Recorded, law: Sampling) -> tuple[list[str], str]:
        """Return how the rows were made, and what was left undone."""
        from ponder.cli.console import one_line

        facts = [
            f"temperature {law.temperature:g}, top-p {law.top_p:g}, at most {law.max_tokens} tokens an answer",
            f"seed {self.seed}",
        ]
        if done.stopped == "done":
            return facts, ""
        return facts, one_line(f"It ended after {done.done} of {done.planned} problems: {done.detail}")

    def show(self, study: Study, done: Recorded | None = None) -> None:
        """Write the study, print what it found, and leave with the exit code of the recording."""
        from ponder.bench.studies.page import write_study
        from ponder.cli.console import printable, show, table

        page = write_study(study, self._folder())
        show(printable(f"{study.title}: {' · '.join(study.facts)}"))
        if study.warning:
            show(printable(f"! {study.warning}"))
        for section in study.sections:
            show(printable(f"\n{section.title}"))
            for line in section.lines:
                show(printable(f"- {line}"))
            for found in section.tables:
                if found.title:
                    show(printable(found.title))
                shown = table(*found.head, right=found.head[1:])
                for cells in found.rows:
                    shown.add_row(*map(printable, cells))
                show(shown)
        show(printable(f"\nTables, intervals and notes: {page}"))
        if done is not None:
            raise typer.Exit(exits.of_run(done.stopped, answered=True))


def _open(spec: str, stack: AsyncExitStack) -> Model:
    from ponder.cli.inputs import open_model

    model = open_model(spec)
    stack.push_async_callback(model.close)
    return model


def _read(files: Sequence[Path], family: str) -> list[Row]:
    from ponder.bench.rows import read_rows

    rows = [row for file in files for row in read_rows(file)]
    several = len({row.family for row in rows}) > 1
    return [row for row in rows if row.family == family] if several else rows


def _sampling(temperature: float, max_tokens: int) -> Sampling:
    from ponder.core.model import Sampling

    return Sampling(temperature=temperature, max_tokens=max_tokens)


def _component(text: str, registry: Registry[type]) -> tuple[str, dict[str, Any]]:
    """Read "NAME:KEY=VALUE,..."."""
    from ponder.cli.inputs import pairs
    from ponder.core.registry import configure

    name, _, settings = text.partition(":")
    given = pairs([part for part in settings.split(",") if part], f"the settings of {name!r}")
    return name, configure(registry.get(name), given)


def _difficulty(estimator: str, bins: str) -> Difficulty:
    """Read an estimator, and "5" (bins of equal counts) or "0.5,0.1" (thresholds)."""
    from ponder.planning.difficulty import Absolute, Binning, Difficulty, Quantiles

    binning: Binning
    if bins.isdigit():
        binning = Quantiles(bins=int(bins))
    else:
        edges = _numbers(bins, float, "--bins")
        names = Absolute().names if len(edges) == 2 else (*(f">= {edge:g}" for edge in edges), f"< {edges[-1]:g}")
        binning = Absolute(thresholds=tuple(edges), names=names)
    return Difficulty(estimator=estimator, binning=binning)  # type: ignore[arg-type]  # it refuses what it is not


def _numbers(text: str, kind: type[Any], option: str) -> list[Any]:
    from ponder.core.errors import ConfigError

    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"{option}: cannot read {text!r} as numbers with commas between them") from None


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


import ponder.cli.study_collaboration  # noqa: E402  # the same
import ponder.cli.study_thinking  # noqa: E402, F401  # registers its commands; it takes what studies share from here
