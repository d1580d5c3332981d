"""`ponder tune`: fit a policy on recorded runs; `ponder explain-policy`: say in words what a policy does and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ponder.bench.rows import Row
    from ponder.planning.policy import Policy

__all__ = ["explain_policy", "tune"]

_File = Annotated[Path, typer.Argument(metavar="POLICY", help="A policy file.")]


def tune(
    runs: Annotated[
        list[Path] | None,
        typer.Option("--runs", metavar="PATH", help="Folder of a run, or a file of rows; repeatable."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The policy.")] = Path("policy.json"),
    objective: Annotated[
        str,
        typer.Option(
            help="accuracy: the most that the budget buys; cost: the cheapest as accurate as the best fixed method."
        ),
    ] = "accuracy",
    budget: Annotated[
        str | None,
        typer.Option(metavar="UNIT=X", help="Most mean cost of a question: tokens=900, flops=1e12, usd=0.002."),
    ] = None,
    unit: Annotated[
        str,
        typer.Option(help="Unit of costs.  [default: the budget's; tokens for one model, flops or usd for several]"),
    ] = "",
    slack: Annotated[float, typer.Option(help="Accuracy that may be given up for a lower cost.")] = 0.01,
    family: Annotated[list[str] | None, typer.Option(help="Use the rows of this task family; repeatable.")] = None,
    policy_model: Annotated[
        str, typer.Option(metavar="NAME", help="The model that is asked first, of several.  [default: the cheapest]")
    ] = "",
    folds: Annotated[int, typer.Option(min=2, help="Of the cross-validation.")] = 5,
    thin: Annotated[int, typer.Option(min=1, help="Fewest questions of a bin with a choice of its own.")] = 20,
    seed: Annotated[int, typer.Option(help="Of the folds.")] = 0,
    roll_back: Annotated[
        bool, typer.Option("--roll-back", help="Put the version before --out back instead, and fit nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the policy as JSON.")] = False,
) -> None:
    """Learn from recorded runs what to run when. Says what that is worth on questions not seen."""
    from ponder.bench.tune import tune as fit_policy
    from ponder.bench.tuning_rows import gather
    from ponder.cli.console import show_json, tell
    from ponder.core.errors import ConfigError
    from ponder.planning import policy as policies
    from ponder.planning.tuning import Aim

    if roll_back:
        policy = policies.roll_back(out)
        tell(f"{out} is again the policy of {policy.created or 'an unknown date'}")
        return
    if not runs:
        raise ConfigError("what to learn from? Name recorded runs: ponder tune --runs FOLDER")
    limit = None
    if budget is not None:
        named, _, text = budget.partition("=")
        try:
            limit = float(text)
        except ValueError:
            raise ConfigError(f"the budget is UNIT=NUMBER, as in tokens=900, got {budget!r}") from None
        if unit and unit != named:
            raise ConfigError(f"the budget is in {named} and the unit {unit}: choose one")
        unit = named
    aim = Aim(objective=objective, budget=limit, slack=slack, thin=thin)  # type: ignore[arg-type]  # Aim checks it
    rows = [row for row in _read(runs) if not family or row.family in family]
    policy = fit_policy(gather(rows, unit=unit, policy=policy_model), aim, folds=folds, seed=seed)
    policy.save(out)
    if as_json:
        show_json(policy.to_json())
    else:
        _explain(policy)
    tell(f"\nwritten: {out}   use it: ponder solve --method auto --set policy={out} ...")


def explain_policy(file: _File, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Print what a policy runs, and why. The evidence stands beside each choice."""
    from ponder.cli.console import show_json
    from ponder.planning.policy import load_policy

    policy = load_policy(file)
    if as_json:
        show_json(policy.to_json())
    else:
        _explain(policy)


def _read(paths: Sequence[Path]) -> list[Row]:
    from ponder.bench.rows import read_rows

    return [row for path in paths for row in read_rows(path / "rows.jsonl" if path.is_dir() else path)]


