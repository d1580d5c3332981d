"""The parts of a signal-and-text model: a small residual network, text encoders, projections, and the model of them.

Source: Liu et al. 2024, arXiv:2403.06659 (card 56), step 11: attention pooling of the signal, a two-layer projection of
text, a text encoder whose first layers are frozen; the published signal encoders are in `_signal_encoders`.
Differs: the small text encoder takes the mean of embeddings of hashed words, so that it needs no vocabulary and no
download; the small signal encoder has four blocks and one learnt query. Embeddings under frozen layers are frozen too;
texts are padded to the longest of a batch instead of to 256 tokens, which its mask makes the same.
Cost: that of the networks. Needs: the extra `torch`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ponder.core.errors import BadInput, ConfigError
from ponder.training._signal_encoders import ResidualBlock

__all__ = ["CheckpointText", "HashedWords", "SignalNet", "Towers"]


class SignalNet(nn.Module):  # type: ignore[misc]
    """Residual blocks over time and a learnt query that pools them: (B, leads, T) -> (B, width)."""

    def __init__(self, leads: int = 12, width: int = 64, blocks: int = 4) -> None:
        super().__init__()
        widths = [max(8, width // 2 ** max(0, blocks - 1 - at)) for at in range(blocks - 1)] + [width]
        self.stem = nn.Sequential(
            nn.Conv1d(leads, widths[0], 15, 2, 7, bias=False), nn.BatchNorm1d(widths[0]), nn.ReLU()
        )
        pairs = zip([widths[0], *widths], widths, strict=False)
        self.blocks = nn.Sequential(*(ResidualBlock(into, out, 2) for into, out in pairs))
        self.query = nn.Parameter(torch.zeros(width))
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        """Pool."""
        h = self.blocks(self.stem(x))
        share = (torch.einsum("bct,c->bt", h, self.query) / self.width**0.5).softmax(-1)
        return torch.einsum("bct,bt->bc", h, share)


class HashedWords(nn.Module):  # type: ignore[misc]
    """Mean embedding of a text's words and word pairs, each hashed to a row: texts -> (B, width)."""

    def __init__(self, width: int = 64, rows: int = 4096) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(rows, width, mode="mean")
        self.rows, self.width = rows, width

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Embed."""
        bags = [self._words(text) for text in texts]
        starts = torch.tensor([0, *(len(bag) for bag in bags)][:-1]).cumsum(0)
        flat = torch.tensor([word for bag in bags for word in bag])
        device = self.table.weight.device
        out: Tensor = self.table(flat.to(device), starts.to(device))
        return out

    def _words(self, text: str) -> list[int]:
        words = re.findall(r"[a-z0-9]+", text.lower()) or ["empty"]
        grams = [*words, *(f"{a} {b}" for a, b in pairwise(words))]
        return [zlib.crc32(gram.encode()) % self.rows for gram in grams]


class CheckpointText(nn.Module):  # type: ignore[misc]
    """A text encoder of transformers, read from a directory, with its first layers frozen: texts -> (B, width).

    Raises:
        BadInput: the model has no pooled output, which the method embeds texts by.
        ConfigError: layers to freeze in a model that does not name them as BERT does, or more than it has.
    """

    def __init__(self, path: Path, *, frozen: int = 6, length: int = 256) -> None:
        super().__init__()
        import transformers

        options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(path, **options)
        self.body = transformers.AutoModel.from_pretrained(path, use_safetensors=True, **options)
        self.length, self.width = length, self.body.config.hidden_size
        if getattr(self.body, "pooler", None) is None:
            raise BadInput(f"{type(self.body).__name__} has no pooled output: take a model such as BERT or MedCPT")
        if frozen:
            layers = getattr(getattr(self.body, "encoder", None), "layer", None)
            if layers is None or len(layers) < frozen:
                raise ConfigError(f"{type(self.body).__name__} has not {frozen} layers to freeze: set frozen= lower")
            for part in [self.body.embeddings, *layers[:frozen]]:
                part.requires_grad_(False)

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Embed."""
        batch = self.tokenizer(
            [text.lower() for text in texts], padding=True, truncation=True, max_length=self.length, return_tensors="pt"
        )
        out: Tensor = self.body(**batch.to(self.body.device)).pooler_output
        return out


class Towers(nn.Module):  # type: ignore[misc]
    """Both encoders with their projections to d dimensions, and the two maps of the dropout views."""

    def __init__(self, signal: nn.Module, text: nn.Module, *, width: int = 256) -> None:
        super().__init__()
        self.signal_encoder, self.text_encoder = signal, text
        inside, words = int(signal.width), int(text.width)
        self.signal_map = nn.Linear(inside, width)
        self.text_map = nn.Sequential(nn.Linear(words, width), nn.GELU(), nn.Linear(width, width))
        self.views = nn.ModuleList(nn.Linear(inside, width, bias=False) for _ in range(2))

    def forward(self, signals: Tensor) -> Tensor:
        """Embed signals, (B, leads, T) -> (B, d): what `adapt.MERL` takes as its model."""
        out: Tensor = self.signal_map(self.signal_encoder(signals))
        return out

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Embed texts, (B, d)."""
        out: Tensor = self.text_map(self.text_encoder(list(texts)))
        return out
