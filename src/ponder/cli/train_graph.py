"""`ponder train graph`: search the graph of models that answers tasks of a kind best within a budget, and write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ponder.cli import exits
from ponder.cli.train_run import TASKS, Kept, NoStore, Tasks, draw, run_kept

if TYPE_CHECKING:
    from ponder.core.store import Store
    from ponder.numerics.graph_costs import Size
    from ponder.tasks.problem import Problem
    from ponder.training.agent_reinforce import AgentReinforce, Found

__all__ = ["graph"]

_HOW: Mapping[str, Literal["text", "numeric", "alternate", "bayes", "random"]] = {
    "textual": "text",
    "reinforce": "numeric",
    "alternate": "alternate",
    "bayes": "bayes",
    "random": "random",
}


def graph(
    out: Annotated[Path, typer.Argument(help="JSON file to write, for the method agent_graph: graph=FILE.")],
    role: Annotated[
        list[str], typer.Option(metavar="NAME=MODEL", help="A model that nodes may be, smallest first; repeatable.")
    ],
    tasks: Tasks = None,
    count: Annotated[int, typer.Option(min=1, help="Of each, at most.")] = 24,
    method: Annotated[
        Literal["textual", "reinforce", "alternate", "bayes", "random"],
        typer.Option(
            help="A model writes graphs, logits are moved by REINFORCE, both in turns, Bayesian optimisation chooses,"
            " or graphs are drawn at random."
        ),
    ] = "textual",
    optimiser: Annotated[
        str, typer.Option(metavar="MODEL", help="Model that writes graphs (textual).  [default: the last role's]")
    ] = "",
    start: Annotated[int, typer.Option(min=1, help="Start budget: smallest models that a graph may hold.")] = 4,
    budget: Annotated[
        str,
        typer.Option(
            metavar="units=X|tokens=X",
            help="Most that a graph may cost a question: in smallest models without inputs (FLOPs, by the cost model),"
            " or in tokens read and written, which the meter holds.  [default: the densest graph of the start budget,"
            " in FLOPs]",
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
    latency: Annotated[bool, typer.Option("--latency", help="Look for a fast graph, too, by the clock.")] = False,
    temperature: Annotated[float, typer.Option(min=0.0, help="Of answers and of the optimiser.")] = 0.8,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")] = 256,
    seed: Annotated[int, typer.Option(help="Seed of the tasks, of the graphs and of the samples.")] = 0,
    store: Kept = None,
    no_store: NoStore = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Search for a graph of models. The one that answers best within a budget is kept, before any question comes."""
    from ponder.cli.console import show_json
    from ponder.cli.inputs import pairs
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
        latency=latency,
    )
    roles = pairs(role, "--role")
    prices = {name: _whole(text) for name, text in _known(price, "--price", roles).items()}
    sizes = {name: _size(text) for name, text in _known(size, "--size", roles).items()}
    law = {"temperature": temperature, "max_tokens": max_tokens}
    problems = _problems(tasks or [TASKS], count, seed)
    found = run_kept(
        lambda kept: _search(settings, problems, roles, prices, sizes, optimiser, law, seed, kept),
        store,
        keep=not no_store,
    )
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
    from ponder.core.seeds import derive

    problems = [named.problem for named in draw(specs, count, seed)]
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
        f"costs {found.units:.4g} of at most {found.cap:.4g} {named}; {found.tokens:.0f} tokens a question as measured"
        f"{'' if found.seconds is None else f', {found.seconds:.2f} s'}",
        *([f"{len(found.faults)} replies of the optimiser could not be used"] if found.faults else []),
        *(f"{role}: {spell_usage(used)}" for role, used in found.usage.items()),
        str(file),
    )
