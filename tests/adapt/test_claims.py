"""What the papers claim, on the reference models: each with the 95 % interval of a difference on the same samples.

Settings were chosen on other seeds than those judged here. Errors seen when this was written are in
docs/guides/adapt.md; each test prints those of its run (`pytest -rP`). A claim that does not hold here is tested as
such.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import cache, lru_cache
from typing import Any

import pytest

from ponder import adapt
from ponder.engines.online_run import OnlineRun
from ponder.numerics.intervals import Interval
from ponder.numerics.label_shift import power_prior
from ponder.numerics.paired import paired_score_interval

pytestmark = [pytest.mark.torch, pytest.mark.slow]
SMOOTHED = " smoothed"  # trained with smoothed labels
TAIL = tuple(power_prior([100 ** (-c / 9) for c in range(10)], 1))  # most frequent class 100 x the rarest
MILD = ("gaussian_noise", "defocus_blur", "frost", "contrast", "elastic", "jpeg")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Nets this small wait for each other's threads longer than they compute; and sums keep their order."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@lru_cache(maxsize=4)
def reference(kind: str, shares: tuple[float, ...] | None = None) -> Any:
    from ponder.adapt._reference_models import reference_model

    smoothing = 0.1 if kind.endswith(SMOOTHED) else 0.0
    return reference_model(kind.removesuffix(SMOOTHED), shares=shares, smoothing=smoothing)  # type: ignore[arg-type]


@lru_cache(maxsize=1)
def corrupted() -> list[adapt.Domain]:
    from ponder.tasks.pictures import shapes

    data = shapes(240, seed=301)
    return adapt.corrupted_domains(data.x, data.y, seed=301)


@cache
def mixed(labels: Any = "iid", batch: int = 64) -> adapt.Stream:
    stream = adapt.make_stream(corrupted(), arrangement="mixed", labels=labels, batch=batch, seed=301)
    return stream.cut(2400) if batch == 1 else stream


def run(kind: str, make: Callable[[Any], adapt.Adapter], stream: adapt.Stream) -> OnlineRun:
    held = reference(kind)
    done = adapt.run_stream(make(deepcopy(held.model)), stream, clean=held.clean()[:4])
    shares = f"{done.cost.backward_samples / len(done.right):.2f} backward"
    print(f"{kind}, {stream.name}: error {done.error:.3f}, clean after {done.clean_after:.3f}, {shares}")
    return done


@cache
def source_run(kind: str, stream: adapt.Stream) -> OnlineRun:
    return run(kind, adapt.Source, stream)


@cache
def tent_run(kind: str, stream: adapt.Stream, lr: float) -> OnlineRun:
    return run(kind, lambda model: adapt.Tent(model, lr=lr), stream)


def gain(better: OnlineRun, worse: OnlineRun) -> Interval:
    """How much more often the first is right than the second."""
    return gain_of(better.right, worse.right)


def gain_of(better: Sequence[bool], worse: Sequence[bool]) -> Interval:
    """The same of two rows of answers."""
    pairs = list(zip(better, worse, strict=True))
    won, lost = sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs)
    return paired_score_interval(won, lost, len(pairs))


@pytest.mark.parametrize("lr", [0.01, 0.03])
def test_eata_beats_tent_at_fewer_backwards_and_forgets_less(lr: float) -> None:
    stream = mixed()
    tent = tent_run("conv_gn", stream, lr)
    sure = [x for x, _ in reference("conv_gn").source()]
    eata = run("conv_gn", lambda model: adapt.EATA(model, lr=lr, source=sure, similarity=0.33), stream)
    print("gain on Tent", gain(eata, tent))
    assert gain(eata, tent).low > 0
    assert eata.cost.backward_samples <= 0.6 * tent.cost.backward_samples
    assert eata.forgetting is not None
    assert tent.forgetting is not None
    assert eata.forgetting < tent.forgetting


def test_sar_holds_at_batch_size_1_where_tent_degrades_but_falls_behind_the_source() -> None:
    stream = mixed(batch=1)
    source, tent = source_run("conv_gn", stream), tent_run("conv_gn", stream, 3e-4)
    sar = run("conv_gn", lambda model: adapt.SAR(model, lr=3e-4), stream)
    print("gain on Tent", gain(sar, tent), "on source", gain(sar, source))
    assert gain(sar, tent).low > 0.02
    assert gain(source, tent).low > 0.02
    assert gain(source, sar).low > 0, "the claim that it is as good as the source does not hold"
    assert sar.forgetting is not None
    assert tent.forgetting is not None
    assert sar.forgetting < tent.forgetting


def phases(seed: int) -> adapt.Stream:
    """Each class favoured for 100 samples, each of four corruptions for some 2000."""
    from ponder.tasks.pictures import shapes

    data = shapes(240, seed=seed)
    domains = adapt.corrupted_domains(data.x, data.y, ("gaussian_noise", "frost", "fog", "jpeg"), seed=seed)
    twice = [domain for domain in domains for _ in range(2)]
    return adapt.make_stream(twice, labels="phases", length=1000, seed=seed)


def singles(seed: int) -> adapt.Stream:
    """Batch size 1, fifteen corruptions mixed."""
    from ponder.tasks.pictures import shapes

    data = shapes(240, seed=seed)
    domains = adapt.corrupted_domains(data.x, data.y, seed=seed)
    return adapt.make_stream(domains, arrangement="mixed", batch=1, seed=seed).cut(2400)


@pytest.mark.parametrize(("make", "lr"), [(phases, 0.04), (singles, 3e-3)])
def test_sar_survives_where_tent_does_not_if_entropy_tells_right_from_wrong(
    make: Callable[[int], adapt.Stream], lr: float
) -> None:
    """Layer norms and smoothed labels: four to six of ten predictions on these streams are sure enough, not nine."""
    kind, runs = "vit_ln" + SMOOTHED, []
    for seed in (331, 332, 333):
        stream = make(seed)
        source, tent = source_run(kind, stream), tent_run(kind, stream, lr)
        sar = run(kind, lambda model: adapt.SAR(model, lr=lr), stream)
        print(f"seed {seed}: gain on Tent", gain(sar, tent), "on source", gain(sar, source))
        assert gain(sar, tent).low > 0
        assert sar.forgetting is not None
        assert sar.forgetting < 0.01
        runs.append((source, tent, sar))
    source_all, tent_all, sar_all = (
        [right for one in column for right in one.right] for column in zip(*runs, strict=True)
    )
    on_tent, on_source = gain_of(sar_all, tent_all), gain_of(sar_all, source_all)
    print("all: gain on Tent", on_tent, "on source", on_source, "of the source on Tent", gain_of(source_all, tent_all))
    assert gain_of(source_all, tent_all).low > 0.05, "Tent is worse than no adaptation"
    assert on_tent.low > 0.1
    assert on_source.low > -0.02


@pytest.mark.parametrize("seed", [301, 304, 305])
def test_sar_holds_longer_than_tent_under_label_shift_but_does_not_survive_it(seed: int) -> None:
    """The same on a ViT that is sure of nine in ten, right or wrong."""
    stream = phases(seed)
    source, tent = source_run("vit_ln", stream), tent_run("vit_ln", stream, 0.07)
    sar = run("vit_ln", lambda model: adapt.SAR(model, lr=0.07), stream)
    last = slice(3 * len(stream.order) // 4, None)
    ends = [sum(one.right[last]) / len(one.right[last]) for one in (source, tent, sar)]
    print("gain on Tent", gain(sar, tent), "on source", gain(sar, source), "right in the last quarter", ends)
    assert ends[1] < 0.2, "Tent has collapsed"
    assert gain(sar, tent).low > 0.05
    assert ends[2] > ends[1] + 0.1
    assert gain(source, sar).low > 0.05, "the claim that it survives does not hold"
    assert sar.forgetting is not None
    assert tent.forgetting is not None
    assert sar.forgetting < tent.forgetting - 0.5


def test_sar_does_not_survive_label_shift_on_a_small_group_norm_net() -> None:
    """Long phases of one class, all corruptions mixed: less of a collapse than Tent's, still far from the source."""
    stream = mixed("phases")
    source, tent = source_run("conv_gn", stream), tent_run("conv_gn", stream, 0.02)
    sar = run("conv_gn", lambda model: adapt.SAR(model, lr=0.02), stream)
    print("gain on Tent", gain(sar, tent), "on source", gain(sar, source))
    assert gain(sar, tent).low > 0.1
    assert gain(source, sar).low > 0.1


