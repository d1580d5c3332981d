"""Running a stream: the adapter sees no label, metrics are those counted by hand, resets come when they should."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ponder import adapt
from ponder.core.errors import BadInput, ConfigError
from ponder.engines.online_run import OnlineRun, clean_error

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


@pytest.mark.parametrize(("batch", "at"), [(8, 5), (16, 3), (12, 4)])
def test_a_batch_across_two_domains_puts_the_reset_off_by_one_and_does_not_lose_it(
    batch: int, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter, seen = tent(), []
    monkeypatch.setattr(adapter, "reset", lambda: seen.append(adapter.cost.batches))
    adapt.run_stream(adapter, stream().with_batch(batch), reset="domain")
    assert seen == [at]


def test_numbers_of_a_run_are_those_of_its_columns() -> None:
    cost = adapt.Cost(batches=2, samples=4, forward_samples=8, backward_samples=2, updates=2, skipped=1, seconds=0.02)
    run = OnlineRun(
        predictions=(0, 0, 0, 1),
        confidences=(1.0, 0.6, 1.0, 0.8),
        right=(True, False, True, False),
        domains=("a", "a", "a", "b"),
        cost=cost,
        wall=1.0,
        state_bytes=12,
        graph_bytes=34,
        clean_before=0.1,
        clean_after=0.25,
    )
    found = run.to_dict()
    assert found["error"] == 0.5
    assert found["domain_errors"] == {"a": pytest.approx(1 / 3), "b": 1.0}
    assert found["domain_error"] == pytest.approx(2 / 3)
    assert found["ece"] == pytest.approx((2 * 0.0 + 0.6 + 0.8) / 4), "two sure and right, two wrong at .6 and .8"
    assert found["calibration_drift"] == pytest.approx(0.8 - 0.0), "of the last third, one sample, less the first"
    assert found["dominant_share"] == 0.75
    assert found["clean_error"] == 0.25
    assert found["forgetting"] == pytest.approx(0.15)
    assert (found["forwards_per_sample"], found["backwards_per_sample"]) == (2.0, 0.5)
    assert found["ms_per_sample"] == pytest.approx(5.0)
    assert (found["updates"], found["skipped"], found["state_bytes"], found["graph_bytes"]) == (2, 1, 12, 34)


def test_state_bytes_are_the_copy_for_reset_and_the_momentum() -> None:
    adapter = tent()
    norms = sum(p.numel() * 4 for p in adapter.parameters.values())
    assert adapter.state_bytes() == norms
    adapter(next(iter(stream())).x)
    assert adapter.state_bytes() == 2 * norms, "and now the momentum of each"


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
