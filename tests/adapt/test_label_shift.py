"""Label Shift Adapter: nothing untrained, near the Bayes posterior trained, estimators, hosts, limits."""

from __future__ import annotations

import math
import random
from functools import lru_cache
from typing import Any

import pytest

from ponder import adapt
from ponder.core.errors import AccessDenied, BadInput, ConfigError
from ponder.numerics.label_shift import power_prior
from ponder.numerics.online_metrics import total_variation

pytestmark = pytest.mark.torch
TAIL = power_prior([20 ** (-c / 4) for c in range(5)], 1)  # card 58: ratio 20


def circle(prior: list[float], count: int, seed: int) -> tuple[Any, Any]:
    """Five Gaussian classes on a circle of radius 1.5, unit noise (card 58)."""
    import torch

    rng = random.Random(seed)
    labels = rng.choices(range(5), prior, k=count)
    points = [
        (1.5 * math.cos(0.4 * math.pi * c) + rng.gauss(0, 1), 1.5 * math.sin(0.4 * math.pi * c) + rng.gauss(0, 1))
        for c in labels
    ]
    return torch.tensor(points), torch.tensor(labels)


def source(count: int = 4000) -> list[tuple[Any, Any]]:
    x, y = circle(TAIL, count, seed=1)
    return list(zip(x.split(250), y.split(250), strict=True))


def trained() -> Any:
    """The exact posterior of the source as a network: a linear head on (x, y), since the classes are Gaussian."""
    import torch

    head = torch.nn.Linear(2, 5)
    middles = [(1.5 * math.cos(0.4 * math.pi * c), 1.5 * math.sin(0.4 * math.pi * c)) for c in range(5)]
    head.weight.data = torch.tensor(middles)
    head.bias.data = torch.tensor([math.log(p) - 1.5**2 / 2 for p in TAIL])
    return torch.nn.Sequential(torch.nn.Identity(), head)


@lru_cache(maxsize=1)
def network() -> Any:
    return adapt.LabelShift(trained(), source=source(), training=4000, powers=None).network


def error(adapter: Any, x: Any, y: Any) -> float:
    return sum(float((adapter(a).argmax(1) != b).sum()) for a, b in zip(x.split(64), y.split(64), strict=True)) / len(y)


def test_untrained_it_changes_nothing() -> None:
    adapter = adapt.LabelShift(trained(), source=source(500), training=0)
    x, _ = circle(TAIL, 64, seed=2)
    assert adapter(x).equal(trained()(x).detach())


@pytest.mark.parametrize("power", [1, 0, -1])
def test_trained_it_is_near_the_posterior_of_the_true_prior(power: float) -> None:
    target = power_prior(TAIL, power)
    x, y = circle(target, 2000, seed=3)
    settings: dict[str, Any] = {"source_prior": TAIL, "start": target, "estimator": "oracle"}
    ours = adapt.LabelShift(trained(), network=network(), **settings)
    found, error_ours = ours(x).softmax(1), error(ours, x, y)
    exact = adapt.LabelShift(trained(), correction="posthoc", **settings)
    wanted, error_exact = exact(x).softmax(1), error(exact, x, y)
    assert float((found - wanted).abs().sum(1).mean() / 2) < 0.1
    assert error_ours < error_exact + 0.01, "card 58, check 1: within a point"


@pytest.mark.parametrize("estimator", ["ema", "em", "bbse"])
def test_estimators_help_on_a_reversed_mix(estimator: Any) -> None:
    target = power_prior(TAIL, -1)
    x, y = circle(target, 3000, seed=4)
    plain = adapt.Source(trained())
    source_error = error(plain, x, y)
    adapter = adapt.LabelShift(
        trained(), source=source(), source_prior=TAIL, network=network(), estimator=estimator, window=1000
    )
    found = error(adapter, x, y)
    moved = total_variation(adapter.prior, target)
    assert found < source_error - 0.2
    assert moved < total_variation(TAIL, target) / 3


