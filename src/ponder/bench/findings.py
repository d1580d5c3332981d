"""What the main job found, in numbers and in sentences; the terminal and the page say the same.

Source: our own. A difference is put in words by its verdict only (see `summary`), always with its interval and cost.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ponder.bench.demo import Demo
from ponder.bench.figure import Figure, figures
from ponder.bench.summary import (
    Accuracy,
    Comparison,
    CurvePoint,
    Key,
    Ledger,
    Saving,
    compare,
    ledger,
    saving,
    summarise,
)
from ponder.core.usage import Usage

__all__ = [
    "NOTES",
    "Findings",
    "findings",
    "percent",
    "spell_comparison",
    "spell_ledger",
    "spell_saving",
]

NOTES = (
    "Accuracy is over prompts, with a 95 % interval that resamples whole prompts (cluster bootstrap); * marks a Wilson"
    " interval, given where every prompt came out the same. An answer that cannot be read is wrong.",
    "Tokens are nominal, prompt + written: what a point would cost if it were run alone. Points share their samples"
    " through the response store, so only greedy and the largest point were paid for.",
    "Seconds marked ~ are not the clock's: that point's answers came from the store, and its time is its tokens at the"
    " pace measured on the calls that were sent for the same prompt.",
    "A difference is paired by prompt. It is called clear only where its interval leaves out 0 and the exact test on"
    " the prompts won and lost (McNemar) gives p below 0.05; several comparisons are made here, none is corrected for.",
    "No method saw a reference answer, and no score used one.",
)


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Everything that the tables and plots show."""

    points: tuple[CurvePoint, ...]
    figures: Mapping[str, Figure]
    comparisons: tuple[Comparison, ...]
    savings: tuple[Saving, ...]
    ledgers: tuple[Ledger, ...]

    def of(self, family: str) -> list[CurvePoint]:
        """Return the points of one family."""
        return [point for point in self.points if point.family == family]


def findings(demo: Demo) -> Findings:
    """Return what the rows of a job say."""
    rows = demo.rows
    points = summarise(rows, seed=demo.seed)
    compared = [
        compare(rows, kind.family, better, base, seed=demo.seed)
        for kind in demo.kinds
        for better, base in kind.comparisons
    ]
    saved = [saving(rows, kind.family, full, stopped) for kind in demo.kinds for full, stopped in kind.savings]
    return Findings(
        points=tuple(points),
        figures={figure.family: figure for figure in figures(points)},
        comparisons=tuple(comparison for comparison in compared if comparison is not None),
        savings=tuple(entry for entry in saved if entry is not None),
        ledgers=tuple(ledger(rows)),
    )


def percent(found: Accuracy | None) -> str:
    """Return "58% [38, 79]"; a star marks the Wilson interval."""
    if found is None:
        return "not graded"
    star = "*" if found.kind == "wilson" else ""
    return f"{found.value:.0%} [{100 * found.low:.0f}, {100 * found.high:.0f}]{star}"


def spell_comparison(found: Comparison) -> str:
    """Return the comparison as a sentence."""
    change = found.difference
    cost = f" at {found.cost:.1f} x the tokens" if found.cost is not None else ""
    return (
        f"{_name(found.better)} vs {_name(found.base)}: {found.verdict}, {100 * change.value:+.0f} points"
        f" [{100 * change.low:+.0f}, {100 * change.high:+.0f}]{cost}; won {found.won} prompts, lost {found.lost}"
        f" ({'p < 0.001' if found.p < 0.001 else f'p = {found.p:.2g}'})"
    )


def spell_saving(found: Saving) -> str:
    """Return the saving as a sentence."""
    return (
        f"self-consistency @ {found.n} with the exact early stop: {found.share:.0%} fewer completion tokens"
        f" ({found.stopped:,} instead of {found.full:,}), the same answer in {found.same} of {found.prompts} prompts"
    )


def spell_ledger(found: Ledger) -> str:
    """Return the ledger as a sentence."""
    less = "" if found.ratio is None else f" ({found.ratio:.1f} x less)"
    return f"all points are worth {_spell(found.worth)}; paid: {_spell(found.paid)}{less}"


def _spell(usage: Mapping[str, Usage]) -> str:
    return " and ".join(
        f"{used.calls:,} {role} calls, {used.prompt_tokens:,} + {used.completion_tokens:,} tokens"
        for role, used in usage.items()
    )


def _name(key: Key) -> str:
    curve, n = key
    return curve if n == 1 else f"{curve} @ {n}"
