"""Electrocardiograms simulated by neurokit2 (ECGSYN), with reports, to try two towers on; they are no patient's.

Source: `neurokit2.ecg_simulate`, method `ecgsyn` (McSharry et al. 2003, doi:10.1109/TBME.2003.808805): every beat turns
once around a circle and passes five waves (P, Q, R, S, T), each with an angle, a height and a width. Here it runs three
times a record, with the same rhythm, for the three axes of a heart vector; twelve leads are its projections by the
matrix of Dower et al. 1980 (doi:10.1002/clc.1980.3.2.87).
Differs: neurokit2 names no conditions; ours are settings of its waves and rate, in `_plan`. It has five waves, so a
raised or lowered ST segment takes the place of S, and the two humps of a bundle branch block those of Q and R. Its
intervals swing with breath and are not random, so pauses between the beats of a fibrillation are ours; fibrillatory
waves there are none. Its solver takes steps that at times jump over an R wave (at slow rates without a P wave: often),
which leaves a step in the signal; runs with one are drawn anew, and at a rate a hundredth off and more, since some
settings never run through. Noise is ours and white. Where a study names real data, this is not it.
Cost: about 0.12 seconds of one core a record. Needs: the extras `adapt` and `torch`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from torch import Tensor

from ponder.core.errors import PonderError
from ponder.core.registry import need
from ponder.core.seeds import derive, derive_seed
from ponder.numerics.ecg import prepare

__all__ = ["CONDITIONS", "LEADS", "Plan", "Records", "draw_records", "plan_records", "record", "simulate", "vocabulary"]

# code -> (name as a user writes it, phrases that reports use)
CONDITIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "fast": ("supraventricular rhythm disorder", ("sinus tachycardia", "rapid regular rate", "short rr interval")),
    "slow": ("conduction slowing", ("sinus bradycardia", "slow regular rate", "long rr interval")),
    "fib": ("atrial disease", ("atrial fibrillation", "absent p waves", "irregularly irregular rr")),
    "injury": ("acute coronary syndrome", ("st segment elevation", "transmural injury", "raised j point")),
    "ischemia": ("coronary insufficiency", ("st segment depression", "subendocardial ischemia", "depressed j point")),
    "block": ("bundle disease", ("left bundle branch block", "wide qrs complex", "broad notched r wave")),
}
LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
_RATE, _SAMPLES = 100, 500  # samples a second, and of a record
_SECONDS = 8  # simulated for each record: ECGSYN takes powers of two only
_INNER = 2  # samples simulated for each one kept
_SETTLED = 2.0  # seconds until what the simulator starts with has faded
_HURRY = 1.35  # beats of a fibrillation are drawn so much faster than they come
_ATTEMPTS = 20
_REST = 75 / 360  # of an interval: before R, the heart rests

# Dower: leads from the axes to the left, to the foot and to the back.
_DOWER = {
    "I": (0.632, -0.235, 0.059),
    "II": (0.235, 1.066, -0.132),
    "V1": (-0.515, 0.157, -0.917),
    "V2": (0.044, 0.164, -1.387),
    "V3": (0.882, 0.098, -1.277),
    "V4": (1.213, 0.127, -0.601),
    "V5": (1.125, 0.127, -0.086),
    "V6": (0.831, 0.076, 0.230),
}
# Waves P, Q, R, S, T of each axis: angles in degrees at 60 beats a minute, widths in radian, heights (R is 0.3).
_ANGLES = (-70.0, -12.0, 0.0, 12.0, 100.0)
_WIDTHS = (0.25, 0.08, 0.1, 0.08, 0.4)
_HEIGHTS = ((0.05, -0.03, 0.30, -0.04, 0.10), (0.06, -0.02, 0.30, -0.03, 0.09), (0.05, -0.10, 0.30, 0.10, -0.08))
_GAINS = (1.0, 0.8, 0.6)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One record before it is simulated.

    Attributes:
        found: codes of its conditions, in the order of `CONDITIONS`.
        report: what a reader wrote.
        heart_rate, heart_rate_std: of the simulation, beats a minute.
        start: where the record begins, in seconds of what is simulated and set apart by `pauses`.
        pauses: seconds of rest put in before each beat; none where the rhythm is the simulator's.
        angles, heights, widths: of the five waves on each axis.
        gains: of the axes.
        seed: of the rhythm and the noise.
    """

    found: tuple[str, ...]
    report: str
    heart_rate: float
    heart_rate_std: float
    start: float
    pauses: tuple[float, ...]
    angles: tuple[float, ...]
    heights: tuple[tuple[float, ...], ...]
    widths: tuple[float, ...]
    gains: tuple[float, ...]
    seed: int


