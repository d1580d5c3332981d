from __future__ import annotations

import numpy as np
import pytest

from ponder.core.errors import BadInput
from ponder.planning.cross_fit import cross_validate, fixed_rival, select
from ponder.planning.outcomes import Look, Option, Outcomes
from ponder.planning.policy import Choice, Probe
from ponder.planning.tuning import Aim, Fit, Spec, fit, fixed, take
from tests.planning.tuning_world import MANY, recorded


def test_held_out_figures_show_the_planted_gain() -> None:
    data = recorded(400, seed=3)
    held = cross_validate(data, [Spec(None, 1), Spec(0, 2)], Aim(objective="cost", slack=0.02), folds=5)
    assert all(spec[:2] == (0, 2) for spec in held.specs)
    assert held.costs.mean() < 0.75 * held.fixed_costs.mean()
    assert held.correct.mean() > held.fixed_correct.mean() - 0.03
    # At what the policy costs, no single option is as accurate.
    assert held.even_correct.mean() < held.correct.mean() - 0.2
    assert held.equal_costs.mean() > held.costs.mean()


def test_a_probe_without_signal_is_not_taken() -> None:
    data = recorded(400, seed=4, signal=False)
    chosen = select(data, range(400), [Spec(None, 1), Spec(0, 2)], Aim(objective="cost"), folds=5, seed=0)
    assert chosen.look is None


def test_no_question_is_scored_by_a_policy_that_saw_it() -> None:
    # One option is right on exactly one question each: only a policy that saw that question could choose it.
    count = 40
    correct = np.eye(count)
    data = Outcomes(
        questions=tuple(map(str, range(count))),
        families=("f",) * count,
        options=tuple(Option(choice=Choice(method="greedy", settings={"n": i}), shares=False) for i in range(count)),
        correct=correct,
        costs=np.ones((count, count)),
        looks=(Look(probe=Probe(n=1), values=np.arange(count, dtype=float), costs=np.zeros(count)),),
    )
    held = cross_validate(data, [Spec(None, 1), Spec(0, 5)], Aim(thin=1), folds=4)
    assert held.correct.sum() == 0


def lucky(count: int, seed: int, sizes: int = 5) -> Outcomes:
    """Four methods alike, each somewhat better for each doubling, and probes that tell nothing."""
    rng = np.random.default_rng(seed)
    shared = rng.uniform(size=count)
    steps = np.tile(np.arange(sizes), 4)
    lots = 0.6 * shared[:, None] + 0.4 * rng.uniform(size=(count, len(steps)))
    correct = (lots < 0.45 + 0.04 * steps).astype(float)
    costs = np.tile(20.0 * 2.0**steps, (count, 1))
    probes = [Look(probe=Probe(n=n), values=rng.normal(size=count), costs=np.full(count, 20.0 * n)) for n in (1, 2, 4)]
    return Outcomes(
        questions=tuple(map(str, range(count))),
        families=("f",) * count,
        options=tuple(
            Option(choice=Choice(method="self_consistency", settings={"n": at}), shares=True)
            for at in range(len(steps))
        ),
        correct=correct,
        costs=costs,
        looks=tuple(probes),
    )


def cheapest_in_training(data: Outcomes, specs: list[Spec], aim: Aim) -> Fit:
    """The rule that believes what a fit shows on its own questions: the cheapest of all ways to see difficulty."""
    rows = range(len(data.questions))
    return min((fit(data, rows, spec, aim) for spec in specs), key=lambda made: take(data, rows, made)[3].mean())