def test_guard_keeps_tent_near_the_source_under_label_shift() -> None:
    stream = mixed("phases")
    source, tent = source_run("conv_gn", stream), tent_run("conv_gn", stream, 0.02)
    guarded = run("conv_gn", lambda model: adapt.Guard(adapt.Tent(model, lr=0.02)), stream)
    print("gain on Tent", gain(guarded, tent), "on source", gain(guarded, source))
    assert gain(guarded, tent).low > 0.2
    assert gain(guarded, source).low > -0.1


def test_batch_statistics_help_on_mixed_labels_and_hurt_on_sorted_ones() -> None:
    shuffled, phases = mixed(), mixed("phases")
    helped, hurt = (
        gain(run("conv_bn", adapt.BatchNorm, stream), source_run("conv_bn", stream)) for stream in (shuffled, phases)
    )
    print("gain on source, mixed and sorted", helped, hurt)
    assert helped.low > 0.02
    assert hurt.high < -0.2


def test_a_sliding_window_makes_batch_statistics_work_one_sample_at_a_time() -> None:
    stream = mixed(batch=1)
    alone = run("conv_bn", adapt.BatchNorm, stream)
    windowed = run("conv_bn", lambda model: adapt.SlidingWindow(adapt.BatchNorm(model), window=32), stream)
    source = source_run("conv_bn", stream)
    print("gain on statistics of one", gain(windowed, alone), "on source", gain(windowed, source))
    assert gain(windowed, alone).low > 0.1
    assert gain(windowed, source).low > 0


