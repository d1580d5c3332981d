"""Card 43 (Wang et al. 2024, TCA): coresets, one condensing block, corrections, the reservoir, a whole stream."""

from __future__ import annotations

from typing import Any

import pytest

from tests.parity.fields import Fields, all_read, cases_of, names_of

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")

pytestmark = pytest.mark.torch
TOLERANCE = 1e-6
KNOWN = ("coreset_", "block_", "paper_rank_selection", "correction_", "reservoir_", "stream")


def test_every_case_is_computed() -> None:
    assert [name for name in names_of("43") if not name.startswith(KNOWN)] == []


def near(ours: Any, wanted: Any) -> None:
    assert np.shape(ours) == np.shape(wanted)
    np.testing.assert_allclose(np.asarray(ours), wanted, rtol=TOLERANCE, atol=TOLERANCE)


def same(ours: Any, wanted: Any) -> None:
    assert np.shape(ours) == np.shape(wanted)
    np.testing.assert_array_equal(np.asarray(ours), wanted)


def tensor(array: Any) -> Any:
    return torch.tensor(array, dtype=torch.float64)


@pytest.mark.parametrize("arrays", cases_of("43", "coreset_"))
def test_coreset(arrays: dict[str, Any]) -> None:
    from ponder.numerics.token_condensation import coreset

    with all_read(arrays) as case:
        found = coreset(tensor(case["tokens"]), int(case["first"]), int(case["k"]), keep_empty=True)
        same(found.centres, case["centre_index"])
        same(found.assign, case["assign"])
        near(found.merged, case["merged"])


def weights_of_layer(arrays: dict[str, Any], to: str = "") -> dict[str, Any]:
    """Names of the official block -> names of a transformers encoder layer."""
    theirs = {
        "attn.out_proj": "self_attn.out_proj",
        "ln_1": "layer_norm1",
        "ln_2": "layer_norm2",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
    }
    found: dict[str, Any] = {}
    for name, value in arrays.items():
        part, _, kind = name.rpartition(".")
        if name.startswith("attn.in_proj_"):
            packed = dict(zip("qkv", np.split(value, 3), strict=True))
            found |= {f"{to}self_attn.{q}_proj.{name.rpartition('_')[2]}": rows for q, rows in packed.items()}
        else:
            found[f"{to}{theirs[part]}.{kind}"] = value
    return {name: tensor(value) for name, value in found.items()}


def config(width: int, heads: int, inner: int, **others: int) -> Any:
    from transformers import CLIPVisionConfig

    return CLIPVisionConfig(
        hidden_size=width, intermediate_size=inner, num_attention_heads=heads, hidden_act="quick_gelu", **others
    )


@pytest.mark.parametrize("arrays", cases_of("43", "block_"))
def test_block(arrays: dict[str, Any]) -> None:
    from transformers.models.clip.modeling_clip import CLIPEncoderLayer

    from ponder.adapt._vision_towers import attend
    from ponder.numerics.token_condensation import average_rank, condense, coreset, counts, select

    with all_read(arrays) as case, torch.no_grad():
        heads, rate, first = case["cfg"]
        tokens, centres = tensor(case["x"]), len(case["centres"])
        inner = len(case["w.mlp.c_fc.weight"])
        layer = CLIPEncoderLayer(config(tokens.shape[1], int(heads), inner)).double().eval()
        layer.load_state_dict(weights_of_layer(case.named("w.")))
        anchor, anchors = None, tensor(case["anchors"])
        if len(anchors):
            at = int(torch.nn.functional.cosine_similarity(anchors, tokens[:1]).argmax())
            same(at, case["anchor_index"])
            anchor = anchors[at]
        out, attention = attend(layer, tokens, anchor)
        rows = attention[:, 0, 1:]
        after = tokens + out
        near(rows, case["head_attn"])
        near(rows.mean(0), case["cls_attn"])
        near(average_rank(rows), case["avg_rank"])
        parts = select(rows, counts(len(tokens) - 1, float(rate), centres=centres), score="mean")
        same(parts.kept, case["kept"])
        same(parts.middle, case["middle"])
        same(parts.pruned, case["pruned"])
        group = coreset(after[1:][parts.middle], int(first) % len(parts.middle), centres, keep_empty=True)
        same(group.centres, case["centres"])
        same(group.assign, case["assign"])
        near(group.merged, case["merged"])
        released: dict[str, Any] = {"centres": centres, "score": "mean", "fuse": True, "keep_empty": True}
        fewer = condense(after, rows, float(rate), first=int(first), **released)
        near(fewer[-1], case["extra"])
        near(fewer + layer.mlp(layer.layer_norm2(fewer)), case["out"])


