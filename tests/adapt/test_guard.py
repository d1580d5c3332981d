"""The guard: on streams built to break Tent it stays near the source, on others it does not interfere."""

from __future__ import annotations

from copy import deepcopy
from functools import lru_cache
from typing import Any

import pytest

from ponder import adapt
from ponder.core.errors import ConfigError

pytestmark = pytest.mark.torch


def world(count: int, seed: int, *, shift: float = 0.0, only: int | None = None) -> tuple[Any, Any]:
    """Ten Gaussian classes in 32 dimensions; a shift scales and moves each dimension and adds noise (card 47)."""
    import torch

    fixed = torch.Generator().manual_seed(7)
    middles = 0.75 * torch.randn(10, 32, generator=fixed)
    scale, move = torch.randn(32, generator=fixed), torch.randn(32, generator=fixed)
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(10, (count,), generator=generator) if only is None else torch.full((count,), only)
    x = middles[y] + torch.randn(count, 32, generator=generator)
    x = x * (1 + shift * 0.3 * scale) + shift * 0.5 * move + shift * 0.6 * torch.randn(x.shape, generator=generator)
    return x, y


@lru_cache(maxsize=1)
def trained() -> Any:
    from tests.adapt.networks import cards_mlp

    return cards_mlp(*world(6000, seed=1))


def stream(order: str, count: int = 4000, batch: int = 64) -> adapt.Stream:
    x, y = world(count, seed=2, shift=1.0)
    labels: Any = "iid" if order == "iid" else "phases"
    return adapt.make_stream([adapt.Domain(name="shifted", x=x, y=y)], labels=labels, batch=batch, ratio=1e6)


def run(make: Any, order: str, **more: Any) -> Any:
    return adapt.run_stream(make(deepcopy(trained())), stream(order, **more))


@pytest.mark.parametrize(
    ("order", "settings", "more"),
    [
        ("phases", {"lr": 0.3}, {}),
        ("phases", {"lr": 1.0}, {}),
        ("iid", {"lr": 0.05}, {"batch": 1, "count": 2000}),
        ("iid", {"lr": 0.3}, {"batch": 1, "count": 2000}),
    ],
    ids=["one label after the other", "the same, faster", "batch size 1", "the same, faster still"],
)
def test_it_stays_near_the_source_where_tent_collapses(order: str, settings: Any, more: Any) -> None:
    source = run(adapt.Source, order, **more)
    tent = run(lambda model: adapt.Tent(model, **settings), order, **more)
    guarded = run(lambda model: adapt.Guard(adapt.Tent(model, **settings)), order, **more)
    assert tent.error > source.error + 0.15, "the stream was to break Tent"
    assert guarded.error < source.error + 0.06
    assert guarded.error < tent.error - 0.1


def test_it_does_not_interfere_where_adapting_helps() -> None:
    plain = adapt.Tent(deepcopy(trained()), lr=0.02)
    guard = adapt.Guard(adapt.Tent(deepcopy(trained()), lr=0.02))
    free, kept = adapt.run_stream(plain, stream("iid")), adapt.run_stream(guard, stream("iid"))
    assert guard.alarms == []
    assert guard.abstained == 0
    assert kept.predictions == free.predictions
    assert free.error < run(adapt.Source, "iid").error


def test_a_stretch_of_one_label_teaches_nothing() -> None:
    x, _ = world(2000, seed=3, only=4)
    guard = adapt.Guard(adapt.Tent(deepcopy(trained()), lr=0.1))
    for batch in x.split(64):
        guard(batch)
    assert guard.abstained > 25
    assert guard.alarms == []


def test_alarms_say_when_and_why_and_where_it_went() -> None:
    guard = adapt.Guard(adapt.Tent(deepcopy(trained()), lr=0.3))
    adapt.run_stream(guard, stream("iid", 800, batch=1))
    assert guard.alarms[0].back_to == "saved"
    assert "source" in guard.alarms[0].reason
    assert {alarm.back_to for alarm in guard.alarms[1:]} <= {"saved", "source"}
    assert [alarm.batch for alarm in guard.alarms] == sorted({alarm.batch for alarm in guard.alarms})


def test_weights_that_are_not_finite_are_rolled_back_at_once() -> None:
    import torch

    tent = adapt.Tent(deepcopy(trained()), lr=0.01)
    guard = adapt.Guard(tent)
    x, _ = world(64, seed=4, shift=1.0)
    guard(x)
    with torch.no_grad():
        next(iter(tent.parameters.values())).fill_(float("nan"))
    assert guard(x).isfinite().all()
    assert guard.alarms[0].reason == "predictions that are not finite"
    assert guard.resting > 0


def test_it_rolls_back_and_goes_on_in_inference_mode() -> None:
    import torch

    inside, outside = (adapt.Guard(adapt.Tent(deepcopy(trained()), lr=0.3), rest=4) for _ in range(2))
    with torch.inference_mode():
        seen = adapt.run_stream(inside, stream("iid", 600, batch=1))
    assert inside.alarms
    assert seen.predictions == adapt.run_stream(outside, stream("iid", 600, batch=1)).predictions
    inside(world(8, seed=4)[0])  # and out of it


