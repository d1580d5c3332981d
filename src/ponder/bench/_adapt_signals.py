"""Two towers on simulated electrocardiograms and their reports, trained here in minutes, and shifts of signals.

Source: our own; training is MERL's (`ponder.training.merl`) on records that neurokit2 simulates (`_reference_ecg`).
They are no patient's.
Cost: once, a minute and a quarter of one core to simulate 630 records, and seconds to train; then files in the user's
cache are read. Of several processes one makes them, and the others wait.
Needs: the extras `adapt` (until the files are there) and `torch`.
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
from ponder.adapt._reference_files import kept, kept_weights
from ponder.adapt.merl import class_embeddings
from ponder.core.seeds import derive_seed
from ponder.training.merl import MERLTraining, build_towers, train_merl

__all__ = ["SHIFTS", "Signals", "ZeroShotSignals", "prompts_of", "shift_signals", "single_labels", "two_signal_towers"]

_VERSION = 3  # of the towers and of the records
_LEARNT, _UNSEEN = 450, 180  # records
_TOLD = 100  # records between two words of progress
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


def two_signal_towers(*, seed: int = 0, tell: Callable[[str], None] | None = None) -> Signals:
    """Return the towers in evaluation mode, a fresh copy each time, with what they have learnt and 180 unseen records.

    Args:
        seed: of everything.
        tell: called with a line for people now and then while records are simulated.
    """
    learnt = _simulated(_LEARNT, seed=derive_seed(seed, "ecg"), tell=tell)
    unseen = _simulated(_UNSEEN, seed=derive_seed(seed, "new"), tell=tell)
    towers = build_towers(width=64, signal_width=48, seed=seed)

    def train() -> None:
        with torch.inference_mode(mode=False), torch.enable_grad():
            train_merl(towers, learnt.signals, learnt.reports, MERLTraining(epochs=22, batch=64, seed=seed))

    kept_weights(f"signal_towers-{seed}-v{_VERSION}", towers, train)
    return Signals(towers=towers, learnt=learnt, unseen=unseen)


def _simulated(count: int, *, seed: int, tell: Callable[[str], None] | None = None) -> Records:
    """Return the records of `draw_records`, simulated once."""
    plans = plan_records(count, seed=seed)

    def progress(done: int, total: int) -> None:
        if tell is not None and done % _TOLD == 0:
            tell(f"electrocardiograms by neurokit2: {done} of {total}")

    key = hashlib.sha256(repr(plans).encode()).hexdigest()[:12]  # other settings are other records
    name = f"ecg-{count}-{seed}-{key}-v{_VERSION}"
    return record(plans, kept(name, lambda: {"vectors": simulate(plans, progress=progress)})["vectors"])


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