@pytest.mark.parametrize("arrays", cases_of("43", "paper_rank_selection"))
def test_selection_by_rank_and_by_mean(arrays: dict[str, Any]) -> None:
    from ponder.numerics.token_condensation import average_rank, counts, select

    with all_read(arrays) as case:
        rate, keep, merged = case["cfg"]
        attention = tensor(case["head_attn"])
        share = counts(attention.shape[1], float(rate), centres=0)
        assert (share.kept + share.middle, share.middle) == (int(keep), 2 * int(merged))
        near(average_rank(attention), case["avg_rank"])
        for score in ("rank", "mean"):
            for name, part in zip(("kept", "middle", "pruned"), select(attention, share, score=score), strict=True):
                same(part, case[f"{score}_{name}"])


@pytest.mark.parametrize("arrays", cases_of("43", "correction_"))
def test_correction(arrays: dict[str, Any]) -> None:
    from ponder.numerics.token_condensation import affinity, correction, layer_weights

    with all_read(arrays) as case:
        classes, strength, sharpness, scale = case["cfg"]
        tokens = tensor(case["cls"])
        weights = layer_weights(len(tokens), float(scale), tokens)
        close = affinity(tokens, tensor(case["items"]), weights)
        labels = torch.tensor(case["labels"])
        near(weights, case["layer_weights"])
        near(close, case["affinity"])
        near(correction(close, labels, int(classes), strength=strength, sharpness=sharpness), case["delta"])


@pytest.mark.parametrize("arrays", cases_of("43", "reservoir_"))
def test_reservoir(arrays: dict[str, Any]) -> None:
    from ponder.adapt._image_reservoir import Past, keep_best

    with all_read(arrays) as case:
        size, by_tokens = case["cfg"]
        rows = zip(case["features"], case["entropy"], case["cls"], case["reservoir_ids"], strict=True)
        kept: list[Any] = []
        for at, (features, entropy, tokens, wanted) in enumerate(rows):
            new = Past(tensor(features), float(entropy), tensor(tokens), at)
            kept = keep_best([*kept, new], int(size), by_tokens=bool(by_tokens))
            ids = [past.number for past in kept]
            same(ids + [-1] * (int(size) - len(ids)), wanted)


def vision_model(case: Fields, heads: int, image: int, patch: int, out: int) -> Any:
    """The official vision transformer as transformers' CLIP."""
    from transformers import CLIPVisionModelWithProjection

    depth, width = case["cls"].shape[1:]
    names = {
        "embeddings.class_embedding": "w.class_embedding",
        "embeddings.patch_embedding.weight": "w.conv1.weight",
        "embeddings.position_embedding.weight": "w.positional_embedding",
        "pre_layrnorm.weight": "w.ln_pre.weight",
        "pre_layrnorm.bias": "w.ln_pre.bias",
        "post_layernorm.weight": "w.ln_post.weight",
        "post_layernorm.bias": "w.ln_post.bias",
    }
    state = {f"vision_model.{ours}": tensor(case[theirs]) for ours, theirs in names.items()}
    state["visual_projection.weight"] = tensor(case["w.proj"]).T
    for at in range(depth):
        layer = case.named(f"w.transformer.resblocks.{at}.")
        state |= weights_of_layer(layer, f"vision_model.encoder.layers.{at}.")
    settings = config(
        width,
        heads,
        len(case["w.transformer.resblocks.0.mlp.c_fc.weight"]),
        num_hidden_layers=depth,
        image_size=image,
        patch_size=patch,
        num_channels=case["x"].shape[1],
        projection_dim=out,
    )
    model = CLIPVisionModelWithProjection(settings).double()
    missing = model.load_state_dict(state, strict=False)
    assert [name for name in missing.missing_keys if "position_ids" not in name] + missing.unexpected_keys == []
    return model


@pytest.mark.parametrize("arrays", cases_of("43", "stream"))
def test_stream(arrays: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from ponder.adapt.token_condensation import TokenCondensation

    with all_read(arrays) as case:
        image, patch, width, heads, out, rate, size, strength, sharpness, scale = (float(v) for v in case["cfg"])
        assert case["cls"].shape[2] == int(width)
        layers = (3, 6, 9)  # as the README says
        firsts = dict(zip(layers, (int(v) for v in case["first_centres"]), strict=True))
        monkeypatch.setattr(TokenCondensation, "_first_centre", lambda self, layer: firsts[layer])
        seen: list[Any] = []
        encode = TokenCondensation._encode

        def seen_by(self: Any, x: Any) -> Any:
            seen.append(encode(self, x))
            return seen[-1]

        monkeypatch.setattr(TokenCondensation, "_encode", seen_by)
        adapter = TokenCondensation(
            vision_model(case, int(heads), int(image), int(patch), int(out)),
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
            near(torch.nn.functional.normalize(seen[-1][0], dim=-1), case["features"][at])
            near(seen[-1][1], case["cls"][at])
            ids = [[past.number for past in kept] for kept in adapter.reservoir]
            same([row + [-1] * (int(size) - len(row)) for row in ids], case["reservoir_ids"][at])
            assert (adapter.anchors is not None) == bool(case["anchor_active"][at])
        anchors = np.full(case["anchors_last"].shape, np.nan) if adapter.anchors is None else adapter.anchors
        near(anchors, case["anchors_last"])