def test_a_bad_sample_is_no_collapse() -> None:
    guard = adapt.Guard(adapt.Tent(deepcopy(trained()), lr=0.01))
    x, _ = world(64, seed=4, shift=1.0)
    bad = x.clone()
    bad[0] = float("nan")
    guard(x), guard(bad), guard(x)
    assert guard.alarms == []


def test_checks_cost_what_they_say() -> None:
    guard = adapt.Guard(adapt.Source(deepcopy(trained())), every=2)
    x, _ = world(64 * 6, seed=4)
    for batch in x.split(64):
        guard(batch)
    assert guard.cost.forwards == 6 + 3
    assert guard.cost.samples == 64 * 6


def test_it_guards_adapters_in_adapters() -> None:
    labelled = [world(500, seed=1)]
    guard = adapt.Guard(adapt.LabelShift(adapt.Tent(deepcopy(trained()), lr=0.3), source=labelled, training=20))
    adapt.run_stream(guard, stream("iid", 400, batch=1))
    assert guard.alarms
    guard.reset()
    assert guard.alarms == []
    assert getattr(guard.host, "prior", None) == [0.1] * 10


@pytest.mark.parametrize(
    "settings",
    [{"every": 0}, {"window": 0}, {"rest": -1}, {"drift": 0.0}, {"concentration": 1.5}, {"gap": 0.5}, {"rise": 0.5}],
)
def test_wrong_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        adapt.Guard(adapt.Source(trained()), **settings)


@pytest.mark.parametrize("seed", [3, 4])
def test_a_loss_that_rises_over_the_sources_is_taken_back(seed: int) -> None:
    """Weights that drift at random keep all classes in use: only the average loss tells."""
    import torch

    class Drift(torch.optim.SGD):  # type: ignore[misc]  # torch is not typed here
        def step(self, closure: Any = None) -> None:
            for group in self.param_groups:
                for point in group["params"]:
                    point.data.add_(0.2 * torch.randn(point.shape, generator=noise))

    def tent(model: Any) -> Any:
        return adapt.Tent(model, optimizer=lambda points: Drift(points, lr=0.1))

    noise = torch.Generator().manual_seed(seed)
    free = run(tent, "iid")
    noise.manual_seed(seed)
    guard = adapt.Guard(tent(deepcopy(trained())))
    kept = adapt.run_stream(guard, stream("iid"))
    source = run(adapt.Source, "iid")
    assert free.error > source.error + 0.15
    assert any("average loss" in alarm.reason for alarm in guard.alarms)
    assert kept.error < source.error + 0.07


@pytest.mark.parametrize(("batch", "lr", "count"), [(64, 0.05, 2000), (16, 0.01, 2000), (1, 0.001, 600)])
def test_shuffled_streams_raise_no_alarm_on_fresh_seeds(batch: int, lr: float, count: int) -> None:
    for seed in (51, 52, 53):
        x, y = world(count, seed=seed, shift=1.0)
        made = adapt.make_stream([adapt.Domain(name="s", x=x, y=y)], labels="iid", batch=batch)
        guard = adapt.Guard(adapt.Tent(deepcopy(trained()), lr=lr))
        plain = adapt.Tent(deepcopy(trained()), lr=lr)
        assert adapt.run_stream(guard, made).predictions == adapt.run_stream(plain, made).predictions
        assert guard.alarms == []
        assert guard.abstained == 0


def test_one_bad_row_in_each_batch_does_not_blind_it() -> None:
    """ETA leaves bad rows out and learns from the others, so the guard must go on watching these."""
    guard = adapt.Guard(adapt.ETA(deepcopy(trained()), lr=2.0, margin=9.0, similarity=2.0))
    for x in world(64 * 40, seed=6, shift=1.0)[0].split(64):
        x[0] = float("nan")
        guard(x)
    assert guard.alarms


def test_batches_of_nothing_readable_are_no_stretch_of_one_label() -> None:
    guard = adapt.Guard(adapt.Tent(deepcopy(trained()), lr=0.01))
    x, _ = world(64 * 8, seed=4, shift=1.0)
    for at, batch in enumerate(x.split(64)):
        guard(batch * float("nan") if at % 4 == 0 else batch)
    assert guard.abstained == 0
    assert guard.cost.updates == 6


def test_a_class_shut_out_by_an_infinite_logit_is_watched_all_the_same() -> None:
    import torch

    class Masked(torch.nn.Module):  # type: ignore[misc]  # torch is not typed here
        def __init__(self) -> None:
            super().__init__()
            self.net = deepcopy(trained())

        def forward(self, x: Any) -> Any:
            return self.net(x).index_fill(1, torch.tensor([9]), float("-inf"))

    guard = adapt.Guard(adapt.Source(Masked()))
    guard(world(64, seed=4)[0])
    assert len(guard.state_dict()["memory"]["guard"]["seen"]) == 64
    assert all(row[2] == row[2] for row in guard.state_dict()["memory"]["guard"]["seen"])


