"""The reference models: they learn, are kept, and come back as fresh copies."""

from __future__ import annotations

from pathlib import Path

import pytest

from ponder.core.errors import ConfigError

pytestmark = [pytest.mark.torch, pytest.mark.slow]


@pytest.mark.parametrize("data", ["shapes", "digits"])
@pytest.mark.parametrize("kind", ["conv_bn", "conv_gn", "vit_ln"])
def test_they_know_their_clean_pictures_and_not_the_corrupted_ones(kind: str, data: str) -> None:
    from ponder.adapt._reference_models import reference_model
    from ponder.tasks.corruptions import CORRUPTIONS, corrupt

    if data == "digits":
        pytest.importorskip("sklearn", reason="the digits are scikit-learn's: pip install 'ponder[adapt]'")
    held = reference_model(kind, data)  # type: ignore[arg-type]
    assert held.accuracy > (0.97 if data == "shapes" else 0.94)
    x, y = held.test.x[:200], held.test.y[:200]
    right = [float((held.model(corrupt(x, name, 5)).argmax(1) == y).float().mean()) for name in CORRUPTIONS]
    assert 0.4 < sum(right) / len(right) < (0.85 if data == "shapes" else 0.95)


def test_a_kept_model_is_the_trained_one_and_each_comes_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ponder.adapt import _reference_models as models
    from ponder.tasks.pictures import shapes

    monkeypatch.setenv("PONDER_CACHE", str(tmp_path))
    monkeypatch.setattr(models, "pictures", lambda data, shares: (shapes(256, seed=1), shapes(64, seed=2)))
    made, kept = models.reference_model("conv_gn"), models.reference_model("conv_gn")
    assert len(list((tmp_path / "reference").glob("*.safetensors"))) == 1
    assert not list((tmp_path / "reference").glob("*.part"))
    assert made.model is not kept.model
    pairs = zip(made.model.state_dict().values(), kept.model.state_dict().values(), strict=True)
    assert all(a.equal(b) for a, b in pairs)
    assert not made.model.training
    assert sum(len(y) for _, y in made.source(100, 30)) == 100 or len(made.train.y) < 100
    assert sum(len(y) for _, y in made.clean()) == 64


def test_unknown_kinds_and_data_are_refused() -> None:
    from ponder.adapt._reference_models import pictures, reference_model

    with pytest.raises(ConfigError):
        reference_model("resnet50")  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        pictures("imagenet")  # type: ignore[arg-type]