@dataclass(frozen=True, kw_only=True)
class Records:
    """Signals (N, 12, 500) in [0, 1], labels (N, C) in the order of `CONDITIONS`, and a report for each."""

    signals: Tensor
    labels: Tensor
    reports: list[str]


def vocabulary() -> list[str]:
    """Return every phrase that a report may hold."""
    return [phrase for _, phrases in CONDITIONS.values() for phrase in phrases]


def draw_records(count: int, *, seed: int = 0, noise: float = 0.05) -> Records:
    """Simulate records with one or two conditions, or none.

    Args:
        count: N.
        seed: of everything drawn.
        noise: standard deviation, where an R wave is about 1.

    Raises:
        MissingExtra: neurokit2 is not installed.
    """
    plans = plan_records(count, seed=seed)
    return record(plans, simulate(plans), noise=noise)


def plan_records(count: int, *, seed: int = 0) -> list[Plan]:
    """Draw what records show and how they are simulated."""
    plans, codes = [], list(CONDITIONS)
    for at in range(count):
        rng = derive(seed, "ecg", at)
        found = set(rng.sample(codes, rng.choice((0, 1, 1, 2))))
        if {"fast", "slow"} <= found:
            found.discard("slow")
        if {"injury", "ischemia"} <= found:
            found.discard("ischemia")
        plans.append(_plan(tuple(code for code in codes if code in found), rng, derive_seed(seed, "ecg", at, "run")))
    return plans


def _plan(found: tuple[str, ...], rng: Random, seed: int) -> Plan:
    """Return the settings that show the conditions `found`."""
    said = [rng.choice(CONDITIONS[code][1]) for code in found]
    extra = [rng.choice(CONDITIONS[code][1]) for code in found if rng.random() < 0.7]
    rate = rng.uniform(110, 150) if "fast" in found else rng.uniform(38, 52) if "slow" in found else rng.uniform(60, 85)
    spread = rng.uniform(0.01, 0.03)
    pauses: tuple[float, ...] = ()
    angles, widths = list(_ANGLES), list(_WIDTHS)
    heights = [[height * rng.uniform(0.85, 1.15) for height in axis] for axis in _HEIGHTS]
    if "block" in found:  # two broad humps, and T against them
        angles[1], angles[2], widths[1], widths[2] = -15.0, 15.0, 0.17, 0.17
        for axis in heights:
            axis[1], axis[4] = 0.8 * axis[2], -axis[4]
    st = rng.uniform(0.07, 0.12) * ("injury" in found) - rng.uniform(0.07, 0.12) * ("ischemia" in found)
    if st:
        angles[3], widths[3] = 46.0, 0.26
        for axis, turn in zip(heights, (1, 1, -1), strict=True):
            axis[3] = turn * st
    elif "block" in found:
        for axis in heights:
            axis[3] = 0.0
    if "fib" in found:
        for axis in heights:
            axis[0] = 0.0
        beats = max(_HURRY * rate, 90.0)
        free = 60 / rate - 60 / beats
        rate, spread = beats, 0.003
        pauses = tuple(free * min(rng.expovariate(1), 3.0) for _ in range(int(_SECONDS * beats / 60)))
    return Plan(
        found=found,
        report=", ".join(dict.fromkeys([*said, *extra])) or "normal sinus rhythm, within normal limits",
        heart_rate=rate,
        heart_rate_std=rate * spread,
        start=rng.uniform(_SETTLED, _SECONDS - _SAMPLES / _RATE),
        pauses=pauses,
        angles=tuple(angle * rng.uniform(0.95, 1.05) for angle in angles),
        heights=tuple(map(tuple, heights)),
        widths=tuple(widths),
        gains=tuple(gain * rng.uniform(0.8, 1.2) for gain in _GAINS),
        seed=seed,
    )


def simulate(plans: Sequence[Plan], *, progress: Callable[[int, int], None] | None = None) -> Tensor:
    """Return the heart vectors of `plans`, (N, 3, 500), without noise.

    Args:
        plans: what to simulate.
        progress: called before each with how many are done, and N.

    Raises:
        MissingExtra: neurokit2 is not installed.
    """
    neurokit = need("neurokit2", extra="adapt", feature="simulated electrocardiograms")
    # It lays intervals of beats over time by this call; where a rounding makes the last one 0, as for 16 seconds at a
    # rate of 100, a beat that begins there never ends.
    if not neurokit.signal_resample([1.0] * _SECONDS, sampling_rate=1, desired_sampling_rate=_INNER * _RATE)[-1]:
        raise PonderError(f"this neurokit2 or scipy could hang in {_SECONDS} seconds: report their versions, please")
    vectors = []
    for done, plan in enumerate(plans):
        if progress is not None:
            progress(done, len(plans))
        whole, rate = _run(plan, neurokit)
        whole = _set_apart(whole, rate, plan.pauses) if plan.pauses else whole
        start = int(plan.start * _RATE)
        vectors.append(whole[:, start : start + _SAMPLES] * torch.tensor(plan.gains)[:, None])
    return torch.stack(vectors)


