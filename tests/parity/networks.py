"""The small networks that fixtures of adaptation are computed on, rebuilt from the arrays of a case, in float64."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["build", "double", "load", "plain"]


def double(array: Any) -> Any:
    import torch

    return torch.from_numpy(array).double()


def load(model: Any, arrays: Mapping[str, Any], prefix: str) -> Any:
    """Fill a model with the arrays whose names start with `prefix`; all of its parameters must be there."""
    model = model.double()
    values = {name.removeprefix(prefix): double(value) for name, value in arrays.items() if name.startswith(prefix)}
    assert values.keys() == dict(model.named_parameters()).keys()
    for name, parameter in model.named_parameters():
        parameter.data.copy_(values[name])
    return model


def build(parts: Mapping[str, Any], forward: Any) -> Any:
    """A module of named parts and a function of it and its input."""
    from torch import nn

    class Net(nn.Module):  # type: ignore[misc]  # torch is not typed here
        def __init__(self) -> None:
            super().__init__()
            for name, part in parts.items():
                setattr(self, name, part)

        def forward(self, x: Any) -> Any:
            return forward(self, x)

    return Net()


def plain(value: Any) -> Any:
    """Tensors and arrays as lists and numbers, None as nan, as the fixtures have it."""
    if value is None:
        return float("nan")
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value.tolist() if hasattr(value, "tolist") else value
