"""The controller on scripted models: the card's sequences, and what must hold of every one."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import ConfigError
from ponder.numerics.thinking_control import Controller, ThinkingTokens, apply, quality_score, read_judgement

EOS, OPEN, CLOSE, NEWLINE, WAIT, WORD = range(6)
TOKENS = ThinkingTokens(open=(OPEN,), close=(CLOSE,), newline=NEWLINE, wait=(WAIT,))


def decode(wants: Callable[[int], int], budget: int, steps: int = 40, **options: object) -> str:
    """Decode greedily a model that wants the token `wants(how many it has written)`; behind the close it ends."""
    made = Controller(TOKENS, budget, **options)  # type: ignore[arg-type]
    last, written = OPEN, list[int]()
    for _ in range(steps):
        row = [-1.0] * 6
        row[wants(len(written))] = 3.0
        row = apply(made, last, row)
        last = max(range(6), key=row.__getitem__)
        written.append(last)
        if last == CLOSE:
            break
    return "".join("e<>nwx"[token] for token in written)


def stop_after(*counts: int) -> Callable[[int], int]:
    return lambda written: CLOSE if written in counts else WORD


def test_sequences_of_the_card() -> None:
    assert decode(stop_after(), 10) == "xxxxxxxxn>"  # never stops: 8 free tokens, a newline, the close
    assert decode(stop_after(4), 10) == "xxxx>"
    assert decode(stop_after(7, 12), 20, wait=True) == "xxxxxxxwxxxx>"
    assert decode(stop_after(3), 20, wait=True) == "xxx>"  # too early for a wait
    assert decode(stop_after(7), 10, wait=True) == "xxxxxxxwn>"


@pytest.mark.parametrize(("count", "factor"), [(95, 1.95), (98, 1.98)])
def test_boosts_of_the_card(count: int, factor: float) -> None:
    made = Controller(TOKENS, 100, parity="released")
    row: list[float] = []
    for token in [OPEN] + [WORD] * (count - 1):
        row = apply(made, token, [0.0, 0.0, 2.0, -1.0, 0.0, 5.0])
    assert row[CLOSE] == pytest.approx(2 * factor)
    assert row[NEWLINE] == pytest.approx(-factor)  # as released: a negative logit sinks


def test_a_bias_never_makes_closing_less_likely() -> None:
    made = Controller(TOKENS, 100)
    row = [0.0]
    for token in [OPEN] + [WORD] * 96:
        row = apply(made, token, [0.0, 0.0, -2.0, -1.0, 0.0, 5.0])
    assert row[CLOSE] > -2.0
    assert row[NEWLINE] > -1.0


def test_without_a_budget_nothing_changes() -> None:
    assert decode(stop_after(), 0, steps=30) == "x" * 30


@given(budget=st.integers(1, 30), stops=st.sets(st.integers(0, 30)), wait=st.booleans())
def test_a_span_never_passes_its_budget_and_waits_at_most_once(budget: int, stops: set[int], wait: bool) -> None:
    text = decode(stop_after(*stops), budget, wait=wait)
    assert text.endswith(">")
    assert len(text) - 1 <= max(1, budget - 1)
    assert text.count("w") <= int(wait)
    natural = min(stops, default=99)
    # At budgets below 20 the forced newline comes before the boost.
    if not wait and natural < min(0.95 * budget - 1, budget - 2):
        assert text == "x" * natural + ">"  # a thought that ends in time is left alone


@given(budget=st.integers(4, 40), inside=st.booleans())
def test_markers_of_several_tokens_are_forced_whole(budget: int, inside: bool) -> None:
    tokens = ThinkingTokens(open=(1, 5), close=(2, 3, 2), newline=4, wait=(6, 7))
    made = Controller(tokens, budget, inside=inside)
    history = [] if inside else [1, 5]
    if not inside:
        made.step(1)
    for _ in range(budget + 12):
        row = [0.0] * 9
        row[8] = 1.0
        out = apply(made, history[-1], row) if history else apply(made, None, row)
        history.append(max(range(9), key=out.__getitem__))
    text = "".join(map(str, history))
    assert text.count("232") == 1
    assert "4232" in text  # the newline stands before it


def test_a_wait_of_several_tokens_is_forced_whole() -> None:
    tokens = ThinkingTokens(open=(1,), close=(2,), newline=3, wait=(4, 6))
    made = Controller(tokens, 50, wait=True)
    history = [1]
    for step in range(14):
        row = [0.0] * 7
        row[2 if step in (8, 13) else 5] = 1.0
        out = apply(made, history[-1], row)
        history.append(max(range(7), key=out.__getitem__))
    assert history == [1, *[5] * 8, 4, 6, 5, 5, 5, 2]


def test_scores_and_numbers_that_cannot_be_read_are_none() -> None:
    assert quality_score(math.nan, None) == 80
    assert quality_score(True, 60) == 60
    assert read_judgement("about 1234 or none") is None


def test_settings_without_sense_are_refused() -> None:
    with pytest.raises(ConfigError):
        Controller(TOKENS, -1)
    with pytest.raises(ConfigError):
        Controller(TOKENS, 5, soft=0)
    with pytest.raises(ConfigError):
        ThinkingTokens(open=(), close=(1,), newline=1, wait=(1,))
