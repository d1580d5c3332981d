"""Card 43 (Wang et al. 2024, TCA): coresets, one condensing block, corrections, the reservoir, a whole stream."""

from __future__ import annotations

from typing import Any

import pytest

from tests.parity.cases import arrays, folders

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")

pytestmark = pytest.mark.torch
TOLERANCE = 1e-6


def every(prefix: str) -> list[Any]:
    found = [case for folder in folders("43") for case in arrays(folder / "cases.npz").items() if case[0]]
    own = [case for case in found if case[0].startswith(prefix)]
    return [pytest.param(value, id=name) for name, value in own] or [
        pytest.param(None, marks=pytest.mark.skip(reason="exempt: no such cases in PONDER_FIXTURES"))
    ]


def test_every_case_is_computed() -> None:
    known = ("coreset_", "block_", "paper_rank_selection", "correction_", "reservoir_", "stream")
    names = [name for folder in folders("43") for name in arrays(folder / "cases.npz") if name]
    assert [name for name in names if not name.startswith(known)] == []


def near(ours: Any, wanted: Any) -> None:
    np.testing.assert_allclose(np.asarray(ours), wanted, rtol=TOLERANCE, atol=TOLERANCE)


def same(ours: Any, wanted: Any) -> None:
    np.testing.assert_array_equal(np.asarray(ours), wanted)


def tensor(array: Any) -> Any:
    return torch.tensor(array, dtype=torch.float64)


@pytest.mark.parametrize("case", every("coreset_"))
def test_coreset(case: dict[str, Any]) -> None:
    from ponder.numerics.token_condensation import coreset

    found = coreset(tensor(case["tokens"]), int(case["first"]), int(case["k"]), keep_empty=True)
    same(found.centres, case["centre_index"])
    same(found.assign, case["assign"])
    near(found.merged, case["merged"])


def weights_of_layer(case: dict[str, Any], prefix: str = "w.", to: str = "") -> dict[str, Any]:
    """Names of the official block -> names of a transformers encoder layer."""
    width = case[f"{prefix}attn.out_proj.weight"].shape[0]
    found = {}
    for kind in ("weight", "bias"):
        packed = case[f"{prefix}attn.in_proj_{kind}"]
        for place, name in enumerate(("q", "k", "v")):
            found[f"{to}self_attn.{name}_proj.{kind}"] = packed[place * width : (place + 1) * width]
        for theirs, ours in (
            ("attn.out_proj", "self_attn.out_proj"),
            ("ln_1", "layer_norm1"),
            ("ln_2", "layer_norm2"),
            ("mlp.c_fc", "mlp.fc1"),
            ("mlp.c_proj", "mlp.fc2"),
        ):
            found[f"{to}{ours}.{kind}"] = case[f"{prefix}{theirs}.{kind}"]
    return {name: tensor(value) for name, value in found.items()}


def config(width: int, heads: int, layers: int = 1, image: int = 24, patch: int = 4, out: int = 6) -> Any:
    from transformers import CLIPVisionConfig

    return CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_attention_heads=heads,
        num_hidden_layers=layers,
        image_size=image,
        patch_size=patch,
        projection_dim=out,
        hidden_act="quick_gelu",
    )


@pytest.mark.parametrize("case", every("block_"))
def test_block(case: dict[str, Any]) -> None:
    from transformers.models.clip.modeling_clip import CLIPEncoderLayer

    from ponder.adapt._vision_towers import attend
    from ponder.numerics.token_condensation import average_rank, condense, coreset, counts, select

    heads, rate, first = case["cfg"]
    tokens = tensor(case["x"])
    layer = CLIPEncoderLayer(config(tokens.shape[1], int(heads))).double().eval()
    layer.load_state_dict(weights_of_layer(case))
    anchor = None
    with torch.no_grad():
        if len(case["anchors"]):
            anchors = tensor(case["anchors"])
            at = int(torch.nn.functional.cosine_similarity(anchors, tokens[:1]).argmax())
            same(at, case["anchor_index"])
            anchor = anchors[at]
        out, attention = attend(layer, tokens, anchor)
        rows = attention[:, 0, 1:]
        after = tokens + out
        near(rows, case["head_attn"])
        near(rows.mean(0), case["cls_attn"])
        near(average_rank(rows), case["avg_rank"])
        parts = select(rows, counts(len(tokens) - 1, float(rate)), score="mean")
        same(parts.kept + 0, case["kept"])
        same(parts.middle, case["middle"])
        same(parts.pruned, case["pruned"])
        group = coreset(after[1:][parts.middle], int(first) % len(parts.middle), keep_empty=True)
        same(group.centres, case["centres"])
        same(group.assign, case["assign"])
        near(group.merged, case["merged"])
        fewer = condense(after, rows, float(rate), first=int(first), score="mean", fuse=True, keep_empty=True)
        near(fewer[-1], case["extra"])
        near(fewer + layer.mlp(layer.layer_norm2(fewer)), case["out"])


