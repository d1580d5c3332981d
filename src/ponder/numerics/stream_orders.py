"""Orders in which labelled samples can arrive: the same data as streams of different difficulty.

Source: card 00: i.i.d. and sorted; Dirichlet chunks as in NOTE (Gong et al. 2022, arXiv:2208.05117); label shift in
phases as in SAR (Niu et al. 2023, arXiv:2302.12400); severities that rise and fall.
Differs: a chunk of the Dirichlet order may be small, empty, or larger than its even share (the original gives a full
chunk nothing more, and draws again while one is small), so no draw has to be rejected; from a concentration of 1 on,
chunks are shuffled within, so that a large one is i.i.d.
Cost: linear. Needs: nothing beyond the base install. Every function is a pure one of its random stream.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from ponder.core.errors import BadInput, ConfigError

__all__ = [
    "autocorrelation",
    "dirichlet_order",
    "gradual_severities",
    "phase_weights",
    "phases_order",
    "sorted_order",
    "uniform_order",
]


def uniform_order(count: int, rng: random.Random) -> list[int]:
    """Return 0..count-1 shuffled."""
    order = list(range(count))
    rng.shuffle(order)
    return order


def sorted_order(labels: Sequence[int], rng: random.Random) -> list[int]:
    """Return indices class by class, the classes and the samples of each in random order."""
    groups = _groups(labels, rng)
    classes = sorted(groups)
    rng.shuffle(classes)
    return [index for label in classes for index in groups[label]]


def dirichlet_order(labels: Sequence[int], concentration: float, rng: random.Random, *, chunks: int = 0) -> list[int]:
    """Return a permutation in which labels come in clumps.

    Each class is spread over the chunks in shares drawn from Dirichlet(concentration); chunks follow each other, and
    within a chunk classes do. Near 0 it is sorted, at large values every chunk has all classes (shuffled within).

    Args:
        labels: of the samples.
        concentration: > 0; benchmarks use 0.01 to 0.1.
        rng: random stream.
        chunks: how many; by default as many as classes.

    Raises:
        ConfigError: concentration or chunks out of range.
    """
    if not concentration > 0 or chunks < 0:
        raise ConfigError(f"need concentration > 0 and chunks >= 0, got {concentration!r} and {chunks!r}")
    groups = _groups(labels, rng)
    count = chunks or max(1, len(groups))
    filled: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for label in sorted(groups):
        members = groups[label]
        shares = _dirichlet(concentration, count, rng)
        start, reached = 0, 0.0
        for at, share in enumerate(shares):
            reached += share
            end = len(members) if at == count - 1 else min(len(members), round(reached * len(members)))
            filled[at] += [(label, index) for index in members[start:end]]
            start = max(start, end)
    order = []
    for chunk in filled:
        if concentration >= 1:
            rng.shuffle(chunk)
        else:
            classes = sorted({label for label, _ in chunk})
            rng.shuffle(classes)
            place = {label: at for at, label in enumerate(classes)}
            chunk.sort(key=lambda item: place[item[0]])
        order += [index for _, index in chunk]
    return order


def phase_weights(classes: int, ratio: float, favoured: int) -> list[float]:
    """Return the class probabilities of a phase: ratio / (ratio + C - 1) for the favoured class, equal for the rest.

    Raises:
        ConfigError: fewer than 1 class, a ratio below 1, or no such class.
    """
    if classes < 1 or ratio < 1 or not 0 <= favoured < classes:
        raise ConfigError(f"need classes >= 1, ratio >= 1, 0 <= favoured < classes: got {classes}, {ratio}, {favoured}")
    other = 1 / (ratio + classes - 1)
    return [ratio * other if at == favoured else other for at in range(classes)]


def phases_order(labels: Sequence[int], ratio: float, length: int, rng: random.Random) -> list[int]:
    """Return `length` indices drawn with replacement in one phase for each class, the phases in random order.

    Args:
        labels: every class of 0..C-1 occurs.
        ratio: of the favoured class to another one; 1 is no shift, 500000 is practically sorted.
        length: samples in all, >= C; the last phase takes the remainder.
        rng: random stream.

    Raises:
        BadInput: a class without samples.
        ConfigError: ratio or length out of range.
    """
    groups = _groups(labels, rng)
    classes = max(groups, default=-1) + 1
    if classes < 1 or len(groups) != classes:
        raise BadInput("every class from 0 to the largest label needs a sample")
    if length < classes:
        raise ConfigError(f"{classes} phases need at least {classes} samples, got length={length!r}")
    favoured = list(range(classes))
    rng.shuffle(favoured)
    order: list[int] = []
    for at, label in enumerate(favoured):
        weights = phase_weights(classes, ratio, label)
        share = length // classes if at < classes - 1 else length - len(order)
        order += [rng.choice(groups[drawn]) for drawn in rng.choices(range(classes), weights, k=share)]
    return order


def gradual_severities(most: int = 5) -> list[int]:
    """Return 1, 2, ..., most, ..., 2, 1.

    Raises:
        ConfigError: below 1.
    """
    if most < 1:
        raise ConfigError(f"severities start at 1, got {most!r}")
    return [*range(1, most + 1), *range(most - 1, 0, -1)]


def autocorrelation(labels: Sequence[int], lag: int = 1) -> float | None:
    """Return the share of samples whose label is that of the sample `lag` before; None if there are none."""
    pairs = list(zip(labels, labels[lag:], strict=False))
    return sum(a == b for a, b in pairs) / len(pairs) if pairs else None


def _groups(labels: Sequence[int], rng: random.Random) -> dict[int, list[int]]:
    groups: dict[int, list[int]] = {}
    for index, label in enumerate(labels):
        groups.setdefault(label, []).append(index)
    for label in sorted(groups):
        rng.shuffle(groups[label])
    return groups


def _dirichlet(concentration: float, count: int, rng: random.Random) -> list[float]:
    """Draw shares; in logarithms, since gammas of a small shape underflow: ln G(a) = ln G(a + 1) + ln(U) / a."""
    logs = [
        math.log(rng.gammavariate(concentration + 1, 1.0)) + math.log(1 - rng.random()) / concentration
        for _ in range(count)
    ]
    top = max(logs)
    raised = [math.exp(value - top) for value in logs]
    total = math.fsum(raised)
    return [value / total for value in raised]
