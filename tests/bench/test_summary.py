from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.bench.summary import compare, ledger, saving, summarise
from ponder.core.usage import Usage
from ponder.numerics.paired import mcnemar
from tests.bench.bench_doubles import row


def rows_of(outcomes, **fields):
    return [row(str(index), right, **fields) for index, right in enumerate(outcomes)]


def test_summarise_orders_points_and_averages_per_problem():
    rows = [*rows_of([True, False], n=4), *rows_of([True, True], n=1, curve="greedy"), *rows_of([True, False], n=2)]
    points = summarise(rows)
    assert [(p.curve, p.n) for p in points] == [("vote", 2), ("vote", 4), ("greedy", 1)]
    assert [p.tokens for p in points] == [30, 60, 15]
    assert points[0].accuracy is not None
    assert points[0].accuracy.value == 0.5
    assert points[0].prompts == 2


def test_interval_is_wilson_where_all_prompts_agree():
    (point,) = summarise(rows_of([True] * 12))
    assert point.accuracy is not None
    assert point.accuracy.kind == "wilson"
    assert point.accuracy.low == pytest.approx(0.757, abs=0.001)  # 12 of 12, Wilson 1927
    assert point.accuracy.high == 1.0
    (mixed,) = summarise(rows_of([True] * 11 + [False]))
    assert mixed.accuracy is not None
    assert mixed.accuracy.kind == "bootstrap"


def test_ungraded_rows_are_left_out_of_the_accuracy_but_not_of_the_cost():
    (point,) = summarise(rows_of([True, None, False]))
    assert (point.prompts, point.graded) == (3, 2)
    assert point.accuracy is not None
    assert point.accuracy.value == 0.5
    assert point.usage["policy"].calls == 3
    (none,) = summarise(rows_of([None]))
    assert none.accuracy is None


def test_shares_are_of_answers_and_unknown_seconds_stay_unknown():
    rows = [row("a", True, candidates=3, cut=1, unread=1, flawed=2), row("b", True, seconds=None, failed=1, flawed=1)]
    (point,) = summarise(rows)
    assert (point.cut, point.unread, point.failed, point.flawed) == (0.25, 0.25, 0.25, 0.75)
    assert point.seconds is None


def test_roles_are_kept_apart_and_only_the_policy_is_on_the_axis():
    used = {"policy": Usage(calls=1, prompt_tokens=10, completion_tokens=5), "judge": Usage(calls=2, prompt_tokens=99)}
    (point,) = summarise([row("a", True, usage=used)])
    assert point.tokens == 15
    assert point.mean("prompt_tokens", "judge") == 99


def test_compare_calls_a_gain_clear_only_with_enough_prompts():
    def verdict(won, lost, ties):
        better = rows_of([True] * won + [False] * lost + [True] * ties, n=16)
        base = rows_of([False] * won + [True] * lost + [True] * ties, curve="greedy")
        found = compare([*better, *base], "stories", ("vote", 16), ("greedy", 1))
        assert found is not None
        assert (found.won, found.lost) == (won, lost)
        assert found.cost == 16
        return found.verdict

    assert verdict(9, 1, 14) == "clear gain"
    assert verdict(1, 9, 14) == "clear loss"
    assert verdict(3, 2, 7) == "no clear gain"
    assert verdict(2, 0, 0) == "no clear gain"  # the bootstrap alone would say [1, 1]
    assert verdict(0, 0, 5) == "no clear gain"


def test_compare_pairs_by_prompt_and_ignores_what_only_one_side_has():
    rows = [row("a", True, n=2), row("b", False, n=2), row("c", True, n=2), row("a", True, curve="greedy")]
    found = compare(rows, "stories", ("vote", 2), ("greedy", 1))
    assert found is not None
    assert found.difference.value == 0
    assert compare(rows, "stories", ("vote", 2), ("greedy", 7)) is None


def test_ledger_adds_up_worth_and_paid_by_family():
    rows = [row("a", True, n=2), row("a", True, n=1, paid={}), row("z", True, family="writing", paid={})]
    stories, writing = ledger(rows)
    assert stories.worth["policy"].tokens == 45
    assert stories.paid["policy"].tokens == 30
    assert stories.ratio == 1.5
    assert writing.ratio is None


def test_saving_compares_tokens_and_answers():
    stopped = {"policy": Usage(calls=2, completion_tokens=6)}
    rows = [row("a", True, n=4), row("a", True, n=4, curve="early", usage=stopped, answer="41")]
    found = saving(rows, "stories", ("vote", 4), ("early", 4))
    assert found is not None
    assert (found.full, found.stopped, found.same, found.prompts) == (20, 6, 0, 1)
    assert found.share == pytest.approx(0.7)
    assert saving(rows, "stories", ("vote", 4), ("early", 8)) is None


def test_mcnemar_matches_hand_calculations():
    assert mcnemar(8, 0) == 2 / 2**8
    assert mcnemar(9, 1) == 2 * 11 / 2**10
    assert mcnemar(0, 0) == mcnemar(3, 3) == 1


@given(st.integers(0, 12), st.integers(0, 12))
def test_mcnemar_agrees_with_counting_every_outcome(won, lost):
    pairs = won + lost
    extreme = abs(won - lost)
    if pairs <= 10:
        outcomes = list(itertools.product((1, -1), repeat=pairs))
        assert mcnemar(won, lost) == pytest.approx(sum(abs(sum(o)) >= extreme for o in outcomes) / len(outcomes))
    assert mcnemar(won, lost) == mcnemar(lost, won)
    assert 0 < mcnemar(won, lost) <= 1
