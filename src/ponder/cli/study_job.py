"""What every study of `ponder study` shares: its problems, a live recording, and the folder that is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ponder.cli import exits

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from ponder.bench.curve import Run
    from ponder.bench.studies.page import Study
    from ponder.bench.studies.recording import Recorded, Turn
    from ponder.core.model import Model, Sampling
    from ponder.tasks.problem import Problem

__all__ = ["StudyJob", "open_kept"]


@dataclass(frozen=True, kw_only=True)
class StudyJob:
    """Problems, a live recording, and the folder that is written.

    Attributes:
        out: the folder.
        seed: of the problems and the samples.
        family: that problems are drawn from.
        problems: a file of problems in its place.
        count: of the problems, at most.
        store: where answers are kept.
        form: a published format that the file of problems is read by.
        seen: told of each run.
        settings: of the family.
        endpoints: file of named endpoints that models may be names of.
    """

    out: Path
    seed: int
    family: str
    problems: Path | None
    count: int
    store: Path | None
    form: str = ""
    seen: Callable[[Run], None] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    endpoints: Path | None = None

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
            opened = {spec: open_kept(spec, stack, self.endpoints) for spec in specs}
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


def open_kept(spec: str, stack: AsyncExitStack, endpoints: Path | None = None) -> Model:
    """Open a model, or an endpoint of a file by its name; the stack closes it."""
    from ponder.cli.inputs import open_model

    model = open_model(spec, endpoints=endpoints)
    stack.push_async_callback(model.close)
    return model
