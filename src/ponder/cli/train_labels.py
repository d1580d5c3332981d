"""`ponder train labels` and `ponder train critiques`: data for step verifiers and critics, as JSON lines."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ponder.cli import exits
from ponder.cli.train_run import NoStore, run_kept

if TYPE_CHECKING:
    from ponder.core.errors import Stopped
    from ponder.core.model import Model
    from ponder.core.solve import Control
    from ponder.core.store import Store
    from ponder.tasks.problem import Problem
    from ponder.training.critique_records import TaskCritiques
    from ponder.training.step_records import TaskLabels

__all__ = ["critiques", "labels"]

Out = Annotated[Path, typer.Argument(help="File to write, one JSON line a task.")]
Family = Annotated[str, typer.Option(help="Task family with references.")]
Tasks = Annotated[int, typer.Option(min=1, help="Tasks of the family.")]
Policy = Annotated[str, typer.Option(help="Model that writes the solutions, as BACKEND:NAME.")]
MaxTokens = Annotated[int, typer.Option(min=1, help="Most tokens of a solution.")]
Temperature = Annotated[float, typer.Option(min=0.0, help="Of solutions and of what goes on from them.")]
Seed = Annotated[int, typer.Option(help="Seed of the tasks and of the samples.")]
Kept = Annotated[Path | None, typer.Option("--store", help="Response store: what was sampled once is not paid again.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]

Found = Sequence["TaskLabels"] | Sequence["TaskCritiques"]


def labels(
    out: Out,
    family: Family = "arithmetic_chains",
    tasks: Tasks = 20,
    model: Policy = "llamacpp:smollm2",
    completer: Annotated[str, typer.Option(help="Model that completes the prefixes; by default the same.")] = "",
    paths: Annotated[int, typer.Option(min=2, help="Solutions kept of each task, half of them right.")] = 4,
    least: Annotated[int, typer.Option(min=1, help="Fewest samples of each task.")] = 32,
    tries: Annotated[int, typer.Option(min=1, help="Most samples of each task.")] = 158,
    k: Annotated[int, typer.Option(min=0, help="Completions of a prefix; 0 for 32 to 128 by the pass rate.")] = 0,
    eps: Annotated[float, typer.Option(min=0.0, help="Least progress of a good step.")] = 0.8,
    max_tokens: MaxTokens = 256,
    temperature: Temperature = 0.7,
    seed: Seed = 0,
    store: Kept = None,
    no_store: NoStore = False,
    as_json: AsJson = False,
) -> None:
    """Label steps of solutions by their progress. It is measured with roll-outs."""
    from ponder.training.step_labels import StepLabels, label_steps

    settings = StepLabels(paths=paths, least=least, tries=tries, k=k, eps=eps, delimiter="\n")

    async def work(policy: Model, other: Model | None, problems: Sequence[Problem], options: dict[str, Any]) -> Found:
        return await label_steps(policy, problems, settings, completer=other, file=out, **options)

    found = _run(work, model, completer, (family, tasks, seed), (temperature, max_tokens), store, no_store)
    outcomes: dict[str, int] = {}
    for one in found:
        name = getattr(one, "outcome", "")
        outcomes[name] = outcomes.get(name, 0) + 1
    steps = [label for one in found for made in getattr(one, "solutions", ()) for label in made.labels]
    facts = {"tasks": outcomes, "steps": len(steps), "good": sum(steps)}
    lines = (
        ", ".join(f"{count} {name}" for name, count in outcomes.items()),
        f"{len(steps)} steps labelled, {sum(steps)} of them good",
    )
    _report(found, out, facts, lines, as_json=as_json)


def critiques(
    out: Out,
    family: Family = "arithmetic_chains",
    tasks: Tasks = 20,
    model: Policy = "llamacpp:smollm2",
    critic: Annotated[str, typer.Option(help="Strong model that writes critiques; by default the same.")] = "",
    samples: Annotated[int, typer.Option(min=1, help="Solutions sampled of each task.")] = 4,
    resampled: Annotated[int, typer.Option(min=0, help="Wrong endings of each task, sampled hotter.")] = 1,
    inserted: Annotated[int, typer.Option(min=0, help="Wrong endings of each task, asked for.")] = 1,
    refinements: Annotated[int, typer.Option(min=1, help="Refinements that try a critique out.")] = 10,
    tau: Annotated[float, typer.Option(min=0.0, max=1.0, help="Least share of them that is right.")] = 0.3,
    max_tokens: MaxTokens = 256,
    temperature: Temperature = 0.7,
    seed: Seed = 0,
    store: Kept = None,
    no_store: NoStore = False,
    as_json: AsJson = False,
) -> None:
    """Make critiques that help to right answers. Right and flawed solutions are criticised; what helps is kept."""
    from ponder.training.critique_data import CritiqueData, make_critiques

    settings = CritiqueData(samples=samples, resampled=resampled, inserted=inserted, refinements=refinements, tau=tau)

    async def work(policy: Model, other: Model | None, problems: Sequence[Problem], options: dict[str, Any]) -> Found:
        return await make_critiques(policy, problems, settings, critic=other, file=out, **options)

    found = _run(work, model, critic, (family, tasks, seed), (temperature, max_tokens), store, no_store)
    items = [item for one in found for item in getattr(one, "items", ())]
    kept = [item for item in items if not item.dropped]
    facts = {"tasks": len(found), "solutions": len(items), "kept": len(kept), "right": sum(i.right for i in kept)}
    lines = (
        f"{len(items)} solutions of {len(found)} tasks, {len(kept)} critiques kept,"
        f" {facts['right']} of them of right solutions",
    )
    _report(found, out, facts, lines, as_json=as_json)


def _run(
    work: Callable[[Model, Model | None, Sequence[Problem], dict[str, Any]], Awaitable[Found]],
    model: str,
    other: str,
    drawn: tuple[str, int, int],
    law: tuple[float, int],
    store: Path | None,
    no_store: bool,
) -> Found:
    """Open what is needed and work; Ctrl-C once ends it with the tasks that are done, twice at once."""
    return run_kept(lambda kept: _work(work, model, other, drawn, law, kept), store, keep=not no_store)


async def _work(
    work: Callable[[Model, Model | None, Sequence[Problem], dict[str, Any]], Awaitable[Found]],
    model: str,
    other: str,
    drawn: tuple[str, int, int],
    law: tuple[float, int],
    store: Store | None,
) -> Found:
    from ponder.cli.console import tell
    from ponder.cli.interrupts import interruptible
    from ponder.core import registry
    from ponder.core.model import Sampling
    from ponder.core.solve import Control, load

    family, count, seed = drawn
    problems: list[Problem] = registry.tasks.get(family).make().generate(count, seed)
    control: Control = Control()

    def progress(done: int, total: int) -> None:
        if done * 10 // total != (done - 1) * 10 // total:
            tell(f"{done} of {total} tasks done")

    opened = [load(spec) for spec in (model, other) if spec]
    options = {
        "sampling": Sampling(temperature=law[0], max_tokens=law[1]),
        "seed": seed,
        "store": store,
        "control": control,
        "progress": progress,
    }
    try:
        with interruptible(control, tell):
            return await work(opened[0], opened[1] if other else None, problems, options)
    finally:
        for one in opened:
            await one.close()


def _report(found: Found, out: Path, facts: dict[str, Any], lines: Sequence[str], *, as_json: bool) -> None:
    from ponder.cli.console import show, show_json, spell_usage
    from ponder.core.usage import add_up

    usage, paid = add_up(one.usage for one in found), add_up(one.paid for one in found)
    stopped: Stopped = found[-1].stopped if found else "done"
    if as_json:
        bills = {
            name: {role: used.to_json() for role, used in side.items()}
            for name, side in (("usage", usage), ("paid", paid))
        }
        show_json({"file": str(out), "stopped": stopped, **facts, **bills})
    else:
        show(*lines, *(f"{role}: {spell_usage(used)}" for role, used in usage.items()), str(out))
    if stopped != "done":
        raise typer.Exit(exits.of_run(stopped, answered=True))
