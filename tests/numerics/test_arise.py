"""The score of a question and of many, drops, adaptive runs, their allocation, and stability."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput, ConfigError
from ponder.core.seeds import derive
from ponder.numerics.arise import (
    AdaptiveRuns,
    Levels,
    allocate_runs,
    arise,
    drops,
    question_arise,
    stability,
    variation,
)
from ponder.numerics.slopes import first_to_last_slope

steps = st.lists(st.tuples(st.floats(0, 1), st.floats(1, 1e5)), min_size=1, max_size=6)


@given(steps=steps, scale=st.floats(0.1, 10))
def test_score_does_not_depend_on_the_unit_of_tokens(steps: list[tuple[float, float]], scale: float) -> None:
    accuracies, tokens = [a for a, _ in steps], [t for _, t in steps]
    scaled = Levels(accuracies, [scale * t for t in tokens])
    assert question_arise(scaled) == pytest.approx(question_arise(Levels(accuracies, tokens)), rel=1e-9, abs=1e-12)


@given(accuracies=st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_equal_tokens_leave_the_gain_from_first_to_last(accuracies: list[float]) -> None:
    score = question_arise(Levels(accuracies, [100.0] * len(accuracies)))
    assert score == pytest.approx(accuracies[-1] - accuracies[0], abs=1e-12)


@pytest.mark.parametrize(
    ("accuracies", "tokens", "score"),
    [
        ([0, 1], [1000, 2000], 0.5),
        ([1, 0], [1000, 2000], -2.0),
        ([0, 1, 0], [1000, 2000, 4000], -1.5),
        ([0, 1, 1], [1000, 2000, 8000], 0.5),
        ([1 / 3, 2 / 3, 1], [1000, 1500, 3000], 0.388889),
        ([0, 1], [2000, 1000], 2.0),
        ([0.4, 0.4, 0.4], [1000, 2000, 8000], 0.0),
    ],
)
def test_figures_of_the_card(accuracies: list[float], tokens: list[float], score: float) -> None:
    assert question_arise(Levels(accuracies, tokens)) == pytest.approx(score, abs=1e-6)


def test_score_of_four_questions_falls_where_the_slope_sees_nothing() -> None:
    questions = [
        Levels([0, 1], [1000, 2000]),
        Levels([1, 0], [1000, 4000]),
        Levels([1, 1], [1000, 2000]),
        Levels([0, 0], [1000, 2000]),
    ]
    assert arise(questions).value == arise(questions[::-1]).value == -0.875
    means = [sum(q.accuracies[level] for q in questions) / 4 for level in (0, 1)]
    assert first_to_last_slope([1000, 2500], means) == 0.0


def test_variation_of_the_card_decides_whether_a_cell_goes_on() -> None:
    tokens = [1000.0, 1200.0, 1100.0]
    assert variation([1.0, 0.0, 1.0]) == pytest.approx(0.70711, abs=1e-5)
    assert variation(tokens) == pytest.approx(0.07423, abs=1e-5)
    rule = AdaptiveRuns()
    assert rule.wants_more([1.0, 0.0, 1.0], tokens)
    assert not rule.wants_more([1.0, 1.0, 1.0], tokens)


def test_steady_cells_stop_at_the_least_runs_and_mixed_ones_at_the_most() -> None:
    def runs(outcomes: list[float]) -> int:
        rule, count = AdaptiveRuns(), 0
        while rule.wants_more(outcomes[:count], [100.0] * count):
            count += 1
        return count

    assert runs([1.0] * 20) == 3
    assert runs([1.0, 0.0] * 10) == 10
    assert allocate_runs([0.0, 0.0, 2.0], 15, least=3, most=10) == [3, 3, 9]
    assert allocate_runs([0.0, 0.0], 20, least=3, most=10) == [3, 3]


def test_losses_weigh_more_than_gains_of_the_same_size() -> None:
    assert question_arise(Levels([0, 1, 0], [1000, 2000, 4000])) == -1.5
    assert question_arise(Levels([0, 1], [0, 100])) == 0.0


def test_no_question_scores_nothing() -> None:
    found = arise([])
    assert (found.value, found.std, found.low, found.high, found.scores) == (0.0, 0.0, 0.0, 0.0, ())


def test_question_without_levels_is_neither_right_nor_wrong() -> None:
    changes = arise([Levels([], [])]).transitions
    assert (changes.always_right, changes.always_wrong) == (0, 0)


def test_drop_from_no_tokens_is_infinitely_dear() -> None:
    (drop,) = drops([Levels([1, 0], [0, 50])])
    assert drop.ratio == math.inf
    assert drop.severe


@given(right=st.lists(st.booleans(), min_size=10, max_size=10), least=st.integers(1, 5))
def test_runs_stay_between_least_and_most(right: list[bool], least: int) -> None:
    rule = AdaptiveRuns(least=least, most=8)
    runs = 0
    while rule.wants_more([float(r) for r in right[:runs]], [10.0] * runs):
        runs += 1
    assert least <= runs <= 8


def test_standard_error_stops_mixed_cells_that_the_released_rule_never_stops() -> None:
    accuracies, tokens = [1.0, 0.0] * 20, [10.0] * 40
    assert AdaptiveRuns(most=99).wants_more(accuracies, tokens)
    assert not AdaptiveRuns(most=99, standard_error=True).wants_more(accuracies, tokens)


@given(
    variations=st.lists(st.floats(0, 10), min_size=1, max_size=8), budget=st.integers(0, 100), least=st.integers(0, 4)
)
def test_allocation_keeps_to_its_limits(variations: list[float], budget: int, least: int) -> None:
    runs = allocate_runs(variations, budget, least=least, most=10)
    assert all(least <= count <= 10 for count in runs)
    assert sum(runs) <= max(budget, least * len(variations))


def test_adaptive_runs_make_the_score_steadier_than_single_runs() -> None:
    rng = derive(0, "stability")

    def evaluate(rule: AdaptiveRuns) -> float:
        questions = []
        for _ in range(20):
            cells = []
            for p, mean in ((0.3, 6.0), (0.5, 6.7), (0.7, 7.4)):
                right: list[float] = []
                tokens: list[float] = []
                while rule.wants_more(right, tokens):
                    right.append(float(rng.random() < p))
                    tokens.append(rng.lognormvariate(mean, 0.3))
                cells.append(rule.cell(right, tokens))
            questions.append(Levels([c.accuracy for c in cells], [c.tokens for c in cells]))
        return arise(questions).value

    single = stability([evaluate(AdaptiveRuns(least=1, most=1)) for _ in range(40)])
    adaptive = stability([evaluate(AdaptiveRuns()) for _ in range(40)])
    assert adaptive.std < single.std


def test_variation_of_fewer_than_two_values_is_0() -> None:
    assert variation([]) == variation([3.0]) == 0.0


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (lambda: question_arise(Levels([1.0], [])), BadInput),
        (lambda: stability([]), BadInput),
        (lambda: allocate_runs([-1.0], 10), BadInput),
        (lambda: allocate_runs([1.0], 10, least=5, most=4), ConfigError),
        (lambda: AdaptiveRuns(least=0), ConfigError),
        (lambda: AdaptiveRuns(threshold=-1.0), ConfigError),
        (lambda: AdaptiveRuns().cell([], []), BadInput),
    ],
)
def test_bad_input_is_refused(bad: object, error: type[Exception]) -> None:
    assert callable(bad)
    with pytest.raises(error):
        bad()
