"""The beta mixture: known components found again, likelihood against scipy's density, edges."""

from __future__ import annotations

import pytest

from ponder.core.errors import BadInput
from ponder.numerics.beta_mixture import BetaMixture, expect, fit_mixture, maximise

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def test_density_is_that_of_beta_laws() -> None:
    stats = pytest.importorskip("scipy.stats")
    mixture = BetaMixture(*(torch.tensor(v).double() for v in ([0.3, 0.7], [2.0, 5.0], [6.0, 1.5])))
    data = torch.tensor([0.1, 0.5, 0.9]).double()
    mean, shares = expect(data, mixture)
    parts = [
        [w * stats.beta.pdf(x, a, b) for w, a, b in zip(*(t.tolist() for t in mixture), strict=True)] for x in data
    ]
    table = torch.tensor(parts).double()
    assert mean == pytest.approx(float(table.sum(1).log().mean()))
    torch.testing.assert_close(shares, table / table.sum(1, keepdim=True))


def test_components_far_apart_are_found() -> None:
    draw = torch.Generator().manual_seed(0)
    data = torch.cat([0.1 + 0.05 * torch.rand(50, generator=draw), 0.8 + 0.05 * torch.rand(50, generator=draw)])
    mixture, shares, _ = fit_mixture(data, 2)
    assert mixture.mean.tolist() == pytest.approx([0.125, 0.825], abs=0.01)
    assert mixture.weights.tolist() == pytest.approx([0.5, 0.5], abs=1e-3)
    assert shares.argmax(1).tolist() == [0] * 50 + [1] * 50


def test_matched_moments() -> None:
    data = torch.tensor([0.2, 0.3, 0.4, 0.5]).double()
    found = maximise(data, torch.ones(4, 1).double())
    a, b = float(found.alpha), float(found.beta)
    assert a / (a + b) == pytest.approx(0.35)
    assert a * b / ((a + b) ** 2 * (a + b + 1)) == pytest.approx(0.0125, rel=1e-6)


def test_equal_numbers_are_one_component() -> None:
    mixture, shares, _ = fit_mixture(torch.full((5,), 0.5), 3)
    assert mixture.mean.tolist() == pytest.approx([0.5])
    assert shares.shape == (5, 1)


def test_same_seed_same_mixture() -> None:
    data = torch.rand(40, generator=torch.Generator().manual_seed(1))
    assert torch.equal(fit_mixture(data, seed=3)[0].mean, fit_mixture(data, seed=3)[0].mean)


@pytest.mark.parametrize("data", [[], [0.5, 1.2], [-0.1], [float("nan")]])
def test_only_numbers_between_0_and_1(data: list[float]) -> None:
    with pytest.raises(BadInput):
        fit_mixture(torch.tensor(data))
