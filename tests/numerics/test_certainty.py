from __future__ import annotations

import itertools
import math
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.certainty import (
    answer_rows,
    approximate_kl_from_top_k,
    kl_from_uniform,
    log_softmax,
    lowest_window,
    mean_certainty,
    negative_perplexity,
    released_self_certainty,
    tail_mean,
    token_certainty,
    window_means,
)

LOGITS = st.lists(st.floats(-15, 15), min_size=1, max_size=12)
VALUES = st.lists(st.floats(-50, 50), max_size=12)


def of(*p: float) -> list[float]:
    return [math.log(x) for x in p]


@pytest.mark.parametrize(
    ("p", "kl"),
    [
        ((0.7, 0.1, 0.1, 0.1), 0.429813),
        ((0.97, 0.01, 0.01, 0.01), 2.075198),
        ((0.7, 0.28, 0.01, 0.01), 1.323701),
    ],
)
def test_self_certainty_of_card_26(p: tuple[float, ...], kl: float) -> None:
    # Checks 1 and 2.
    assert token_certainty(of(*p)).kl == pytest.approx(kl, abs=1e-6)


@pytest.mark.parametrize("size", [1, 3, 7, 49_152])
def test_uniform_logits_have_exactly_no_certainty(size: int) -> None:
    assert token_certainty([0.3] * size).kl == 0


def test_other_measures_of_card_26() -> None:
    measures = token_certainty(of(0.7, 0.1, 0.1, 0.1))
    assert measures.negative_entropy == pytest.approx(-0.940448, abs=1e-6)
    assert measures.gini == pytest.approx(0.52)
    assert measures.distributional_perplexity == pytest.approx(-math.exp(0.940448), abs=1e-5)


def test_mean_over_tokens_of_card_26() -> None:
    rows = [of(0.7, 0.1, 0.1, 0.1), of(0.97, 0.01, 0.01, 0.01), [0.0] * 4]
    kl = [token_certainty(row).kl for row in rows]
    assert mean_certainty(kl) == pytest.approx(0.835004, abs=1e-6)
    # Check 6: padding changes nothing, whatever stands there.
    assert mean_certainty([*kl, math.inf, math.nan], [1, 1, 1, 0, 0]) == mean_certainty(kl)
    # Check 8: nor does length.
    assert mean_certainty([kl[0]] * 5) == pytest.approx(kl[0])
    assert mean_certainty([], []) is None
    assert mean_certainty([1.0], [0]) is None


def test_logit_identity_of_card_26() -> None:
    # Check 3: log-sum-exp and mean are all that a sampling loop has to keep.
    row = [2.0, 1.0, 0.0, -1.0]
    logsumexp = math.log(sum(map(math.exp, row)))
    assert kl_from_uniform(logsumexp, 0.5, 4) == pytest.approx(0.553895, abs=1e-6)
    assert token_certainty(row).kl == pytest.approx(0.553895, abs=1e-6)
    assert -fmean(log_softmax(row)) - math.log(4) == pytest.approx(0.553895, abs=1e-6)


@given(LOGITS, st.floats(-100, 100))
def test_measures_ignore_a_shift_and_the_order_of_logits(logits: list[float], shift: float) -> None:
    plain = token_certainty(logits)
    assert token_certainty([x + shift for x in logits]) == pytest.approx(plain, rel=1e-9, abs=1e-9)
    assert token_certainty(sorted(logits)) == pytest.approx(plain, rel=1e-9, abs=1e-9)


@given(LOGITS)
def test_measures_stay_in_their_ranges(logits: list[float]) -> None:
    size, found = len(logits), token_certainty(logits)
    assert found.kl >= -1e-12
    assert 1 / size - 1e-12 <= found.gini <= 1 + 1e-12
    assert -math.log(size) - 1e-12 <= found.negative_entropy <= 0
    assert -size - 1e-9 <= found.distributional_perplexity <= -1


