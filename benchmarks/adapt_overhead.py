"""What an adapter costs beyond its forwards, backwards and optimiser steps: at most 5 % of its time.

Two figures for each adapter on a convolutional net of a usual width: from its own counters, (seconds - pass seconds -
step seconds) / seconds; and against a bare loop of the same forwards, backwards and steps written out by hand (Tent
only), as the median of interleaved rounds.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from ponder import adapt
from ponder.adapt._reference_models import ConvNet

LR, BATCH = 1e-3, 64


def bare_tent(model: Any, batches: list[torch.Tensor]) -> float:
    """Return the seconds of Tent written out."""
    model.eval().requires_grad_(False)
    chosen = [p for m in model.modules() if isinstance(m, torch.nn.GroupNorm) for p in m.parameters()]
    for p in chosen:
        p.requires_grad_(True)
    optimizer = torch.optim.SGD(chosen, lr=LR, momentum=0.9)
    began = time.perf_counter()
    for x in batches:
        logs = model(x).log_softmax(1)
        (-(logs.exp() * logs).sum(1).mean()).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = ConvNet("group", width=given.width).eval()
    batches = [torch.rand(BATCH, 1, given.size, given.size) for _ in range(given.batches)]
    makers: dict[str, Callable[[Any], adapt.Adapter]] = {
        "source": adapt.Source,
        "tent": lambda m: adapt.Tent(m, lr=LR),
        "eta": lambda m: adapt.ETA(m, lr=LR, margin=9.0, similarity=2.0),
        "eata": lambda m: adapt.EATA(m, lr=LR, margin=9.0, similarity=2.0, source=batches[:4]),
        "sar": lambda m: adapt.SAR(m, lr=LR, margin=9.0, reset_below=None),
        "guard(tent)": lambda m: adapt.Guard(adapt.Tent(m, lr=LR)),
    }
    own: dict[str, list[float]] = {name: [] for name in makers}
    against: list[float] = []
    for turn in range(given.rounds + 1):
        taken = {}
        for name, make in makers.items():
            adapter = make(copy.deepcopy(model))
            for x in batches:
                adapter(x)
            cost = adapter.cost
            taken[name] = cost.seconds
            if turn:  # the first round warms up
                own[name].append(1 - (cost.pass_seconds + cost.step_seconds) / cost.seconds)
        bare = bare_tent(copy.deepcopy(model), batches)
        if turn:
            against.append(taken["tent"] / bare - 1)
    print(f"convolutional net of width {given.width}, batches of {BATCH} x {given.size} x {given.size}")
    for name, found in own.items():
        print(f"{name:12} beyond passes and steps: {100 * statistics.median(found):5.2f} % (limit 5 %)")
    print(f"tent against the bare loop: {100 * statistics.median(against):+5.2f} % (limit 5 %)")


if __name__ == "__main__":
    main()