@pytest.mark.parametrize("estimator", ["ema", "em", "bbse"])
def test_around_a_sliding_window_each_sample_counts_once(estimator: Any) -> None:
    x, _ = circle(power_prior(TAIL, -1), 60, seed=6)
    settings: dict[str, Any] = {"source": source(500), "correction": "posthoc", "estimator": estimator}
    plain = adapt.LabelShift(trained(), **settings)
    windowed = adapt.LabelShift(adapt.SlidingWindow(adapt.Source(trained()), window=8), **settings)
    for one in x.split(1):
        plain(one)
        windowed(one)
    assert len(windowed._plain) == len(plain._plain) == (0 if estimator == "ema" else 60)
    assert windowed.prior == pytest.approx(plain.prior, abs=1e-5)


def test_without_adjustment_the_network_stays_near_identity() -> None:
    """Card 58, limit 7: tau = 0 is plain cross-entropy, whose optimum the calibrated source already is."""
    adapter = adapt.LabelShift(trained(), source=source(), training=400, tau=0.0, start=power_prior(TAIL, -1))
    x, _ = circle(TAIL, 500, seed=5)
    found = adapter(x).softmax(1)
    assert float((found - trained()(x).detach().softmax(1)).abs().sum(1).mean() / 2) < 0.05


@pytest.mark.parametrize("power", [0.0, -1.0])
def test_the_bias_alone_is_best_at_the_difference_of_logarithms(power: float) -> None:
    """Card 58, check 4: of a calibrated source, the gradient of the loss vanishes there, and only there."""
    import torch

    from ponder.adapt._label_shift_network import HeadNetwork, adjusted_cross_entropy, describe

    target = power_prior(TAIL, power)
    pi_s, pi_t = torch.tensor(TAIL, dtype=torch.float64), torch.tensor(target, dtype=torch.float64)
    x, y = circle(TAIL, 60_000, seed=9)
    h, head = x.double(), trained()[1].double()
    network = HeadNetwork(1, 2, 5, hidden=4).double()
    text = describe(target, TAIL, vector=False, like=h)
    slopes = []
    for bias in ((pi_t / pi_s).log(), torch.zeros(5), (pi_s / pi_t).log()):
        network.l2.bias.data[-5:] = bias
        network.zero_grad()
        logits = network.head(text, h, head.weight, head.bias, ("bias",))
        adjusted_cross_entropy(logits, y, pi_s, pi_t, 1.0).backward()
        assert network.l2.bias.grad is not None
        slopes.append(float(network.l2.bias.grad[-5:].abs().max()))
    assert slopes[0] < 0.008, "four standard errors of a mean over 60,000 samples"
    assert min(slopes[1:]) > 0.05


def test_training_in_float64_has_its_precision() -> None:
    import torch

    from ponder.adapt._label_shift_network import HeadNetwork, train_network
    from ponder.numerics.label_shift import adjusted_losses

    head = torch.nn.Linear(2, 5).double()
    h, y = torch.tensor([[0.3, -1.2]], dtype=torch.float64), torch.tensor([3])
    settings: dict[str, Any] = {"steps": 1, "batch": 1, "lr": 1e-3, "tau": 0.7, "powers": (0.37,), "vector": False}
    found = train_network(HeadNetwork(1, 2, 5).double(), h, y, head, TAIL, keep=("bias",), seed=0, **settings)
    wanted = adjusted_losses(head(h).tolist(), [3], TAIL, power_prior(TAIL, 0.37), 0.7)
    assert found == pytest.approx(wanted, abs=1e-13)


def test_the_running_estimate_finds_an_even_mix_and_is_pulled_towards_it() -> None:
    """Card 58, check 3: 200 batches of 64; the reversed mix is found but for a pull towards the even one."""
    for power in (0, -1):
        target = power_prior(TAIL, power)
        x, y = circle(target, 64 * 200, seed=10)
        adapter = adapt.LabelShift(trained(), source_prior=TAIL, network=network())
        found = 1 - error(adapter, x, y)
        exact = adapt.LabelShift(trained(), correction="posthoc", source_prior=TAIL, start=target, estimator="oracle")
        print(f"power {power}: estimate {[round(p, 3) for p in adapter.prior]}, accuracy {found:.3f}")
        assert found > 1 - error(exact, x, y) - 0.02
        assert total_variation(adapter.prior, target) < (0.05 if power == 0 else 0.1)
    assert adapter.prior[0] > target[0]
    assert adapter.prior[4] < target[4]


