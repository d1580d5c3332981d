"""Groups, costs and means that every metric is made of."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from ponder.bench.metrics.metric import (
    COSTS,
    Group,
    Measure,
    check_cost,
    cost_of,
    curves,
    mean_cost,
    mean_measure,
    missing,
    points,
)
from ponder.core.errors import ConfigError
from ponder.core.usage import Usage
from tests.bench.bench_doubles import row

GROUP = Group("stories", "small", "vote", 4)


def test_points_come_in_order_whatever_that_of_the_rows() -> None:
    rows = [row("b", True, n=8), row("a", True, n=8), row("a", False, n=1)]
    assert points(rows) == points(rows[::-1])
    assert [(group.n, [r.problem for r in members]) for group, members in points(rows).items()] == [
        (1, ["a"]),
        (8, ["a", "b"]),
    ]
    assert list(curves(rows)) == [Group("stories", "", "vote")]


def test_cost_is_the_policys_tokens_and_the_flops_of_all_roles() -> None:
    used = {"policy": Usage(calls=1, prompt_tokens=10, completion_tokens=5, flops=3.0)}
    used["judge"] = Usage(calls=1, prompt_tokens=100, flops=4.0)
    one = row("a", True, usage=used)
    assert [cost_of(one, cost) for cost in COSTS] == [15.0, 5.0, 7.0, None, None]
    assert cost_of(replace(one, costs={"flops": 9.0, "eflops": 2.0, "usd": 0.5}), "flops") == 9.0
    assert cost_of(replace(one, costs={"usd": 0.0}), "usd") == 0.0


def test_mean_cost_is_missing_where_any_is() -> None:
    known = row("a", True, costs={"usd": 0.5})
    assert mean_cost([known, known], "usd") == 0.5
    assert mean_cost([known, row("b", True)], "usd") is None
    assert mean_cost([], "tokens") is None


def test_mean_of_equal_shares_has_the_wilson_interval() -> None:
    found = mean_measure("m", GROUP, [1.0, 1.0], ["a", "b"], unit="share", share=True)
    assert found.interval is not None
    assert found.interval[0] < 1.0 == found.interval[1]


def test_single_prompt_has_no_interval_by_resampling() -> None:
    found = mean_measure("m", GROUP, [0.2, 0.4], ["a", "a"], unit="score")
    assert found.value == pytest.approx(0.3)
    assert (found.interval, found.prompts) == (None, 1)


def test_growing_change_applies_to_value_and_limits() -> None:
    plain = mean_measure("m", GROUP, [1.0, 4.0, 9.0], ["a", "b", "c"], unit="x")
    root = mean_measure("m", GROUP, [1.0, 4.0, 9.0], ["a", "b", "c"], unit="x", change=math.sqrt)
    assert plain.value is not None
    assert plain.interval is not None
    assert root.value == math.sqrt(plain.value)
    assert root.interval == tuple(map(math.sqrt, plain.interval))


def test_measure_is_json_with_its_group_beside() -> None:
    body = Measure(name="m", value=0.5, unit="share", group=GROUP, interval=(0.4, 0.6), prompts=3).to_json()
    assert body["interval"] == [0.4, 0.6]
    assert (body["family"], body["n"], body["note"]) == ("stories", 4, "")
    assert missing("m", GROUP, "why not", unit="share").to_json()["note"] == "why not"


def test_unknown_cost_is_refused() -> None:
    with pytest.raises(ConfigError, match="cost must be one of"):
        check_cost("time")
