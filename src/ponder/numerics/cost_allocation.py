"""What to spend a cost per question on: the model, the number of answers, their length and the keys that they read.

Every recorded setting is an option with its accuracy and its cost. The oracle takes the best option of each question
after its accuracy is seen, which bounds what any rule can reach; `best_setting` takes one setting for all questions,
which can be learned on some and used on others.
Paper: Sadhukhan et al. 2025, arXiv:2506.05333 (card 54, sections E to H): coverage from recorded answers, answers cut
at a length, allocation under a cap, frontier over caps, tokens at the optimum.
Differs: the cap holds for each question, as there, so a question that a setting overruns counts 0. The one setting for
all is ours. At the ends of a curve the moving average takes the neighbours that there are.
Cost: one pass over the options for each cap. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.cost_laws import Cost, expected_cost
from ponder.numerics.pass_at_k import pass_at_k

__all__ = [
    "TRIALS",
    "Chosen",
    "FrontierPoint",
    "Option",
    "Setting",
    "best_model",
    "best_setting",
    "frontier",
    "length_options",
    "log_caps",
    "moving_average",
    "optimal_tokens",
    "oracle_allocation",
    "oracle_choice",
    "trial_options",
]

TRIALS = (1, 2, 4, 8, 16, 32)
_NEAR = 0.001  # accuracies within this share of the best are as good, and the cheapest of them is taken


class Setting(NamedTuple):
    """What is chosen.

    Attributes:
        model: that answers.
        trials: answers to a question, >= 1.
        length: tokens at which an answer is cut; None where it is not.
        kv_budget: positions whose keys a step may read; None for all of them.
    """

    model: str
    trials: int = 1
    length: int | None = None
    kv_budget: int | None = None


class Option(NamedTuple):
    """One setting tried on one question.

    Attributes:
        model: that answers.
        question: its id.
        accuracy: in [0, 1].
        cost: in any one unit.
        trials, length, kv_budget: as in `Setting`.
        tokens: mean of what is written by all trials together.
        root_square: root of the mean square of an answer's tokens.
    """

    model: str
    question: Hashable
    accuracy: float
    cost: float
    trials: int = 1
    length: int | None = None
    kv_budget: int | None = None
    tokens: float = 0.0
    root_square: float = 0.0

    @property
    def setting(self) -> Setting:
        """What was tried."""
        return Setting(self.model, self.trials, self.length, self.kv_budget)


class Chosen(NamedTuple):
    """A setting for all questions, with its mean accuracy (what overruns the cap counts 0) and mean cost."""

    setting: Setting
    accuracy: float
    cost: float


class FrontierPoint(NamedTuple):
    """The best that a cap buys, and the model that gives it."""

    cap: float
    model: str
    accuracy: float


T = TypeVar("T", Option, Chosen)


def trial_options(
    model: str,
    question: Hashable,
    lengths: Sequence[int],
    right: Sequence[bool],
    cost: Callable[[int, int], Cost],
    *,
    trials: Iterable[int] = TRIALS,
    length: int | None = None,
    kv_budget: int | None = None,
) -> list[Option]:
    """Return an option for each number of answers that the recorded ones can show; at least one right counts.

    Args:
        model: that wrote them.
        question: that they answer.
        lengths: tokens of each recorded answer, at least one.
        right: grade of each.
        cost: of one question as a function of (tokens of an answer, answers); see `ponder.numerics.cost_laws`.
        trials: numbers to try; those above the recorded answers are left out.
        length: at which the answers were cut.
        kv_budget: with which they were written.

    Raises:
        BadInput: no answers, or not as many grades.
    """
    if not lengths or len(lengths) != len(right):
        raise BadInput("options need recorded answers, and a grade for each")
    found = []
    for n in sorted({n for n in trials if n <= len(lengths)}):
        accuracy = pass_at_k(len(right), sum(map(bool, right)), n)
        found.append(_option(Setting(model, n, length, kv_budget), question, accuracy, lengths, cost))
    return found


def length_options(
    model: str,
    question: Hashable,
    lengths: Sequence[int],
    right: Mapping[int, Sequence[bool]],
    cost: Callable[[int, int], Cost],
    *,
    kv_budget: int | None = None,
) -> list[Option]:
    """Return an option for each length at which the recorded answers were cut and graded again; one answer is given.

    Args:
        model: that wrote them.
        question: that they answer.
        lengths: tokens of each answer before it was cut, at least one.
        right: for each length, >= 1, the grades of the answers cut there.
        cost: as for `trial_options`.
        kv_budget: with which they were written.

    Raises:
        BadInput: no answers, or not as many grades.
    """
    found = []
    for most, grades in sorted(right.items()):
        if not lengths or len(lengths) != len(grades):
            raise BadInput("options need recorded answers, and a grade for each at each length")
        cut = [min(length, most) for length in lengths]
        accuracy = sum(map(bool, grades)) / len(grades)
        found.append(_option(Setting(model, 1, most, kv_budget), question, accuracy, cut, cost))
    return found


def oracle_choice(options: Sequence[Option], cap: float) -> dict[Hashable, Option | None]:
    """Return, by question, the cheapest of the options that fit and are as good as the best; None where none fits."""
    found: dict[Hashable, list[Option]] = {}
    for option in options:
        fitting = found.setdefault(option.question, [])
        if option.cost <= cap:
            fitting.append(option)
    return {question: _cheapest(fitting) for question, fitting in found.items()}


def oracle_allocation(options: Sequence[Option], cap: float) -> dict[str, float]:
    """Return, by model, the mean over questions of the best accuracy that costs at most `cap` a question.

    An upper bound: the setting is chosen per question after its accuracy is seen. A question without a setting that
    fits counts 0.
    """
    best: dict[str, dict[Hashable, float]] = {}
    for option in options:
        found = best.setdefault(option.model, {})
        reached = option.accuracy if option.cost <= cap else 0.0
        found[option.question] = max(found.get(option.question, 0.0), reached)
    return {model: math.fsum(found.values()) / len(found) for model, found in best.items()}


def best_model(accuracies: Mapping[str, float]) -> str:
    """Return the model with the highest accuracy; of equal ones, the first."""
    return max(accuracies, key=lambda model: accuracies[model])


def best_setting(options: Sequence[Option], cap: float) -> Chosen | None:
    """Return the one setting that serves all questions best under a cap on each; None where none fits any question.

    A question that a setting overruns, or was not tried on, counts 0 for it. Of settings within 0.1 % of the best
    accuracy the cheapest is returned.
    """
    questions = len({option.question for option in options})
    tried: dict[Setting, list[Option]] = {}
    for option in options:
        if option.cost <= cap:
            tried.setdefault(option.setting, []).append(option)
    chosen = [
        Chosen(
            setting,
            math.fsum(option.accuracy for option in found) / questions,
            math.fsum(option.cost for option in found) / len(found),
        )
        for setting, found in tried.items()
    ]
    return _cheapest(chosen)


def frontier(options: Sequence[Option], caps: Sequence[float], *, smooth: int = 1) -> list[FrontierPoint]:
    """Return for each cap the best model and its accuracy under the oracle.

    Args:
        options: at least one.
        caps: in growing order.
        smooth: odd width of the moving average over the curve of each model; 1 for none, 3 as released.

    Raises:
        BadInput: no options.
        ConfigError: a width that is even or below 1.
    """
    if not options:
        raise BadInput("a frontier needs options")
    found = [oracle_allocation(options, cap) for cap in caps]
    curves = {model: moving_average([at[model] for at in found], smooth) for model in (found[0] if found else ())}
    points = []
    for at, cap in enumerate(caps):
        model = best_model({name: curve[at] for name, curve in curves.items()})
        points.append(FrontierPoint(cap, model, curves[model][at]))
    return points


def optimal_tokens(options: Sequence[Option], cap: float, *, squared: bool = False) -> float | None:
    """Return the most tokens that any question is given by the oracle; None where no option fits.

    Args:
        options: with their tokens.
        cap: on the cost of a question.
        squared: for the dense law, whose cost grows with the square of a length: the root of the mean square instead.
    """
    chosen = [option for option in oracle_choice(options, cap).values() if option is not None]
    return max((option.root_square if squared else option.tokens for option in chosen), default=None)


def log_caps(options: Sequence[Option], count: int = 100) -> list[float]:
    """Return caps from the cheapest to the dearest option, evenly spaced in their logarithm.

    Raises:
        BadInput: no option, or one that costs nothing.
        ConfigError: fewer than two caps.
    """
    if count < 2:
        raise ConfigError(f"a range of caps has at least 2, got {count!r}")
    costs = [option.cost for option in options]
    if not costs or min(costs) <= 0:
        raise BadInput("caps need options that cost something")
    low, high = math.log(min(costs)), math.log(max(costs))
    inner = [math.exp(low + (high - low) * step / (count - 1)) for step in range(1, count - 1)]
    return [min(costs), *inner, max(costs)]


def moving_average(values: Sequence[float], width: int) -> list[float]:
    """Return the mean of each value with its neighbours, `width` in all; fewer at the ends.

    Raises:
        ConfigError: a width that is even or below 1.
    """
    if width < 1 or width % 2 == 0:
        raise ConfigError(f"the width of a moving average must be odd and above 0, got {width!r}")
    half = width // 2
    windows = [values[max(0, at - half) : at + half + 1] for at in range(len(values))]
    return [math.fsum(window) / len(window) for window in windows]


def _option(
    setting: Setting, question: Hashable, accuracy: float, lengths: Sequence[int], cost: Callable[[int, int], Cost]
) -> Option:
    count = len(lengths)
    return Option(
        setting.model,
        question,
        accuracy,
        expected_cost(lambda tokens: cost(tokens, setting.trials), lengths).total,
        setting.trials,
        setting.length,
        setting.kv_budget,
        setting.trials * sum(lengths) / count,
        math.sqrt(sum(length * length for length in lengths) / count),
    )


def _cheapest(found: Sequence[T]) -> T | None:
    """Return the cheapest of those that are as good as the best; of equal ones, the first."""
    if not found:
        return None
    best = max(one.accuracy for one in found)
    return min((one for one in found if one.accuracy >= best * (1 - _NEAR)), key=lambda one: one.cost)