def test_training_lowers_the_loss_and_has_a_seed() -> None:
    runs = [adapt.LabelShift(trained(), source=source(1000), training=200, seed=s) for s in (0, 0, 1)]
    assert runs[0].losses == runs[1].losses != runs[2].losses
    first, last = runs[0].losses[:30], runs[0].losses[-30:]
    assert sum(last) < sum(first)


def test_a_uniform_source_is_described_by_the_whole_vector() -> None:
    x, y = circle([0.2] * 5, 500, seed=6)
    adapter = adapt.LabelShift(trained(), source=[(x, y)], source_prior=[0.2] * 5, training=3)
    assert adapter.network.l1.in_features == 5


@pytest.mark.parametrize("rank", [None, 2])
def test_size_of_the_network(rank: int | None) -> None:
    adapter = adapt.LabelShift(trained(), source=source(500), training=30, rank=rank, hidden=8)
    inner = 10 if rank is None else 2 * (5 + 2)
    assert adapter.network.l2.out_features == 2 * 2 + inner + 5
    assert adapter(circle(TAIL, 8, seed=7)[0]).isfinite().all()


def test_changes_may_be_left_out() -> None:
    import torch

    adapter = adapt.LabelShift(trained(), source=source(500), training=50, changes=("bias",))
    x, _ = circle(TAIL, 32, seed=8)
    moved = adapter(x)
    shift = moved - trained()(x).detach()
    assert torch.allclose(shift, shift[:1].expand_as(shift), atol=1e-5), "a bias moves every row alike"
    assert float(shift.abs().max()) > 1e-4


def test_it_is_worn_by_adapters_that_learn() -> None:
    from tests.adapt.networks import batches, mlp

    labelled = [(x, [0, 0, 0, 0, 1, 1, 2, 3]) for x in batches()]
    for host in (adapt.Tent, adapt.SAR, adapt.ETA):
        inside = host(mlp(), lr=0.05)
        adapter = adapt.LabelShift(inside, source=labelled, training=20)
        for x in batches():
            adapter(x)
        assert adapter.cost is inside.cost
        assert adapter.cost.samples == 32
        assert adapter.prior != [0.25] * 4
        adapter.reset()
        assert adapter.prior == [0.25] * 4
        assert not inside._optimizer.state_dict()["state"]


@pytest.mark.parametrize(
    ("error", "settings"),
    [
        (ConfigError, {}),
        (ConfigError, {"source_prior": TAIL}),
        (ConfigError, {"source_prior": TAIL, "correction": "posthoc", "estimator": "bbse"}),
        (ConfigError, {"source_prior": TAIL, "correction": "magic"}),
        (ConfigError, {"source_prior": TAIL, "correction": "posthoc", "alpha": 1.0}),
        (ConfigError, {"source_prior": TAIL, "correction": "posthoc", "changes": ("colour",)}),
        (BadInput, {"source_prior": [0.5, 0.5], "correction": "posthoc"}),
        (BadInput, {"source_prior": TAIL, "correction": "posthoc", "start": [1.0]}),
        (BadInput, {"source": []}),
        (BadInput, {"source": [3]}),
    ],
)
def test_wrong_settings_are_refused(error: type[Exception], settings: dict[str, Any]) -> None:
    with pytest.raises(error):
        adapt.LabelShift(trained(), **settings)


def test_a_class_that_is_never_predicted_is_refused_before_the_stream() -> None:
    import torch

    from tests.adapt.networks import batches, mlp

    model = mlp()
    model[-1].bias.data[:] = torch.tensor([100.0, 0, 0, 0])
    source = [(x, torch.arange(8) % 4) for x in batches()]
    with pytest.raises(BadInput, match="never predicted"):
        adapt.LabelShift(model, source=source, estimator="bbse", training=0)


def test_a_model_without_a_linear_head_is_refused() -> None:
    import torch

    with pytest.raises(AccessDenied):
        adapt.LabelShift(torch.nn.ReLU(), source_prior=TAIL, correction="posthoc")
