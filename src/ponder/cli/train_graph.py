"""`ponder train graph`: search the graph of models that answers tasks of a kind best within a budget, and write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ponder.cli import exits

if TYPE_CHECKING:
    from ponder.core.store import Store
    from ponder.numerics.graph_costs import Size
    from ponder.tasks.problem import Problem
    from ponder.training.agent_reinforce import AgentReinforce, Found

__all__ = ["graph"]

_TASKS = "arithmetic_chains?steps=2"
_HOW: Mapping[str, Literal["text", "numeric", "random"]] = {
    "textual": "text",
    "reinforce": "numeric",
    "random": "random",
}


def graph(
    out: Annotated[Path, typer.Argument(help="JSON file to write, for the method agent_graph: graph=FILE.")],
    role: Annotated[
        list[str], typer.Option(metavar="NAME=MODEL", help="A model that nodes may be, smallest first; repeatable.")
    ],
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            "--tasks",
            "--family",
            metavar="SPEC",
            help="Tasks with references: a family, FORMAT:FILE or FILE, with settings as ?KEY=VALUE&...; repeatable."
            f"  [default: {_TASKS}]",
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Of each, at most.")] = 24,
    method: Annotated[
        Literal["textual", "reinforce", "random"],
        typer.Option(help="A model writes graphs, logits are moved by REINFORCE, or graphs are drawn at random."),
    ] = "textual",
    optimiser: Annotated[
        str, typer.Option(metavar="MODEL", help="Model that writes graphs (textual).  [default: the last role's]")
    ] = "",
    start: Annotated[int, typer.Option(min=1, help="Start budget: smallest models that a graph may hold.")] = 4,
    budget: Annotated[
        str,
        typer.Option(
            metavar="units=X|tokens=X",
            help="Most that a graph may cost a question: in smallest models without inputs (FLOPs), or in tokens read"
            " and written.  [default: the densest graph of the start budget, in FLOPs]",
        ),
    ] = "",
    price: Annotated[
        list[str] | None, typer.Option(metavar="NAME=N", help="Price in smallest models, 1 if not given; repeatable.")
    ] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=WEIGHTS,LAYERS,HIDDEN", help="Shape of a model that does not tell it itself; repeatable."
        ),
    ] = None,
    iterations: Annotated[int, typer.Option(min=1, help="Graphs (reinforce: batches of them) that are tried.")] = 10,
    batch: Annotated[int, typer.Option(min=1, help="Questions on which each is tried.")] = 3,
    pretest: Annotated[int, typer.Option(min=0, help="Questions on which each candidate team is tried.")] = 8,
    recheck: Annotated[int, typer.Option(min=1, help="Questions on which the best are measured again.")] = 8,
    temperature: Annotated[float, typer.Option(min=0.0, help="Of answers and of the optimiser.")] = 0.8,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")] = 256,
    seed: Annotated[int, typer.Option(help="Seed of the tasks, of the graphs and of the samples.")] = 0,
    store: Annotated[
        Path | None, typer.Option(help="Response store: what was sampled once is not paid for again.")
    ] = None,
    no_store: Annotated[bool, typer.Option("--no-store", help="Keep no answers.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Search, before any question comes, for the graph of models that answers best within a budget."""
    import asyncio

    from ponder.cli.console import show_json, tell
    from ponder.cli.inputs import open_store, pairs
    from ponder.training.agent_reinforce import AgentReinforce

    unit, cap = _budget(budget)
    settings = AgentReinforce(
        start=start,
        cap=cap,
        unit=unit,
        how=_HOW[method],
        iterations=iterations,
        batch=batch,
        pretest=pretest,
        recheck=recheck,
    )
    roles = pairs(role, "--role")
    prices = {name: _whole(text) for name, text in _known(price, "--price", roles).items()}
    sizes = {name: _size(text) for name, text in _known(size, "--size", roles).items()}
    law = {"temperature": temperature, "max_tokens": max_tokens}
    problems = _problems(tasks or [_TASKS], count, seed)
    kept = open_store(store, keep=not no_store)
    try:
        found = asyncio.run(_search(settings, problems, roles, prices, sizes, optimiser, law, seed, kept))
    except (KeyboardInterrupt, asyncio.CancelledError):
        tell("ponder: aborted; what was sampled is in the store")
        raise typer.Exit(exits.ABORTED) from None
    finally:
        if kept is not None:
            kept.close()
    file = found.save(out)
    if as_json:
        show_json({"file": str(file), **found.to_json()})
    else:
        _show(found, file, unit)
    if found.stopped != "done":
        raise typer.Exit(exits.of_run(found.stopped, answered=True))


