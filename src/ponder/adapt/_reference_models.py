"""Small classifiers that the project trains itself, to try adapters on: with batch, group and layer norms.

Source: our own; sizes are such that each trains in a minute or two on a CPU and is kept in the user's cache.
Cost: training once, then reading a file. Needs: the extra `torch`; for digits also scikit-learn.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ponder.adapt._reference_files import kept_weights
from ponder.core.errors import ConfigError
from ponder.core.seeds import derive_seed
from ponder.tasks.pictures import Pictures, digits, shapes

__all__ = ["KINDS", "ConvNet", "Reference", "TinyViT", "pictures", "reference_model"]

Kind = Literal["conv_bn", "conv_gn", "vit_ln"]
Data = Literal["shapes", "digits"]
KINDS: tuple[Kind, ...] = ("conv_bn", "conv_gn", "vit_ln")
_VERSION = 3


class ConvNet(nn.Module):  # type: ignore[misc]  # torch is not typed here
    """Three convolutions with norms, a mean over places, a linear head; pictures (N, 1, H, W) to logits (N, C)."""

    def __init__(self, norm: Literal["batch", "group"], *, width: int = 16, classes: int = 10) -> None:
        super().__init__()

        def block(into: int, out: int, stride: int) -> nn.Sequential:
            made = nn.BatchNorm2d(out) if norm == "batch" else nn.GroupNorm(4, out)
            return nn.Sequential(nn.Conv2d(into, out, 3, stride, 1, bias=False), made, nn.ReLU())

        wide = 2 * width
        self.blocks = nn.Sequential(
            block(1, width, 1), block(width, wide, 2), block(wide, wide, 1), block(wide, 2 * wide, 2)
        )
        self.head = nn.Linear(2 * wide, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Classify."""
        logits: Tensor = self.head(self.blocks((x - 0.3) / 0.3).mean((2, 3)))
        return logits


class _Layer(nn.Module):  # type: ignore[misc]  # torch is not typed here
    """A transformer layer with the norms before."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm1(x)
        x = x + self.attention(h, h, h, need_weights=False)[0]
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class TinyViT(nn.Module):  # type: ignore[misc]  # torch is not typed here
    """A vision transformer with layer norms; pictures (N, 1, S, S) to logits (N, C)."""

    def __init__(self, *, size: int = 16, patch: int = 4, dim: int = 48, depth: int = 4, classes: int = 10) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, dim, patch, patch)
        self.places = nn.Parameter(0.02 * torch.randn(1, (size // patch) ** 2, dim))
        self.blocks = nn.ModuleList(_Layer(dim, 4) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Classify."""
        h = self.patches((x - 0.3) / 0.3).flatten(2).transpose(1, 2) + self.places
        for block in self.blocks:
            h = block(h)
        logits: Tensor = self.head(self.norm(h).mean(1))
        return logits


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A trained model with data that it has and has not seen.

    Attributes:
        model: in evaluation mode; a fresh copy each time.
        train, test: pictures.
        accuracy: on the test pictures, in [0, 1].
    """

    model: nn.Module
    train: Pictures
    test: Pictures
    accuracy: float

    def source(self, samples: int = 2000, batch: int = 64) -> list[tuple[Tensor, Tensor]]:
        """Return batches of training pictures and labels."""
        count = min(samples, len(self.train.x))
        x, y = self.train.x[:count], self.train.y[:count]
        return list(zip(x.split(batch), y.split(batch), strict=True))

    def clean(self, batch: int = 256) -> list[tuple[Tensor, Tensor]]:
        """Return batches of test pictures and labels."""
        return list(zip(self.test.x.split(batch), self.test.y.split(batch), strict=True))


def pictures(data: Data, shares: tuple[float, ...] | None = None) -> tuple[Pictures, Pictures]:
    """Return training and test pictures; `shares` of classes hold for the training pictures of shapes."""
    if data == "shapes":
        return shapes(6000, seed=1, shares=shares), shapes(2000, seed=2)
    if data != "digits":
        raise ConfigError(f"data must be shapes or digits, got {data!r}")
    whole = digits()
    order = torch.randperm(len(whole.x), generator=torch.Generator().manual_seed(derive_seed(0, "digits")))
    first, rest = order[:1200], order[1200:]
    return Pictures(whole.x[first], whole.y[first]), Pictures(whole.x[rest], whole.y[rest])


def reference_model(
    kind: Kind,
    data: Data = "shapes",
    *,
    shares: tuple[float, ...] | None = None,
    width: int = 16,
    smoothing: float = 0.0,
    seed: int = 0,
) -> Reference:
    """Return a model, trained the first time and read from the user's cache afterwards.

    Args:
        kind: "conv_bn", "conv_gn" or "vit_ln".
        data: "shapes" or "digits".
        shares: of classes in the training data, for label shift (shapes only).
        width: channels of a conv net's first block; the ViT has one size.
        smoothing: of the labels in training, in [0, 1). Without it these nets are sure of almost all they see, right or
            wrong; with 0.1, as large ViTs are trained, the entropy of a prediction tells something of its truth.
        seed: of weights and batches.

    Raises:
        ConfigError: no such kind or data.
    """
    if kind not in KINDS:
        raise ConfigError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    train, test = pictures(data, shares)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "reference", kind))
        norm: Literal["batch", "group"] = "batch" if kind == "conv_bn" else "group"
        model = TinyViT() if kind == "vit_ln" else ConvNet(norm, width=width)
    tag = f"{derive_seed(0, json.dumps(shares)):x}" if shares else "even"
    made = ("" if kind == "vit_ln" or width == 16 else f"-w{width}") + (f"-s{smoothing:g}" if smoothing else "")
    epochs = (24 if kind == "vit_ln" else 8) * (3 if data == "digits" else 1)
    name = f"{kind}{made}-{data}-{tag}-{seed}-v{_VERSION}"
    kept_weights(name, model, lambda: _train(model, train, seed, epochs=epochs, smoothing=smoothing))
    return Reference(model=model, train=train, test=test, accuracy=_accuracy(model, test))


def _train(model: nn.Module, train: Pictures, seed: int, epochs: int, smoothing: float) -> None:
    generator = torch.Generator().manual_seed(derive_seed(seed, "reference", "batches"))
    with torch.inference_mode(mode=False), torch.enable_grad():
        model.train()
        steps = epochs * (len(train.x) // 64)
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
        schedule: Any = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
        for _ in range(epochs):
            order = torch.randperm(len(train.x), generator=generator)
            for at in range(0, 64 * (len(order) // 64), 64):
                rows = order[at : at + 64]
                logits = model(_vary(train.x[rows], generator))
                loss = nn.functional.cross_entropy(logits, train.y[rows], label_smoothing=smoothing)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()


def _vary(x: Tensor, generator: torch.Generator) -> Tensor:
    """Change brightness and contrast a little and add a little noise, so that mild shifts are no surprise."""
    shift, stretch, level = (torch.rand(len(x), 1, 1, 1, generator=generator) for _ in range(3))
    noise = 0.12 * level * torch.randn(x.shape, generator=generator)
    return ((0.5 + 0.6 * stretch) * x + 0.2 * (shift - 0.5) + noise).clamp(0, 1)


def _accuracy(model: nn.Module, test: Pictures) -> float:
    with torch.no_grad():
        guesses = torch.cat([model(part).argmax(1) for part in test.x.split(256)])
    return float((guesses == test.y).float().mean())
