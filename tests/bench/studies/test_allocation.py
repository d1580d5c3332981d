from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.bench.studies.allocation import Outcome, Question, choose, cross_fit, fit_policy, hindsight, split
from ponder.core.errors import BadInput
from ponder.planning.difficulty import UNKNOWN, Absolute, Difficulty, Quantiles
from tests.bench.studies.study_worlds import questions

KEYS = [("beam", 4), ("best", 4), ("best", 16), ("beam", 16)]
FIVE = Difficulty()
HALVES = Difficulty(binning=Quantiles(bins=2))

outcomes = st.fixed_dictionaries({key: st.builds(Outcome, st.booleans(), st.floats(1, 9)) for key in KEYS})
worlds = st.lists(st.tuples(st.none() | st.floats(0, 1), outcomes), min_size=4, max_size=30)


def built(world):
    asked = [Question(id=f"q{at}", value=value, outcomes=found) for at, (value, found) in enumerate(world)]
    return asked if any(q.value is not None for q in asked) else []


def accuracy(picked):
    return sum(p.outcome.correct for p in picked) / len(picked)


def test_a_configuration_that_dominates_is_chosen_in_every_bin_and_fold():
    """Card 04, check 7."""
    asked = questions(lambda value, key: float(key == ("best", 16)), KEYS, count=50)
    picked, policies = cross_fit(asked, FIVE, [16])
    assert {p.key for p in picked[16]} == {("best", 16)}
    for policy in policies[16]:
        assert {name: choice.key for name, choice in policy.table.items()} == dict.fromkeys("12345", ("best", 16))


def test_the_flip_with_difficulty_is_found():
    """Best-of-N on easy questions, beam search on hard ones."""

    def law(value, key):
        good = "best" if value > 0.5 else "beam"
        return 0.9 if key[0] == good else 0.3

    asked = questions(law, [("beam", 4), ("best", 4)])
    picked, policies = cross_fit(asked, HALVES, [4])
    for policy in policies[4]:
        assert {name: choice.key[0] for name, choice in policy.table.items()} == {"1": "best", "2": "beam"}
    assert accuracy(picked[4]) > max(sum(q.outcomes[key].correct for q in asked) / 200 for key in asked[0].outcomes)


def test_choosing_among_equals_gains_nothing():
    """Where all configurations are coins, a choice that saw its own questions would look better than a coin."""
    keys = [(f"coin {k}", 1) for k in range(12)]
    asked = questions(lambda value, key: 0.5, keys, count=400)
    fair = accuracy(cross_fit(asked, FIVE, [1])[0][1])
    policy = fit_policy(asked, FIVE, 1)
    seen = sum(q.outcomes[policy.pick(q.value).key].correct for q in asked) / len(asked)
    assert abs(fair - 0.5) < 0.08
    assert seen > fair + 0.04


@given(worlds, st.integers(0, 5))
def test_no_choice_beats_hindsight_and_none_goes_beyond_the_budget(world, seed):
    asked = built(world)
    if not asked or not all(
        any(q.value is not None for q, at in zip(asked, split(asked, seed=seed), strict=True) if at == fold)
        for fold in (0, 1)
    ):
        return
    picked, _ = cross_fit(asked, FIVE, [4, 16], seed=seed)
    for budget, entries in picked.items():
        ceiling = hindsight(asked, budget)
        assert [p.question for p in entries] == [q.id for q in asked]
        for entry, reachable in zip(entries, ceiling, strict=True):
            assert entry.key[1] <= budget
            assert entry.outcome.correct <= reachable


@given(worlds)
def test_a_question_takes_no_part_in_its_own_choice(world):
    asked = built(world)
    if sum(q.value is not None for q in asked) < 4:
        return
    before, _ = cross_fit(asked, Difficulty(binning=Absolute()), [16])
    turned = {key: Outcome(not found.correct, found.cost) for key, found in asked[0].outcomes.items()}
    changed = [Question(id=asked[0].id, value=asked[0].value, outcomes=turned), *asked[1:]]
    after, _ = cross_fit(changed, Difficulty(binning=Absolute()), [16])
    assert after[16][0].key == before[16][0].key
    assert [p.fold for p in after[16]] == [p.fold for p in before[16]]


@given(st.lists(st.none() | st.floats(0, 1), max_size=40), st.integers(0, 3))
def test_folds_halve_neighbours_in_difficulty(found, seed):
    asked = [Question(id=str(at), value=value, outcomes={}) for at, value in enumerate(found)]
    folds = split(asked, seed=seed)
    assert abs(folds.count(0) - folds.count(1)) <= 1
    assert folds == split(asked, seed=seed)
    known = sorted(((q.value, at) for at, q in enumerate(asked) if q.value is not None), reverse=True)
    if len({value for value, _ in known}) == len(known):
        for (_, left), (_, right) in zip(known[::2], known[1::2], strict=False):
            assert folds[left] != folds[right]


def test_equal_accuracy_goes_to_the_cheaper_and_slack_buys_less():
    asked = [
        Question(id=str(at), value=0.5, outcomes={("a", 4): Outcome(at < 9, 40), ("b", 1): Outcome(at < 9 - less, 10)})
        for less in (0,)
        for at in range(10)
    ]
    assert choose(asked, 4).key == ("b", 1)
    worse = [
        Question(id=q.id, value=0.5, outcomes={**q.outcomes, ("b", 1): Outcome(at < 8, 10)})
        for at, q in enumerate(asked)
    ]
    assert choose(worse, 4).key == ("a", 4)
    assert choose(worse, 4, slack=0.1).key == ("b", 1)
    assert choose(worse, 4).accuracy == 0.9


def test_bins_that_were_not_seen_take_what_is_best_over_all():
    asked = questions(lambda value, key: float(key[0] == "best"), [("beam", 4), ("best", 4)], count=20)
    policy = fit_policy(asked, Difficulty(binning=Absolute(thresholds=(2.0,), names=("easy", "hard"))), 4)
    assert set(policy.table) == {"hard"}
    assert policy.pick(3.0) == policy.otherwise
    assert policy.pick(None).key == ("best", 4)
    assert policy.bins.of(None) == UNKNOWN


def test_what_cannot_be_chosen_is_refused():
    asked = questions(lambda value, key: 1.0, [("best", 4)], count=2)
    with pytest.raises(BadInput, match="at most 1 samples"):
        cross_fit(asked, FIVE, [1])
    with pytest.raises(BadInput, match="two questions"):
        cross_fit(asked[:1], FIVE, [4])
    assert math.isclose(accuracy(cross_fit(asked, FIVE, [4])[0][4]), 1.0)
