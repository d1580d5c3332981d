"""Choose how a policy is fitted, and say what it is worth, by questions that took no part in the fit.

How difficulty is probed and binned is chosen by cross-validation, and the whole procedure, this choice included, is
scored on folds that took no part in it. For the least cost a choice must prove its accuracy: its difference to the best
fixed option, question by question and out of fold, must have a lower limit within the slack. The limits hold for all
choices together, because the cheapest of many is also the luckiest. Each rival is given one question more that it
lost: a rival that differs on none of a few questions has no variance there and would pass for certain, though the next
question may tell them apart. So, where nothing differs on n questions, the lower limit is about -2.7 / n at 95 %, near
the exact -3 / n. The best fixed option is the one that was best in training: that it is so in truth is not proven.
Source: our own (DESIGN §6), with the limits of `numerics.simultaneous`; the added question after Agresti & Coull 1998,
The American Statistician 52, 119-126.
Differs: they add two successes and two failures; here one loss, because only the lower limit counts.
Cost: no model call. Needs: numpy (extra `bench`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ponder.core.errors import BadInput
from ponder.core.registry import need
from ponder.core.seeds import derive
from ponder.numerics.simultaneous import simultaneous_lows
from ponder.planning.outcomes import Outcomes
from ponder.planning.tuning import Aim, Spec, fit, fit_margins, fixed, take

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Indices = NDArray[np.int64]

__all__ = ["MARGINS", "HeldOut", "cross_validate", "fixed_rival", "select"]

MARGINS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.08, 1.0)


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Outcomes on questions that took no part in the fit, [question] each, in the order of the questions.

    Attributes:
        correct, costs: of the policies.
        fixed_correct, fixed_costs: of the `fixed_rival` on the same training questions.
        even_correct, even_costs: of the best single option that costs at most what the policy was expected to cost.
        equal_correct, equal_costs: of the cheapest single option that was at least as accurate as the policy was
            expected to be; where none was, the most accurate.
        picks: option of each question.
        bins: of each question.
        specs: chosen on each fold.
    """

    correct: Floats
    costs: Floats
    fixed_correct: Floats
    fixed_costs: Floats
    even_correct: Floats
    even_costs: Floats
    equal_correct: Floats
    equal_costs: Floats
    picks: Indices
    bins: tuple[str, ...]
    specs: tuple[Spec, ...]


def select(data: Outcomes, rows: Sequence[int], specs: Sequence[Spec], aim: Aim, *, folds: int, seed: int) -> Spec:
    """Return how a policy is best fitted, by cross-validation on some of the questions; of equals the first.

    For the most accuracy that is the first spec within the slack of the best. For the least cost each is tried at all
    `MARGINS`, and the cheapest is taken of those whose difference to the best fixed option of the same training folds
    is surely (`Aim.sure`) within the slack, one lost question added; that option itself is always among them and needs
    no proof. At the slack of 0.01 nothing else can pass with fewer than about 270 questions unless it was right more
    often than that option.

    Args:
        data: all outcomes.
        rows: indices of the questions to learn from, at least as many as folds.
        specs: to choose from, the one without a probe first.
        aim: what for.
        folds: how many, >= 2.
        seed: of the folds and of the limits.

    Raises:
        BadInput: fewer questions than folds.
    """
    margins = (0.0,) if aim.objective == "accuracy" else MARGINS
    tried = [spec._replace(margin=margin) for spec in specs for margin in margins]
    correct, costs = _out_of_fold(data, rows, specs, aim, margins, _folds(data, rows, folds, seed))
    accuracy, cost = correct.mean(axis=1), costs.mean(axis=1)
    every = range(len(tried))
    if aim.objective == "accuracy":
        # A mean over other questions passes a tight budget a little by chance.
        within = [i for i in every if aim.budget is None or cost[i] <= 1.02 * aim.budget] or list(every)
        top = max(accuracy[i] for i in within)
        return tried[next(i for i in within if accuracy[i] >= top - aim.slack - 1e-9)]
    best = len(margins) - 1  # the first spec with the margin that only the most accurate option has
    lows = simultaneous_lows(_with_a_loss(correct - correct[best]), level=aim.sure, seed=seed)
    good = [i for i in every if i == best or lows[i] >= -aim.slack - 1e-9]
    return tried[min(good, key=lambda i: (cost[i], -accuracy[i]))]


def fixed_rival(data: Outcomes, rows: Sequence[int], specs: Sequence[Spec], aim: Aim, *, folds: int, seed: int) -> int:
    """Return the single option that a policy is measured against: chosen by the same rule, without looking.

    Where the choice fell on the dearest of options that were right equally often, the cheapest of them stands for it:
    a saving that only a dearer rival shows is none.

    Args:
        data: all outcomes.
        rows: indices of the questions to learn from, at least as many as folds.
        specs: as in `select`, the one without a probe first; the others are not used.
        aim: what for.
        folds: how many, >= 2.
        seed: of the folds and of the limits.

    Raises:
        BadInput: fewer questions than folds.
    """
    np = need("numpy", extra="bench", feature="tuning a policy")
    chosen = fit(data, rows, select(data, rows, specs[:1], aim, folds=folds, seed=seed), aim).otherwise
    at = np.asarray(rows)
    return _at_least(data, at, float(data.correct[at, chosen].mean()))


