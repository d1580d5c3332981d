"""Thinking budget: accuracy over budgets, where it falls again, and what a forced "Wait" changes.

Paper: Huang et al. 2025, arXiv:2504.00869 (m1, card 07): sweeps of the budget and of the number of cues. Works for any
task family; for multiple choice the rules that found the option are counted, similarity apart.
Differs: a fall is called one only where its interval, for all pairs of budgets together, is below 0 (the paper reads
curves); problems that lack a run at some budget are left out of the comparison.
Cost: with a response store about the largest budget for each number of cues. Needs: a model that continues a prefix, or
recorded rows.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from ponder.bench.curve import Point, Run
from ponder.bench.rows import Row
from ponder.bench.studies.page import Picture, Section, Study, Table
from ponder.bench.studies.recording import Turn
from ponder.bench.studies.share_plot import Shares, draw_shares
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Model
from ponder.numerics.intervals import Interval, cluster_bootstrap, wilson
from ponder.numerics.medical_answers import extract_boxed, is_correct
from ponder.numerics.overthinking import Change, Overthinking, overthinking

__all__ = ["NAME", "MatchRules", "thinking_budget", "thinking_turns"]

NAME = "thinking-budget"
METHOD = "budget_forcing"

_NOTES = (
    "Accuracy with 95 % limits over problems. An answer that cannot be read is not right.",
    "Falls compare budgets on the same problems. Their limits hold for all pairs of budgets together, so that noise is"
    " not taken for a fall: with few problems only a large fall can be shown.",
    "Thinking tokens are those that the model wrote (cues are put in, and not among them); they stay below the budget"
    " where the model stops by itself. A budget that nothing reaches tells nothing.",
    "A reply that only resembles an option (rule similar) is not counted as right by default: resemblance always finds"
    " some option.",
)


class MatchRules:
    """Counts by which rule the option of each reply was found, for problems of multiple choice.

    Attributes:
        counts: by curve.
    """

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = {}

    def see(self, run: Run) -> None:
        """Count the chosen reply of a run; runs on other problems are passed over."""
        options, grader = run.problem.task.metadata.get("options"), run.problem.grader
        letter = None if grader is None else grader.gold.get("letter")
        if not isinstance(options, Mapping) or letter not in options or run.broken_off:
            return
        text = run.result.text
        rule = "none"
        if text.strip():
            pairs = [(str(name), str(option)) for name, option in options.items()]
            _, found = is_correct(extract_boxed(text), str(letter), str(options[letter]), pairs)
            rule = "direct" if found is None else found.rule
        self.counts.setdefault(run.point.curve, Counter())[rule] += 1


def thinking_turns(
    model: Model, budgets: Sequence[int], cues: Sequence[int] = (0,), *, answer: int = 256, markers: str = "think"
) -> list[Turn]:
    """Return what is run: budget forcing at each budget, with each number of cues.

    Raises:
        ConfigError: no budgets, or settings that budget forcing refuses.
    """
    if not budgets or not cues:
        raise ConfigError("the study needs at least one budget and one number of cues")
    points = tuple(
        Point(
            curve=_curve(budget, number),
            method=METHOD,
            settings={"thinking": budget, "cues": number, "answer": answer, "markers": markers},
        )
        for number in sorted(set(cues))
        for budget in sorted(set(budgets), reverse=True)
    )
    for point in points:
        point.identity()
    return [Turn(model=model, points=points)]


def thinking_budget(
    rows: Sequence[Row],
    *,
    rules: Mapping[str, Mapping[str, int]] | None = None,
    level: float = 0.95,
    seed: int = 0,
    facts: Sequence[str] = (),
    warning: str = "",
) -> Study:
    """Return the study of these rows.

    Args:
        rows: of budget forcing, graded; others are left out.
        rules: by curve, how often which rule found the option (see `MatchRules`).
        level: that all intervals of falls have together.
        seed: of resampling.
        facts: more on how the rows were made, for the page.
        warning: what a reader must not overlook.

    Raises:
        BadInput: no such rows.
    """
    kept = [row for row in rows if row.method == METHOD and "thinking" in row.settings and row.correct is not None]
    if not kept:
        raise BadInput(
            "the rows hold no graded runs of budget_forcing: record them with `ponder study thinking-budget`"
        )
    groups: dict[tuple[str, int], dict[int, list[Row]]] = {}
    for row in kept:
        by_budget = groups.setdefault((row.model, int(row.settings.get("cues", 0))), {})
        by_budget.setdefault(int(row.settings["thinking"]), []).append(row)
    models = list(dict.fromkeys(model for model, _ in groups))
    sections, data = [], []
    for model in models:
        found = {cues: _sorted(groups[key]) for key in sorted(groups) for cues in [key[1]] if key[0] == model}
        section, facts_of_model = _section(model, found, rules or {}, level, seed)
        sections.append(section)
        data.append({"model": model, "sweeps": facts_of_model})
    return Study(
        name=NAME,
        title="Thinking budget",
        facts=(
            ", ".join(sorted({row.family for row in kept})),
            f"{len({row.problem for row in kept})} problems",
            *facts,
        ),
        warning=warning,
        sections=tuple(sections),
        notes=_NOTES,
        data={"level": level, "models": data, "rules": {k: dict(v) for k, v in (rules or {}).items()}},
    )


def _curve(budget: int, cues: int) -> str:
    return f"thinking {budget}, {cues} cues"


def _sorted(by_budget: dict[int, list[Row]]) -> dict[int, list[Row]]:
    return {budget: by_budget[budget] for budget in sorted(by_budget)}


def _section(
    model: str,
    sweeps: Mapping[int, Mapping[int, Sequence[Row]]],
    rules: Mapping[str, Mapping[str, int]],
    level: float,
    seed: int,
) -> tuple[Section, list[dict[str, Any]]]:
    budgets = sorted({budget for sweep in sweeps.values() for budget in sweep})
    series = [
        Shares(
            label=f"{cues} cues",
            values=tuple(_accuracy(sweep[b], seed) if b in sweep else None for b in budgets),
        )
        for cues, sweep in sweeps.items()
    ]
    picture = Picture(
        svg=draw_shares(
            [f"{budget:,}" for budget in budgets],
            series,
            title=f"Accuracy of {model} by thinking budget",
            axis="thinking budget, tokens",
            joined=True,
        ),
        labels=tuple(shown.label for shown in series),
        caption="Accuracy by budget. Bars: 95 % intervals over problems.",
    )
    lines, tables, data = [], [], []
    for cues, sweep in sweeps.items():
        found, left_out = _compared(sweep, level, seed)
        lines += _said(cues, found, left_out)
        tables.append(_table(cues, sweep, rules, seed))
        if found is not None and len(found.accuracies) > 1:
            tables.append(_flips(cues, found))
        data.append(_data(cues, sweep, found, left_out, seed))
    tables += _cue_table(sweeps, seed)
    return Section(title=f"Model {model}", pictures=(picture,), lines=tuple(lines), tables=tuple(tables)), data


def _compared(sweep: Mapping[int, Sequence[Row]], level: float, seed: int) -> tuple[Overthinking | None, int]:
    """Return the comparison on the problems that every budget has, and how many problems are left out."""
    shares = {budget: _by_problem(rows) for budget, rows in sweep.items()}
    everywhere = sorted(set.intersection(*(set(found) for found in shares.values())))
    left_out = len(set.union(*(set(found) for found in shares.values()))) - len(everywhere)
    if not everywhere:
        return None, left_out
    right = {budget: [found[problem] for problem in everywhere] for budget, found in shares.items()}
    return overthinking(right, level=level, seed=seed), left_out


def _by_problem(rows: Sequence[Row]) -> dict[str, float]:
    grades: dict[str, list[float]] = {}
    for row in rows:
        grades.setdefault(f"{row.family} {row.problem}", []).append(float(bool(row.correct)))
    return {problem: math.fsum(found) / len(found) for problem, found in grades.items()}


def _said(cues: int, found: Overthinking | None, left_out: int) -> list[str]:
    head = f"{cues} cues: "
    out = []
    if left_out:
        out.append(f"{head}{left_out} problems lack a run at some budget and are not compared")
    if found is None:
        return [*out, f"{head}no problem has a run at every budget"]
    best = found.accuracies[found.peak]
    out.append(f"{head}the best accuracy, {best:.1%}, is first reached at a budget of {found.peak:,}")
    if len(found.accuracies) < 2:
        return out
    if (fall := found.where) is not None:
        more = len(found.falls) - 1
        also = f"; {more} wider or later falls as well" if more else ""
        out.append(f"{head}over-thinking: from {fall.low:,} to {fall.high:,} accuracy changes by {_points(fall)}{also}")
    else:
        last = found.between(*list(found.accuracies)[-2:])
        worst = min(found.changes, key=lambda change: change.difference.value)
        shown = worst if worst.difference.value < 0 else last
        out.append(
            f"{head}no fall that {found.problems} problems can show; the lowest change is that from {shown.low:,} to"
            f" {shown.high:,}: {_points(shown)}"
        )
    return out


def _points(change: Change) -> str:
    value, low, high = change.difference
    return f"{100 * value:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"


def _table(cues: int, sweep: Mapping[int, Sequence[Row]], rules: Mapping[str, Mapping[str, int]], seed: int) -> Table:
    names = [name for name in ("direct", "announced", "letter", "text", "similar", "none") if _any(rules, name)]
    rows = []
    for budget, members in sweep.items():
        share = _accuracy(members, seed)
        own = rules.get(_curve(budget, cues), {})
        rows.append(
            (
                f"{budget:,}",
                str(len(members)),
                f"{share.value:.1%} [{100 * share.low:.0f}, {100 * share.high:.0f}]",
                f"{_mean([_thinking(row) for row in members]):.1f}",
                f"{_mean([row.nominal.completion_tokens for row in members]):.1f}",
                str(sum(row.cut for row in members)),
                str(sum(row.unread for row in members)),
                *(str(own.get(name, 0)) for name in names),
            )
        )
    head = ("budget", "runs", "accuracy", "thinking tokens", "all tokens", "cut answers", "unread", *names)
    return Table(title=f"{cues} cues", head=head, rows=tuple(rows))


def _flips(cues: int, found: Overthinking) -> Table:
    budgets = list(found.accuracies)
    steps = [found.between(low, high) for low, high in pairwise(budgets)]
    return Table(
        title=f"{cues} cues: from each budget to the next",
        head=("from, to", "change", "wrong to right", "right to wrong"),
        rows=tuple((f"{c.low:,}, {c.high:,}", _points(c), str(c.to_right), str(c.to_wrong)) for c in steps),
    )


def _cue_table(sweeps: Mapping[int, Mapping[int, Sequence[Row]]], seed: int) -> list[Table]:
    """Return what cues change at equal budgets; none where there is one number of cues."""
    base, *others = sorted(sweeps)
    rows = []
    for cues in others:
        for budget in sorted(set(sweeps[base]) & set(sweeps[cues])):
            found, _ = _compared({base: sweeps[base][budget], cues: sweeps[cues][budget]}, 0.95, seed)
            if found is not None:
                (change,) = found.changes
                rows.append(
                    (f"{budget:,}: {base} to {cues}", _points(change), str(change.to_right), str(change.to_wrong))
                )
    head = ("budget: cues", "change", "wrong to right", "right to wrong")
    return [Table(title="What forced cues change", head=head, rows=tuple(rows))] if rows else []


def _data(
    cues: int, sweep: Mapping[int, Sequence[Row]], found: Overthinking | None, left_out: int, seed: int
) -> dict[str, Any]:
    return {
        "cues": cues,
        "left_out": left_out,
        "points": [
            {
                "budget": budget,
                "runs": len(rows),
                "accuracy": list(_accuracy(rows, seed)),
                "thinking_tokens": _mean([_thinking(row) for row in rows]),
                "cut": sum(row.cut for row in rows),
                "unread": sum(row.unread for row in rows),
            }
            for budget, rows in sweep.items()
        ],
        "peak": None if found is None else found.peak,
        "overthinking": None if found is None or found.where is None else _change(found.where),
        "changes": [] if found is None else [_change(change) for change in found.changes],
    }


def _change(change: Change) -> dict[str, Any]:
    return {**change._asdict(), "difference": list(change.difference)}


def _accuracy(rows: Sequence[Row], seed: int) -> Interval:
    values = [float(bool(row.correct)) for row in rows]
    problems = [f"{row.family} {row.problem}" for row in rows]
    if len(set(problems)) == len(problems):
        return wilson(math.fsum(values), len(values))
    return cluster_bootstrap(values, problems, seed=seed)


def _thinking(row: Row) -> int:
    return sum(used.thinking_tokens for used in row.usage.values())


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0


def _any(rules: Mapping[str, Mapping[str, int]], name: str) -> bool:
    return any(found.get(name) for found in rules.values())
