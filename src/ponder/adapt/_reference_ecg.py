"""Electrocardiograms drawn from formulas, with reports, to try two towers on; they are no patient's.

Source: our own: each beat is a sum of five bells (P, Q, R, S, T), leads are mixtures of two axes, conditions change
rate, rhythm and shapes. Where a study names real data, this is not it. neurokit2 0.3 was tried instead: it draws beats
of a given rate, but no fibrillation, ST change or bundle branch block as such, takes about a second for a record of
twelve leads, and wants setuptools below 82.
Cost: numbers only. Needs: the extra `torch`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ponder.core.seeds import derive
from ponder.numerics.ecg import prepare

__all__ = ["CONDITIONS", "Records", "draw_records", "vocabulary"]

# code -> (name as a user writes it, phrases that reports use)
CONDITIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "fast": ("supraventricular rhythm disorder", ("sinus tachycardia", "rapid regular rate", "short rr interval")),
    "slow": ("conduction slowing", ("sinus bradycardia", "slow regular rate", "long rr interval")),
    "fib": ("atrial disease", ("atrial fibrillation", "absent p waves", "irregularly irregular rr")),
    "injury": ("acute coronary syndrome", ("st segment elevation", "transmural injury", "raised j point")),
    "ischemia": ("coronary insufficiency", ("st segment depression", "subendocardial ischemia", "depressed j point")),
    "block": ("bundle disease", ("left bundle branch block", "wide qrs complex", "broad notched r wave")),
}
_RATE = 100.0  # samples a second


@dataclass(frozen=True, kw_only=True)
class Records:
    """Signals (N, leads, T) in [0, 1], labels (N, C) in the order of `CONDITIONS`, and a report for each."""

    signals: Tensor
    labels: Tensor
    reports: list[str]


def vocabulary() -> list[str]:
    """Return every phrase that a report may hold."""
    return [phrase for _, phrases in CONDITIONS.values() for phrase in phrases]


def draw_records(count: int, *, seed: int = 0, leads: int = 12, samples: int = 500, noise: float = 0.05) -> Records:
    """Draw records with one or two conditions, or none.

    Args:
        count: N.
        seed: of everything drawn.
        leads: channels of a signal.
        samples: its length, at 100 a second.
        noise: standard deviation, where an R wave is about 1.
    """
    codes = list(CONDITIONS)
    signals, labels, reports = [], [], []
    for at in range(count):
        rng = derive(seed, "ecg", at)
        found = set(rng.sample(codes, rng.choice((0, 1, 1, 2))))
        if {"fast", "slow"} <= found:
            found.discard("slow")
        if {"injury", "ischemia"} <= found:
            found.discard("ischemia")
        said = [rng.choice(CONDITIONS[code][1]) for code in codes if code in found]
        extra = [rng.choice(CONDITIONS[code][1]) for code in codes if code in found and rng.random() < 0.7]
        reports.append(", ".join(dict.fromkeys([*said, *extra])) or "normal sinus rhythm, within normal limits")
        labels.append([int(code in found) for code in codes])
        drawn = _signal(found, rng, leads, samples)
        grain = torch.Generator().manual_seed(rng.randrange(2**31))
        drawn = drawn + noise * torch.randn(drawn.shape, generator=grain)
        signals.append(prepare(drawn, length=samples))
    return Records(signals=torch.stack(signals), labels=torch.tensor(labels), reports=reports)


def _signal(found: set[str], rng: object, leads: int, samples: int) -> Tensor:
    """Return a clean signal (leads, samples)."""
    from random import Random

    assert isinstance(rng, Random)
    rate = rng.uniform(60, 85)
    rate = rng.uniform(110, 150) if "fast" in found else rng.uniform(38, 52) if "slow" in found else rate
    wide = 2.4 if "block" in found else 1.0
    st = 0.35 if "injury" in found else -0.3 if "ischemia" in found else 0.0
    p = 0.0 if "fib" in found else 0.15
    bells = [  # seconds after the R wave, width in seconds, height on two axes
        (-0.17, 0.025, p, 0.7 * p),
        (-0.03 * wide, 0.010 * wide, -0.10, -0.05),
        (0.0, 0.012 * wide, 1.0, 0.6),
        (0.035 * wide, 0.012 * wide, -0.25, -0.4),
        (0.28, 0.050, 0.3, 0.2),
        (0.13, 0.045, st, st),
    ]
    time = torch.arange(samples) / _RATE
    axes = torch.zeros(2, samples)
    at = rng.uniform(0, 0.5)
    while at < samples / _RATE + 0.5:
        for delay, width, first, second in bells:
            bell = torch.exp(-(((time - at - delay) / width) ** 2) / 2)
            axes[0] += first * bell
            axes[1] += second * bell
        gap = 60 / rate
        at += gap * rng.uniform(0.6, 1.5) if "fib" in found else gap * rng.uniform(0.97, 1.03)
    angles = torch.arange(leads) * (math.pi / leads) - math.pi / 6
    return torch.cos(angles)[:, None] * axes[0] + torch.sin(angles)[:, None] * axes[1]
