"""Train a signal encoder and a text encoder on pairs of signals and reports, by contrast (MERL).

Source: Liu et al. 2024, arXiv:2403.06659 (card 56), steps 10 and 11: cross-modal loss of projected pairs plus the same
loss between two dropout views of the pooled signal through two maps; AdamW, cosine restarts.
Differs: one process, so contrast is within its batch; a batch of one is left out, since it teaches nothing.
Released settings: `MERLTraining()`, with 100 epochs in one of two published files, and
`build_towers(encoder="resnet18", text=directory)` or "vit_tiny", the directory holding ncbi/MedCPT-Query-Encoder. The
default encoders are small ones of ours, for a laptop.
Cost: a forward and a backward of both encoders a batch. Needs: pairs; the extra `torch`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ponder.core.errors import BadInput, ConfigError
from ponder.core.registry import need
from ponder.core.seeds import derive_seed
from ponder.numerics.contrastive import dropout_views, pair_accuracy, pair_loss

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MERLTraining", "Trained", "build_towers", "train_merl"]


@dataclass(frozen=True, kw_only=True)
class MERLTraining:
    """How towers are trained.

    Attributes:
        epochs: >= 1.
        batch: pairs, >= 2.
        lr, weight_decay: of AdamW.
        restart: steps of the first cosine period, >= 1; each has the same length.
        temperature: of both losses, > 0.
        dropout: of the views, in [0, 1).
        held_out: share of the pairs, the last ones, that only measure, in [0, 1).
        seed: of the order of pairs and of the dropout.
    """

    epochs: int = 20
    batch: int = 128
    lr: float = 1e-3
    weight_decay: float = 1e-8
    restart: int = 5000
    temperature: float = 0.07
    dropout: float = 0.1
    held_out: float = 0.02
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 2 or self.restart < 1 or not self.temperature > 0:
            raise ConfigError("needs epochs >= 1, batch >= 2, restart >= 1 and temperature > 0")
        if not 0 <= self.dropout < 1 or not 0 <= self.held_out < 1:
            raise ConfigError("dropout and held_out must be in [0, 1)")


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What training came to.

    Attributes:
        losses: mean loss of each epoch.
        accuracy: how often (percent) a held-out pair finds its partner among the held-out ones; None for fewer than 2.
        held_out: pairs held out.
    """

    losses: tuple[float, ...]
    accuracy: float | None
    held_out: int


def build_towers(
    *,
    leads: int = 12,
    width: int = 256,
    encoder: Literal["small", "resnet18", "vit_tiny"] = "small",
    signal_width: int = 64,
    text: Any = None,
    frozen: int = 6,
    seed: int = 0,
) -> Any:
    """Return new towers of a signal encoder and a text encoder.

    Args:
        leads: channels of the signal.
        width: of the shared space, d.
        encoder: of signals: our small residual network, or the published ones.
        signal_width: of what the small one pools; the others have 512 and 192.
        text: a directory with a checkpoint of transformers that pools (BERT, MedCPT), a module texts -> (B, width)
            with its `width`, or None for hashed words, which need no download.
        frozen: first layers of a checkpoint that are not trained.
        seed: of the weights.

    Raises:
        ConfigError: no such encoder, or a checkpoint without that many layers.
        BadInput: a checkpoint that does not pool.
    """
    torch = need("torch", extra="torch", feature="training of two towers")
    from ponder.training._signal_encoders import SignalResNet18, SignalViT
    from ponder.training._signal_towers import CheckpointText, HashedWords, SignalNet, Towers

    makers = {"small": lambda: SignalNet(leads, signal_width)}
    makers |= {"resnet18": lambda: SignalResNet18(leads), "vit_tiny": lambda: SignalViT(leads)}
    if encoder not in makers:
        raise ConfigError(f"encoder is one of {', '.join(makers)}, got {encoder!r}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "merl", "weights"))
        signal = makers[encoder]()
        if isinstance(text, str | Path):
            text = CheckpointText(Path(text), frozen=frozen)
        return Towers(signal, HashedWords() if text is None else text, width=width)


def train_merl(
    towers: Any,
    signals: Tensor,
    reports: Sequence[str],
    settings: MERLTraining | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Trained:
    """Train towers in place and leave them in evaluation mode.

    Args:
        towers: as `build_towers` makes them.
        signals: (N, leads, T), prepared (`numerics.ecg.prepare`).
        reports: one for each signal.
        settings: how.
        progress: called with (epochs done, all of them).

    Raises:
        BadInput: signals and reports that do not pair up, or fewer than two pairs to learn from.
    """
    torch = need("torch", extra="torch", feature="training of two towers")
    settings = settings or MERLTraining()
    if len(signals) != len(reports):
        raise BadInput(f"{len(signals)} signals and {len(reports)} reports do not pair up")
    learnt = len(signals) - int(len(signals) * settings.held_out)
    if learnt < 2:
        raise BadInput("contrast needs at least two pairs to learn from")
    trained = [p for p in towers.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=settings.lr, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, settings.restart)
    orders = torch.Generator().manual_seed(derive_seed(settings.seed, "merl", "order"))
    masks = torch.Generator().manual_seed(derive_seed(settings.seed, "merl", "dropout"))
    losses = []
    for epoch in range(settings.epochs):
        if progress is not None:
            progress(epoch, settings.epochs)
        towers.train()
        total, count = 0.0, 0
        for rows in torch.randperm(learnt, generator=orders).split(settings.batch):
            if len(rows) < 2:
                continue
            loss = _loss(towers, signals[rows], [reports[at] for at in rows.tolist()], settings, masks)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            total, count = total + float(loss.detach()), count + 1
        losses.append(total / max(1, count))
    towers.eval()
    with torch.no_grad():
        rest = slice(learnt, len(signals))
        found = None
        if len(signals) - learnt >= 2:
            found = pair_accuracy(towers(signals[rest]), towers.encode(reports[rest]))
    return Trained(losses=tuple(losses), accuracy=found, held_out=len(signals) - learnt)


def _loss(towers: Any, signals: Tensor, reports: Sequence[str], settings: MERLTraining, masks: Any) -> Tensor:
    """Return the loss of one batch: across the towers, and between two views of the signal."""
    torch = need("torch", extra="torch", feature="training of two towers")
    pooled = towers.signal_encoder(signals)
    across = pair_loss(towers.signal_map(pooled), towers.encode(reports), temperature=settings.temperature)
    maps = [view.weight for view in towers.views]
    shape = (len(pooled), maps[0].shape[0])
    drawn = [(torch.rand(shape, generator=masks) >= settings.dropout).to(pooled) for _ in maps]
    first, second = dropout_views(pooled, maps, drawn, rate=settings.dropout)
    return across + pair_loss(first, second, temperature=settings.temperature)
