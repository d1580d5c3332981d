"""Verification dynamics: whose right answers a verifier accepts, whose wrong ones it rejects, and where that pays.

Paper: Zhou et al. 2025, arXiv:2509.17995 (card 21). The analysis is in `dynamics`; here is what is run and shown.
Differs: 8 answers a problem by default (the paper has 64), temperature as the caller says.
Cost: the answers of every generator, and a verdict on each of them by every verifier. Needs: a model, or recorded rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ponder.bench.curve import Point
from ponder.bench.rows import Row
from ponder.bench.studies.ability import ability_section
from ponder.bench.studies.dynamics import ALL, QUARTILES, Cell, Dynamics, analyse, correlation, read_judged
from ponder.bench.studies.page import Picture, Section, Study, Table
from ponder.bench.studies.recording import Turn
from ponder.bench.studies.share_plot import Shares, draw_shares
from ponder.core import registry
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Model
from ponder.numerics.intervals import Interval

__all__ = ["NAME", "Judge", "verification_dynamics", "verification_turns"]

NAME = "verification-dynamics"

_NOTES = (
    "TPR: share of right answers accepted. TNR: share of wrong answers rejected. A verdict that cannot be read has half"
    " credit on either side; the strict columns count it as not accepted.",
    "Intervals of the rates are Wilson's, 95 %, over answers, as in the paper; answers to one problem are not"
    " independent, so they are somewhat too narrow. Intervals of the gain resample whole problems; none is given where"
    " every problem gained the same.",
    "Difficulty is the mean pass rate over all generators, from the very answers that are judged: bins of equal counts,"
    " ties in the order of the problems. It uses gold, so it is a finding and no rule to act on.",
    "Gain: pass rate of a random answer that the filter leaves minus that of a random answer, mean over problems; it is"
    " not the accuracy of a vote. Expected: from the pooled rates at that pass rate.",
)


@dataclass(frozen=True, kw_only=True)
class Judge:
    """A verifier with the model behind it.

    Attributes:
        verifier: registered name.
        model: what it asks; None for a program, or for the generator itself.
        settings: of the verifier.
    """

    verifier: str
    model: Model | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Its name in rows and tables."""
        return self.verifier if self.model is None else f"{self.verifier}@{self.model.name}"


def verification_turns(generators: Sequence[Model], judges: Sequence[Judge], *, samples: int = 8) -> list[Turn]:
    """Return what is run: the answers of every generator, judged by each.

    Raises:
        ConfigError: samples < 1, no judge, or names that could not be told apart.
    """
    names, labels = [model.name for model in generators], [judge.label for judge in judges]
    if samples < 1 or not names or not labels or len({*names}) < len(names) or len({*labels}) < len(labels):
        raise ConfigError("the study needs samples >= 1, and generators and verifiers with different names")
    for judge in judges:
        registry.verifiers.get(judge.verifier).make(**judge.settings)
    return [
        Turn(
            model=generator,
            roles={} if judge.model is None else {"judge": judge.model},
            points=(
                Point(
                    curve=judge.label,
                    method="best_of_n",
                    settings={"n": samples},
                    verifier=judge.verifier,
                    judging=judge.settings,
                ),
            ),
        )
        for generator in generators
        for judge in judges
    ]


def verification_dynamics(
    rows: Sequence[Row], *, threshold: float = 0.5, seed: int = 0, facts: Sequence[str] = (), warning: str = ""
) -> Study:
    """Return the study of these rows.

    Args:
        rows: of runs with a verifier and independent samples, with their evidence.
        threshold: score above which an answer counts as accepted.
        seed: of resampling and picks.
        facts: more on how the rows were made, for the page.
        warning: what a reader must not overlook.

    Raises:
        BadInput: the rows hold no judged answers.
    """
    judged = read_judged(rows, threshold=threshold)
    if not judged:
        raise BadInput("the rows hold no answers that were judged and graded: record them with a verifier")
    found = analyse(judged, seed=seed)
    dropped = f"problems left out because they lack a generator or verifier: {found.dropped}" if found.dropped else ""
    return Study(
        name=NAME,
        title="Verification dynamics",
        facts=(
            ", ".join(sorted({row.family for row in rows})),
            f"{len(found.problems)} problems",
            *facts,
            *(f"{name}: {rate:.0%} of answers right" for name, rate in found.pass_rates.items()),
        ),
        warning=". ".join(filter(None, (warning, dropped))),
        sections=(*(_verifier(found, name) for name in found.verifiers), *_comparisons(found)),
        notes=_NOTES,
        data=_data(found, threshold),
    )


