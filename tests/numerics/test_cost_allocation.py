"""Options out of recorded answers, the oracle, one setting for all, and the frontier over caps."""

from __future__ import annotations

import math
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.cost_allocation import (
    Option,
    Setting,
    best_model,
    best_setting,
    frontier,
    length_options,
    log_caps,
    moving_average,
    optimal_tokens,
    oracle_allocation,
    oracle_choice,
    trial_options,
)
from ponder.numerics.cost_laws import Cost, Shape, dense_cost

SHAPE = Shape(active=1000, layers=2, heads=4, kv_heads=2, head_size=4)
options_lists = st.lists(
    st.builds(
        Option,
        model=st.sampled_from("ab"),
        question=st.integers(0, 3),
        accuracy=st.floats(0, 1),
        cost=st.floats(0.01, 9),
        trials=st.sampled_from([1, 2, 4]),
    ),
    min_size=1,
    max_size=12,
)


def dense(tokens: int, trials: int) -> Cost:
    return dense_cost(SHAPE, 10, tokens, trials=trials, intensity=10)


def test_options_of_recorded_answers_hold_coverage_and_the_cost_of_each_length() -> None:
    scores = [True, False, False, True, False, False, False, False]
    found = trial_options("m", "q", [10, 30] * 4, scores, dense, trials=(1, 2, 4, 8, 16))
    assert [option.trials for option in found] == [1, 2, 4, 8]
    assert [option.accuracy for option in found] == pytest.approx([0.25, 0.4643, 0.7857, 1.0], abs=1e-4)
    two = found[1]
    assert two.cost == pytest.approx((dense(10, 2).total + dense(30, 2).total) / 2)
    assert two.cost > dense(20, 2).total  # the mean of squares is not the square of the mean
    assert two.tokens == 40
    assert two.root_square == pytest.approx(math.sqrt(500))


def test_answers_cut_at_a_length_cost_no_more_than_it() -> None:
    short, long = length_options("m", "q", [10, 30], {20: [True, False], 40: [True, True]}, dense, kv_budget=8)
    assert short.setting == Setting("m", 1, 20, 8)
    assert (short.accuracy, long.accuracy) == (0.5, 1.0)
    assert short.cost == pytest.approx((dense(10, 1).total + dense(20, 1).total) / 2)
    assert long.cost == pytest.approx((dense(10, 1).total + dense(30, 1).total) / 2)


@given(options=options_lists, caps=st.tuples(st.floats(0, 9), st.floats(0, 9)))
def test_the_oracle_never_loses_by_a_larger_cap(options: list[Option], caps: tuple[float, float]) -> None:
    low, high = (oracle_allocation(options, cap) for cap in sorted(caps))
    assert all(low[model] <= high[model] for model in low)
    assert [point.accuracy for point in frontier(options, sorted(caps))] == [max(low.values()), max(high.values())]


@given(options=options_lists, more=options_lists, cap=st.floats(0, 9))
def test_another_model_or_key_budget_never_lowers_the_frontier(
    options: list[Option], more: list[Option], cap: float
) -> None:
    extra = [option._replace(model="c") for option in more]
    assert frontier([*options, *extra], [cap])[0].accuracy >= frontier(options, [cap])[0].accuracy
    asked = {option.question for option in options}
    sparse = [option._replace(kv_budget=64) for option in more if option.question in asked]
    before, after = oracle_choice(options, cap), oracle_choice([*options, *sparse], cap)
    for question, found in before.items():
        better = after[question]
        if found is not None:
            assert better is not None
            assert better.accuracy >= found.accuracy * (1 - 0.001)


@given(options=options_lists, cap=st.floats(0, 9))
def test_no_setting_for_all_beats_the_oracle(options: list[Option], cap: float) -> None:
    one = best_setting(options, cap)
    choice = oracle_choice(options, cap)
    reached = [0.0 if option is None else option.accuracy / (1 - 0.001) for option in choice.values()]
    if one is None:
        assert not any(option.cost <= cap for option in options)
        return
    # A setting tried twice on a question counts as often as it was tried: only single trials compare.
    if len({(option.setting, option.question) for option in options}) == len(options):
        assert one.accuracy <= math.fsum(reached) / len(reached) + 1e-12


