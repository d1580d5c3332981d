"""What an adapter costs beyond its forwards, backwards and optimiser steps: at most 5 % of its time.

Two figures on a convolutional net of a usual width. For each adapter, from its own counters, 1 - (pass + step seconds)
/ seconds, the median over batches, which a stop of the process now and then does not move. For Tent also against a bare
loop of the same forwards, losses, backwards and steps written out, in CPU time: both take each batch in turn, and the
median over batches of the ratio counts.
Run: python -m benchmarks.adapt_overhead (about 30 s)
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

LR, BATCH, LIMIT = 1e-3, 64, 5.0


def bare_tent(model: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return Tent's step, written out."""
    model.eval().requires_grad_(False)
    chosen = [p for m in model.modules() if isinstance(m, torch.nn.GroupNorm) for p in m.parameters()]
    for p in chosen:
        p.requires_grad_(True)
    optimizer = torch.optim.SGD(chosen, lr=LR, momentum=0.9)

    def step(x: torch.Tensor) -> torch.Tensor:
        logits = model(x)
        logs = logits.log_softmax(1)
        (-(logs.exp() * logs).sum(1).mean()).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return logits.detach()

    return step


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--batches", type=int, default=40)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = ConvNet("group", width=given.width).eval()
    batches = [torch.rand(BATCH, 1, given.size, given.size) for _ in range(given.batches)]
    made: dict[str, adapt.Adapter] = {
        "source": adapt.Source(copy.deepcopy(model)),
        "tent": adapt.Tent(copy.deepcopy(model), lr=LR),
        "eta": adapt.ETA(copy.deepcopy(model), lr=LR, margin=9.0, similarity=2.0),
        "eata": adapt.EATA(copy.deepcopy(model), lr=LR, margin=9.0, similarity=2.0, source=batches[:4]),
        "sar": adapt.SAR(copy.deepcopy(model), lr=LR, margin=9.0, reset_below=None),
        "guard(tent)": adapt.Guard(adapt.Tent(copy.deepcopy(model), lr=LR)),
    }
    bare = bare_tent(copy.deepcopy(model))
    own: dict[str, list[float]] = {name: [] for name in made}
    against: list[float] = []
    for at, x in enumerate(batches):
        spent = {}
        for name, adapter in made.items():
            before = adapter.cost.since(adapt.Cost())
            began = time.process_time()
            adapter(x)
            spent[name] = time.process_time() - began
            cost = adapter.cost.since(before)
            if at >= 2:  # the first ones warm up
                own[name].append(100 * (1 - (cost.pass_seconds + cost.step_seconds) / cost.seconds))
        began = time.process_time()
        bare(x)
        spent["bare"] = time.process_time() - began
        if at >= 2:
            against.append(100 * (spent["tent"] / spent["bare"] - 1))
    print(f"convolutional net of width {given.width}, {given.batches} batches of {BATCH} x {given.size} x {given.size}")
    for name, found in own.items():
        print(f"{name:12} beyond passes and steps: {statistics.median(found):5.2f} % (limit {LIMIT:g} %)")
    print(f"tent against the bare loop, CPU: {statistics.median(against):+5.2f} % (limit {LIMIT:g} %)")


if __name__ == "__main__":
    main()
