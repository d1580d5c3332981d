"""The shape of a model, which its cost follows from: out of a config.json, a GGUF file, or what a back-end says.

Weights beside a config.json are counted from the headers of its safetensors files; without them they follow from the
config, for the architectures whose layers are known here.
Source: our own; the formats are those of transformers, safetensors and GGUF.
Cost: reads headers, never weights. Needs: nothing beyond the base install; nothing is downloaded.
"""

from __future__ import annotations

import json
import math
import os
import re
import struct
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ponder.core.errors import BadInput
from ponder.core.model import ModelInfo
from ponder.models.gguf import Gguf, read
from ponder.numerics.cost_laws import Shape, TransformerFlops

__all__ = ["experts_used", "plain_config", "read_shape", "shape_of", "shape_of_config", "shape_of_gguf", "with_shape"]

_MOST = 2**28  # no header of a safetensors file is longer
_KNOWN = ("llama", "mistral", "mixtral", "qwen2", "qwen3", "qwen3_moe")


def shape_of(info: ModelInfo) -> Shape | None:
    """Return the shape that a back-end tells, or None where it does not tell all of it."""
    if not (info.active and info.layers and info.heads and info.kv_heads and info.head_size):
        return None
    return Shape(
        active=info.active,
        layers=info.layers,
        heads=info.heads,
        kv_heads=info.kv_heads,
        head_size=info.head_size,
        parameters=info.parameters,
        hidden=info.hidden,
        vocabulary=info.vocabulary,
    )


def with_shape(info: ModelInfo, shape: Shape) -> ModelInfo:
    """Return `info` with the shape and the FLOPs that follow from it."""
    return replace(
        info,
        parameters=shape.parameters,
        active=round(shape.active),
        layers=shape.layers,
        heads=shape.heads,
        kv_heads=shape.kv_heads,
        head_size=shape.head_size,
        hidden=shape.hidden,
        vocabulary=shape.vocabulary,
        flops=TransformerFlops(shape.active, shape.width),
    )


def shape_of_gguf(header: Gguf) -> Shape | None:
    """Return the shape of a GGUF file, or None where it lacks layers or heads, or these differ from layer to layer."""
    layers, heads = header.whole("block_count"), header.whole("attention.head_count")
    hidden = header.whole("embedding_length")
    if not (layers and heads and hidden):
        return None
    return Shape(
        active=header.multiplied,
        layers=layers,
        heads=heads,
        kv_heads=header.whole("attention.head_count_kv") or heads,
        head_size=header.whole("attention.key_length") or hidden // heads,
        parameters=header.parameters,
        hidden=hidden,
        vocabulary=header.vocabulary,
    )


# What older families (GPT-2) call the same things.
_ALIASES = {
    "num_attention_heads": "n_head",
    "hidden_size": "n_embd",
    "num_hidden_layers": "n_layer",
    "max_position_embeddings": "n_positions",
}


def plain_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a transformers config under the usual names."""
    missing = {name: config[old] for name, old in _ALIASES.items() if name not in config and old in config}
    return {**config, **missing}


def shape_of_config(config: Mapping[str, Any], *, parameters: int, active: float) -> Shape:
    """Return the shape that a transformers config describes, given the number of weights.

    Raises:
        BadInput: the config lacks its heads, layers or sizes.
    """
    try:
        heads, hidden = int(config["num_attention_heads"]), int(config["hidden_size"])
        return Shape(
            active=active,
            layers=int(config["num_hidden_layers"]),
            heads=heads,
            kv_heads=int(config.get("num_key_value_heads") or heads),
            head_size=int(config.get("head_dim") or hidden // heads),
            parameters=parameters,
            hidden=hidden,
            vocabulary=int(config["vocab_size"]),
        )
    except KeyError as err:
        raise BadInput(f"the model's config has no {err.args[0]!r}") from err
    except (TypeError, ValueError, ZeroDivisionError) as err:
        raise BadInput(f"the model's config is no description of a transformer: {err}") from err


def experts_used(config: Mapping[str, Any]) -> float:
    """Return the share of a mixture's experts that one token uses; 1 for a model without experts."""
    count = next(
        (config[key] for key in ("num_experts", "num_local_experts", "n_routed_experts") if config.get(key)), 0
    )
    used = config.get("num_experts_per_tok")
    return used / count if count and used else 1.0


