"""Where models and their data are put: the device that a user names, and what is moved there.

Source: our own. Cost: copying. Needs: the extra `torch`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ponder.core.errors import BadInput
from ponder.core.registry import need

__all__ = ["choose_device", "moved"]


def choose_device(name: str = "auto") -> Any:
    """Return a device of torch: the one that is named, or, for "auto", an accelerator if there is one, else the CPU.

    Raises:
        BadInput: no such device, or it is not there.
    """
    torch = need("torch", extra="torch", feature="adaptation at test time")
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if name == "auto":
        return torch.device("cpu") if found is None else found
    try:
        device = torch.device(name)
        torch.empty(1, device=device).tolist()
    except (RuntimeError, AssertionError, NotImplementedError, ModuleNotFoundError, ValueError):
        there = ["cpu"]
        if found is not None:
            there += [f"{found.type}:{at}" for at in range(torch.accelerator.device_count())]
        raise BadInput(f"no device {name!r} can be used here: take auto or one of {', '.join(there)}") from None
    return device


def moved(value: Any, device: Any) -> Any:
    """Return tensors, modules, and lists, tuples and mappings of them on the device; anything else as it is.

    A module is moved in place, as torch does.
    """
    if hasattr(value, "to") and (hasattr(value, "named_parameters") or hasattr(value, "new_tensor")):
        return value.to(device)
    if isinstance(value, Mapping):
        return {key: moved(part, device) for key, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(moved(part, device) for part in value)
    return value