def _run(plan: Plan, neurokit: Any) -> tuple[Tensor, float]:
    """Return what neurokit2 simulates for three axes, each in [-0.4, 1.2], in a run without steps, and its rate."""
    for attempt in range(_ATTEMPTS):
        rate = plan.heart_rate * (1 + 0.01 * (-1) ** attempt * ((attempt + 1) // 2))  # 1, 0.99, 1.01, 0.98, ...
        axes: list[Tensor] = []
        for heights in plan.heights:
            drawn = neurokit.ecg_simulate(
                duration=0.9 * _SECONDS,  # it rounds up to a power of two; a tenth less keeps it from doubling
                length=_SECONDS * _RATE * _INNER,
                sampling_rate=_RATE * _INNER,
                noise=0,
                heart_rate=rate,
                heart_rate_std=plan.heart_rate_std,
                method="ecgsyn",
                random_state=derive_seed(plan.seed, attempt),
                ti=plan.angles,
                ai=[height / width**2 for height, width in zip(heights, plan.widths, strict=True)],
                bi=plan.widths,  # a wave is ai bi^2 high
            )
            axes.append(torch.from_numpy(drawn[::_INNER].copy()).float())
            if not _even(axes[-1], 60 / rate):
                break
        else:
            return torch.stack(axes), rate
    raise PonderError(f"neurokit2 gave {_ATTEMPTS} broken runs of {plan.found or 'no condition'}: report this, please")


def _even(run: Tensor, gap: float) -> bool:
    """Tell whether each interval of a run (T,) has its beat, and the rest between beats stays where it is."""
    spans = run[int(_SETTLED * _RATE) :].unfold(0, int(1.15 * gap * _RATE), 10)
    heights, rest = spans.amax(1) - spans.amin(1), spans.median(1).values
    return bool(heights.min() > 0.72 * heights.max() and rest.max() - rest.min() < 0.35)


def _set_apart(vector: Tensor, rate: float, pauses: Sequence[float]) -> Tensor:
    """Return beats (3, T) of one length with pauses before them, in seconds, bridged by straight lines."""
    gap = 60 / rate  # the first R is at 0
    whole = vector.shape[1]
    cuts = [cut for at in range(len(pauses)) if (cut := int((at + 1 - _REST) * gap * _RATE)) < whole]
    parts = [vector[:, : cuts[0]]]
    for pause, begin, end in zip(pauses, cuts, [*cuts[1:], whole], strict=False):
        share = torch.linspace(0, 1, int(pause * _RATE) + 2)[1:-1]
        parts += [torch.lerp(vector[:, begin - 1, None], vector[:, begin, None], share), vector[:, begin:end]]
    return torch.cat(parts, 1)


def record(plans: Sequence[Plan], vectors: Tensor, *, noise: float = 0.05) -> Records:
    """Return what twelve leads show of heart vectors (N, 3, 500), as encoders take it."""
    signals = []
    matrix = _matrix()
    for plan, vector in zip(plans, vectors, strict=True):
        clean = matrix @ (vector - vector.mean(1, keepdim=True))  # recorders let no constant through
        grain = torch.Generator().manual_seed(derive_seed(plan.seed, "noise"))
        signals.append(prepare(clean + noise * torch.randn(clean.shape, generator=grain), length=_SAMPLES))
    labels = torch.tensor([[int(code in plan.found) for code in CONDITIONS] for plan in plans])
    return Records(signals=torch.stack(signals), labels=labels, reports=[plan.report for plan in plans])


def _matrix() -> Tensor:
    """Return what each of `LEADS` takes of the three axes, (12, 3)."""
    rows = {name: torch.tensor(row) for name, row in _DOWER.items()}
    one, two = rows["I"], rows["II"]
    rows |= {"III": two - one, "aVR": -(one + two) / 2, "aVL": one - two / 2, "aVF": two - one / 2}
    return torch.stack([rows[name] for name in LEADS])
