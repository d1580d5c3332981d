"""Encoders of signals at the published sizes: a 1-D ResNet-18 with attention pooling, and a 1-D ViT-tiny.

Source: Liu et al. 2024, arXiv:2403.06659 (card 56), step 11: patch 50, width 192, depth 12 and 3 heads of the ViT; the
rest is ResNet-18 (He et al. 2015, arXiv:1512.03385) and ViT (Dosovitskiy et al. 2020, arXiv:2010.11929) over time.
Differs: the attention that pools has no places, so that any length will do; the ViT is pooled by the mean; no dropout.
Shapes: (B, leads, T) -> (B, width). Cost: that of the networks. Needs: the extra `torch`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ponder.core.errors import BadInput

__all__ = ["ResidualBlock", "SignalResNet18", "SignalViT"]


class ResidualBlock(nn.Module):  # type: ignore[misc]  # torch is not typed here
    """Two convolutions over time, beside which the signal goes on: (B, into, T) -> (B, out, T / stride)."""

    def __init__(self, into: int, out: int, stride: int, *, reach: int = 3) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(into, out, 2 * reach + 1, stride, reach, bias=False),
            nn.BatchNorm1d(out),
            nn.ReLU(),
            nn.Conv1d(out, out, 2 * reach + 1, 1, reach, bias=False),
            nn.BatchNorm1d(out),
        )
        same = stride == 1 and into == out
        self.skip = nn.Identity() if same else nn.Sequential(nn.Conv1d(into, out, 1, stride), nn.BatchNorm1d(out))

    def forward(self, x: Tensor) -> Tensor:
        """Add."""
        return torch.relu(self.body(x) + self.skip(x))


class SignalResNet18(nn.Module):  # type: ignore[misc]
    """Stem, four stages of two blocks, and attention of the mean to all moments."""

    width = 512

    def __init__(self, leads: int = 12, *, heads: int = 4) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv1d(leads, 64, 7, 2, 3, bias=False), nn.BatchNorm1d(64), nn.ReLU(), nn.MaxPool1d(3, 2, 1)
        )
        plan = [(64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)]
        self.stages = nn.Sequential(
            *(
                block
                for into, out, stride in plan
                for block in (ResidualBlock(into, out, stride, reach=1), ResidualBlock(out, out, 1, reach=1))
            )
        )
        self.pool = nn.MultiheadAttention(self.width, heads, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Embed."""
        moments = self.stages(self.stem(x)).transpose(1, 2)
        mean = moments.mean(1, keepdim=True)
        pooled: Tensor = self.pool(mean, moments, moments, need_weights=False)[0][:, 0]
        return pooled


class SignalViT(nn.Module):  # type: ignore[misc]
    """Patches of all leads with learnt places, twelve blocks, and their mean; signals no longer than `length`.

    Raises:
        BadInput: a longer one.
    """

    width = 192

    def __init__(
        self, leads: int = 12, *, length: int = 5000, patch: int = 50, depth: int = 12, heads: int = 3
    ) -> None:
        super().__init__()
        self.patches = nn.Conv1d(leads, self.width, patch, patch)
        self.places = nn.Parameter(0.02 * torch.randn(1, length // patch, self.width))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                self.width, heads, 4 * self.width, 0.0, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(self.width)

    def forward(self, x: Tensor) -> Tensor:
        """Embed."""
        h = self.patches(x).transpose(1, 2)
        if h.shape[1] > self.places.shape[1]:
            most = self.places.shape[1] * self.patches.stride[0]
            raise BadInput(f"signals of {x.shape[-1]} samples are longer than the {most} that the ViT has places for")
        h = h + self.places[:, : h.shape[1]]
        for block in self.blocks:
            h = block(h)
        out: Tensor = self.norm(h).mean(1)
        return out
