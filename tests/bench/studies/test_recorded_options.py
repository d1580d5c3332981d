"""Options of recorded runs: coverage and cost by hand, the largest run, and a plan over two models."""

from __future__ import annotations

import pytest

from ponder.bench.rows import CandidateRow, Row
from ponder.bench.studies.recorded_options import recorded_options
from ponder.core.errors import BadInput
from ponder.core.usage import Usage
from ponder.numerics.cost_laws import Shape, dense_cost, topk_cost
from ponder.planning.laws.kinetics import Kinetics, points_of
from tests.bench.bench_doubles import row

SMALL = Shape(active=1e8, layers=4, heads=4, kv_heads=2, head_size=32)
LARGE = Shape(active=1e9, layers=8, heads=8, kv_heads=4, head_size=64)


def recorded(run: str, grades: str, *, tokens: int = 100, **fields: object) -> tuple[Row, list[CandidateRow]]:
    made = row("p", True, run=run, n=len(grades), **fields)
    used = [Usage(calls=1, prompt_tokens=20, completion_tokens=tokens + at) for at in range(len(grades))]
    told = [
        CandidateRow(run=run, problem="p", index=at, correct={"1": True, "0": False}.get(grade), usage=used[at])
        for at, grade in enumerate(grades)
    ]
    return made, told


def test_the_largest_run_gives_coverage_and_cost() -> None:
    small, large = recorded("a", "10", model="m"), recorded("b", "1000", model="m")
    options = recorded_options([small[0], large[0]], [*small[1], *large[1]], {"m": SMALL}, trials=(1, 2, 4, 8))
    assert [(option.trials, option.accuracy) for option in options] == [(1, 0.25), (2, 0.5), (4, 1.0)]
    wanted = sum(dense_cost(SMALL, 20, 100 + at, trials=2).total for at in range(4)) / 4
    assert options[1].cost == pytest.approx(wanted)


def test_a_key_budget_prices_sparse_attention() -> None:
    made, told = recorded("a", "1", settings={"kv_budget": 16}, model="m")
    [option] = recorded_options([made], told, {"m": SMALL})
    assert option.kv_budget == 16
    assert option.cost == pytest.approx(topk_cost(SMALL, 20, 100, budget=16).total)


def test_options_of_two_models_make_a_plan() -> None:
    rows, told = [], []
    for name, grades in (("small", "10000000"), ("large", "11010000")):
        made, kept = recorded(name, grades, model=name)
        rows.append(made)
        told += kept
    options = recorded_options(rows, told, {"small": SMALL, "large": LARGE}, trials=(1, 2, 4, 8))
    fitted = Kinetics(trials=(1, 2, 4, 8)).fit(points_of(options))
    cheapest = min(option.cost for option in options)
    cheap, rich = fitted.best(cheapest), fitted.best(1000 * cheapest)
    assert cheap is not None
    assert rich is not None
    assert cheap.setting.model == "small"
    assert rich.accuracy > cheap.accuracy
    assert fitted.best(cheapest / 2) is None


def test_runs_that_show_nothing_are_refused_or_left_out() -> None:
    made, told = recorded("a", "1-", model="m")
    assert len(recorded_options([made], told, {"m": SMALL}, trials=(1, 2))) == 1  # the ungraded sample is no sample
    with pytest.raises(BadInput, match="shape"):
        recorded_options([made], told, {})
    with pytest.raises(BadInput, match="graded"):
        recorded_options([made], [], {"m": SMALL})
    beam = row("p", True, run="c", method="beam_search", n=1)
    with pytest.raises(BadInput, match="graded"):
        recorded_options([beam], [CandidateRow(run="c", problem="p", index=0, correct=True)], {"m": SMALL})