def _explain(policy: Policy) -> None:
    from rich.padding import Padding
    from rich.text import Text

    from ponder.cli.console import show, table

    said = policy.evidence
    aim = "the most accuracy" if policy.objective == "accuracy" else "the lowest cost at the best fixed accuracy"
    limit = "" if policy.budget is None else f", mean cost of a question at most {policy.budget:,.6g} {policy.unit}"
    lines = [f"for {aim}{limit}; fitted {policy.created or 'at an unknown date'}"]
    lines += [f"{role}: {known.name}" for role, known in policy.models.items()]
    families = ", ".join(f"{name} ({count})" for name, count in said.get("families", {}).items())
    if families:
        lines.append(f"learned on {said['questions']} questions: {families}")
    if policy.probe is not None:
        by = f"the scores of {policy.probe.verifier}" if policy.probe.verifier else policy.probe.estimator
        lines.append(f"looks first at {policy.probe.n} samples, and tells difficulty by {by}")
    if said.get("abstained"):
        lines.append(f"one choice for all questions: {said['abstained']}")
    if said.get("dropped"):
        lines.append(f"{said['dropped']} questions were left out: not every option was run on them")
    if graded := said.get("self_graded"):
        lines.append(f"verifier = grader for {', '.join(graded)}: what it shows is what that program can find")
    show(*(Text(line) for line in lines))

    rows = table("difficulty", "from", "questions", "accuracy", policy.unit, "runs", right=("questions", "accuracy"))
    for name, found in said.get("bins", {}).items():
        rows.add_row(
            _bin(name, policy),
            _edge(name, policy),
            str(found["questions"]),
            f"{found['accuracy']:.0%}",
            f"{found['cost']:,.4g}",
            found["choice"] + ("" if found["own"] or name == "all" else "  (default)"),
        )
    show(Text(""), Text("What it runs (accuracy and cost on the questions it was fitted on)", style="bold"), rows)
    if held := said.get("held_out"):
        head = Text("On questions that took no part in the fit", style="bold")
        show(Text(""), head, *map(Text, _same(held, policy)), Padding(_held(held, policy), 0))
    for found in said.get("unseen_families", []):
        change = _points(found["difference"])
        show(
            Text(
                f"never tuned on {found['family']} ({found['questions']}): {found['accuracy']:.0%} at"
                f" {found['cost']:,.4g} {policy.unit}; the fixed choice {found['fixed_accuracy']:.0%} at"
                f" {found['fixed_cost']:,.4g}: {change}"
            )
        )


_FIXED = {
    "fixed": "the best fixed choice",
    "equal_cost": "the best fixed choice at its cost",
    "equal_accuracy": "the cheapest fixed choice as accurate",
}


def _same(held: Mapping[str, Any], policy: Policy) -> list[str]:
    """Say with which fixed choices the policy is one and the same, so that no row repeats it."""
    same = [title for name, title in _FIXED.items() if _is_policy(held, held[name])]
    if not same:
        return []
    if len(same) == len(_FIXED) and len({found["choice"] for found in policy.evidence.get("bins", {}).values()}) == 1:
        return ["the policy is one fixed choice, so it gains nothing over the best one and loses nothing to it"]
    return [f"it did the same as {' and '.join(same)}"]


def _is_policy(held: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Whether a fixed choice answered every held-out question as the policy did, at the same cost."""
    ratio = found["ratio"]  # with its interval: 1 throughout where every single cost is the same
    equal = found["difference"][0] == 0 and found["cost"] == held["cost"]
    return equal and (ratio is None or all(part == 1 for part in ratio))


def _held(held: Mapping[str, Any], policy: Policy) -> Any:
    from ponder.cli.console import table

    rows = table(
        "", "accuracy", policy.unit, "policy minus this, points", "cost of the policy over this", right=("accuracy",)
    )
    low, high = held["accuracy"][1:]
    rows.add_row(
        "policy", f"{held['accuracy'][0]:.1%} [{100 * low:.0f}, {100 * high:.0f}]", f"{held['cost']:,.4g}", "", ""
    )
    for name, title in _FIXED.items():
        found = held[name]
        if _is_policy(held, found):
            continue
        ratio = "–" if found["ratio"] is None else "{:.2f} [{:.2f}, {:.2f}]".format(*found["ratio"])
        rows.add_row(title, f"{found['accuracy']:.1%}", f"{found['cost']:,.4g}", _points(found["difference"]), ratio)
    return rows


def _points(value: Sequence[float]) -> str:
    return "{:+.1f} [{:+.1f}, {:+.1f}]".format(*(100 * part for part in value))


def _bin(name: str, policy: Policy) -> str:
    names = policy.bins.names
    if name not in names or len(names) == 1:
        return name
    place = names.index(name)
    return f"{name} (easiest)" if place == 0 else f"{name} (hardest)" if place == len(names) - 1 else name


def _edge(name: str, policy: Policy) -> str:
    """Spell the least value of a bin."""
    names, edges = policy.bins.names, policy.bins.edges
    if policy.probe is None or name not in names:
        return ""
    place = names.index(name)
    return f"{policy.probe.estimator} >= {edges[place]:.3g}" if place < len(edges) else "below"
