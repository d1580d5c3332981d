"""Token condensation inside tiny CLIP and SigLIP models of transformers, with random weights; a claim, measured."""

from __future__ import annotations

from typing import Any

import pytest

from ponder.core.errors import AccessDenied, BadInput, ConfigError

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "num_hidden_layers": 4,
    "image_size": 32,
    "patch_size": 4,
}


def clip(seed: int = 0) -> Any:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(seed)
    return CLIPVisionModelWithProjection(CLIPVisionConfig(**SMALL, projection_dim=8)).eval()


def siglip(seed: int = 0) -> Any:
    from transformers import SiglipVisionConfig, SiglipVisionModel

    torch.manual_seed(seed)
    return SiglipVisionModel(SiglipVisionConfig(**SMALL)).eval()


def features(model: Any, x: Any) -> Any:
    with torch.no_grad():
        out = model(pixel_values=x)
    return out.image_embeds if hasattr(out, "image_embeds") else out.pooler_output


def condensing(model: Any, **settings: Any) -> Any:
    from ponder.adapt.token_condensation import TokenCondensation

    width = 8 if hasattr(model, "visual_projection") else 16
    classes = torch.randn(3, width, generator=torch.Generator().manual_seed(1))
    return TokenCondensation(model, classes=classes, **{"rate": 0.1, **settings})


def images(count: int, seed: int = 0) -> Any:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("build", [clip, siglip])
def test_without_condensation_and_correction_it_is_zero_shot(build: Any) -> None:
    model, x = build(), images(3)
    adapter = condensing(model, rate=0.0, strength=0.0)
    unit = torch.nn.functional.normalize(features(model, x), dim=-1)
    classes = torch.nn.functional.normalize(adapter.classes, dim=-1)
    torch.testing.assert_close(adapter(x), 100 * unit @ classes.T, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("parity", ["paper", "released"])
@pytest.mark.parametrize("build", [clip, siglip])
def test_tokens_become_fewer_and_logits_stay_finite(build: Any, parity: Any) -> None:
    adapter = condensing(build(), parity=parity)
    logits = adapter(images(6))
    lengths = adapter.evidence["tokens"]
    assert bool(torch.isfinite(logits).all())
    assert lengths[0] > lengths[-1]
    assert sorted(lengths, reverse=True) == lengths


def test_reservoirs_keep_their_size_and_order() -> None:
    adapter = condensing(clip(), size=2)
    adapter(images(20))
    assert all(len(row) <= 2 for row in adapter.reservoir)
    assert all([p.entropy for p in row] == sorted(p.entropy for p in row) for row in adapter.reservoir)
    assert sum(map(len, adapter.reservoir)) > 0


def test_anchors_need_every_class_or_take_what_there_is() -> None:
    waiting, eager = condensing(clip()), condensing(clip(), anchors_from="available")
    off = condensing(clip(), anchors_from="none")
    x = images(4)[:1].repeat(4, 1, 1, 1)  # one picture: one class
    for adapter in (waiting, eager, off):
        adapter(x)
    assert waiting.anchors is None
    assert eager.anchors.shape == (1, 4, 16)
    assert off.anchors is None


def test_an_image_supports_its_own_class_unless_left_out() -> None:
    x = images(1)
    alone, without = condensing(clip(), strength=3.0), condensing(clip(), strength=3.0, exclude_self=True)
    gain = alone(x) - alone.evidence["zero_shot"]
    assert gain.max() == pytest.approx(3.0, abs=1e-3)
    torch.testing.assert_close(without(x), without.evidence["zero_shot"])


def test_reset_repeats_bit_by_bit_and_the_state_can_move() -> None:
    adapter, x = condensing(clip(), anchors_from="available"), images(8)
    first = adapter(x)
    state = adapter.state_dict()
    after = adapter(x)
    adapter.reset()
    assert torch.equal(adapter(x), first)
    other = condensing(clip(), anchors_from="available")
    other.load_state_dict(state)
    torch.testing.assert_close(other(x), after)


def test_frozen_remembers_nothing() -> None:
    adapter = condensing(clip())
    with adapter.frozen():
        adapter(images(3))
    assert sum(map(len, adapter.reservoir)) == 0
    assert adapter.cost.forwards == 0


def test_a_batch_is_a_stream_of_its_images() -> None:
    x = images(5)
    together, apart = condensing(clip()), condensing(clip())
    torch.testing.assert_close(together(x), torch.cat([apart(row[None]) for row in x]))
    assert together.cost.forward_samples == apart.cost.forward_samples == 5


def test_the_model_says_its_own_scale() -> None:
    from transformers import CLIPConfig, CLIPModel

    small = CLIPModel(CLIPConfig(vision_config=SMALL, text_config={**SMALL, "vocab_size": 10}, projection_dim=8)).eval()
    logits = condensing(small, rate=0.0, strength=0.0)(images(1))
    assert float(logits.abs().max()) <= float(small.logit_scale.detach().exp()) * (1 + 1e-5)


@pytest.mark.parametrize(
    "settings",
    [{"rate": 1.0}, {"size": 0}, {"scale": 0.0}, {"strength": -1.0}, {"parity": "other"}, {"layers": (9,)}],
)
def test_settings_out_of_range(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        condensing(clip(), **settings)


def test_models_without_an_image_tower_are_refused() -> None:
    from ponder.adapt.token_condensation import TokenCondensation

    with pytest.raises(BadInput, match="CLIP or SigLIP"):
        TokenCondensation(torch.nn.Linear(2, 2), classes=torch.ones(2, 2))
    with pytest.raises(AccessDenied):
        TokenCondensation(lambda x: x, classes=torch.ones(2, 2))
    with pytest.raises(BadInput, match="classes"):
        TokenCondensation(clip(), classes=torch.ones(2))


def test_pictures_that_are_not_finite_are_not_remembered() -> None:
    adapter, x = condensing(clip()), images(3)
    x[1] = float("nan")
    adapter(x)
    assert sorted(past.number for row in adapter.reservoir for past in row) == [0, 2]


def test_too_high_a_rate_for_so_few_patches_says_so() -> None:
    with pytest.raises(BadInput, match="patches"):
        condensing(clip(), rate=0.4)(images(1))


@pytest.mark.slow
def test_fewer_tokens_cost_no_accuracy_on_the_two_tower_model() -> None:
    from ponder.adapt._reference_pairs import two_towers
    from ponder.adapt.token_condensation import TokenCondensation
    from ponder.numerics.paired import paired_score_interval

    found = two_towers()
    x, y = found.view(found.test.x[:400]), found.test.y[:400]
    right, tokens = {}, {}
    for rate in (0.0, 0.1):
        adapter = TokenCondensation(found.model, classes=found.classes, rate=rate, strength=0.0)
        right[rate] = adapter(x).argmax(1) == y
        tokens[rate] = sum(adapter.evidence["tokens"][:-1])
    won, lost = right[0.1] & ~right[0.0], right[0.0] & ~right[0.1]
    print({rate: (round(float(rows.float().mean()), 3), tokens[rate]) for rate, rows in right.items()})
    print("gain on all tokens", paired_score_interval(int(won.sum()), int(lost.sum()), len(y)))
    assert tokens[0.1] < 0.9 * tokens[0.0]
    assert paired_score_interval(int(won.sum()), int(lost.sum()), len(y)).low > -0.03