@pytest.mark.parametrize("walk", ["gradual", "changing"])
def test_memory_of_the_stream_helps_where_the_shift_moves_in_small_steps(walk: str) -> None:
    """AdaNPC with a memory that grows against the same memory left as it is."""
    from ponder.tasks.changing import changing_domains
    from ponder.tasks.pictures import shapes

    data = shapes(2000, seed=302)
    kinds = ("gaussian_noise", "defocus_blur", "frost", "fog", "elastic", "jpeg")
    make = adapt.gradual_domains if walk == "gradual" else changing_domains
    stream = adapt.make_stream(make(data.x, data.y, kinds, seed=302), batch=32, seed=302)
    labelled = reference("conv_gn").source()
    fixed, growing = (
        run("conv_gn", lambda model, m=margin: adapt.AdaNPC(model, source=labelled, margin=m), stream)  # type: ignore[misc]
        for margin in (1.1, 0.9)
    )
    print("gain on a fixed memory", gain(growing, fixed), "on source", gain(growing, source_run("conv_gn", stream)))
    assert gain(growing, fixed).low > 0


def test_memory_of_the_stream_hurts_where_the_shift_jumps() -> None:
    stream = adapt.make_stream(corrupted(), arrangement="continual", batch=32, seed=301)
    labelled = reference("conv_gn").source()
    fixed, growing = (
        run("conv_gn", lambda model, m=margin: adapt.AdaNPC(model, source=labelled, margin=m), stream)  # type: ignore[misc]
        for margin in (1.1, 0.9)
    )
    print("gain on a fixed memory", gain(growing, fixed))
    assert gain(growing, fixed).high < 0.01


@pytest.mark.parametrize("power", [0, -1])
def test_label_shift_adapter_helps_under_joint_shift(power: float) -> None:
    from ponder.tasks.pictures import shapes

    held = reference("conv_gn", TAIL)
    data = shapes(400, seed=303, shares=tuple(power_prior(TAIL, power)))
    stream = adapt.make_stream(adapt.corrupted_domains(data.x, data.y, MILD, severity=3))
    plain, worn = (adapt.Tent(deepcopy(held.model), lr=0.003) for _ in range(2))
    with_it = adapt.LabelShift(worn, source=held.source(6000), source_prior=TAIL, training=1500)
    better, bare = adapt.run_stream(with_it, stream), adapt.run_stream(plain, stream)
    print(f"mix {power}: Tent {bare.error:.3f}, worn {better.error:.3f}, gain", gain(better, bare))
    assert gain(better, bare).low > 0.04


def test_label_shift_adapter_costs_a_little_where_the_mix_is_the_sources() -> None:
    """The estimate starts at uniform and errs under corruption."""
    from ponder.tasks.pictures import shapes

    held = reference("conv_gn", TAIL)
    data = shapes(400, seed=303, shares=TAIL)
    stream = adapt.make_stream(adapt.corrupted_domains(data.x, data.y, MILD, severity=3))
    source = adapt.run_stream(adapt.Source(deepcopy(held.model)), stream)
    worn = adapt.LabelShift(deepcopy(held.model), source=held.source(6000), source_prior=TAIL, training=1500)
    better = adapt.run_stream(worn, stream)
    print(f"the source's mix: source {source.error:.3f}, worn {better.error:.3f}, gain", gain(better, source))
    assert gain(better, source).low > -0.03
