"""Find a model's files, load them, and say what they are.

Only safetensors and JSON are read, never pickles, and no code that comes with a model is run.

Source: our own. Needs: the extra `torch`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers

from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import ModelInfo
from ponder.models.convert import converted, quiet, sha256
from ponder.models.shapes import experts_used, plain_config, shape_of_config, with_shape

__all__ = ["Opened", "describe", "open_model"]

_PATTERNS = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"]
_DTYPES = ("auto", "bfloat16", "float16", "float32")


class Opened(NamedTuple):
    """A loaded model, its tokenizer, and a digest of the files they came from."""

    module: Any
    tokenizer: Any
    digest: str


def open_model(name: str, *, device: str, dtype: str) -> Opened:
    """Load a directory, a GGUF file, a hub name "org/name", or a model that ponder fetches by name.

    Raises:
        BadInput: there is no such model, or its files cannot be used.
        ConfigError: no such dtype or device.
    """
    if dtype not in _DTYPES:
        raise ConfigError(f"dtype must be one of {', '.join(_DTYPES)}, got {dtype!r}")
    try:
        place = torch.device(_best_device() if device == "auto" else device)
    except RuntimeError as err:
        raise ConfigError(f"no device is called {device!r}: {err}") from err
    directory = _find(name)
    if not (directory / "config.json").is_file():
        raise BadInput(f"{str(directory)!r} has no config.json: it is no transformers model")
    form = _best_dtype(place) if dtype == "auto" else getattr(torch, dtype)
    try:
        with quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(directory, local_files_only=True)
            module = transformers.AutoModelForCausalLM.from_pretrained(
                directory, dtype=form, use_safetensors=True, local_files_only=True
            )
    except (OSError, ValueError, KeyError) as err:
        raise BadInput(f"transformers cannot open {name!r}: {err}") from err
    return Opened(module.to(place).eval(), tokenizer, _digest(directory))


def describe(module: Any, fingerprint: str) -> ModelInfo:
    """Return the facts about a loaded model."""
    config = plain_config(module.config.get_text_config().to_dict())
    weights = {name: tensor.numel() for name, tensor in module.named_parameters()}
    parameters = sum(weights.values())
    experts = sum(count for name, count in weights.items() if ".experts." in name)
    # The input embedding is looked up, not multiplied, unless the output layer shares it.
    looked_up = 0 if config.get("tie_word_embeddings", False) else config["vocab_size"] * config["hidden_size"]
    active = parameters - looked_up - round(experts * (1 - experts_used(config)))
    info = ModelInfo(fingerprint=fingerprint, context=config.get("max_position_embeddings"))
    return with_shape(info, shape_of_config(config, parameters=parameters, active=active))


def _find(name: str) -> Path:
    """Return the directory of a model."""
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.suffix == ".gguf":
        return converted(path)
    if path.is_absolute() or name.startswith("."):
        raise BadInput(f"there is no directory {name!r}")
    if "/" in name:
        return _download(name)
    from ponder.models import fetch

    return converted(fetch.path(name))


def _download(name: str) -> Path:
    """Return the local copy of a hub model, downloading what is missing (HF_HUB_OFFLINE=1 forbids it)."""
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=_PATTERNS))
    except (OSError, ValueError) as err:  # its HTTP errors are OSErrors, a wrong name is a ValueError
        raise BadInput(f"the hub model {name!r} cannot be had: {err}") from err


def _digest(directory: Path) -> str:
    """Return one digest over all files that the law depends on."""
    files = sorted({file for pattern in _PATTERNS for file in directory.glob(pattern)})
    listed: Mapping[str, str] = {file.name: sha256(file) for file in files if file.name != "manifest.json"}
    return hashlib.sha256(json.dumps(listed, sort_keys=True).encode()).hexdigest()


def _best_device() -> str:
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return "cpu" if found is None else str(found)


def _best_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 where the processor multiplies it natively, else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    # Asked of the processor where torch can tell (2.9 and later); without an answer the slow but safe choice.
    features: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)() if device.type == "cpu" else {}
    fast = any(features.get(name) for name in ("amx_bf16", "avx512_bf16", "sve_bf16", "arm_bf16", "bf16"))
    return torch.bfloat16 if fast else torch.float32