def test_its_state_is_read_by_a_safe_load_after_an_alarm() -> None:
    import io

    import torch

    one, two = (adapt.Guard(adapt.Tent(deepcopy(trained()), lr=0.3), rest=2) for _ in range(2))
    adapt.run_stream(one, stream("iid", 300, batch=1))
    assert one.alarms
    file = io.BytesIO()
    torch.save(one.state_dict(), file)
    file.seek(0)
    two.load_state_dict(torch.load(file, weights_only=True))
    assert two.alarms == one.alarms
    x, _ = world(64, seed=4, shift=1.0)
    assert all(one(part).equal(two(part)) for part in x.split(4))


def test_a_memory_that_votes_is_compared_with_the_sources_memory() -> None:
    labelled = [world(500, seed=1)]
    guard = adapt.Guard(adapt.AdaNPC(deepcopy(trained()), source=labelled, margin=0.0))
    x, _ = world(64, seed=4, shift=1.0)
    fresh = adapt.AdaNPC(deepcopy(trained()), source=labelled, margin=0.0)
    with fresh.frozen():
        wanted = fresh(x)
    for part in world(640, seed=5, shift=1.0, only=3)[0].split(64):
        guard.host(part)
    size = guard.host.size  # type: ignore[attr-defined]
    assert guard.source_logits(x).equal(wanted)
    assert guard.host.size == size > 500  # type: ignore[attr-defined]


def test_batches_without_an_update_are_counted_as_skipped() -> None:
    x, _ = world(640, seed=3, only=4)
    guard = adapt.Guard(adapt.Tent(deepcopy(trained()), lr=0.1))
    for batch in x.split(64):
        guard(batch)
    assert guard.cost.skipped == guard.abstained > 0
    assert guard.cost.skipped + guard.cost.updates == 10


@pytest.mark.parametrize("inside", ["gradients", "features"])
@pytest.mark.parametrize("worn", [lambda adapter: adapter, lambda adapter: adapt.SlidingWindow(adapter, window=1)])
def test_a_rising_loss_is_one_only_where_a_loss_is_lowered(inside: Any, worn: Any) -> None:
    class Fading(adapt.Adapter):
        """Less sure at each batch, of the same classes."""

        access = frozenset({"logits", inside})
        count = 0

        def _adapt(self, x: Any) -> Any:
            self.count += 1
            return self._predict(x) / (1 + self.count)

    guard = adapt.Guard(worn(Fading(deepcopy(trained()))))
    for part in world(64 * 20, seed=4, shift=1.0)[0].split(64):
        guard(part)
    assert bool(guard.alarms) == (inside == "gradients")


@pytest.mark.slow
@pytest.mark.parametrize("batch", [16, 64])
@pytest.mark.parametrize("kind", ["conv_gn", "vit_ln"])
def test_adapters_that_vote_or_filter_raise_no_alarm_on_shuffled_corruptions(kind: Any, batch: int) -> None:
    from ponder.adapt._reference_models import reference_model
    from ponder.tasks.pictures import shapes

    held = reference_model(kind)
    source = held.source()
    made: dict[str, Any] = {
        "AdaNPC": lambda model: adapt.AdaNPC(model, source=source),
        "EATA": lambda model: adapt.EATA(model, source=source, lr=0.01, similarity=0.33),
        "LabelShift": lambda model: adapt.LabelShift(model, source=source, training=200),
    }
    for seed in (511, 512, 513):
        data = shapes(60, seed=seed)
        domains = adapt.corrupted_domains(data.x, data.y, seed=seed)
        seen = adapt.make_stream(domains, arrangement="mixed", batch=batch, seed=seed)
        for name, make in made.items():
            guard = adapt.Guard(make(deepcopy(held.model)))
            adapt.run_stream(guard, seen)
            assert guard.alarms == [], (name, seed)
            assert guard.abstained == 0


def test_it_holds_what_the_adapter_inside_holds_and_its_own_copies() -> None:
    import torch

    labelled = [world(500, seed=1)]
    inside = adapt.AdaNPC(deepcopy(trained()), source=labelled, margin=0.0)
    guard = adapt.Guard(inside, window=1, every=1)
    assert guard.state_bytes() == inside.state_bytes() == 500 * (64 * 4 + 8)
    x = world(30, seed=4)[0]
    guard(x)
    guard(x)
    entry = 64 * 4 + 8
    # Now: 500 of the source and 60 added; two copies of what had been added, 60 and 30.
    assert guard.state_bytes() == (500 + 60 + 60 + 30) * entry
    assert torch.equal(guard._saved[1]["keys"], inside.memory.keys[500:530])
    assert guard._saved[1]["keys"].untyped_storage().nbytes() == 30 * 64 * 4, "a copy of what it shows alone"
