"""Worlds of debate: the card's numbers, brute force, and limits."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput
from ponder.numerics.debate import debate_accuracy, flips, given_right, reread, vote_accuracy


@pytest.mark.parametrize(
    ("n", "p", "wanted"),
    [
        *((16, 0.4, 0.2131), (16, 0.55, 0.6535), (16, 0.6, 0.7869), (16, 0.7, 0.95)),
        *((4, 0.4, 0.352), (4, 0.55, 0.5748), (4, 0.6, 0.648), (4, 0.7, 0.784)),
    ],
)
def test_vote_as_in_the_card(n: int, p: float, wanted: float) -> None:
    assert vote_accuracy(p, n) == pytest.approx(wanted, abs=5e-5)


@pytest.mark.parametrize(
    ("p", "keep", "win", "wanted"),
    [
        (0.3, 0.9, 0.8, (0.3691, 0.5634, 0.4467)),
        (0.7, 0.9, 0.8, (0.9294, 0.9035, 0.8467)),
        (0.7, 0.7, 0.3, (0.6028, 0.4698, 0.6163)),
    ],
)
def test_persuasion_as_in_the_card(p: float, keep: float, win: float, wanted: tuple[float, ...]) -> None:
    found = [debate_accuracy(p, m, t, keep=keep, win=win) for m, t in ((8, 2), (4, 4), (2, 8))]
    assert found == pytest.approx(wanted, abs=5e-5)


@given(st.floats(0, 1), st.integers(1, 12))
def test_one_round_is_a_vote(p: float, agents: int) -> None:
    assert debate_accuracy(p, agents, 1, keep=0.5, win=0.5) == pytest.approx(vote_accuracy(p, agents))


def test_two_rounds_by_brute_force() -> None:
    agents, p, keep, win = 3, 0.4, 0.8, 0.6
    whole = 0.0
    for first in product([0, 1], repeat=agents):
        k = sum(first)
        begins = p**k * (1 - p) ** (agents - k)
        for second in product([0, 1], repeat=agents):
            chance = begins
            for before, after in zip(first, second, strict=True):
                up = float(before) if k in (0, agents) else keep if before else win * k / agents
                chance *= up if after else 1 - up
            whole += chance * (2 * sum(second) > agents)
    assert debate_accuracy(p, agents, 2, keep=keep, win=win) == pytest.approx(whole)


def test_unanimity_stays() -> None:
    found = given_right(4, 5, keep=0.3, win=0.9)
    assert (found[0], found[4]) == (0, 1)


def test_answers_read_again_as_in_the_card() -> None:
    sizes = [(2, 8), (4, 4), (8, 2), (1, 16), (16, 1)]
    assert [reread(m, t, "markov") for m, t in sizes] == [28, 48, 64, 15, 0]
    assert [reread(m, t, "history") for m, t in sizes] == [112, 96, 64, 120, 0]


def test_flips_leave_out_what_is_not_known() -> None:
    (found,) = flips([[True, True, False, False, None], [False, True, True, None, True]])
    assert found == (0.5, 2, 1.0, 1)
    assert flips([[None], [True]])[0] == (None, 0, None, 0)


@pytest.mark.parametrize(("p", "n"), [(-0.1, 3), (1.1, 3), (0.5, 0)])
def test_out_of_range(p: float, n: int) -> None:
    with pytest.raises(BadInput):
        vote_accuracy(p, n)
    with pytest.raises(BadInput):
        given_right(3, 0, keep=0.5, win=0.5)
