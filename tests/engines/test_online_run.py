"""Running a stream: the adapter sees no label, metrics are those counted by hand, resets come when they should."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ponder import adapt
from ponder.core.errors import BadInput, ConfigError
from ponder.engines.online_run import clean_error

pytestmark = pytest.mark.torch


def stream(**more: Any) -> adapt.Stream:
    import torch

    from tests.adapt.networks import batches

    x = batches(1, 60)[0]
    y = torch.arange(60) % 4
    return adapt.make_stream(
        [adapt.Domain(name="a", x=x[:40], y=y[:40]), adapt.Domain(name="b", x=x[40:], y=y[40:])], batch=8, **more
    )


def tent(**more: Any) -> adapt.Tent:
    from tests.adapt.networks import mlp

    return adapt.Tent(mlp(), lr=0.1, **more)


def test_metrics_are_those_counted_by_hand() -> None:
    from tests.adapt.networks import mlp

    model = mlp().eval()
    run = adapt.run_stream(adapt.Source(mlp()), stream())
    right = [bool(model(part.x[at : at + 1]).argmax() == part.y[at]) for part in stream() for at in range(len(part.x))]
    assert list(run.right) == right
    assert run.error == pytest.approx(1 - sum(right) / 60)
    assert run.domain_errors == {
        "a": pytest.approx(1 - sum(right[:40]) / 40),
        "b": pytest.approx(1 - sum(right[40:]) / 20),
    }
    assert run.domain_error == pytest.approx(sum(run.domain_errors.values()) / 2)
    assert run.curve(32) == [pytest.approx(1 - sum(right[:32]) / 32), pytest.approx(1 - sum(right[32:]) / 28)]
    assert run.forgetting is None


def test_source_error_does_not_depend_on_the_order() -> None:
    from tests.adapt.networks import mlp

    orders = [stream(), stream(labels="sorted"), stream(arrangement="mixed"), stream().with_batch(1)]
    errors = {round(adapt.run_stream(adapt.Source(mlp()), order).error, 9) for order in orders}
    assert len(errors) == 1


def test_forgetting_is_the_rise_on_clean_data_and_measuring_it_costs_nothing() -> None:
    clean = [(part.x, part.y) for part in stream()]
    adapter = tent()
    run = adapt.run_stream(adapter, stream(), clean=clean)
    assert run.forgetting == pytest.approx(clean_error(adapter, clean) - clean_error(tent(), clean))
    assert run.cost.forwards == run.cost.batches == len(stream())
    assert run.predictions == adapt.run_stream(tent(), stream()).predictions


@pytest.mark.parametrize(("policy", "resets"), [("never", 0), ("domain", 1), (3, 2), (1, 7)])
def test_resets_follow_the_policy(policy: Any, resets: int, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter, seen = tent(), []
    monkeypatch.setattr(adapter, "reset", lambda: seen.append(adapter.cost.batches))
    adapt.run_stream(adapter, stream(), reset=policy)
    assert len(seen) == resets
    assert policy != "domain" or seen == [5]


def test_reset_at_each_batch_is_episodic() -> None:
    every = adapt.run_stream(tent(), stream(), reset=1)
    assert every.predictions == adapt.run_stream(tent(episodic=True), stream()).predictions


def test_memory_counts_what_the_graph_keeps() -> None:
    from tests.adapt.networks import mlp

    free = adapt.run_stream(adapt.Source(mlp()), stream(), memory=True)
    kept = adapt.run_stream(tent(), stream(), memory=True)
    small = adapt.run_stream(tent(), stream().with_batch(2), memory=True)
    assert free.graph_bytes == 0
    assert kept.graph_bytes > small.graph_bytes > 0
    assert kept.state_bytes > free.state_bytes


def test_report_is_json_with_cost_beside_error() -> None:
    found = adapt.run_stream(tent(), stream(), clean=[(part.x, part.y) for part in stream()]).to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["backwards_per_sample"] == found["forwards_per_sample"] == 1
    assert 0 <= found["ece"] <= 1
    assert -1 <= found["calibration_drift"] <= 1


def test_predictions_that_are_not_finite_are_wrong_not_fatal() -> None:
    import torch

    run = adapt.run_stream(adapt.Source(lambda x: torch.full((len(x), 4), float("nan"))), stream())
    assert len(run.right) == 60


def test_bad_input_is_refused() -> None:
    with pytest.raises(BadInput):
        adapt.run_stream(tent(), [])
    with pytest.raises(BadInput):
        clean_error(tent(), [])
    with pytest.raises(ConfigError):
        adapt.run_stream(tent(), stream(), reset=0)
