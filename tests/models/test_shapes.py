from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from ponder.core.budget import Budget, Meter
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import ModelInfo
from ponder.core.usage import Usage
from ponder.models.gguf import Gguf
from ponder.models.shapes import (
    experts_used,
    plain_config,
    read_shape,
    shape_of,
    shape_of_config,
    shape_of_gguf,
    with_shape,
)

CONFIG = {"num_attention_heads": 8, "hidden_size": 64, "num_hidden_layers": 4, "vocab_size": 100}


def test_a_config_gives_its_shape() -> None:
    shape = shape_of_config({**CONFIG, "num_key_value_heads": 2}, parameters=1000, active=900)
    assert (shape.heads, shape.kv_heads, shape.layers, shape.head_size) == (8, 2, 4, 8)
    assert shape_of_config(CONFIG, parameters=1000, active=900).kv_heads == 8
    assert shape_of_config({**CONFIG, "head_dim": 16}, parameters=1000, active=900).head_size == 16


def test_older_names_are_understood() -> None:
    old = {"n_head": 8, "n_embd": 64, "n_layer": 4, "vocab_size": 100}
    assert shape_of_config(plain_config(old), parameters=1, active=1) == shape_of_config(CONFIG, parameters=1, active=1)


def test_a_mixture_uses_some_of_its_experts() -> None:
    assert experts_used({"num_local_experts": 8, "num_experts_per_tok": 2}) == 0.25
    assert experts_used(CONFIG) == 1.0


@pytest.mark.parametrize("lacking", ["num_attention_heads", "hidden_size", "vocab_size"])
def test_a_config_that_lacks_its_sizes_is_refused(lacking: str) -> None:
    config = {name: value for name, value in CONFIG.items() if name != lacking}
    with pytest.raises(BadInput, match=lacking):
        shape_of_config(config, parameters=1, active=1)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        read_shape(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "unheard-of"}))
    with pytest.raises(BadInput):
        read_shape(tmp_path)


# -- weights, counted and derived ----------------------------------------------------------------------------------