@given(LOGITS)
def test_log_softmax_is_a_distribution(logits: list[float]) -> None:
    assert math.fsum(map(math.exp, log_softmax(logits))) == pytest.approx(1)


def test_banned_token_makes_the_divergence_infinite_and_spares_the_rest() -> None:
    found = token_certainty([0.0, 0.0, -math.inf])
    assert found.kl == math.inf
    assert found.gini == pytest.approx(0.5)
    assert found.negative_entropy == pytest.approx(-math.log(2))


def test_no_logits_are_refused() -> None:
    with pytest.raises(BadInput):
        token_certainty([])


@given(st.lists(st.floats(-4, 4), min_size=2, max_size=12))
def test_top_k_is_a_lower_bound_that_closes(logits: list[float]) -> None:
    logp = sorted(log_softmax(logits), reverse=True)
    size, exact = len(logits), token_certainty(logits).kl
    bounds = [approximate_kl_from_top_k(logp[:k], size) for k in range(1, size + 1)]
    assert all(more - less > -1e-9 for less, more in itertools.pairwise(bounds))
    assert bounds[-1] == pytest.approx(exact, abs=1e-9)


def test_top_k_without_mass_left_is_finite() -> None:
    assert math.isfinite(approximate_kl_from_top_k([0.0], 1000))
    assert approximate_kl_from_top_k([1e-9], 1000) == pytest.approx(approximate_kl_from_top_k([0.0], 1000))


@pytest.mark.parametrize("logprobs", [[], [-1.0, -1.0]])
def test_top_k_must_fit_the_vocabulary(logprobs: list[float]) -> None:
    with pytest.raises(BadInput):
        approximate_kl_from_top_k(logprobs, 1)


def test_perplexity_takes_the_exponential_of_the_mean() -> None:
    assert negative_perplexity([math.log(0.5), math.log(0.125)]) == pytest.approx(-4)
    assert negative_perplexity([]) is None


def test_rows_predict_the_answer_and_released_ones_follow_it() -> None:
    assert list(answer_rows(3, 2)) == [2, 3]
    assert list(answer_rows(3, 2, parity="released")) == [3, 4]
    with pytest.raises(BadInput, match="without a prompt"):
        answer_rows(0, 2)


@given(st.lists(LOGITS.filter(lambda row: len(row) == 3), min_size=1, max_size=4))
def test_released_formula_is_the_mean_divergence(rows: list[list[float]]) -> None:
    sums = [sum(log_softmax(row)) for row in rows]
    ours = mean_certainty([token_certainty(row).kl for row in rows])
    assert released_self_certainty(sums, [1] * len(rows), 3) == pytest.approx(ours, abs=1e-9)


def test_released_formula_is_no_number_where_the_code_is_not() -> None:
    assert math.isnan(released_self_certainty([-30.0], [0], 10))
    assert math.isnan(released_self_certainty([-20.0, -math.inf], [1, 0], 6))
    assert released_self_certainty([-math.inf, -20.0], [1, 1], 6) == math.inf


@given(VALUES, st.integers(1, 15))
def test_windows_agree_with_slices(values: list[float], width: int) -> None:
    wide = min(width, len(values))
    slices = [fmean(values[k : k + wide]) for k in range(len(values) - wide + 1)] if values else []
    assert window_means(values, width) == pytest.approx(slices, abs=1e-9)
    lowest, tail = lowest_window(values, width), tail_mean(values, width)
    if values:
        assert lowest == pytest.approx(min(slices), abs=1e-9)
        assert tail == pytest.approx(slices[-1], abs=1e-9)
    else:
        assert lowest is tail is None


@pytest.mark.parametrize("windowed", [window_means, lowest_window, tail_mean])
def test_windows_without_width_are_refused(windowed) -> None:
    with pytest.raises(ConfigError, match="width"):
        windowed([1.0], 0)
