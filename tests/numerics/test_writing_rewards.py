"""Losses, choice and agreement of writing rewards: card 01, checks 3 to 5 and 7."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput
from ponder.numerics.writing_rewards import (
    best_revision,
    gap_agreement,
    length_change,
    pair_accuracy,
    reward_losses,
)

rewards = st.lists(st.one_of(st.none(), st.floats(0, 10)), max_size=8)


def test_worked_losses() -> None:
    found = reward_losses([0.8, 0.3, 0.5, 0.5], [1.0, 1.0, 7.2, 4.0], [0, 1, -1, -1], [None, None, 6.0, 5.0])
    assert found.pairs == pytest.approx(0.2899, abs=1e-4)
    assert found.rewards == pytest.approx(0.3050, abs=1e-4)
    assert found.total == pytest.approx(0.5949, abs=1e-4)
    assert math.isinf(reward_losses([1.0], [0.0], [1], [None]).pairs)
    assert reward_losses([], [], [], []) == (0, 0, 0)


@given(st.one_of(st.none(), st.floats(0, 10)), rewards)
def test_the_draft_stays_unless_it_is_beaten(draft: float | None, given_: list[float | None]) -> None:
    best = best_revision(draft, given_)
    known = [reward for reward in given_ if reward is not None]
    if best is None:
        assert not known or (draft is not None and max(known) <= draft)
    else:
        assert given_[best] == max(known)
        assert given_.index(given_[best]) == best
        assert draft is None or max(known) > draft


@pytest.mark.parametrize(("n", "gain"), [(1, 0.0), (5, 0.70), (10, 0.93), (20, 1.12)])
def test_quality_grows_with_revisions_as_far_as_reward_and_quality_agree(n: int, gain: float) -> None:
    rng, found, blind = random.Random(n), [], []
    for _ in range(4000):
        quality = [rng.gauss(0, 1) for _ in range(n)]
        reward = [0.6 * q + 0.8 * rng.gauss(0, 1) for q in quality]
        best = best_revision(None, reward)
        assert best is not None
        found.append(quality[best])
        unrelated = best_revision(None, [rng.random() for _ in quality])
        assert unrelated is not None
        blind.append(quality[unrelated])
    assert statistics.fmean(found) == pytest.approx(gain, abs=0.06)
    assert statistics.fmean(blind) == pytest.approx(0, abs=0.06)


def test_agreement_with_readers() -> None:
    gaps = [2.0, -0.5, 0.0, 1.5]
    liked = [True, True, True, False]
    assert gap_agreement(gaps, liked).share == pytest.approx((1 + 0 + 0.5 + 0) / 4)
    assert gap_agreement(gaps, liked, above=1.0) == (0.5, 2)
    assert gap_agreement([], []) == (None, 0)


def test_accuracy_by_set() -> None:
    found = pair_accuracy(["1", "1", "2", None], ["1", "2", "2", "1"], ["a", "a", "a", "b"])
    assert found == {"a": pytest.approx(2 / 3), "b": 0.5, "macro": pytest.approx((2 / 3 + 0.5) / 2), "pooled": 0.625}
    references = ["1", "2", "2", "1", "1"]
    constant = pair_accuracy(["1"] * 5, references, ["x"] * 5)
    assert constant["pooled"] == 0.6  # the share of label "1"


def test_length_change_is_in_words() -> None:
    assert length_change("one two three four", "one two three") == 0.25
    assert length_change("one", "one two three") == 2.0


def test_bad_input_is_refused() -> None:
    with pytest.raises(BadInput):
        reward_losses([0.5], [], [], [])
    with pytest.raises(BadInput):
        reward_losses([0.5], [1.0], [2], [None])
    with pytest.raises(BadInput):
        reward_losses([0.5], [1.0], [-1], [None])
    with pytest.raises(BadInput):
        length_change(" ", "x")
    with pytest.raises(BadInput):
        gap_agreement([1.0], [])
    with pytest.raises(BadInput):
        pair_accuracy([], [], [])
