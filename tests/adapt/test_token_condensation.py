"""Token condensation inside tiny CLIP and SigLIP models of transformers, with random weights; a claim, measured."""

from __future__ import annotations

import pickle
from copy import deepcopy
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


def whole(kind: str, size: int = 32, patch: int = 4, attention: str = "eager") -> Any:
    """An image-text model as the library's automatic classes make it, with weights that matter."""
    import transformers

    inside = {**SMALL, "image_size": size, "patch_size": patch}
    text = {
        **SMALL,
        "vocab_size": 10,
        "num_hidden_layers": 1,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
    }
    made: dict[str, Any] = {
        "clip": lambda: transformers.CLIPConfig(vision_config=inside, text_config=text, projection_dim=8),
        "siglip": lambda: transformers.SiglipConfig(vision_config=inside, text_config=text),
        "siglip2": lambda: transformers.Siglip2Config(
            vision_config={**inside, "num_patches": (size // patch) ** 2}, text_config=text
        ),
    }
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(made[kind](), attn_implementation=attention).eval()
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.05 * torch.randn_like(value))
    return model


def zero_shot(model: Any, inputs: Any, classes: Any) -> Any:
    """What the model's own forward would say: scaled cosines, and SigLIP's bias."""
    with torch.no_grad():
        found = model.get_image_features(**inputs)
    unit = torch.nn.functional.normalize(getattr(found, "pooler_output", found).float(), dim=-1)
    bias = model.logit_bias.detach() if hasattr(model, "logit_bias") else 0.0
    return model.logit_scale.detach().exp() * unit @ torch.nn.functional.normalize(classes, dim=-1).T + bias


def features(model: Any, x: Any) -> Any:
    with torch.no_grad():
        out = model(pixel_values=x)
    return out.image_embeds if hasattr(out, "image_embeds") else out.pooler_output


def condensing(model: Any, **settings: Any) -> Any:
    from ponder.adapt.token_condensation import TokenCondensation

    width = 8 if hasattr(model, "visual_projection") else 16
    classes = torch.randn(3, width, generator=torch.Generator().manual_seed(1))
    return TokenCondensation(model, **{"classes": classes, "rate": 0.1, **settings})


def images(count: int, seed: int = 0) -> Any:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("build", [clip, siglip])
def test_without_condensation_and_correction_it_is_zero_shot(build: Any) -> None:
    model, x = build(), images(3)
    adapter = condensing(model, rate=0.0, strength=0.0)
    unit = torch.nn.functional.normalize(features(model, x), dim=-1)
    classes = torch.nn.functional.normalize(adapter.classes, dim=-1)
    torch.testing.assert_close(adapter(x), 100 * unit @ classes.T, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize(("kind", "size", "patch"), [("clip", 32, 4), ("clip", 48, 8), ("siglip", 24, 4)])
def test_whole_models_say_what_they_said_when_nothing_is_condensed(
    kind: str, size: int, patch: int, attention: str
) -> None:
    from ponder.adapt.token_condensation import TokenCondensation

    model = whole(kind, size, patch, attention)
    x = torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(2))
    classes = torch.randn(4, 8 if kind == "clip" else 16, generator=torch.Generator().manual_seed(3))
    wanted = zero_shot(model, {"pixel_values": x}, classes)
    adapter = TokenCondensation(model, classes=classes, rate=0.0, strength=0.0)
    torch.testing.assert_close(adapter(x), wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(adapter({"pixel_values": x, "input_ids": x}), wanted, rtol=1e-5, atol=1e-5)
    compiled = torch.compile(model, backend="eager")
    assert torch.equal(TokenCondensation(compiled, classes=classes, rate=0.0, strength=0.0)(x), adapter(x))


def test_siglip_2_takes_pictures_of_several_shapes() -> None:
    from ponder.adapt.token_condensation import TokenCondensation

    model = whole("siglip2")
    shapes = torch.tensor([[8, 8], [4, 12], [7, 5]])
    mask = torch.arange(64)[None] < shapes.prod(1, keepdim=True)
    patches = torch.randn(3, 64, 48, generator=torch.Generator().manual_seed(2))
    inputs = {"pixel_values": patches, "pixel_attention_mask": mask.int(), "spatial_shapes": shapes}
    classes = torch.randn(4, 16, generator=torch.Generator().manual_seed(3))
    wanted = zero_shot(model, inputs, classes)
    plain = TokenCondensation(model, classes=classes, rate=0.0, strength=0.0)
    torch.testing.assert_close(plain(inputs), wanted, rtol=1e-5, atol=1e-5)
    assert plain.evidence["tokens"] == [35] * 5
    fewer = TokenCondensation(model, classes=classes, rate=0.1)
    assert bool(torch.isfinite(fewer(inputs)).all())
    assert fewer.evidence["tokens"][-1] < 35
    with pytest.raises(BadInput, match="spatial_shapes"):
        fewer(patches)


@pytest.mark.parametrize("parity", ["paper", "released"])
@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_fewer_tokens_are_fewer_operations(kind: str, parity: Any) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    from ponder.adapt.token_condensation import TokenCondensation

    model = whole(kind)  # in the open, since the counter does not know fused attention on a CPU
    classes, spent = torch.randn(4, 8 if kind == "clip" else 16), {}
    for rate in (0.0, 0.05, 0.1):
        adapter = TokenCondensation(model, classes=classes, rate=rate, parity=parity)
        with FlopCounterMode(display=False) as counter:
            adapter(images(1))
        spent[rate] = counter.get_total_flops()
    assert spent[0.1] < spent[0.05] < spent[0.0]
    assert spent[0.1] < 0.8 * spent[0.0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_read_in_32_bits(dtype: Any) -> None:
    wide, narrow = (condensing(clip().to(kind), rate=0.0, strength=0.0) for kind in (torch.float32, dtype))
    x = images(4)
    logits = narrow(x.to(dtype))
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, wide(x), rtol=0, atol=2.0)  # of 100
    fewer = condensing(clip().to(dtype), anchors_from="available")
    assert bool(torch.isfinite(fewer(x.to(dtype))).all())
    past = next(past for row in fewer.reservoir for past in row)
    assert past.tokens.dtype == past.features.dtype == torch.float32


def test_logits_are_read_in_32_bits_under_autocast() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert condensing(clip(), anchors_from="available")(images(4)).dtype == torch.float32


def test_several_prompts_of_a_class_are_averaged() -> None:
    from ponder.adapt.token_condensation import TokenCondensation

    prompts = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(4))
    mean = torch.nn.functional.normalize(prompts, dim=-1).mean(1)
    x = images(2)
    torch.testing.assert_close(
        TokenCondensation(clip(), classes=prompts)(x), TokenCondensation(clip(), classes=mean)(x)
    )


def test_anchors_steer_what_is_kept() -> None:
    x = images(6)
    free, steered = condensing(clip(), anchors_from="none"), condensing(clip(), anchors_from="available")
    free(x)
    steered(x)
    assert steered.anchors is not None
    assert not torch.allclose(free.evidence["zero_shot"], steered.evidence["zero_shot"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("parity", ["paper", "released"])
def test_without_centres_the_middle_tokens_stay(parity: Any) -> None:
    adapter = condensing(clip(), centres=0, parity=parity)
    adapter(images(1))
    patches, rest = 64, int(parity == "released")
    lengths = [65]
    for at in range(4):
        if at:  # layers 1, 2 and 3 of 4
            patches = -(-9 * patches // 10) + rest
        lengths.append(1 + patches)
    assert adapter.evidence["tokens"] == lengths


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


@pytest.mark.parametrize("build", [clip, siglip])
@pytest.mark.parametrize("copied", [deepcopy, lambda adapter: pickle.loads(pickle.dumps(adapter))])
def test_a_copy_goes_on_by_its_own_model(build: Any, copied: Any) -> None:
    adapter = condensing(build(), anchors_from="available")
    adapter(images(6))
    other = copied(adapter)
    assert other._tower.vision is getattr(other.model, "vision_model", other.model)
    assert other._tower.vision is not adapter._tower.vision
    x = images(4, seed=2)
    wanted = adapter(x)
    with torch.no_grad():
        for value in adapter.model.parameters():
            value.zero_()
    assert other(x).equal(wanted)


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
    for classes in (torch.ones(2), torch.ones(0, 8), torch.ones(2, 9)):
        with pytest.raises(BadInput, match="class"):
            TokenCondensation(clip(), classes=classes)


def test_models_and_inputs_that_do_not_fit_are_told_what_would() -> None:
    import transformers

    from ponder.adapt.token_condensation import TokenCondensation

    config = whole("clip").config
    text = transformers.CLIPTextModel(config.text_config)
    headless = transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**SMALL, vision_use_head=False))
    packed = transformers.BlipVisionModel(transformers.BlipVisionConfig(**SMALL))
    classifier = transformers.AutoModelForImageClassification.from_config(config)
    for model, reason in ((text, "encoder"), (packed, "encoder"), (headless, "features"), (classifier, "features")):
        with pytest.raises(BadInput, match=reason):
            TokenCondensation(model, classes=torch.ones(2, 16))
    for build in (clip, siglip):
        for x in (torch.ones(1, 3, 48, 48), torch.ones(1, 1, 32, 32), torch.ones(3, 32, 32)):
            with pytest.raises(BadInput, match="32, 32"):
                condensing(build())(x)
    with pytest.raises(BadInput, match="pixel_values"):
        condensing(clip())({"images": images(1)})
    with pytest.raises(ConfigError, match="before"):
        condensing(clip(), exclude_self=True, predict="after")


def test_a_state_of_other_classes_is_refused() -> None:
    from ponder.adapt.token_condensation import TokenCondensation

    other = TokenCondensation(clip(), classes=torch.ones(5, 8))
    with pytest.raises(BadInput, match="5 classes"):
        condensing(clip()).load_state_dict(other.state_dict())


def test_pictures_that_are_not_finite_are_not_remembered() -> None:
    adapter, x = condensing(clip()), images(3)
    x[1] = float("nan")
    adapter(x)
    assert sorted(past.number for row in adapter.reservoir for past in row) == [0, 2]


def test_too_high_a_rate_for_so_few_patches_says_so() -> None:
    with pytest.raises(BadInput, match="patches"):
        condensing(clip(), rate=0.4)(images(1))


def test_remembered_images_help_where_the_text_is_off() -> None:
    """The card's check: five clusters of pictures, a random tower, class embeddings with noise of half their spread.

    All images look alike to a random tower (cosines near 1), so the correction is sharper than by default; it was
    chosen on other seeds.
    """
    from ponder.numerics.paired import paired_score_interval

    won = lost = seen = 0
    for seed in (20, 21, 22):
        draw = torch.Generator().manual_seed(seed)
        centres, y = torch.randn(5, 3, 32, 32, generator=draw), torch.randint(5, (200,), generator=draw)
        x = centres[y] + 0.5 * torch.randn(200, 3, 32, 32, generator=draw)
        model = clip(seed)
        unit = torch.nn.functional.normalize(features(model, centres), dim=-1)
        spread = (unit - unit.mean(0)).norm(dim=1).mean() / 8**0.5
        classes = unit + 0.5 * spread * torch.randn(5, 8, generator=draw)
        plain, corrected = (
            condensing(model, classes=classes, strength=strength, sharpness=500.0)(x).argmax(1) == y
            for strength in (0.0, 3.0)
        )
        won, lost = won + int((corrected & ~plain).sum()), lost + int((plain & ~corrected).sum())
        seen += len(y)
        print(seed, float(plain.float().mean()), float(corrected.float().mean()))
    assert paired_score_interval(won, lost, seen).low > 0


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
