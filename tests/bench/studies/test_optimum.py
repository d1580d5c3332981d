from __future__ import annotations

import math
from dataclasses import replace

import pytest

from ponder.bench.studies.compute_optimal import compute_optimal
from ponder.bench.studies.optimum import LARGER, OPTIMAL, exchange, find_optimum
from ponder.bench.studies.page import render_markdown, render_page
from ponder.core.errors import BadInput, ConfigError
from ponder.core.usage import Usage
from ponder.numerics.exchange import inference_multiplier
from ponder.planning.difficulty import Difficulty, Quantiles
from tests.bench.studies.study_worlds import known, questions, row, rows

TWO = Difficulty(binning=Quantiles(bins=2))
KEYS = [("best_of_n", n) for n in (1, 4, 16)]


def easy_needs_one(value, key):
    """Easy questions are right with one sample, hard ones with 16 alone."""
    return float(value > 0.5 or key[1] == 16)


WORLD = rows(questions(easy_needs_one, KEYS, count=400))


def test_easy_questions_stop_early_at_equal_accuracy():
    found = find_optimum(WORLD, TWO)
    (last,) = [match for match in found.matches if match.budget == 16]
    # Half take 16 samples, half the probe's two (they cover the one that is chosen).
    assert last.base == ("best_of_n", 16)
    assert last.ratio.value == pytest.approx((0.5 * 160 + 0.5 * 20) / 160, abs=0.02)
    assert last.ratio.low < last.ratio.value < last.ratio.high
    assert last.difference.value == pytest.approx(0, abs=0.02)
    assert last.shown
    assert found.probe == 20
    assert found.ceiling[16] == 1
    assert found.uniform == "best_of_n"


def test_equality_is_not_claimed_from_few_questions():
    found = find_optimum(rows(questions(easy_needs_one, KEYS, count=24)), TWO)
    last = found.matches[-1]
    assert last.difference.value == 0
    assert last.difference.low < -0.1
    assert not last.shown


def test_the_probe_is_charged_in_full_where_its_samples_are_no_use():
    keys = [("best_of_n", 2), ("beam_search", 2)]
    asked = questions(lambda value, key: float(key[0] == "beam_search"), keys, count=40)
    found = find_optimum(rows(asked), TWO)
    assert {p.key for p in found.picked[2]} == {("beam_search", 2)}
    assert {p.outcome.cost for p in found.picked[2]} == {20 + 20}
    assert known(found.point("beam_search", 2)).tokens == 20
    assert known(found.point(OPTIMAL, 2)).tokens == 40


def test_budgets_are_those_that_hold_the_probe():
    assert sorted(find_optimum(WORLD, TWO).picked) == [4, 16]
    with pytest.raises(BadInput, match="no budget holds the probe of 32"):
        find_optimum([replace(r, n=32) if r.curve == "probe" else r for r in WORLD], TWO)


def test_the_oracle_has_no_probe_and_is_said_to_be_one():
    oracle = Difficulty(estimator="oracle", binning=Quantiles(bins=2))
    asked = [replace(r, curve="self_consistency") if r.curve == "probe" else r for r in WORLD]
    found = find_optimum(asked, oracle)
    assert found.probe == 0
    assert {p.outcome.cost for p in found.picked[1]} == {10}
    assert "oracle" in compute_optimal(asked, oracle).warning


def test_tokens_of_other_roles_are_charged_at_their_weight():
    judged = [replace(r, usage={**r.usage, "judge": Usage(calls=1, prompt_tokens=100)}) for r in WORLD]
    plain, weighed = (
        known(find_optimum(judged, TWO, weights=w).point("best_of_n", 4)).tokens for w in ({}, {"judge": 0.5})
    )
    assert (plain, weighed) == (140, 90)


def test_exchange_follows_the_formula_and_the_affordable_points():
    larger = [row(q.id, LARGER, 1, right=False, model="large") for q in questions(easy_needs_one, KEYS, count=400)]
    found = find_optimum(WORLD, TWO)
    entries = exchange(found, larger, scale=14)
    whole = {entry.ratio: entry for entry in entries if entry.bin == "all"}
    for ratio, multiplier in ((0.16, 257.75), (0.79, 63.367), (22, 15.773)):  # card 04, check 4
        assert whole[ratio].multiplier == pytest.approx(multiplier, abs=1e-3)
    assert whole[math.inf].multiplier == inference_multiplier(14, math.inf) == 14
    # One answer costs 10 tokens; 16 samples for half, the probe for the rest cost 90.
    assert whole[math.inf].budget == 16
    assert exchange(found, larger, scale=1.5, ratios=[math.inf])[0].budget is None
    assert whole[22].small == pytest.approx(1, abs=0.02)
    assert whole[22].large == 0
    assert {entry.bin for entry in entries} == {"all", "1", "2"}


def test_questions_that_lack_a_configuration_are_left_out_and_counted():
    found = find_optimum([r for r in WORLD if (r.problem, r.n) != ("q3", 16)], TWO)
    assert found.dropped == 1
    assert len(found.questions) == 399
    assert (
        "lack a configuration: 1" in compute_optimal([r for r in WORLD if (r.problem, r.n) != ("q3", 16)], TWO).warning
    )


def test_rows_that_do_not_hold_enough_are_refused():
    with pytest.raises(BadInput, match="at least 4"):
        find_optimum(WORLD[:4], TWO)
    with pytest.raises(BadInput, match="agreement"):
        find_optimum([r for r in WORLD if r.curve != "probe"], TWO)
    with pytest.raises(BadInput, match="several policies"):
        compute_optimal([*WORLD, replace(WORLD[0], model="other")], TWO)
    with pytest.raises(BadInput, match="larger model"):
        exchange(find_optimum(WORLD, TWO), [], scale=2)
    with pytest.raises(ConfigError, match="beam"):
        find_optimum(WORLD, TWO, uniform="beam")
    with pytest.raises(ConfigError, match="margin"):
        find_optimum(WORLD, TWO, margin=0)


def test_the_scale_of_a_larger_model_must_be_known():
    with pytest.raises(ConfigError, match="scale"):
        compute_optimal([*WORLD, row("q0", LARGER, 1, right=True, model="large")], TWO)


def test_page_and_markdown_show_what_was_found_and_escape_names():
    asked = [replace(r, curve="<b>best</b>") if r.curve == "best_of_n" else r for r in WORLD]
    larger = [row(f"q{k}", LARGER, 1, right=k % 2 == 0, model="large") for k in range(400)]
    study = compute_optimal([*asked, *larger], TWO, scale=14, facts=("<script>",))
    page = render_page(study)
    assert page.count("<svg") >= 2
    assert "<script" not in page
    assert "<b>best" not in page
    assert "&lt;b&gt;best&lt;/b&gt;" in page
    assert "Exchange with a larger model" in page
    text = render_markdown(study)
    assert "| compute-optimal | 16 |" in text
    assert "x the tokens of" in text
