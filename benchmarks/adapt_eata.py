"""EATA against Tent on a mixed stream of corrupted pictures: samples back-propagated, seconds and error.

Prints, for the reference model with group norm: EATA's back-propagated samples over Tent's (limit 0.6), its seconds
over Tent's (limit 1.0), and both errors (EATA's must not be higher); once with the graph of the selected samples only
and once masked, which has the same numbers and saves no time (but for batches that select nothing). Seconds are medians
over interleaved rounds. Then SAR's seconds over Tent's (limit 2.2). The similarity margin is near 1 / sqrt(10), the
cosine of a sure prediction to an even average over ten classes: about a quarter of the samples pass.
"""

from __future__ import annotations

import argparse
import copy
import statistics
from collections.abc import Callable
from typing import Any

import torch

from ponder import adapt
from ponder.adapt._reference_models import KINDS, Reference, reference_model
from ponder.engines.online_run import OnlineRun
from ponder.tasks.pictures import shapes

LR = 0.01


def build(reference: Reference, similarity: float) -> dict[str, Callable[[Any], adapt.Adapter]]:
    """Return the adapters to compare, by name."""
    source = [x for x, _ in reference.source()]

    def eata(model: Any, backward: Any) -> adapt.Adapter:
        return adapt.EATA(model, lr=LR, source=source, similarity=similarity, backward=backward)

    return {
        "tent": lambda model: adapt.Tent(model, lr=LR),
        "eata, selected": lambda model: eata(model, "selected"),
        "eata, masked": lambda model: eata(model, "masked"),
        "sar": lambda model: adapt.SAR(model, lr=LR),
        "source": lambda model: adapt.Source(model),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=KINDS, default="conv_gn")
    parser.add_argument("--pictures", type=int, default=400, help="of each of the fifteen corruptions")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--similarity", type=float, default=0.3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    reference = reference_model(given.kind)
    test = shapes(given.pictures, seed=5)
    stream = list(adapt.make_stream(adapt.corrupted_domains(test.x, test.y), arrangement="mixed"))
    makers = build(reference, given.similarity)
    runs: dict[str, OnlineRun] = {}
    seconds: dict[str, list[float]] = {name: [] for name in makers}
    for make in makers.values():  # warm up
        adapt.run_stream(make(copy.deepcopy(reference.model)), stream[:3])
    for _ in range(given.rounds):
        for name, make in makers.items():
            runs[name] = adapt.run_stream(make(copy.deepcopy(reference.model)), stream)
            seconds[name].append(runs[name].cost.seconds)
    typical = {name: statistics.median(found) for name, found in seconds.items()}
    print(f"{given.kind}, {len(stream)} batches of 64, median of {given.rounds} rounds, lr {LR}")
    print(f"{'':16} {'error':>7} {'back-propagated':>16} {'seconds':>8} {'x Tent':>7}")
    for name, run in runs.items():
        ratio = typical[name] / typical["tent"]
        print(f"{name:16} {run.error:7.4f} {run.cost.backward_samples:16} {typical[name]:8.3f} {ratio:7.2f}")
    tent, eata = runs["tent"], runs["eata, selected"]
    share = eata.cost.backward_samples / tent.cost.backward_samples
    print(f"EATA / Tent, samples back-propagated: {share:.2f} (limit 0.60)")
    print(f"EATA / Tent, seconds: {typical['eata, selected'] / typical['tent']:.2f} (limit 1.00)")
    print(f"EATA masked / Tent, seconds: {typical['eata, masked'] / typical['tent']:.2f} (no saving is expected)")
    print(f"EATA - Tent, error: {eata.error - tent.error:+.4f} (limit 0)")
    print(f"SAR / Tent, seconds: {typical['sar'] / typical['tent']:.2f} (limit 2.20)")


if __name__ == "__main__":
    main()
