"""Files in the user's cache of what the project trains or simulates itself, made once; of several processes by one.

Source: our own. Cost: reading a file, or making it. Needs: the extra `torch`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from filelock import FileLock  # torch brings it
from safetensors.torch import load_file, save_file
from torch import Tensor

from ponder.models.convert import cache_directory

__all__ = ["kept", "kept_weights"]


def kept(name: str, make: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the tensors kept under a name, made and written by the first process that asks; others wait for it."""
    file = cache_directory() / "reference" / f"{name}.safetensors"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file.with_suffix(".lock")):
            if not file.is_file():  # nobody made it meanwhile
                scratch = file.with_suffix(f".{os.getpid()}.part")
                save_file({part: value.contiguous() for part, value in make().items()}, scratch)
                scratch.replace(file)
    found: dict[str, Tensor] = load_file(file)
    return found


def kept_weights(name: str, model: Any, train: Callable[[], None]) -> None:
    """Give a model the weights kept under a name, or train it and keep them; leave it in evaluation mode."""

    def make() -> Mapping[str, Tensor]:
        train()
        return dict(model.state_dict())

    model.load_state_dict(kept(name, make))
    model.eval()