def cross_validate(data: Outcomes, specs: Sequence[Spec], aim: Aim, *, folds: int = 5, seed: int = 0) -> HeldOut:
    """Run the whole procedure on all folds but one and measure it on that one, for each.

    Args:
        data: all outcomes.
        specs: ways of seeing difficulty to choose from, the one without a probe first.
        aim: what for.
        folds: how many, >= 2; within a training part the specs are chosen by as many folds again, at most 3.
        seed: of the folds.

    Raises:
        BadInput: fewer questions than folds.
    """
    np = need("numpy", extra="bench", feature="tuning a policy")
    count = len(data.questions)
    every = list(range(count))
    arrays = {name: np.zeros(count) for name in ("policy", "fixed", "even", "equal")}
    paid = {name: np.zeros(count) for name in arrays}
    picks = np.zeros(count, dtype=np.int64)
    bins = [""] * count
    chosen = []
    for number, part in enumerate(_folds(data, every, folds, seed)):
        inside = set(part)
        training = [row for row in every if row not in inside]
        spec = select(data, training, specs, aim, folds=min(3, folds), seed=seed + 1 + number)
        chosen.append(spec)
        made = fit(data, training, spec, aim)
        held = np.asarray(part)
        picks[held], names, arrays["policy"][held], paid["policy"][held] = take(data, part, made)
        for row, name in zip(part, names, strict=True):
            bins[row] = name
        _, _, right, cost = take(data, training, made)
        alone = fixed_rival(data, training, specs, aim, folds=min(3, folds), seed=seed + 1 + number)
        for name, option in (
            ("fixed", alone),
            ("even", fixed(data, training, Aim(budget=float(cost.mean())))),
            ("equal", _at_least(data, np.asarray(training), float(right.mean()))),
        ):
            arrays[name][held] = data.correct[held, option]
            paid[name][held] = data.costs[held, option]
    return HeldOut(
        correct=arrays["policy"],
        costs=paid["policy"],
        fixed_correct=arrays["fixed"],
        fixed_costs=paid["fixed"],
        even_correct=arrays["even"],
        even_costs=paid["even"],
        equal_correct=arrays["equal"],
        equal_costs=paid["equal"],
        picks=picks,
        bins=tuple(bins),
        specs=tuple(chosen),
    )


def _out_of_fold(
    data: Outcomes,
    rows: Sequence[int],
    specs: Sequence[Spec],
    aim: Aim,
    margins: Sequence[float],
    parts: Sequence[Sequence[int]],
) -> tuple[Floats, Floats]:
    """Return whether each spec at each margin is right, and what it costs, [spec and margin, row]."""
    np = need("numpy", extra="bench", feature="tuning a policy")
    place = {row: at for at, row in enumerate(rows)}
    correct, costs = (np.zeros((len(specs) * len(margins), len(rows))) for _ in range(2))
    for part in parts:
        inside = set(part)
        training = [row for row in rows if row not in inside]
        held = [place[row] for row in part]
        for number, spec in enumerate(specs):
            for at, made in enumerate(fit_margins(data, training, spec, aim, margins), number * len(margins)):
                _, _, correct[at, held], costs[at, held] = take(data, part, made)
    return correct, costs


def _with_a_loss(differences: Floats) -> Any:
    """Return the differences, [candidate, question], with one question more that every candidate lost."""
    np = need("numpy", extra="bench", feature="tuning a policy")
    return np.pad(differences, ((0, 0), (0, 1)), constant_values=-1.0)


def _at_least(data: Outcomes, at: Any, least: float) -> int:
    accuracy, cost = data.correct[at].mean(axis=0), data.costs[at].mean(axis=0)
    every = range(len(data.options))
    good = [o for o in every if accuracy[o] >= least - 1e-12]
    if not good:
        return max(every, key=lambda o: (accuracy[o], -cost[o]))
    return min(good, key=lambda o: (cost[o], -accuracy[o]))


def _folds(data: Outcomes, rows: Sequence[int], folds: int, seed: int) -> list[list[int]]:
    """Deal the questions of each family out to the folds, at random."""
    if folds < 2 or len(rows) < folds:
        raise BadInput(f"{len(rows)} questions cannot be dealt out to {folds} folds of at least one, and two at least")
    rng = derive(seed, "tuning", "folds")
    order = sorted(rows, key=lambda row: (data.families[row], rng.random()))
    return [order[start::folds] for start in range(folds)]
