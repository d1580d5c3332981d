"""Returns, normalised advantages, clipped losses and GAE."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.reinforce import advantages, clip_loss, generalised_advantages, normalise, returns

VALUES = st.lists(st.floats(-10, 10), min_size=1, max_size=12)


@given(st.floats(-2, 2), VALUES, st.floats(0, 1))
def test_returns_are_sums_of_what_comes(reward: float, kl: list[float], beta: float) -> None:
    own = [(reward if at == len(kl) - 1 else 0.0) - beta * value for at, value in enumerate(kl)]
    assert returns(reward, kl, beta=beta) == pytest.approx([sum(own[at:]) for at in range(len(kl))], abs=1e-9)


@given(VALUES)
def test_normalised_values_have_mean_0_and_deviation_1_or_are_0(values: list[float]) -> None:
    found = normalise(values)
    assert sum(found) == pytest.approx(0, abs=1e-4)
    if max(values) - min(values) > 1e-3:
        assert sum(value**2 for value in found) / len(found) == pytest.approx(1, rel=1e-3)


def test_advantages_keep_shapes_and_share_one_scale() -> None:
    found = advantages([[1.0, 1.0], [0.0]])
    assert [len(part) for part in found] == [2, 1]
    assert [value for part in found for value in part] == pytest.approx(normalise([1.0, 1.0, 0.0]))
    assert normalise([]) == []


@given(st.floats(0.01, 3), st.floats(-3, 3))
def test_clipping_never_makes_a_loss_smaller_than_the_plain_one(ratio: float, value: float) -> None:
    (loss,) = clip_loss([ratio], [value])
    assert loss >= -ratio * value - 1e-12
    if 0.8 <= ratio <= 1.2:
        assert loss == pytest.approx(-ratio * value)


def test_gae_of_the_card() -> None:
    found = generalised_advantages([0, 0, 1.3808], [0.2, 0.3, 0.5])
    assert found == pytest.approx([1.0849, 1.0368, 0.8808], abs=1e-4)


def test_gae_without_smoothing_is_the_error_of_one_step_and_with_all_of_it_the_return() -> None:
    rewards, values = [1.0, 2.0, 3.0], [0.5, 0.25, 0.125]
    assert generalised_advantages(rewards, values, smoothing=0) == pytest.approx([0.75, 1.875, 2.875])
    assert generalised_advantages(rewards, values, smoothing=1) == pytest.approx([5.5, 4.75, 2.875])


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(BadInput):
        returns(1, [], beta=0)
    with pytest.raises(BadInput):
        clip_loss([1.0], [])
    with pytest.raises(BadInput):
        generalised_advantages([1.0], [])
    with pytest.raises(ConfigError):
        normalise([1.0], eps=0)
    with pytest.raises(ConfigError):
        clip_loss([1.0], [1.0], eps=1)
