"""Recorded rows as outcomes that a policy can be fitted on.

Every configuration that was run on all questions is an option; a probe of k samples is read off rows of at least k
independent samples, so it needs no runs of its own. The rows of several models on the same questions make a choice of
model too; their costs must then be in FLOPs or money, since tokens of two models do not add up.
Source: our own (DESIGN §6).
Cost: no model call. Needs: recorded rows; numpy (extra `bench`).
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ponder.bench.rows import Row
from ponder.bench.studies.recording import samples_in_parallel
from ponder.core import registry
from ponder.core.errors import BadInput, ConfigError
from ponder.core.registry import need
from ponder.planning.difficulty import Estimator, Evidence
from ponder.planning.outcomes import Look, Option, Outcomes
from ponder.planning.policy import Choice, Known, Probe

__all__ = ["UNITS", "Recorded", "gather"]

UNITS = ("tokens", "flops", "eflops", "usd")
_WHOLE = frozenset({"done", "agreement"})


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """Rows as outcomes, and what they leave out.

    Attributes:
        outcomes: of the questions that every option was run on.
        models: by role.
        unit: of the costs.
        dropped: questions that lack an option.
        self_graded: labels of options that chose by the program that graded them.
    """

    outcomes: Outcomes
    models: Mapping[str, Known]
    unit: str
    dropped: int
    self_graded: tuple[str, ...]


@dataclass(frozen=True)
class _Cell:
    """All runs of one option on one question (one for each seed)."""

    rows: list[Row]

    def mean(self, unit: str, policy: str) -> tuple[float, float]:
        right = [float(bool(row.correct)) for row in self.rows]
        paid = [_cost(row, unit, policy) for row in self.rows]
        return math.fsum(right) / len(right), math.fsum(paid) / len(paid)


def gather(rows: Sequence[Row], *, unit: str = "", policy: str = "") -> Recorded:
    """Turn rows into outcomes.

    Rows that were broken off, that nothing could grade, that used gold, or that are of `auto` itself are left out.

    Args:
        rows: of one or several models on the same questions.
        unit: of costs; "" for tokens where one model answers, else the first of flops and usd that every row has.
        policy: name of the model in the role "policy" (the one that the probe asks); by default the cheapest.

    Raises:
        BadInput: nothing to learn from, or costs that are not known in the unit.
        ConfigError: no such unit or model.
    """
    np = need("numpy", extra="bench", feature="tuning a policy")
    usable = [row for row in rows if _usable(row)]
    if not usable:
        raise BadInput("no graded row to learn from: run `ponder bench` first")
    names = list(dict.fromkeys(row.model for row in usable))
    unit = unit or _unit(usable, several=len(names) > 1)
    if unit not in UNITS:
        raise ConfigError(f"costs are in one of {', '.join(UNITS)}, got {unit!r}")
    roles = _roles(usable, names, unit, policy)
    cells: dict[str, dict[tuple[str, str], _Cell]] = {}
    choices: dict[str, Choice] = {}
    for row in usable:
        choice = _choice(row, roles[row.model])
        key = json.dumps([choice.role, choice.method, choice.settings, choice.verifier, choice.judging], sort_keys=True)
        choices.setdefault(key, choice)
        cells.setdefault(key, {}).setdefault((row.family, row.problem), _Cell([])).rows.append(row)
    everywhere = Counter(question for found in cells.values() for question in found)
    # An option that was tried on a part of the questions only must not throw the others away.
    most = max(len(found) for found in cells.values())
    kept = [key for key, found in cells.items() if len(found) >= 0.9 * most]
    questions = sorted(question for question in everywhere if all(question in cells[key] for key in kept))
    if not questions:
        raise BadInput("no question was run with every option")
    main = next(name for name, role in roles.items() if role == "policy")
    pairs = [[cells[key][question].mean(unit, main) for key in kept] for question in questions]
    options = tuple(
        Option(
            choice=choices[key],
            shares=choices[key].role == "policy" and samples_in_parallel(choices[key].method),
        )
        for key in kept
    )
    graded = {choices[key].label: any(r.self_graded for c in cells[key].values() for r in c.rows) for key in kept}
    outcomes = Outcomes(
        questions=tuple(problem for _, problem in questions),
        families=tuple(family for family, _ in questions),
        options=options,
        correct=np.array([[right for right, _ in row] for row in pairs]),
        costs=np.array([[paid for _, paid in row] for row in pairs]),
        looks=_looks([row for row in usable if row.model == main], questions, unit, main),
    )
    return Recorded(
        outcomes=outcomes,
        models={
            role: Known(name=name, fingerprint=next(row.fingerprint for row in usable if row.model == name))
            for name, role in roles.items()
            if any(option.choice.role == role for option in options) or role == "policy"
        },
        unit=unit,
        dropped=len(everywhere) - len(questions),
        self_graded=tuple(label for label, is_so in graded.items() if is_so),
    )


def _usable(row: Row) -> bool:
    if row.correct is None or row.stopped not in _WHOLE or row.budget or row.method == "auto":
        return False
    known = row.method in registry.strategies.names()
    return known and not registry.strategies.get(row.method).oracle


def _choice(row: Row, role: str) -> Choice:
    return Choice(
        method=row.method,
        settings=dict(row.settings),
        verifier=row.verifier,
        judging=dict(row.judging) if row.verifier else {},
        role=role,
    )


def _unit(rows: Sequence[Row], *, several: bool) -> str:
    mixed = several or any(name != row.model for row in rows for name in row.roles.values())
    if not mixed:
        return "tokens"
    for unit in ("flops", "usd"):
        if all(unit in row.costs for row in rows):
            return unit
    raise BadInput(
        "the rows are of several models, whose tokens do not add up, and neither FLOPs nor prices of all of them are"
        " known: give a price table to `ponder bench`"
    )


def _cost(row: Row, unit: str, policy: str) -> float:
    if unit == "tokens":
        others = {name for role, name in row.roles.items() if role in row.usage} - {policy}
        if others or row.model != policy:
            raise BadInput(f"tokens of {row.model} and {policy} do not add up: choose the unit flops or usd")
        return float(row.nominal.tokens)
    if unit not in row.costs:
        raise BadInput(f"the cost of {row.method} on {row.problem!r} is not known in {unit}")
    return row.costs[unit]


def _roles(rows: Sequence[Row], names: Sequence[str], unit: str, policy: str) -> dict[str, str]:
    """Name the models' roles: the policy first, then "large" ones by cost."""
    if policy and policy not in names:
        raise ConfigError(f"no row is of the model {policy!r}; there are {', '.join(names)}")
    if len(names) == 1:
        return {names[0]: "policy"}
    mean = {}
    for name in names:
        paid = [_cost(row, unit, name) / max(1, row.n) for row in rows if row.model == name]
        mean[name] = math.fsum(paid) / len(paid)
    first = policy or min(names, key=lambda name: mean[name])
    rest = sorted((name for name in names if name != first), key=lambda name: mean[name])
    return {first: "policy", **{name: "large" if at == 0 else f"large{at + 1}" for at, name in enumerate(rest)}}


