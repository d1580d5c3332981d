"""Two towers on simulated electrocardiograms and their reports, trained here in minutes, and shifts of signals.

Source: our own; training is MERL's (`ponder.training.merl`) on records that neurokit2 simulates (`_reference_ecg`).
They are no patient's.
Cost: once, three to four minutes of one core to simulate 1,450 records, and seconds to train; then files in the user's
cache are read. Needs: the extras `adapt` (until the files are there) and `torch`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ponder.adapt._reference_ecg import CONDITIONS, Records, plan_records, record, simulate
from ponder.adapt.merl import class_embeddings
from ponder.core.seeds import derive_seed
from ponder.models.convert import cache_directory
from ponder.training.merl import MERLTraining, build_towers, train_merl

__all__ = ["SHIFTS", "Signals", "ZeroShotSignals", "prompts_of", "shift_signals", "single_labels", "two_signal_towers"]

_VERSION = 2  # of the towers and of the records
SHIFTS = ("noise", "wander", "lost leads", "slow recorder")


@dataclass(frozen=True, kw_only=True)
class Signals:
    """Trained towers and records that they have not seen.

    Attributes:
        towers: in evaluation mode; a fresh copy each time.
        learnt, unseen: records.
    """

    towers: Any
    learnt: Records
    unseen: Records


class ZeroShotSignals(nn.Module):  # type: ignore[misc]  # torch is not typed here
    """Towers as a classifier by text embeddings (C, d) of classes: signals (B, leads, T) -> logits (B, C)."""

    def __init__(self, towers: Any, classes: Tensor, *, scale: float = 1 / 0.07) -> None:
        super().__init__()
        self.towers, self.scale = towers, scale
        self.register_buffer("classes", nn.functional.normalize(classes, dim=-1))

    def forward(self, x: Tensor) -> Tensor:
        """Classify."""
        logits: Tensor = self.scale * nn.functional.normalize(self.towers(x), dim=-1) @ self.classes.T
        return logits


def two_signal_towers(*, seed: int = 0) -> Signals:
    """Return the towers in evaluation mode, a fresh copy each time, and 250 unseen records."""
    learnt = _simulated(1200, seed=derive_seed(seed, "ecg"))
    unseen = _simulated(250, seed=derive_seed(seed, "new"))
    towers = build_towers(width=64, signal_width=48, seed=seed)

    def train() -> dict[str, Tensor]:
        with torch.inference_mode(mode=False), torch.enable_grad():
            train_merl(towers, learnt.signals, learnt.reports, MERLTraining(epochs=8, batch=64, seed=seed))
        return dict(towers.state_dict())

    towers.load_state_dict(_kept(f"signal_towers-{seed}-v{_VERSION}", train))
    return Signals(towers=towers.eval(), learnt=learnt, unseen=unseen)


def _simulated(count: int, *, seed: int) -> Records:
    """Return the records of `draw_records`, simulated once."""
    plans = plan_records(count, seed=seed)
    key = hashlib.sha256(repr(plans).encode()).hexdigest()[:12]  # other settings are other records
    vectors = _kept(f"ecg-{count}-{seed}-{key}-v{_VERSION}", lambda: {"vectors": simulate(plans)})["vectors"]
    return record(plans, vectors)


def _kept(name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return tensors of the user's cache, made the first time."""
    from safetensors.torch import load_file, save_file

    file = cache_directory() / "reference" / f"{name}.safetensors"
    if not file.is_file():
        made = {name: value.contiguous() for name, value in make().items()}
        file.parent.mkdir(parents=True, exist_ok=True)
        scratch = file.with_suffix(f".{torch.randint(10**9, ()).item()}.part")
        save_file(made, scratch)
        scratch.replace(file)
    found: dict[str, Tensor] = load_file(file)
    return found


def prompts_of(towers: Any, *, enriched: bool) -> Tensor:
    """Return the text embedding of each condition, (C, d): of its bare name, or with its phrases behind."""
    texts = {code: ", ".join([name, *(said if enriched else ())]) for code, (name, said) in CONDITIONS.items()}
    return class_embeddings(texts, towers.encode)


def single_labels(records: Records) -> tuple[Tensor, Tensor]:
    """Return signals and classes (N,) of the records that have exactly one condition."""
    one = records.labels.sum(1) == 1
    return records.signals[one], records.labels[one].argmax(1)


def shift_signals(x: Tensor, kind: str, *, seed: int = 0) -> Tensor:
    """Return signals (N, leads, T) in [0, 1] as another recorder would give them.

    Args:
        x: prepared signals.
        kind: one of `SHIFTS`.
        seed: of what is random.
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, "signals", kind))
    count, leads, samples = x.shape
    if kind == "noise":
        return (x + 0.1 * torch.randn(x.shape, generator=generator)).clamp(0, 1)
    if kind == "wander":  # the base line moves with breath
        time = torch.arange(samples) / samples
        start = 2 * math.pi * torch.rand(count, leads, 1, generator=generator)
        return (x + 0.25 * torch.sin(2 * math.pi * 1.5 * time + start)).clamp(0, 1)
    if kind == "lost leads":
        lost = torch.rand(count, leads, 1, generator=generator) < 0.4
        return torch.where(lost, torch.full_like(x, 0.5), x)
    few = nn.functional.interpolate(x, scale_factor=0.25, mode="linear", align_corners=False)
    return nn.functional.interpolate(few, size=samples, mode="linear", align_corners=False)
