"""How the battery builds adapters that need more than a classifier of pictures, or other inputs; by registry name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

__all__ = ["MAKERS", "Maker"]


class Maker(NamedTuple):
    """Builds an adapter and its inputs.

    Attributes:
        make: from the entry (and settings) to a fresh adapter; equal each time.
        inputs: from count=4, size=8, seed=0 to batches of finite tensors.
    """

    make: Callable[..., Any]
    inputs: Callable[..., list[Any]]


def _pictures(count: int = 4, size: int = 8, seed: int = 0) -> list[Any]:
    from tests.adapt import networks

    found: list[Any] = networks.batches(count, size, seed=seed, shape=(3, 6, 6))
    return found


def _t3_merging(entry: Any, **more: Any) -> Any:
    import torch

    from tests.adapt import networks

    expert = networks.ConvToy()
    with torch.no_grad():
        for part in expert.parameters():
            part.add_(0.1 * part.square())
    return entry.make(model=networks.ConvToy(), expert=expert, gamma=10.0, **more)


def _token_condensation(entry: Any, **more: Any) -> Any:
    import torch
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(0)
    small = {"hidden_size": 8, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 4}
    model = CLIPVisionModelWithProjection(CLIPVisionConfig(**small, image_size=24, patch_size=4, projection_dim=4))
    return entry.make(model=model.eval(), classes=torch.eye(4), rate=0.06, anchors_from="available", **more)


def _images(count: int = 4, size: int = 8, seed: int = 0) -> list[Any]:
    from tests.adapt import networks

    found: list[Any] = networks.batches(count, size, seed=seed, shape=(3, 24, 24))
    return found


def _merl(entry: Any, **more: Any) -> Any:
    import torch

    from tests.adapt import networks

    return entry.make(model=networks.ConvToy(), classes=torch.eye(networks.CLASSES), **more)


MAKERS: Mapping[str, Maker] = {
    "merl": Maker(_merl, _pictures),
    "t3_merging": Maker(_t3_merging, _pictures),
    "token_condensation": Maker(_token_condensation, _images),
}