def test_a_choice_for_the_least_cost_is_not_believed_on_its_own_questions() -> None:
    truth, aim = lucky(20000, 99), Aim(objective="cost")
    everything = range(20000)
    specs = [Spec(None, 1), *(Spec(look, bins) for look in range(3) for bins in (2, 3, 5))]
    lost: dict[str, list[float]] = {"training": [], "proven": []}
    for seed in range(8):
        data = lucky(250, seed)
        best = truth.correct[:, fixed(data, range(250), aim, 1.0)].mean()
        proven = fit(data, range(250), select(data, range(250), specs, aim, folds=5, seed=seed), aim)
        for name, policy in (("training", cheapest_in_training(data, specs, aim)), ("proven", proven)):
            lost[name].append(best - take(truth, everything, policy)[2].mean())
    assert np.mean(lost["training"]) > 0.03
    assert np.mean(lost["proven"]) <= aim.slack
    assert sum(loss > 2 * aim.slack for loss in lost["proven"]) <= 1


def test_a_plain_saving_is_still_taken_and_doubt_costs_more() -> None:
    data = recorded(400, seed=3)
    specs = [Spec(None, 1), Spec(0, 2)]
    paid = []
    for sure in (0.5, 0.95, 0.999999):
        aim = Aim(objective="cost", sure=sure)
        made = fit(data, range(400), select(data, range(400), specs, aim, folds=5, seed=0), aim)
        paid.append(take(data, range(400), made)[3].mean())
    assert paid == sorted(paid)
    assert paid[1] < 0.75 * data.costs[:, MANY].mean()


def test_where_nothing_is_proven_the_best_fixed_option_stands() -> None:
    data = lucky(40, 1)
    specs = [Spec(None, 1), Spec(0, 2)]
    aim = Aim(objective="cost", slack=0.0, sure=0.999)
    chosen = select(data, range(40), specs, aim, folds=5, seed=0)
    assert fit(data, range(40), chosen, aim).otherwise == fixed(data, range(40), aim, 1.0)
    assert chosen.look is None


def test_fewer_questions_than_folds_are_refused() -> None:
    with pytest.raises(BadInput, match="folds"):
        cross_validate(recorded(4), [Spec(None, 1)], Aim(), folds=5)


def nested(count: int, loss: float, seed: int) -> Outcomes:
    """A dear option, and a cheap one that is wrong on some of the questions that the dear one gets right."""
    lots = np.random.default_rng(seed).uniform(size=count)
    return Outcomes(
        questions=tuple(map(str, range(count))),
        families=("f",) * count,
        options=tuple(
            Option(choice=Choice(method="self_consistency", settings={"n": n}), shares=True) for n in (1, 16)
        ),
        correct=np.array([(lots > 0.2 + loss), (lots > 0.2)], dtype=float).T,
        costs=np.tile([10.0, 160.0], (count, 1)),
        looks=(),
    )


@pytest.mark.parametrize("count", [60, 100])
def test_few_questions_without_a_difference_prove_nothing(count: int) -> None:
    # At a true loss of 2 % no or one lost question is likely: 0.98 ** 60 = 0.30, and 0.98 ** 100 + 100 * 0.02 *
    # 0.98 ** 99 = 0.40. What is 95 % sure may be wrong on 5 of 40 data sets (the chance of more is 0.014).
    aim, wrong = Aim(objective="cost"), 0
    for seed in range(40):
        data = nested(count, 0.02, seed)
        chosen = select(data, range(count), [Spec(None, 1)], aim, folds=5, seed=seed)
        wrong += fit(data, range(count), chosen, aim).otherwise == 0
    assert wrong <= 5


def test_many_questions_without_a_difference_are_a_proof() -> None:
    data, aim = nested(400, 0.0, 0), Aim(objective="cost")
    chosen = select(data, range(400), [Spec(None, 1)], aim, folds=5, seed=0)
    assert fit(data, range(400), chosen, aim).otherwise == 0
    few = range(250)
    assert fit(data, few, select(data, few, [Spec(None, 1)], aim, folds=5, seed=0), aim).otherwise == 1
    # What it is measured against is the cheaper of two that did equally well.
    assert fixed_rival(data, few, [Spec(None, 1)], aim, folds=5, seed=0) == 0