def _budget(text: str) -> tuple[Literal["flops", "tokens"], float | None]:
    from ponder.core.errors import ConfigError

    if not text:
        return "flops", None
    name, _, value = text.partition("=")
    try:
        if name in ("units", "tokens"):
            return ("flops" if name == "units" else "tokens"), float(value)
    except ValueError:
        pass
    raise ConfigError(f"--budget: cannot read {text!r}; write units=NUMBER or tokens=NUMBER")


def _known(texts: Sequence[str] | None, option: str, roles: Mapping[str, str]) -> dict[str, str]:
    from ponder.cli.inputs import pairs
    from ponder.core.errors import ConfigError

    found = pairs(texts or [], option)
    for name in found:
        if name not in roles:
            raise ConfigError(f"{option}: there is no role {name!r}; there are: {', '.join(roles)}")
    return found


def _whole(text: str) -> int:
    from ponder.core.errors import ConfigError

    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"--price: {text!r} is no whole number from 1")
    return int(text)


def _size(text: str) -> Size:
    from ponder.core.errors import ConfigError
    from ponder.numerics.graph_costs import Size

    try:
        weights, layers, hidden = text.split(",")
        found = Size(float(weights), int(layers), int(hidden))
    except ValueError:
        raise ConfigError(f"--size: cannot read {text!r}; write WEIGHTS,LAYERS,HIDDEN, as in 1e9,16,2048") from None
    if not min(found) > 0:
        raise ConfigError(f"--size: {text!r} must be above 0")
    return found


def _problems(specs: Sequence[str], count: int, seed: int) -> list[Problem]:
    """Draw or read the tasks as `ponder bench` does, in an order that mixes the kinds."""
    from ponder.bench.job import Grid, Job
    from ponder.core.seeds import derive

    job = Job(models=("none",), methods=(Grid(method="greedy"),), tasks=tuple(specs), count=count, task_seed=seed)
    problems = [named.problem for named in job.problems()]
    derive(seed, "train_graph").shuffle(problems)
    return problems


async def _search(
    settings: AgentReinforce,
    problems: Sequence[Problem],
    roles: Mapping[str, str],
    prices: Mapping[str, int],
    sizes: Mapping[str, Size],
    optimiser: str,
    law: Mapping[str, Any],
    seed: int,
    store: Store | None,
) -> Found:
    """Open the models and search; Ctrl-C once ends it with the best so far, twice at once."""
    from ponder.cli.console import tell
    from ponder.cli.interrupts import interruptible
    from ponder.core.model import Sampling
    from ponder.core.solve import Control, load
    from ponder.training.agent_reinforce import Member

    control = Control()
    opened = {name: load(spec) for name, spec in roles.items()}
    writer = load(optimiser) if optimiser else list(opened.values())[-1]
    members = {
        name: Member(model=model, price=prices.get(name, 1), size=sizes.get(name)) for name, model in opened.items()
    }
    try:
        with interruptible(control, tell):
            return await settings.search(
                problems,
                members,
                optimiser=writer,
                sampling=Sampling(**law),
                seed=seed,
                store=store,
                control=control,
            )
    finally:
        for model in [*opened.values(), *([writer] if optimiser else [])]:
            await model.close()


def _show(found: Found, file: Path, unit: str) -> None:
    from ponder.cli.console import show, spell_usage

    named = "smallest models" if unit == "flops" else "tokens"
    wiring = found.graph.depends
    nodes = [
        f"  {at}: {model}{', fuses' if fuses else ''}{f', reads {reads}' if reads else ''}"
        for at, (model, fuses, reads) in enumerate(zip(found.graph.models, found.graph.roles, wiring, strict=False))
    ]
    accuracy = "not measured again" if found.accuracy is None else f"{found.accuracy:.1%} when measured again"
    show(
        f"best of {len(found.trials)} runs of graphs: accuracy {accuracy}",
        *nodes,
        f"  sink: {found.graph.sink}, reads {wiring[-1]}",
        f"costs {found.units:.4g} of at most {found.cap:.4g} {named}; {found.tokens:.0f} tokens a question as measured",
        *([f"{len(found.faults)} replies of the optimiser could not be used"] if found.faults else []),
        *(f"{role}: {spell_usage(used)}" for role, used in found.usage.items()),
        str(file),
    )