def test_a_question_that_nothing_fits_counts_zero_and_ties_go_to_the_first() -> None:
    options = [Option("b", 0, 1.0, 1.0), Option("b", 1, 1.0, 5.0), Option("a", 0, 0.5, 1.0), Option("a", 1, 0.5, 1.0)]
    found = oracle_allocation(options, 2.0)
    assert found == {"b": 0.5, "a": 0.5}
    assert best_model(found) == "b"
    assert oracle_choice(options[:2], 2.0) == {0: options[0], 1: None}


def test_as_good_and_cheaper_is_taken() -> None:
    options = [Option("a", 0, 0.9, 5.0, trials=8), Option("a", 0, 0.8995, 2.0, trials=4), Option("a", 0, 0.8, 1.0)]
    chosen = best_setting(options, 9.0)
    assert chosen is not None
    assert chosen == (Setting("a", 4), 0.8995, 2.0)
    assert best_setting(options, 0.5) is None
    assert oracle_choice(options, 9.0)[0] == options[1]


def test_memory_moves_the_crossing_to_the_costly_model() -> None:
    """A cheap model right with 0.2 and a costly one with 0.5: with memory counted the costly one leads earlier."""
    models = {"cheap": (4e9, 0.2), "costly": (14e9, 0.5)}

    def crossing(intensity: float) -> float:
        options = []
        for name, (weights, p) in models.items():
            shape = Shape(active=weights, layers=36, heads=32, kv_heads=8, head_size=128)
            law = partial(dense_cost, shape, 200, 8192, intensity=intensity)
            options += [Option(name, 0, 1 - (1 - p) ** n, law(trials=n).total, trials=n) for n in range(1, 33)]
        unit = min(option.cost for option in options)
        caps = [unit * 1.05**step for step in range(80)]
        first = next(point.cap for point in frontier(options, caps) if point.model == "costly")
        return first / unit

    assert crossing(562.5) < crossing(0)


def test_tokens_at_the_optimum_are_those_of_the_hungriest_question() -> None:
    options = [
        Option("a", 0, 1.0, 2.0, trials=2, tokens=80, root_square=45),
        Option("a", 1, 0.5, 1.0, tokens=50, root_square=60),
        Option("a", 1, 1.0, 9.0, trials=4, tokens=500, root_square=60),
    ]
    assert optimal_tokens(options, 3.0) == 80
    assert optimal_tokens(options, 3.0, squared=True) == 60
    assert optimal_tokens(options, 0.1) is None


def test_caps_span_the_costs_and_averages_keep_the_ends() -> None:
    caps = log_caps([Option("a", 0, 1.0, 1.0), Option("a", 0, 1.0, 100.0)], 5)
    assert caps == pytest.approx([1, 10**0.5, 10, 10**1.5, 100])
    assert (caps[0], caps[-1]) == (1.0, 100.0)
    assert moving_average([0.0, 3.0, 6.0, 0.0], 3) == [1.5, 3.0, 3.0, 3.0]
    assert moving_average([1.0, 2.0], 1) == [1.0, 2.0]


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (lambda: trial_options("m", 0, [], [], dense), BadInput),
        (lambda: trial_options("m", 0, [1], [], dense), BadInput),
        (lambda: length_options("m", 0, [1], {5: []}, dense), BadInput),
        (lambda: frontier([], [1.0]), BadInput),
        (lambda: log_caps([]), BadInput),
        (lambda: log_caps([Option("a", 0, 1.0, 0.0)]), BadInput),
        (lambda: log_caps([Option("a", 0, 1.0, 1.0)], 1), ConfigError),
        (lambda: moving_average([1.0], 2), ConfigError),
    ],
)
def test_bad_input_is_refused(bad: object, error: type[Exception]) -> None:
    assert callable(bad)
    with pytest.raises(error):
        bad()