def directory(path: Path, config: dict[str, Any], tensors: dict[str, list[int]] | None = None) -> Path:
    """Write a model directory whose safetensors file holds a header only."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(config))
    if tensors is not None:
        facts = {name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]} for name, shape in tensors.items()}
        header = json.dumps({"__metadata__": {"format": "pt"}, **facts}).encode()
        (path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    return path


TENSORS = {
    "model.embed_tokens.weight": [100, 64],
    "model.layers.0.mlp.gate_proj.weight": [10, 64],
    "model.layers.0.mlp.experts.0.up_proj.weight": [5, 64],
    "model.layers.0.mlp.experts.1.up_proj.weight": [5, 64],
}


def test_weights_are_counted_in_the_files(tmp_path: Path) -> None:
    tied = read_shape(directory(tmp_path / "tied", {**CONFIG, "tie_word_embeddings": True}, TENSORS))
    assert (tied.parameters, tied.active) == (120 * 64, 120 * 64)
    head = {**TENSORS, "lm_head.weight": [100, 64]}
    twice = read_shape(directory(tmp_path / "twice", {**CONFIG, "tie_word_embeddings": True}, head))
    assert (twice.parameters, twice.active) == (120 * 64, 120 * 64)
    mixture = {**CONFIG, "num_experts": 2, "num_experts_per_tok": 1}
    apart = read_shape(directory(tmp_path / "apart", mixture, head))
    assert (apart.parameters, apart.active) == (220 * 64, 115 * 64)  # one embedding looked up, one expert of two used


def test_a_broken_safetensors_file_is_refused(tmp_path: Path) -> None:
    path = directory(tmp_path, CONFIG, TENSORS)
    for data in (b"", b"\xff" * 64, struct.pack("<Q", 4) + b"{]  "):
        (path / "model.safetensors").write_bytes(data)
        with pytest.raises(BadInput, match="safetensors"):
            read_shape(path)


def test_weights_of_a_known_architecture_follow_from_its_config(tmp_path: Path) -> None:
    qwen = {
        "model_type": "qwen3",
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "hidden_size": 4096,
        "intermediate_size": 12288,
        "vocab_size": 151936,
    }
    shape = read_shape(directory(tmp_path, qwen))
    assert shape.parameters == 8_190_735_360  # as published for Qwen3-8B
    assert shape.active == 8_190_735_360 - 151936 * 4096
    with pytest.raises(BadInput, match="intermediate_size"):
        read_shape(directory(tmp_path, {name: value for name, value in qwen.items() if name != "intermediate_size"}))


KINDS: dict[str, dict[str, Any]] = {
    "LlamaConfig": {"attention_bias": True, "tie_word_embeddings": True},
    "MistralConfig": {},
    "MixtralConfig": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "Qwen2Config": {},
    "Qwen3Config": {"head_dim": 32},
    "Qwen3MoeConfig": {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 48, "head_dim": 32},
}


@pytest.mark.parametrize("kind", KINDS)
def test_derived_weights_are_those_of_the_module(kind: str, tmp_path: Path) -> None:
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    from ponder.models._hf_open import describe

    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "vocab_size": 100}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    config = getattr(transformers, kind)(**sizes, **heads, **KINDS[kind])
    with torch.device("meta"):
        module = transformers.AutoModelForCausalLM.from_config(config)
    assert shape_of(describe(module, "x")) == read_shape(directory(tmp_path, config.to_dict()))


def test_the_hubs_cache_is_read_and_nothing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    root = tmp_path / "models--org--name"
    directory(root / "snapshots" / "abc", CONFIG, TENSORS)
    with pytest.raises(BadInput, match="no such model"):
        read_shape("org/name")
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text("abc")
    assert read_shape("org/name").layers == 4


def test_a_gguf_header_gives_its_shape_where_all_layers_are_alike() -> None:
    values: dict[str, str | int | float | bool] = {
        "general.architecture": "x",
        "x.block_count": 3,
        "x.attention.head_count": 4,
        "x.embedding_length": 64,
    }
    experts: dict[str, int] = {"x.expert_count": 4, "x.expert_used_count": 1}
    shapes = {"token_embd.weight": (64, 100), "output.weight": (64, 100), "blk.0.ffn_up_exps.weight": (64, 10, 4)}
    header = Gguf(values={**values, **experts, "x.attention.key_length": 32}, lengths={}, shapes=shapes)
    shape = shape_of_gguf(header)
    assert shape is not None
    assert (shape.layers, shape.heads, shape.kv_heads, shape.head_size) == (3, 4, 4, 32)
    assert (shape.parameters, shape.active) == (64 * 240, 64 * 110)
    del values["x.attention.head_count"]
    assert shape_of_gguf(Gguf(values=values, lengths={}, shapes=shapes)) is None


# -- what a back-end says ------------------------------------------------------------------------------------------


def test_a_shape_survives_in_the_facts_of_a_model() -> None:
    shape = shape_of_config(CONFIG, parameters=1000, active=900)
    info = with_shape(ModelInfo(fingerprint="m", context=5), shape)
    assert shape_of(info) == shape
    assert info.context == 5
    assert shape_of(ModelInfo(fingerprint="m")) is None


def test_a_budget_in_flops_needs_a_shape_and_is_kept() -> None:
    info = with_shape(ModelInfo(fingerprint="m"), shape_of_config(CONFIG, parameters=1000, active=900))
    meter = Meter(Budget(flops=1e6))
    with pytest.raises(ConfigError, match="shape"):
        meter.check_prices(ModelInfo(fingerprint="m"), "m")
    meter.check_prices(info, "m")
    # By hand: 3 tokens at 2 x 900, and 4 x 4 layers x 64 for each of 1 + 2 + 3 positions.
    assert info.price(Usage(calls=1, prompt_tokens=2, completion_tokens=1)).flops == 3 * 1800 + 1024 * 6