def _looks(rows: Sequence[Row], questions: Sequence[tuple[str, str]], unit: str, policy: str) -> tuple[Look, ...]:
    """Return every probe that these rows can stand for: k samples, read by agreement, certainty or a verifier."""
    np = need("numpy", extra="bench", feature="tuning a policy")
    pooled: dict[tuple[str, str], Evidence] = {}
    judged: dict[tuple[str, str], dict[tuple[str, str], Evidence]] = {}
    paid: dict[int, dict[tuple[str, str], float]] = {}
    for row in sorted(rows, key=lambda row: row.seed):
        if not samples_in_parallel(row.method) or row.evidence is None:
            continue
        question = (row.family, row.problem)
        if question not in pooled or len(row.evidence.groups) > len(pooled[question].groups):
            pooled[question] = row.evidence
        if row.verifier and any(score is not None for score in row.evidence.scores):
            by = judged.setdefault((row.verifier, json.dumps(dict(row.judging), sort_keys=True)), {})
            if question not in by or len(row.evidence.groups) > len(by[question].groups):
                by[question] = row.evidence
        if row.candidates == row.n and set(row.usage) <= {"policy"}:  # all samples drawn, and nothing else asked
            # A method that also asks the model to choose pays more than its samples: the cheapest row tells.
            known = paid.setdefault(row.n, {})
            known[question] = min(known.get(question, math.inf), _cost(row, unit, policy))
    looks = []
    for n, costs in sorted(paid.items()):
        if any(question not in costs for question in questions):
            continue
        price = np.array([costs[question] for question in questions])
        probes: list[tuple[Probe, Mapping[tuple[str, str], Evidence]]] = [
            (Probe(n=n, estimator=estimator), pooled) for estimator in _estimators(n, pooled.values())
        ]
        for (name, text), found in judged.items():
            if not registry.verifiers.get(name).access:  # a program: its scores cost nothing more
                probes.append((Probe(n=n, estimator="verifier", verifier=name, judging=json.loads(text)), found))
        for probe, evidence in probes:
            seen = [evidence[question].head(n) if question in evidence else None for question in questions]
            if any(one is None or len(one.groups) < min(n, 1) for one in seen):
                continue
            values = [probe.value(one) if one is not None else None for one in seen]
            array = np.array([math.nan if value is None else value for value in values])
            if len(np.unique(array[~np.isnan(array)])) > 1:
                looks.append(Look(probe=probe, values=array, costs=price))
    return tuple(looks)


def _estimators(n: int, evidence: Iterable[Evidence]) -> list[Estimator]:
    found: list[Estimator] = ["agreement"] if n > 1 else []
    if any(value is not None for one in evidence for value in one.certainties):
        found.append("certainty")
    return found
