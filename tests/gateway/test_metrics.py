"""Prometheus text: what is counted, under which labels, and that clients cannot invent labels."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("prometheus_client", reason="pip install 'ponder[gateway]'")

from prometheus_client.parser import text_string_to_metric_families

from ponder.core.usage import Usage
from ponder.gateway.metrics import OTHER, Metrics


def read(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text, _ = metrics.render()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return read(metrics).get((name, tuple(sorted(labels.items()))))


def one(metrics: Metrics, **changes: Any) -> None:
    paid = {
        "policy": Usage(
            calls=4, prompt_tokens=100, cached_tokens=30, completion_tokens=50, thinking_tokens=20, usd=0.25
        ),
        "judge": Usage(calls=1, prompt_tokens=7, completion_tokens=2, usd=None),
    }
    facts: dict[str, Any] = {
        "key": "alice",
        "method": "best_of_n",
        "model": "qwen",
        "status": 200,
        "seconds": 0.3,
        "paid": paid,
    }
    metrics.request(**(facts | changes))


def test_a_request_counts_everywhere() -> None:
    metrics = Metrics()
    one(metrics)
    one(metrics, seconds=700.0, status=502, paid={})
    where = {"key": "alice", "method": "best_of_n", "model": "qwen"}
    assert value(metrics, "ponder_requests_total", **where, status="200") == 1
    assert value(metrics, "ponder_requests_total", **where, status="502") == 1
    assert value(metrics, "ponder_calls_total", model="qwen", role="policy") == 4
    kinds = {"prompt": 70, "cached": 30, "thinking": 20, "completion": 30}
    for kind, count in kinds.items():
        assert value(metrics, "ponder_tokens_total", **where, role="policy", kind=kind) == count
    assert value(metrics, "ponder_tokens_total", **where, role="judge", kind="cached") is None
    assert value(metrics, "ponder_cost_usd_total", **where) == 0.25
    what = {"method": "best_of_n", "model": "qwen"}
    assert value(metrics, "ponder_request_seconds_count", **what) == 2
    assert value(metrics, "ponder_request_seconds_sum", **what) == 700.3
    assert value(metrics, "ponder_request_seconds_bucket", **what, le="0.25") == 0
    assert value(metrics, "ponder_request_seconds_bucket", **what, le="0.5") == 1
    assert value(metrics, "ponder_request_seconds_bucket", **what, le="600.0") == 1
    assert value(metrics, "ponder_request_seconds_bucket", **what, le="+Inf") == 2


def test_gauges_follow_their_owners() -> None:
    metrics, state = Metrics(), {"running": 0, "waiting": 0, "lost": 0}
    metrics.follow(running=lambda: state["running"], waiting=lambda: state["waiting"], lost=lambda: state["lost"])
    state.update(running=3, waiting=7, lost=1)
    assert value(metrics, "ponder_running") == 3
    assert value(metrics, "ponder_waiting") == 7
    assert value(metrics, "ponder_traces_lost") == 1


def test_refusals_and_failures() -> None:
    metrics = Metrics()
    metrics.refused("budget")
    metrics.refused("budget")
    metrics.upstream_failed("local")
    assert value(metrics, "ponder_refused_total", reason="budget") == 2
    assert value(metrics, "ponder_upstream_failures_total", upstream="local") == 1


def test_names_that_clients_make_up_are_one_label() -> None:
    metrics = Metrics(keys=["alice"], methods=["best_of_n"], models=["qwen"])
    for number in range(50):
        one(metrics, model=f"made-up-{number}", method=f"x{number}")
    where = {"key": "alice", "method": OTHER, "model": OTHER}
    assert value(metrics, "ponder_requests_total", **where, status="200") == 50
    assert "made-up" not in metrics.render()[0].decode()


def test_labels_are_escaped() -> None:
    metrics = Metrics()
    one(metrics, model='a"b\\c\nd')
    assert (
        value(metrics, "ponder_requests_total", key="alice", method="best_of_n", model='a"b\\c\nd', status="200") == 1
    )


def test_two_gateways_in_one_process_do_not_mix() -> None:
    first, second = Metrics(), Metrics()
    one(first)
    assert value(second, "ponder_calls_total", model="qwen", role="policy") is None
    assert second.render()[1].startswith("text/plain")
