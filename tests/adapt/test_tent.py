"""Tent: its step by hand, its limits, and that it does what it is for: lower the entropy."""

from __future__ import annotations

import pytest

from ponder import adapt
from ponder.engines.online_gradients import entropies

pytestmark = pytest.mark.torch


def test_one_step_is_the_gradient_of_the_mean_entropy() -> None:
    import torch

    from tests.adapt.networks import batches, mlp

    x = batches()[0]
    twin = mlp().eval()
    probabilities = twin(x).softmax(1)
    (-(probabilities * probabilities.log()).sum(1).mean()).backward()
    wanted = twin[1].weight.detach() - 0.1 * twin[1].weight.grad
    adapter = adapt.Tent(mlp(), lr=0.1)
    adapter(x)
    assert torch.allclose(adapter.parameters["1.weight"], wanted, atol=1e-7)


def test_momentum_carries_over_batches_as_torch_does_it() -> None:
    import torch

    from tests.adapt.networks import batches, mlp

    adapter = adapt.Tent(mlp(), lr=0.1, momentum=0.9)
    twin = mlp().eval()
    chosen = [twin[1].weight, twin[1].bias, twin[5].weight, twin[5].bias]
    optimizer = torch.optim.SGD(chosen, lr=0.1, momentum=0.9)
    for x in batches():
        adapter(x)
        optimizer.zero_grad()
        entropies(twin(x)).mean().backward()
        optimizer.step()
    assert all(p.equal(q) for p, q in zip(adapter.parameters.values(), chosen, strict=True))


def test_nothing_moves_without_a_rate() -> None:
    from tests.adapt.networks import batches, mlp, same_state

    adapter = adapt.Tent(mlp(), lr=0)
    for x in batches():
        adapter(x)
    assert same_state(mlp().state_dict(), adapter.model.state_dict())


@pytest.mark.parametrize("norm", ["layer", "group", "batch"])
def test_entropy_falls_on_a_repeated_batch(norm: str) -> None:
    from tests.adapt.networks import batches, mlp

    x = batches(1, 64)[0]
    adapter = adapt.Tent(mlp(norm), lr=0.05)
    found = [float(entropies(adapter(x)).mean()) for _ in range(20)]
    assert found[-1] < found[0]


def test_optimizer_may_be_the_callers() -> None:
    import torch

    from tests.adapt.networks import batches, mlp

    adapter = adapt.Tent(mlp(), optimizer=lambda parameters: torch.optim.RMSprop(parameters, lr=0.01))
    adapter(batches()[0])
    assert not adapter.parameters["1.weight"].equal(torch.ones(16))


def test_each_step_costs_a_forward_and_a_backward() -> None:
    from tests.adapt.networks import batches, mlp

    adapter = adapt.Tent(mlp(), steps=3)
    adapter(batches()[0])
    assert (adapter.cost.forwards, adapter.cost.backwards, adapter.cost.updates) == (3, 3, 3)
    assert (adapter.cost.forward_samples, adapter.cost.backward_samples, adapter.cost.samples) == (24, 24, 8)
