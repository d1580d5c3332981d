"""The last linear layer of a classifier: reads its features, and may rewrite its logits, by a hook.

Source: our own; adapters that work on features (cards 58 and 61) need no change of the model's code with it.
Cost: none beyond the model's pass. Needs: the extra `torch`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ponder.core.errors import AccessDenied, BadInput
from ponder.engines.online_parameters import modules_by_name

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Linear, Module

__all__ = ["HeadTap", "find_head"]


def find_head(model: Module, name: str = "") -> tuple[str, Linear]:
    """Return the linear layer that gives the logits, with its plain name: the last of the model, or the one named.

    Raises:
        AccessDenied: there is none.
        BadInput: the named module is no linear layer.
    """
    import torch

    parts = modules_by_name(model)
    if name:
        found = parts.get(name)
        if not isinstance(found, torch.nn.Linear):
            raise BadInput(f"head={name!r} is no linear layer of the model")
        return name, found
    layers = [(at, module) for at, module in parts.items() if isinstance(module, torch.nn.Linear)]
    if not layers:
        raise AccessDenied("the model has no linear layer to read features from: name its classifier with head=")
    return layers[-1]


class HeadTap:
    """Sees what goes into and out of the head at each pass.

    Attributes:
        head: the linear layer (C, D).
        features: its input at the last pass, (B, D), without its graph.
        logits: its own output then, (B, C), before any rewriting, without its graph.
        rewrite: from features and logits to the logits that the model goes on with; None leaves them.
    """

    def __init__(
        self, model: Module, name: str = "", rewrite: Callable[[Tensor, Tensor], Tensor] | None = None
    ) -> None:
        self.name, self.head = find_head(model, name)
        self.features: Tensor | None = None
        self.logits: Tensor | None = None
        self.rewrite = rewrite
        self._handle: Any = self.head.register_forward_hook(self._see)

    def close(self) -> None:
        """Take the hook off."""
        self._handle.remove()

    def _see(self, module: Any, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
        self.features, self.logits = inputs[0].detach(), output.detach()  # a graph would be held beyond its batch
        return None if self.rewrite is None else self.rewrite(inputs[0], output)
