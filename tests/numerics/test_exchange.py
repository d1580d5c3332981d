from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import ConfigError
from ponder.numerics.exchange import beam_counts, flops_match, inference_multiplier

POSITIVE = st.floats(1e-3, 1e12)


@pytest.mark.parametrize(("ratio", "multiplier"), [(0.16, 257.75), (0.79, 63.367), (22, 15.773)])
def test_exchange_of_card_04(ratio: float, multiplier: float) -> None:
    # Check 4.
    assert inference_multiplier(14, ratio) == pytest.approx(multiplier, abs=5e-4)
    assert inference_multiplier(1, ratio) == 1


@given(POSITIVE, POSITIVE, POSITIVE, st.floats(1, 100))
def test_matched_flops_balance(parameters: float, pretraining: float, inference: float, scale: float) -> None:
    match = flops_match(parameters, pretraining, inference, scale)
    assert match.pretraining + match.multiplier * match.inference == pytest.approx(match.larger_total)


def test_beam_counts_of_card_04() -> None:
    # Check 3.
    assert beam_counts(16, 4) == (4, 16, 16)
    assert beam_counts(64, 4, 3) == (16, 64, 256)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 4))
def test_beam_counts_keep_at_least_one_and_never_more_than_the_budget(n: int, width: int, lookahead: int) -> None:
    counts = beam_counts(n, width, lookahead)
    assert 1 <= counts.survivors <= n
    assert counts.survivors * width <= max(n, width)
    assert counts.cost == n * (lookahead + 1)


def test_what_makes_no_sense_is_refused() -> None:
    for scale, ratio in [(0, 1), (2, 0), (2, float("nan"))]:
        with pytest.raises(ConfigError, match="positive"):
            inference_multiplier(scale, ratio)
    with pytest.raises(ConfigError, match="tokens"):
        flops_match(1e9, 0, 1, 2)
    for arguments in [(0, 1, 0), (1, 0, 0), (1, 1, -1)]:
        with pytest.raises(ConfigError, match="no beam search"):
            beam_counts(*arguments)
