"""What the papers claim, on the reference models: each with the 95 % interval of a difference on the same samples.

Numbers seen when this was written stand beside each test. A claim that does not hold here is tested as such.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import lru_cache
from typing import Any

import pytest

from ponder import adapt
from ponder.engines.online_run import OnlineRun
from ponder.numerics.intervals import Interval
from ponder.numerics.label_shift import power_prior
from ponder.numerics.paired import paired_score_interval

pytestmark = [pytest.mark.torch, pytest.mark.slow]
TAIL = tuple(power_prior([100 ** (-c / 9) for c in range(10)], 1))  # most frequent class 100 x the rarest
MILD = ("gaussian_noise", "defocus_blur", "frost", "contrast", "elastic", "jpeg")


@lru_cache(maxsize=4)
def reference(kind: str, shares: tuple[float, ...] | None = None) -> Any:
    from ponder.adapt._reference_models import reference_model

    return reference_model(kind, shares=shares)  # type: ignore[arg-type]


@lru_cache(maxsize=1)
def corrupted() -> list[adapt.Domain]:
    from ponder.tasks.pictures import shapes

    data = shapes(240, seed=5)
    return adapt.corrupted_domains(data.x, data.y)


def run(kind: str, make: Callable[[Any], adapt.Adapter], stream: adapt.Stream) -> OnlineRun:
    held = reference(kind)
    return adapt.run_stream(make(deepcopy(held.model)), stream, clean=held.clean()[:4])


def gain(better: OnlineRun, worse: OnlineRun) -> Interval:
    """How much more often the first is right than the second."""
    pairs = list(zip(better.right, worse.right, strict=True))
    won, lost = sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs)
    return paired_score_interval(won, lost, len(pairs))


@pytest.mark.parametrize("lr", [0.01, 0.03])
def test_eata_beats_tent_at_fewer_backwards_and_forgets_less(lr: float) -> None:
    """Seen at 0.01 and 0.03: error .273 and .280 against .307 and .548; clean error 0 and 0 against .011 and .901."""
    stream = adapt.make_stream(corrupted(), arrangement="mixed")
    source = [x for x, _ in reference("conv_gn").source()]
    tent = run("conv_gn", lambda model: adapt.Tent(model, lr=lr), stream)
    eata = run("conv_gn", lambda model: adapt.EATA(model, lr=lr, source=source, similarity=0.33), stream)
    assert gain(eata, tent).low > 0
    assert eata.cost.backward_samples <= 0.6 * tent.cost.backward_samples
    assert eata.forgetting is not None
    assert tent.forgetting is not None
    assert eata.forgetting < tent.forgetting


def test_sar_survives_batch_size_1_where_tent_degrades() -> None:
    """Seen: source .280, Tent .338, SAR .274; clean error .018 after Tent, 0 after SAR."""
    stream = adapt.make_stream(corrupted(), arrangement="mixed", batch=1).cut(1200)
    source = run("conv_gn", adapt.Source, stream)
    tent = run("conv_gn", lambda model: adapt.Tent(model, lr=3e-4), stream)
    sar = run("conv_gn", lambda model: adapt.SAR(model, lr=3e-4), stream)
    assert gain(sar, tent).low > 0.02
    assert gain(source, tent).low > 0.02
    assert gain(sar, source).low > -0.02
    assert sar.forgetting is not None
    assert tent.forgetting is not None
    assert sar.forgetting < tent.forgetting


def test_sar_holds_longer_than_tent_under_label_shift_but_does_not_survive_it_here() -> None:
    """Seen at 0.02: source .294, Tent .863, SAR .555: less of a collapse, still far from the source."""
    stream = adapt.make_stream(corrupted(), arrangement="mixed", labels="phases")
    source = run("conv_gn", adapt.Source, stream)
    tent = run("conv_gn", lambda model: adapt.Tent(model, lr=0.02), stream)
    sar = run("conv_gn", lambda model: adapt.SAR(model, lr=0.02), stream)
    assert gain(sar, tent).low > 0.1
    assert gain(source, sar).low > 0.1


def test_guard_keeps_tent_near_the_source_under_label_shift() -> None:
    stream = adapt.make_stream(corrupted(), arrangement="mixed", labels="phases")
    source = run("conv_gn", adapt.Source, stream)
    tent = run("conv_gn", lambda model: adapt.Tent(model, lr=0.02), stream)
    guarded = run("conv_gn", lambda model: adapt.Guard(adapt.Tent(model, lr=0.02)), stream)
    assert gain(guarded, tent).low > 0.2
    assert gain(guarded, source).low > -0.1


def test_batch_statistics_help_on_mixed_labels_and_hurt_on_sorted_ones() -> None:
    """Seen: source .338 and .352, batch statistics .285 and .763 (the latter with Tent's smallest rate)."""
    mixed = adapt.make_stream(corrupted(), arrangement="mixed")
    phases = adapt.make_stream(corrupted(), arrangement="mixed", labels="phases")
    assert gain(run("conv_bn", adapt.BatchNorm, mixed), run("conv_bn", adapt.Source, mixed)).low > 0.02
    assert gain(run("conv_bn", adapt.Source, phases), run("conv_bn", adapt.BatchNorm, phases)).low > 0.2


@pytest.mark.parametrize("power", [0, -1])
def test_label_shift_adapter_helps_under_joint_shift(power: float) -> None:
    """Error seen, uniform and reversed mix: source .163 and .387, worn by the source .086 and .129."""
    from ponder.tasks.pictures import shapes

    held = reference("conv_gn", TAIL)
    data = shapes(400, seed=11, shares=tuple(power_prior(TAIL, power)))
    stream = adapt.make_stream(adapt.corrupted_domains(data.x, data.y, MILD, severity=3))
    plain, worn = (adapt.Tent(deepcopy(held.model), lr=0.003) for _ in range(2))
    with_it = adapt.LabelShift(worn, source=held.source(6000), source_prior=TAIL, training=1500)
    assert gain(adapt.run_stream(with_it, stream), adapt.run_stream(plain, stream)).low > 0.04


def test_label_shift_adapter_costs_a_little_where_the_mix_is_the_sources() -> None:
    """Error seen: source .030, worn .045: the estimate starts at uniform and errs under corruption."""
    from ponder.tasks.pictures import shapes

    held = reference("conv_gn", TAIL)
    data = shapes(400, seed=11, shares=TAIL)
    stream = adapt.make_stream(adapt.corrupted_domains(data.x, data.y, MILD, severity=3))
    source = adapt.run_stream(adapt.Source(deepcopy(held.model)), stream)
    worn = adapt.LabelShift(deepcopy(held.model), source=held.source(6000), source_prior=TAIL, training=1500)
    assert gain(adapt.run_stream(worn, stream), source).low > -0.03
