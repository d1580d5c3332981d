"""From recorded rows to a policy, and what it is worth: what `ponder tune` does.

Source: our own (DESIGN §6); the rows are read by `bench.tuning_rows`, the fit is in `ponder.planning.tuning`, and how
it is chosen and held to other questions in `ponder.planning.cross_fit`.
Cost: no model call. Needs: recorded rows; numpy (extra `bench`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Any

from ponder._version import __version__
from ponder.bench.tuning_rows import Recorded
from ponder.numerics.intervals import Interval, cluster_bootstrap, paired_difference, wilson
from ponder.numerics.paired import cost_ratio, paired_score_interval
from ponder.planning.cross_fit import HeldOut, cross_validate, fixed_rival, select
from ponder.planning.difficulty import Bins
from ponder.planning.outcomes import Outcomes
from ponder.planning.policy import Policy
from ponder.planning.tuning import Aim, Fit, Spec, fit, take

__all__ = ["BINS", "tune"]

BINS = (2, 3, 5)


def tune(
    recorded: Recorded,
    aim: Aim,
    *,
    folds: int = 5,
    bins: Sequence[int] = BINS,
    least: int = 40,
    seed: int = 0,
    level: float = 0.95,
) -> Policy:
    """Fit a policy, and put beside it what it did on questions that it had not seen.

    Args:
        recorded: outcomes.
        aim: objective, budget and caution.
        folds: of the cross-validation, >= 2.
        bins: numbers of bins to choose from.
        least: with fewer questions the policy is the robust default alone.
        seed: of the folds and of resampling.
        level: of intervals, in (0, 1).

    Raises:
        BadInput: fewer questions than folds.
    """
    data = recorded.outcomes
    specs = [Spec(None, 1), *(Spec(look, count) for look in range(len(data.looks)) for count in bins)]
    few = len(data.questions) < least
    if few:
        specs = specs[:1]
    held = cross_validate(data, specs, aim, folds=folds, seed=seed)
    every = range(len(data.questions))
    spec = select(data, every, specs, aim, folds=folds, seed=seed)
    made = fit(data, every, spec, aim)
    why = ""
    if spec.look is None:
        why = (
            f"{len(data.questions)} questions are too few to choose by difficulty ({least} are needed)"
            if few
            else "choosing by difficulty did not pay in cross-validation"
            if aim.objective == "accuracy"
            else "no choice by difficulty was cheaper and surely as accurate in cross-validation"
        )
    evidence = {
        "questions": len(data.questions),
        "families": dict(Counter(data.families)),
        "dropped": recorded.dropped,
        "folds": folds,
        "slack": aim.slack,
        "sure": aim.sure,
        "margin": spec.margin,
        "abstained": why,
        "self_graded": list(recorded.self_graded),
        "held_out": _held_out(held, level, seed),
        "unseen_families": _unseen(data, specs, aim, folds, seed, level),
        "bins": _bins(data, made, every),
        "options": _options(data, made, every),
    }
    look = None if spec.look is None else data.looks[spec.look]
    return Policy(
        models=recorded.models,
        otherwise=data.options[made.otherwise].choice,
        probe=None if look is None else look.probe,
        bins=made.bins if look is not None else Bins(edges=(), names=("all",)),
        table={name: data.options[pick].choice for name, pick in made.table.items()},
        objective=aim.objective,
        budget=aim.budget,
        unit=recorded.unit,
        evidence=evidence,
        created=date.today().isoformat(),
        version=__version__,
    )


def _held_out(held: HeldOut, level: float, seed: int) -> dict[str, Any]:
    out: dict[str, Any] = {
        "accuracy": _share(held.correct, level, seed),
        "cost": float(held.costs.mean()),
        "probes": [spec.look is not None for spec in held.specs],
    }
    for name, right, paid in (
        ("fixed", held.fixed_correct, held.fixed_costs),
        ("equal_cost", held.even_correct, held.even_costs),
        ("equal_accuracy", held.equal_correct, held.equal_costs),
    ):
        out[name] = {
            "accuracy": float(right.mean()),
            "cost": float(paid.mean()),
            "difference": _difference(held.correct, right, level, seed),
            "ratio": list(cost_ratio(held.costs.tolist(), paid.tolist(), seed=seed, level=level))
            if paid.min() > 0
            else None,
        }
    return out


def _unseen(
    data: Outcomes, specs: Sequence[Spec], aim: Aim, folds: int, seed: int, level: float
) -> list[dict[str, Any]]:
    """Return for each family what a policy that was fitted on the others does on it."""
    families = list(dict.fromkeys(data.families))
    out = []
    for family in families if len(families) > 1 else []:
        inside = [row for row, name in enumerate(data.families) if name == family]
        others = [row for row, name in enumerate(data.families) if name != family]
        if len(others) < folds:
            continue
        made = fit(data, others, select(data, others, specs, aim, folds=folds, seed=seed), aim)
        alone = fixed_rival(data, others, specs, aim, folds=folds, seed=seed)
        _, _, right, paid = take(data, inside, made)
        base, base_paid = data.correct[inside, alone], data.costs[inside, alone]
        out.append(
            {
                "family": family,
                "questions": len(inside),
                "accuracy": float(right.mean()),
                "cost": float(paid.mean()),
                "fixed_accuracy": float(base.mean()),
                "fixed_cost": float(base_paid.mean()),
                "difference": _difference(right, base, level, seed),
            }
        )
    return out


def _bins(data: Outcomes, made: Fit, rows: Sequence[int]) -> dict[str, Any]:
    picks, names, right, paid = take(data, rows, made)
    out = {}
    for name in dict.fromkeys([*made.bins.names, *names]):
        inside = [at for at, found in enumerate(names) if found == name]
        if inside:
            out[name] = {
                "questions": len(inside),
                "choice": data.options[picks[inside[0]]].choice.label,
                "accuracy": float(right[inside].mean()),
                "cost": float(paid[inside].mean()),
                "own": name in made.table,
            }
    return out


def _options(data: Outcomes, made: Fit, rows: Sequence[int]) -> list[dict[str, Any]]:
    _, names, _, _ = take(data, rows, made)
    present = [name for name in made.bins.names if name in names]
    table = []
    for at, option in enumerate(data.options):
        right = data.correct[:, at]
        by_bin = {name: float(right[[i for i, found in enumerate(names) if found == name]].mean()) for name in present}
        entry = {"label": option.choice.label, "accuracy": float(right.mean()), "cost": float(data.costs[:, at].mean())}
        table.append({**entry, "by_bin": by_bin})
    return sorted(table, key=lambda entry: entry["cost"])


def _share(correct: Any, level: float, seed: int) -> list[float]:
    if _binary(correct):
        return list(wilson(float(correct.sum()), len(correct), level=level))
    return list(cluster_bootstrap(correct.tolist(), range(len(correct)), level=level, seed=seed))


def _difference(left: Any, right: Any, level: float, seed: int) -> list[float]:
    found: Interval
    if _binary(left) and _binary(right):
        won, lost = int((left > right).sum()), int((left < right).sum())
        found = paired_score_interval(won, lost, len(left), level=level)
    else:
        found = paired_difference(left.tolist(), right.tolist(), range(len(left)), level=level, seed=seed)
    return list(found)


def _binary(values: Any) -> bool:
    return bool(((values == 0) | (values == 1)).all())