@pytest.mark.parametrize("case", every("paper_rank_selection"))
def test_selection_by_rank_and_by_mean(case: dict[str, Any]) -> None:
    from ponder.numerics.token_condensation import average_rank, counts, select

    rate, keep, merged = case["cfg"]
    attention = tensor(case["head_attn"])
    share = counts(attention.shape[1], float(rate), centres=0)
    assert (share.kept + share.middle, share.middle) == (int(keep), 2 * int(merged))
    near(average_rank(attention), case["avg_rank"])
    for score in ("rank", "mean"):
        for name, part in zip(("kept", "middle", "pruned"), select(attention, share, score=score), strict=True):
            same(part, case[f"{score}_{name}"])


@pytest.mark.parametrize("case", every("correction_"))
def test_correction(case: dict[str, Any]) -> None:
    from ponder.numerics.token_condensation import affinity, correction, layer_weights

    classes, strength, sharpness, scale = case["cfg"]
    tokens = tensor(case["cls"])
    weights = layer_weights(len(tokens), float(scale), tokens)
    close = affinity(tokens, tensor(case["items"]), weights)
    labels = torch.tensor(case["labels"])
    near(weights, case["layer_weights"])
    near(close, case["affinity"])
    near(correction(close, labels, int(classes), strength=strength, sharpness=sharpness), case["delta"])


@pytest.mark.parametrize("case", every("reservoir_"))
def test_reservoir(case: dict[str, Any]) -> None:
    from ponder.adapt.token_condensation import Past, keep_best

    size, by_tokens = case["cfg"]
    kept: list[Any] = []
    for at in range(len(case["features"])):
        new = Past(tensor(case["features"][at]), float(case["entropy"][at]), tensor(case["cls"][at]), at)
        kept = keep_best([*kept, new], int(size), by_tokens=bool(by_tokens))
        ids = [past.number for past in kept]
        same(ids + [-1] * (int(size) - len(ids)), case["reservoir_ids"][at])


@pytest.mark.parametrize("case", every("stream"))
def test_stream(case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import CLIPVisionModelWithProjection

    from ponder.adapt.token_condensation import TokenCondensation

    image, patch, width, heads, out, rate, size, strength, sharpness, scale = (float(v) for v in case["cfg"])
    depth = case["cls"].shape[1]
    model = CLIPVisionModelWithProjection(
        config(int(width), int(heads), depth, int(image), int(patch), int(out))
    ).double()
    vision = {
        "embeddings.class_embedding": case["w.class_embedding"],
        "embeddings.patch_embedding.weight": case["w.conv1.weight"],
        "embeddings.position_embedding.weight": case["w.positional_embedding"],
        "pre_layrnorm.weight": case["w.ln_pre.weight"],
        "pre_layrnorm.bias": case["w.ln_pre.bias"],
        "post_layernorm.weight": case["w.ln_post.weight"],
        "post_layernorm.bias": case["w.ln_post.bias"],
    }
    state = {f"vision_model.{name}": tensor(value) for name, value in vision.items()}
    state["visual_projection.weight"] = tensor(case["w.proj"]).T
    for at in range(depth):
        place = f"vision_model.encoder.layers.{at}."
        state |= weights_of_layer(case, f"w.transformer.resblocks.{at}.", place)
    missing = model.load_state_dict(state, strict=False)
    assert [name for name in missing.missing_keys if "position_ids" not in name] + missing.unexpected_keys == []

    layers = (3, 6, 9)
    firsts = dict(zip(layers, (int(v) for v in case["first_centres"]), strict=True))
    monkeypatch.setattr(TokenCondensation, "_first_centre", lambda self, layer: firsts[layer])
    adapter = TokenCondensation(
        model,
        classes=tensor(case["text"]).T,
        rate=rate,
        layers=layers,
        size=int(size),
        strength=strength,
        sharpness=sharpness,
        scale=scale,
        parity="released",
    )
    for at, x in enumerate(case["x"]):
        final = adapter(tensor(x)[None])
        near(final[0], case["final"][at])
        near(adapter.evidence["zero_shot"][0], case["logits"][at])
        near(adapter.evidence["entropy"], [case["entropy"][at]])
        same(int(adapter.evidence["zero_shot"].argmax()), case["pred"][at])
        same(adapter.evidence["tokens"], case["token_counts"])
        newest = (
            next(past for c in adapter.reservoir for past in c if past.number == at)
            if at in {past.number for c in adapter.reservoir for past in c}
            else None
        )
        if newest is not None:
            near(newest.features, case["features"][at])
            near(newest.tokens, case["cls"][at])
        ids = [[past.number for past in kept] for kept in adapter.reservoir]
        same([row + [-1] * (int(size) - len(row)) for row in ids], case["reservoir_ids"][at])
        assert (adapter.anchors is not None) == bool(case["anchor_active"][at])
    near(adapter.anchors, case["anchors_last"])
