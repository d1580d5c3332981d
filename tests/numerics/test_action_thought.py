r"""Chain-of-Action-Thought: steps, answers, restarts, rewards."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.action_thought import (
    TOKENS,
    WORDS,
    corrections,
    margin_loss,
    read_trajectory,
    restart,
    restart_reward,
)

TEXT = r"a \boxed{3}<|reflect|>Wait, no.<|explore|>Another way: \boxed{4}"


def test_actions_and_answers_of_the_card() -> None:
    found = read_trajectory(TEXT)
    assert [step.action for step in found.steps] == ["start", "reflect", "explore"]
    assert (found.count("reflect"), found.count("explore"), found.count("continue")) == (1, 1, 0)
    assert found.answers == ("3", "4")
    assert (found.before_last_reflection, found.final) == ("3", "4")


def test_words_count_at_the_beginning_of_a_line_only() -> None:
    found = read_trajectory("x\nContinue: y, then Reflect: no\n**Reflect:** z\nreflect: no", WORDS)
    assert [step.action for step in found.steps] == ["start", "continue", "reflect"]
    assert found.answers == ()
    assert (found.before_last_reflection, found.final) == (None, None)


@given(st.lists(st.sampled_from(["a ", "\n", *TOKENS, "\\boxed{1}"]), max_size=12).map("".join))
def test_steps_spell_the_text(text: str) -> None:
    assert "".join(step.text for step in read_trajectory(text).steps) == text
    assert "".join(step.text for step in read_trajectory(text, WORDS).steps) == text


def test_restarts_of_the_card() -> None:
    assert [restart(list("abcde"), back, "R") for back in range(3)] == ["abcdeR", "abcdR", "abcR"]
    assert restart(["a"], 7, "R") == "aR"
    with pytest.raises(ConfigError):
        restart(["a"], -1, "R")
    with pytest.raises(BadInput):
        restart([], 0, "R")


@pytest.mark.parametrize(
    ("status", "correct", "wrong"), [(0, 0.8808, -0.7311), (-1, 1.3808, -0.7311), (1, 0.8808, -1.2311)]
)
def test_rewards_of_the_card(status: int, correct: float, wrong: float) -> None:
    given_ = {"status": status, "bonus": 0.5}
    assert restart_reward(True, outcome=2.0, **given_) == pytest.approx(correct, abs=1e-4)  # type: ignore[arg-type]
    assert restart_reward(False, outcome=-1.0, **given_) == pytest.approx(wrong, abs=1e-4)  # type: ignore[arg-type]


@given(st.floats(-50, 50), st.sampled_from([-1, 0, 1]))
def test_right_stays_above_0_and_wrong_below(outcome: float, status: int) -> None:
    assert restart_reward(True, status=status, outcome=outcome) >= 0  # type: ignore[arg-type]
    assert restart_reward(False, status=status, outcome=outcome) <= 0  # type: ignore[arg-type]


def test_without_bonus_and_outcome_it_is_the_plain_reward() -> None:
    assert {restart_reward(right, status=-1, bonus=0) for right in (True, False)} == {0.0, -1.0}
    with pytest.raises(ConfigError):
        restart_reward(True, status=2)  # type: ignore[arg-type]


@pytest.mark.parametrize(("gap", "loss"), [(0, 2.1269), (2, 0.6931), (4, 0.1269)])
def test_margin_losses_of_the_card(gap: float, loss: float) -> None:
    assert margin_loss(gap) == pytest.approx(loss, abs=1e-4)


def test_margin_loss_does_not_overflow() -> None:
    assert margin_loss(-2000) == pytest.approx(2002)
    assert math.isfinite(margin_loss(2000))


def test_corrections_count_changed_answers_alone() -> None:
    found = corrections([(True, False, True), (True, True, False), (True, False, False), (False, True, True)])
    assert found == (3, 1, 1)
    assert found.shares == pytest.approx((1 / 3, 1 / 3))
    assert corrections([(False, True, True)]).shares is None