def read_shape(source: Path | str) -> Shape:
    """Read the shape of a GGUF file, a directory with a config.json, or a model "org/name" in the hub's local cache.

    Raises:
        BadInput: there is no such model, or its files do not tell.
    """
    path = Path(source).expanduser()
    if path.suffix == ".gguf":
        shape = shape_of_gguf(read(path))
        if shape is None:
            raise BadInput(f"{str(path)!r} does not tell its layers and heads, or they differ from layer to layer")
        return shape
    if not path.is_dir():
        path = _cached(str(source))
    config = _json(path / "config.json")
    config = plain_config({**config, **config.get("text_config", {})})
    shapes: dict[str, list[int]] = {}
    for file in sorted(path.glob("*.safetensors")):
        shapes.update(_tensors(file))
    counted = _counted(config, shapes) if shapes else _derived(config, path)
    return shape_of_config(config, parameters=counted.parameters, active=counted.active)


class _Weights(NamedTuple):
    parameters: int
    active: float


def _counted(config: Mapping[str, Any], shapes: Mapping[str, list[int]]) -> _Weights:
    """Count the weights by the tensors' names."""
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    total = sum(sizes.values())
    experts = sum(size for name, size in sizes.items() if ".experts." in name)
    has_head = any(name.endswith("lm_head.weight") for name in sizes)
    table = sum(size for name, size in sizes.items() if name.endswith("embed_tokens.weight"))
    looked_up = table if has_head and not config.get("tie_word_embeddings", False) else 0
    if has_head and config.get("tie_word_embeddings", False):
        total -= table  # stored twice
    return _Weights(total, total - looked_up - experts * (1 - experts_used(config)))


def _derived(config: Mapping[str, Any], path: Path) -> _Weights:
    """Count the weights by the layers of a known architecture."""
    kind = config.get("model_type")
    if kind not in _KNOWN:
        raise BadInput(
            f"{str(path)!r} holds no safetensors files to count, and the layers of {kind!r} models are not known here"
        )
    shape = shape_of_config(config, parameters=0, active=1)
    hidden, queries, keys = shape.hidden or 0, shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    attention = 2 * hidden * queries + 2 * hidden * keys
    if kind == "qwen2":
        attention += queries + 2 * keys  # biases
    elif config.get("attention_bias", False):
        attention += queries + 2 * keys + hidden
    norms = 2 * hidden + (2 * shape.head_size if kind.startswith("qwen3") else 0)
    try:
        count = int(config.get("num_experts") or config.get("num_local_experts") or 0)
        inner = config["moe_intermediate_size"] if kind == "qwen3_moe" else config["intermediate_size"]
    except KeyError as err:
        raise BadInput(f"the model's config has no {err.args[0]!r}") from err
    fixed, experts = (count * hidden, count * 3 * hidden * inner) if count else (3 * hidden * inner, 0)
    table = (shape.vocabulary or 0) * hidden
    shared = config.get("tie_word_embeddings", False)
    body = shape.layers * (attention + norms + fixed + experts) + hidden + table
    used = experts * shape.layers * (1 - experts_used(config))
    return _Weights(body + (0 if shared else table), body - used)


def _cached(name: str) -> Path:
    """Return the newest local copy of a hub model."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise BadInput(f"there is no model directory {name!r}")
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    root = Path(os.environ.get("HF_HUB_CACHE") or home / "hub") / f"models--{name.replace('/', '--')}"
    try:
        commit = (root / "refs" / "main").read_text(encoding="utf-8").strip()
    except OSError as err:
        raise BadInput(f"{name!r} is no directory, and the hub's local cache has no such model") from err
    return root / "snapshots" / commit


def _json(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_bytes())
    except (OSError, ValueError) as err:
        raise BadInput(f"cannot read {str(file)!r}: {err}") from err
    if not isinstance(data, dict):
        raise BadInput(f"{str(file)!r} is no config: it must hold one object")
    return data


def _tensors(file: Path) -> dict[str, list[int]]:
    """Return the shapes in a safetensors file."""
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > _MOST:
                raise BadInput(f"{str(file)!r} is no safetensors file")
            header = json.loads(stream.read(length))
        return {name: facts["shape"] for name, facts in header.items() if name != "__metadata__"}
    except (OSError, ValueError, struct.error, KeyError, TypeError, AttributeError) as err:
        raise BadInput(f"cannot read {str(file)!r}: {err}") from err
