"""Compute-optimal scaling: which configuration pays for which difficulty, and what choosing by difficulty saves.

Paper: Snell et al. 2024, arXiv:2408.03314 (card 04); Liu et al. 2025, arXiv:2502.06703 (card 13). The analysis is in
`optimum`, its sections of the page in `optimum_page`; here is what is run.
Differs: difficulty is estimated from a probe of a few samples (the paper draws 2048), and the probe is charged.
Cost: the largest point of each curve, and the probe where its samples are not among them. Needs: a model, or recorded
rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ponder.bench.curve import Point
from ponder.bench.rows import Row
from ponder.bench.studies.optimum import LARGER, PROBE, exchange, find_optimum
from ponder.bench.studies.optimum_page import bins_section, curves_section, exchange_section, optimum_data
from ponder.bench.studies.page import Study
from ponder.bench.studies.recording import Turn
from ponder.core import registry
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Model
from ponder.planning.difficulty import Absolute, Difficulty

__all__ = ["NAME", "Configuration", "compute_optimal", "compute_optimal_points", "compute_optimal_turns"]

NAME = "compute-optimal"

_NOTES = (
    "Compute-optimal: for each bin of difficulty and budget, the configuration of at most so many samples that was most"
    " accurate on the other half of the questions (equal accuracy: the cheaper one). Bins are learned there too. A"
    " question takes part in nothing that is decided about it.",
    "Tokens are nominal, prompt + written, of all roles; the probe that difficulty is estimated from is charged: a"
    " configuration that samples independently starts with the probe's samples, any other one pays for both.",
    "Accuracies by bin and differences have 95 % score intervals (Wilson; Tango for pairs). Points of curves and ratios"
    " of tokens have intervals that resample questions (* marks Wilson, where every question came out the same). They"
    " take the choices as they were made: another split of the questions would choose a little differently.",
    "Not worse is said only where the interval of the difference stays above the margin, which takes some two hundred"
    " questions at a margin of 2 points; with fewer the study can show what things cost, hardly that they are equal.",
    "Bins in tables by difficulty are learned on all questions, for reading only.",
    "Hindsight is the share of questions that any configuration within the budget answers: no choice can do better. It"
    " uses gold and is no method.",
)
_ORACLE = (
    "Difficulty is the oracle's: pass@1 by gold, from samples that are also measured. The curve is optimistic, and no"
    " method can follow it."
)


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """A method to run at several sizes.

    Attributes:
        method: registered name.
        settings: all but n.
    """

    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Its curve's name."""
        return " ".join([self.method, *(f"{name}={value}" for name, value in self.settings.items())])


def compute_optimal_points(
    configurations: Sequence[Configuration],
    sizes: Sequence[int],
    *,
    difficulty: Difficulty,
    probe: int = 4,
    verifier: str | None = None,
    judging: Mapping[str, Any] | None = None,
) -> tuple[Point, ...]:
    """Return what one policy runs: the probe, and each configuration at each size.

    Args:
        configurations: methods; one without a setting n runs once.
        sizes: numbers of samples.
        difficulty: says what the probe must show; the oracle has none.
        probe: samples of the probe, >= 1.
        verifier: registered name, for methods and estimators that need one.
        judging: its settings.

    Raises:
        ConfigError: settings that no method takes, curves of one name, or a verifier that is missing.
    """
    if probe < 1 or not sizes or min(sizes) < 1:
        raise ConfigError(f"the probe and all sizes must be at least 1, got {probe!r} and {sizes!r}")
    if not difficulty.oracle and probe > max(sizes):
        raise ConfigError(f"a probe of {probe} samples does not fit into {max(sizes)}: take fewer, or larger sizes")
    if len({c.label for c in configurations}) < len(configurations):
        raise ConfigError("two configurations are the same")
    points = []
    for made in configurations:
        entry = registry.strategies.get(made.method)
        judged = "verifier" in entry.needs
        if judged and verifier is None:
            raise ConfigError(f"method {made.method!r} needs a verifier")
        sized = "n" in registry.parameters(entry.make(**made.settings))
        for n in sorted({*sizes}) if sized else [1]:
            settings = {**made.settings, **({"n": n} if sized else {})}
            entry.make(**settings)
            points.append(
                Point(
                    curve=made.label,
                    method=made.method,
                    settings=settings,
                    verifier=verifier if judged else None,
                    judging=(judging or {}) if judged else {},
                )
            )
    if difficulty.oracle:
        return tuple(points)
    if difficulty.estimator == "verifier":
        if verifier is None:
            raise ConfigError("difficulty by the verifier's mean needs a verifier")
        first = Point(curve=PROBE, method="best_of_n", settings={"n": probe}, verifier=verifier, judging=judging or {})
    else:
        first = Point(curve=PROBE, method="self_consistency", settings={"n": probe, "early_stop": "none"})
    return (first, *points)


