"""Toy classifiers and streams for tests of adapters: small enough for a second, real enough to collapse."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["CLASSES", "FEATURES", "ConvToy", "batches", "cards_mlp", "mlp", "same_state", "shifted"]

CLASSES, FEATURES = 4, 8


def mlp(norm: str = "layer", *, dropout: float = 0.0) -> nn.Sequential:
    """An MLP (B, FEATURES) -> (B, CLASSES) with two norms of a kind: layer, group, batch or none."""
    torch.manual_seed(0)
    made = {
        "layer": lambda: nn.LayerNorm(16),
        "group": lambda: nn.GroupNorm(4, 16),
        "batch": lambda: nn.BatchNorm1d(16),
        "none": nn.Identity,
    }[norm]
    net = nn.Sequential(
        nn.Linear(FEATURES, 16),
        made(),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(16, 16),
        made(),
        nn.ReLU(),
        nn.Linear(16, CLASSES),
    )
    net[-1].weight.data *= 4  # so that some predictions are sure and others are not
    return net


class ConvToy(nn.Module):  # type: ignore[misc]  # torch is not typed here
    """Convolution, batch norm, mean, head; (B, 3, 6, 6) to logits."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm, self.head = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Classify."""
        logits: Tensor = self.head(self.norm(self.conv(x)).relu().mean((2, 3)))
        return logits


def batches(count: int = 4, size: int = 8, *, seed: int = 0, shape: tuple[int, ...] = (FEATURES,)) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [2 * torch.randn(size, *shape, generator=generator) for _ in range(count)]


def shifted(x: Tensor) -> Tensor:
    return 1.5 * x + 0.7


def same_state(left: Any, right: Any) -> bool:
    """Whether two state dicts of a model hold the same bits."""
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def cards_mlp(x: Tensor, y: Tensor) -> nn.Sequential:
    """The MLP 32-64-64-10 with layer norms of cards 47 and 48, trained on (N, 32), (N,) in four rounds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        parts = [nn.Sequential(nn.Linear(a, b), nn.LayerNorm(b), nn.ReLU()) for a, b in pairwise([32, 64, 64])]
        model = nn.Sequential(*parts, nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(4):
        for a, b in zip(x.split(100), y.split(100), strict=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(a), b).backward()
            optimizer.step()
    return model.eval()
