"""Source: the model in evaluation mode, whatever the order."""

from __future__ import annotations

import pytest

from ponder import adapt

pytestmark = pytest.mark.torch


def test_it_is_the_model_in_evaluation_mode() -> None:
    from tests.adapt.networks import batches, mlp

    model = mlp("batch", dropout=0.5)
    adapter = adapt.Source(model)
    assert not any(part.training for part in model.modules())
    for x in batches():
        assert adapter(x).equal(model(x).detach())


def test_accuracy_does_not_depend_on_the_order() -> None:
    from tests.adapt.networks import batches, mlp

    adapter = adapt.Source(mlp("batch"))
    x = batches(1, 32)[0]
    whole = adapter(x)
    one_by_one = [adapter(x[at : at + 1])[0] for at in reversed(range(32))][::-1]
    assert all(a.allclose(b, atol=1e-6) for a, b in zip(whole, one_by_one, strict=True))