def compute_optimal_turns(
    model: Model, points: Sequence[Point], *, judge: Model | None = None, larger: Model | None = None
) -> list[Turn]:
    """Return who runs what: the policy all points, a larger model one greedy answer."""
    turns = [Turn(model=model, points=tuple(points), roles={} if judge is None else {"judge": judge})]
    if larger is not None:
        turns.append(Turn(model=larger, points=(Point(curve=LARGER, method="greedy"),)))
    return turns


def compute_optimal(
    rows: Sequence[Row],
    difficulty: Difficulty,
    *,
    uniform: str | None = None,
    weights: Mapping[str, float] | None = None,
    scale: float | None = None,
    margin: float = 0.02,
    slack: float = 0.0,
    seed: int = 0,
    facts: Sequence[str] = (),
    warning: str = "",
) -> Study:
    """Return the study of these rows.

    Args:
        rows: graded runs of one policy, with the probe's; those of a larger model under the curve "larger model".
        difficulty: estimator and bins.
        uniform: curve to compare with; by default that of best-of-N.
        weights: what a token of each role costs in policy tokens.
        scale: parameters of the larger model over the policy's; needed where the rows hold one.
        margin: of non-inferiority.
        slack: accuracy that a choice may give up on its fold for a lower cost.
        seed: of folds and resampling.
        facts: more on how the rows were made, for the page.
        warning: what a reader must not overlook.

    Raises:
        BadInput: the rows do not hold what it takes.
        ConfigError: a setting without sense.
    """
    larger = [row for row in rows if row.curve == LARGER]
    own = [row for row in rows if row.curve != LARGER]
    models = sorted({row.model for row in own})
    if len(models) > 1:
        raise BadInput(f"the rows are of several policies: {', '.join(models)}")
    found = find_optimum(own, difficulty, uniform=uniform, weights=weights, margin=margin, slack=slack, seed=seed)
    if larger and scale is None:
        raise ConfigError("the exchange needs the scale: parameters of the larger model over the policy's")
    exchanged = exchange(found, larger, scale=scale) if larger and scale is not None else []
    dropped = f"questions left out because they lack a configuration: {found.dropped}" if found.dropped else ""
    same = _same_program(own)
    return Study(
        name=NAME,
        title="Compute-optimal scaling",
        facts=(
            f"policy {', '.join(models)}",
            ", ".join(sorted({row.family for row in own})),
            f"{len(found.questions)} questions",
            *facts,
            _describe(difficulty),
        ),
        warning=". ".join(filter(None, (warning, dropped, same, _ORACLE if difficulty.oracle else ""))),
        sections=(
            curves_section(found, margin),
            bins_section(found),
            *([exchange_section(exchanged, scale)] if exchanged and scale is not None else []),
        ),
        notes=_NOTES,
        data=optimum_data(found, exchanged, difficulty, margin=margin, slack=slack),
    )


def _same_program(rows: Sequence[Row]) -> str:
    return (
        "The verifier is the grader: curves that choose by it show what it can find"
        if any(row.self_graded for row in rows)
        else ""
    )


def _describe(difficulty: Difficulty) -> str:
    binning = difficulty.binning
    if isinstance(binning, Absolute):
        bins = f"bins {', '.join(binning.names)} at {', '.join(f'{edge:g}' for edge in binning.thresholds)}"
    else:
        bins = f"{binning.bins} bins of equal counts"
    return f"difficulty by {difficulty.estimator}, {bins}"