def _verifier(found: Dynamics, verifier: str) -> Section:
    whole = found.cell(verifier)
    assert whole is not None  # there is at least one problem
    by_bin = [found.cell(verifier, bin=name) for name in QUARTILES]
    pictures = [
        Picture(
            svg=draw_shares(
                QUARTILES,
                [
                    Shares(label="TPR", values=tuple(None if c is None else c.tpr for c in by_bin)),
                    Shares(label="TNR", values=tuple(None if c is None else c.tnr for c in by_bin)),
                ],
                title=f"TPR and TNR of {verifier} by difficulty",
                axis="problems by mean pass rate, quarters",
                joined=True,
            ),
            labels=("TPR", "TNR"),
            caption="By difficulty, all generators. Bars: 95 % Wilson intervals.",
        )
    ]
    if len(found.generators) > 1:
        by_generator = [found.cell(verifier, generator) for generator in found.generators]
        pictures.append(
            Picture(
                svg=draw_shares(
                    found.generators,
                    [
                        Shares(label="TPR", values=tuple(None if c is None else c.tpr for c in by_generator)),
                        Shares(label="TNR", values=tuple(None if c is None else c.tnr for c in by_generator)),
                    ],
                    title=f"TPR and TNR of {verifier} by generator",
                    axis="generators, weakest first",
                    joined=True,
                ),
                labels=("TPR", "TNR"),
                caption="By generator, all problems. Bars: 95 % Wilson intervals.",
            )
        )
    cells = [cell for cell in found.cells if cell.verifier == verifier]
    bands = [cell for cell in found.intervals if cell.verifier == verifier]
    gain = f"{100 * whole.gain[0]:+.1f} points{_limits(whole)}"
    return Section(
        title=f"Verifier {verifier}",
        pictures=tuple(pictures),
        lines=(
            f"accepts {_spell(whole.tpr, whole.rates.right)} right answers, rejects"
            f" {_spell(whole.tnr, whole.rates.wrong)} wrong ones",
            f"{whole.unread:,} of {whole.rates.right + whole.rates.wrong:,} verdicts cannot be read: they have half"
            f" credit above; by the strict count it accepts {_share(whole.rates.strict_tpr)} and does not accept"
            f" {_share(whole.rates.strict_tnr)}",
            f"filtering: pass rate {whole.before:.1%} before, {whole.after:.1%} after: {gain}",
        ),
        tables=(
            Table(title="By generator and difficulty", head=_HEAD, rows=tuple(map(_row, cells))),
            Table(title="By pass rate of the problem", head=_HEAD, rows=tuple(map(_row, bands))),
        ),
    )


_HEAD = (
    "answers of",
    "bin",
    "problems",
    "TPR of right",
    "TNR of wrong",
    "unread",
    "before",
    "after",
    "gain, points",
    "expected",
    "balanced",
    "strict TPR",
    "strict TNR",
)


def _row(cell: Cell) -> tuple[str, ...]:
    return (
        "all" if cell.generator == ALL else cell.generator,
        cell.bin,
        str(cell.problems),
        _spell(cell.tpr, cell.rates.right),
        _spell(cell.tnr, cell.rates.wrong),
        f"{cell.unread / (cell.rates.right + cell.rates.wrong):.0%}",
        f"{cell.before:.0%}",
        f"{cell.after:.0%}",
        f"{100 * cell.gain[0]:+.1f}{_limits(cell)}",
        "–" if cell.expected is None else f"{100 * cell.expected:+.1f}",
        _share(cell.balanced),
        _share(cell.rates.strict_tpr),
        _share(cell.rates.strict_tnr),
    )


def _comparisons(found: Dynamics) -> list[Section]:
    """Return generators on equal problems (RQ2), and verifiers against their own ability (RQ3), where there are any."""
    sections = []
    if found.accepted or found.rejected:
        rows = [
            (f"{verifier}: {generator}", f"{found.pass_rates[generator]:.0%}", *_picked(found, verifier, generator))
            for verifier in found.verifiers
            for generator in found.generators
        ]
        sections.append(
            Section(
                title="Generators on the problems they share",
                note="Only problems where every generator has an answer of the wanted kind; one is picked at random,"
                " eight times over.",
                tables=(Table(head=("verifier: generator", "pass rate", "TPR", "TNR"), rows=tuple(rows)),),
            )
        )
    if found.abilities:
        sections.append(ability_section(found))
    return sections


def _picked(found: Dynamics, verifier: str, generator: str) -> tuple[str, str]:
    accepted, rejected = (side.get(verifier, {}).get(generator) for side in (found.accepted, found.rejected))
    return _share(accepted), _share(rejected)


def _data(found: Dynamics, threshold: float) -> dict[str, Any]:
    def plain(cell: Cell) -> dict[str, Any]:
        return {**asdict(cell), "rates": cell.rates._asdict(), "balanced": cell.balanced}

    return {
        "threshold": threshold,
        "generators": dict(found.pass_rates),
        "problems": dict(found.difficulty),
        "dropped": found.dropped,
        "cells": [plain(cell) for cell in found.cells],
        "intervals": [plain(cell) for cell in found.intervals],
        "accepted": found.accepted,
        "rejected": found.rejected,
        "abilities": [ability._asdict() for ability in found.abilities],
        "correlation": correlation(found.abilities),
        "trends": [
            {
                "bin": one.bin,
                "abilities": [able._asdict() for able in one.abilities],
                "r": one.r,
                "line": None if one.line is None else one.line._asdict(),
                "lowess": list(one.smooth),
            }
            for one in found.trends
        ],
    }


def _spell(share: Interval | None, count: int) -> str:
    if share is None:
        return f"– of {count:,}"
    return f"{share.value:.0%} [{100 * share.low:.0f}, {100 * share.high:.0f}] of {count:,}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _limits(cell: Cell) -> str:
    _, low, high = cell.gain
    return "" if low is None or high is None else f" [{100 * low:+.1f}, {100 * high:+.1f}]"
