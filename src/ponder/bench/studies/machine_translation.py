"""Machine translation: quality over thinking budgets, directly, with a forced "wait", and by post-editing a draft.

Paper: Li et al. 2025, arXiv:2510.06471 (card 03), scenarios A, B and C. What it finds on reasoning models: direct
translation gains little from a budget, a forced "wait" costs quality, and editing a draft gains with a budget.
Differs: chrF and BLEU in place of learned metrics, which are plug-ins; budgets by the engine; differences are paired by
sentence, with intervals. A translation that is not there counts as an empty one, and is counted.
Cost: for each sentence one translation for each budget and scenario; the draft is drawn once.
Needs: a model that continues a prefix, or recorded rows; the extra `translation` for chrF and BLEU.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ponder.bench.curve import Point
from ponder.bench.rows import Row
from ponder.bench.studies.page import Picture, Section, Study, Table
from ponder.bench.studies.recording import Turn
from ponder.bench.studies.share_plot import Shares, draw_shares
from ponder.bench.translation_metrics import TranslationMetric
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Model
from ponder.numerics.intervals import Interval, cluster_bootstrap, paired_difference
from ponder.tasks.problem import Problem

__all__ = ["NAME", "SCENARIOS", "machine_translation", "translation_turns"]

NAME = "machine-translation"
_LEAST = 10  # sentences below which resampling says too little for a finding
SCENARIOS = ("direct", "wait", "edit", "edit+score")

_NOTES = (
    "Scores are means over sentences with 95 % limits over resampled sentences; corpus scores stand beside them where"
    " the metric has one. Differences are paired by sentence, against direct translation without thinking (the draft);"
    " their limits hold for all rows of a table together (Bonferroni).",
    "A difference whose limits hold 0 is none that these sentences can show.",
    "chrF and BLEU compare letters and words with one reference: a right translation in other words scores low. Use a"
    " learned metric (`--metric MODULE:FUNCTION`) before you conclude much.",
    "Thinking tokens are those that the models wrote (a forced word is put in, and not among them); models often stop"
    " far below the budget.",
)


class _Cell(NamedTuple):
    """One scenario at one budget: by sentence, in a fixed order."""

    scenario: str
    budget: int
    problems: tuple[str, ...]
    texts: tuple[str, ...]
    thinking: tuple[int, ...]
    cut: int


def translation_turns(
    model: Model,
    budgets: Sequence[int],
    *,
    scenarios: Sequence[str] = ("direct", "wait", "edit"),
    editor: Model | None = None,
    judge: Model | None = None,
    answer: int = 256,
    markers: str = "think",
) -> list[Turn]:
    """Return what is run.

    Args:
        model: translates and drafts.
        budgets: of thinking tokens; 0 is added to "direct", as what others are compared with.
        scenarios: some of `SCENARIOS`.
        editor: edits drafts; by default the same model.
        judge: scores drafts for "edit+score"; by default the same model.
        answer: most tokens of a translation.
        markers: how the models set their thinking off.

    Raises:
        ConfigError: no budgets, no such scenario, or settings that the methods refuse.
    """
    if not budgets or not scenarios or any(name not in SCENARIOS for name in scenarios):
        raise ConfigError(f"the study needs budgets, and scenarios among {', '.join(SCENARIOS)}")
    shared = {"answer": answer, "markers": markers}
    points = []
    for name in SCENARIOS:
        if name not in scenarios and name != "direct":
            continue
        wanted = sorted({0, *budgets} if name in scenarios else {0})
        for budget in wanted if name == "direct" else sorted(set(budgets)):
            if name == "wait" and budget == 0:
                continue
            settings: dict[str, Any] = {**shared, "thinking": budget}
            method = "post_editing" if name.startswith("edit") else "translation_scaling"
            if name == "wait":
                settings["wait"] = True
            if name == "edit+score":
                settings["quality"] = "judge"
            points.append(Point(curve=f"{name} {budget}", method=method, settings=settings))
    for point in points:
        point.identity()
    roles = {name: used for name, used in (("editor", editor), ("judge", judge)) if used is not None}
    return [Turn(model=model, points=tuple(points), roles=roles)]


def machine_translation(
    rows: Sequence[Row],
    problems: Sequence[Problem],
    metrics: Sequence[TranslationMetric],
    *,
    seed: int = 0,
    facts: Sequence[str] = (),
    warning: str = "",
) -> Study:
    """Return the study of these rows.

    Args:
        rows: of translation_scaling and post_editing; others are left out.
        problems: that they are of, with their references.
        metrics: at least one; the first one is drawn.
        seed: of resampling.
        facts: more on how the rows were made, for the page.
        warning: what a reader must not overlook.

    Raises:
        BadInput: no such rows, or none of these problems.
        ConfigError: no metric.
    """
    if not metrics:
        raise ConfigError("the study needs at least one metric")
    gold = {
        problem.task.id: (str(problem.task.metadata.get("source", problem.task.prompt)), problem.reference)
        for problem in problems
        if problem.reference is not None
    }
    by_model: dict[str, list[Row]] = {}
    for row in rows:
        if _scenario(row) and row.problem in gold:
            by_model.setdefault(row.model, []).append(row)
    if not by_model:
        raise BadInput(
            "the rows hold no translations of these problems: give the family, count and seed, or the file, that they"
            " were recorded with"
        )
    sections, data = [], []
    for model, members in by_model.items():
        cells = _cells(members)
        scores = {metric.name: [_scored(metric, cell, gold) for cell in cells] for metric in metrics}
        sections.append(_section(model, cells, metrics, scores, gold, seed))
        data.append({"model": model, "cells": _data(cells, metrics, scores, gold, seed)})
    return Study(
        name=NAME,
        title="Machine translation",
        facts=(f"{len({row.problem for found in by_model.values() for row in found})} sentences", *facts),
        warning=warning,
        sections=tuple(sections),
        notes=_NOTES,
        data={"metrics": [metric.name for metric in metrics], "models": data},
    )


def _scenario(row: Row) -> str:
    if row.method == "translation_scaling":
        return "wait" if row.settings.get("wait") else "direct"
    if row.method == "post_editing":
        return "edit+score" if row.settings.get("quality") == "judge" else "edit"
    return ""


def _cells(rows: Sequence[Row]) -> list[_Cell]:
    found: dict[tuple[int, int], list[Row]] = {}
    for row in rows:
        key = SCENARIOS.index(_scenario(row)), int(row.settings.get("thinking", 0))
        found.setdefault(key, []).append(row)
    cells = []
    for (place, budget), members in sorted(found.items()):
        members = sorted(members, key=lambda row: (row.problem, row.seed, row.run))
        cells.append(
            _Cell(
                SCENARIOS[place],
                budget,
                tuple(row.problem for row in members),
                tuple(row.answer or "" for row in members),
                tuple(sum(used.thinking_tokens for used in row.usage.values()) for row in members),
                sum(bool(row.cut) for row in members),
            )
        )
    return cells


def _scored(metric: TranslationMetric, cell: _Cell, gold: Mapping[str, tuple[str, str | None]]) -> list[float]:
    sources = [gold[problem][0] for problem in cell.problems]
    references = [gold[problem][1] or "" for problem in cell.problems]
    return metric.score(sources, cell.texts, references)


def _section(
    model: str,
    cells: Sequence[_Cell],
    metrics: Sequence[TranslationMetric],
    scores: Mapping[str, Sequence[Sequence[float]]],
    gold: Mapping[str, tuple[str, str | None]],
    seed: int,
) -> Section:
    base = next((at for at, cell in enumerate(cells) if (cell.scenario, cell.budget) == ("direct", 0)), None)
    tables = []
    lines = []
    for metric in metrics:
        rows = []
        for at, cell in enumerate(cells):
            mean = cluster_bootstrap(scores[metric.name][at], cell.problems, seed=seed)
            change = None if base in (None, at) else _change(cells, scores[metric.name], base, at, seed)
            corpus = _corpus(metric, cell, gold)
            rows.append(
                (
                    f"{cell.scenario}, {cell.budget:,}",
                    f"{mean.value:.1f} [{mean.low:.1f}, {mean.high:.1f}]",
                    "–" if corpus is None else f"{corpus:.1f}",
                    _spell(change),
                    f"{_mean(cell.thinking):.1f}",
                    f"{_mean([len(text.split()) for text in cell.texts]):.1f}",
                    str(cell.cut),
                    str(sum(not text.strip() for text in cell.texts)),
                )
            )
            if change is not None and len(set(cell.problems)) >= _LEAST and not change.low <= 0 <= change.high:
                word = "better" if change.low > 0 else "worse"
                lines.append(
                    f"{metric.name}: {cell.scenario} at a budget of {cell.budget:,} is {word} than the draft by"
                    f" {abs(change.value):.1f} [{change.low:+.1f}, {change.high:+.1f}]"
                )
        head = (
            "scenario, budget",
            metric.name,
            "corpus",
            "against the draft",
            "thinking tokens",
            "words",
            "cut",
            "empty",
        )
        tables.append(Table(title=metric.name, head=head, rows=tuple(rows)))
    if not lines:
        few = max(len(set(cell.problems)) for cell in cells) < _LEAST
        lines.append(
            f"fewer than {_LEAST} sentences: too few to say whether anything differs from the draft"
            if few
            else "no difference to the draft that these sentences can show"
        )
    pictures = _pictures(cells, metrics[0], scores[metrics[0].name], seed)
    return Section(title=f"Model {model}", pictures=pictures, lines=tuple(lines), tables=tuple(tables))


def _spell(change: Interval | None) -> str:
    if change is None:
        return "–"
    if change.low == change.high:  # every sentence changed alike: resampling then states no doubt at all
        return f"{change.value:+.1f} (all alike)"
    return f"{change.value:+.1f} [{change.low:+.1f}, {change.high:+.1f}]"


def _change(
    cells: Sequence[_Cell], scores: Sequence[Sequence[float]], base: int | None, at: int, seed: int
) -> Interval | None:
    """Return the difference to the base on the sentences that both have, with limits for all cells together."""
    if base is None:
        return None
    old, new = _by_problem(cells[base], scores[base]), _by_problem(cells[at], scores[at])
    both = sorted(old.keys() & new.keys())
    if not both:
        return None
    level = 1 - 0.05 / max(1, len(cells) - 1)
    return paired_difference([new[p] for p in both], [old[p] for p in both], both, seed=seed, level=level)


def _by_problem(cell: _Cell, scores: Sequence[float]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for problem, score in zip(cell.problems, scores, strict=True):
        found.setdefault(problem, []).append(score)
    return {problem: _mean(values) for problem, values in found.items()}


def _corpus(metric: TranslationMetric, cell: _Cell, gold: Mapping[str, tuple[str, str | None]]) -> float | None:
    if metric.corpus is None:
        return None
    return metric.corpus(cell.texts, [gold[problem][1] or "" for problem in cell.problems])


def _pictures(
    cells: Sequence[_Cell], metric: TranslationMetric, scores: Sequence[Sequence[float]], seed: int
) -> tuple[Picture, ...]:
    if metric.top is None:
        return ()
    top = metric.top
    budgets = sorted({cell.budget for cell in cells})
    series = []
    for name in SCENARIOS:
        values: list[Interval | None] = []
        for budget in budgets:
            at = next((k for k, cell in enumerate(cells) if (cell.scenario, cell.budget) == (name, budget)), None)
            found = None if at is None else cluster_bootstrap(scores[at], cells[at].problems, seed=seed)
            values.append(None if found is None else Interval(*(min(1.0, max(0.0, v / top)) for v in found)))
        if any(value is not None for value in values):
            series.append(Shares(label=name, values=tuple(values)))
    svg = draw_shares(
        [f"{budget:,}" for budget in budgets],
        series,
        title=f"{metric.name} by thinking budget",
        axis="thinking budget, tokens",
        joined=True,
    )
    caption = f"{metric.name} in percent of {top:g} by budget. Bars: 95 % intervals over sentences."
    return (Picture(svg=svg, labels=tuple(shown.label for shown in series), caption=caption),)


def _data(
    cells: Sequence[_Cell],
    metrics: Sequence[TranslationMetric],
    scores: Mapping[str, Sequence[Sequence[float]]],
    gold: Mapping[str, tuple[str, str | None]],
    seed: int,
) -> list[dict[str, Any]]:
    base = next((at for at, cell in enumerate(cells) if (cell.scenario, cell.budget) == ("direct", 0)), None)
    found = []
    for at, cell in enumerate(cells):
        measured = {}
        for metric in metrics:
            change = None if base in (None, at) else _change(cells, scores[metric.name], base, at, seed)
            measured[metric.name] = {
                "mean": list(cluster_bootstrap(scores[metric.name][at], cell.problems, seed=seed)),
                "corpus": _corpus(metric, cell, gold),
                "against_draft": None if change is None else list(change),
            }
        found.append(
            {
                "scenario": cell.scenario,
                "budget": cell.budget,
                "sentences": len(cell.problems),
                "thinking_tokens": _mean(cell.thinking),
                "words": _mean([len(text.split()) for text in cell.texts]),
                "cut": cell.cut,
                "empty": sum(not text.strip() for text in cell.texts),
                "metrics": measured,
            }
        )
    return found


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0
