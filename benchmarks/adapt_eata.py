"""EATA and SAR against Tent on a mixed stream of corrupted pictures: samples back-propagated, CPU time and error.

For each kind of reference model it prints one ratio a goal, from one run: EATA's back-propagated samples over Tent's
(limit 0.6), its time over Tent's (limit 1.0), the difference of errors (limit 0), and SAR's time over Tent's (limit
2.2). EATA runs three times: as the authors' rule is written (`parity="released"`, which masks, so that every row is
back-propagated all the same), masked by us (the same numbers), and with the graph of the selected samples alone. With
group and layer norms the third has the masked one's numbers too; with batch norms its statistics are those of the
selected samples, which is another result. Time is CPU time of the process: in each round every adapter runs over the
whole stream in its turn, and of each batch the least over the rounds counts. With `--turns batch` all take each batch
in turn, which empties caches between any two calls of one adapter. The similarity margin 0.33 is near 1 / sqrt(10), the
cosine of a sure prediction to an even average over ten classes. The conv nets run in two widths: at 16 channels the
fixed cost of a second pass and of the filter, which no selection saves, is a tenth of all.
Run: python -m benchmarks.adapt_eata [--kind conv_gn] [--width 32] [--turns batch] (all by default, three minutes; the
first time it trains)
"""

from __future__ import annotations

import argparse
import copy
import time
from typing import Any

import torch

from ponder import adapt
from ponder.adapt._reference_models import KINDS, Kind, Reference, reference_model
from ponder.tasks.pictures import shapes

LR = 0.01
LIMITS = {"samples": 0.6, "time": 1.0, "error": 0.0, "sar": 2.2}


def adapters(reference: Reference, similarity: float) -> dict[str, adapt.Adapter]:
    """Return fresh adapters to compare, by name, each on a model of its own."""
    source = [x for x, _ in reference.source()]

    def eata(**more: Any) -> adapt.Adapter:
        model = copy.deepcopy(reference.model)
        return adapt.EATA(model, lr=LR, source=source, similarity=similarity, **more)

    return {
        "source": adapt.Source(copy.deepcopy(reference.model)),
        "tent": adapt.Tent(copy.deepcopy(reference.model), lr=LR),
        "eata, released": eata(parity="released"),
        "eata, masked": eata(backward="masked"),
        "eata, selected": eata(backward="selected"),
        "sar": adapt.SAR(copy.deepcopy(reference.model), lr=LR),
    }


def measure(kind: Kind, width: int, pictures: int, rounds: int, similarity: float, turns: str) -> None:
    """Run one kind of model and print its table and ratios."""
    reference = reference_model(kind, width=width)
    test = shapes(pictures, seed=5)
    stream = list(adapt.make_stream(adapt.corrupted_domains(test.x, test.y), arrangement="mixed"))
    least: dict[str, list[float]] = {}
    errors: dict[str, float] = {}
    made = adapters(reference, similarity)
    for x, _, _ in stream[:3]:  # warm up
        for adapter in made.values():
            adapter(x)
    for _ in range(rounds):
        made = adapters(reference, similarity)
        wrong = dict.fromkeys(made, 0)
        each = [(name, at) for name in made for at in range(len(stream))]  # one alone over the stream, then the next
        for name, at in sorted(each, key=lambda turn: turn[1]) if turns == "batch" else each:
            x, y, _ = stream[at]
            began = time.process_time()
            logits = made[name](x)
            spent = time.process_time() - began
            row = least.setdefault(name, [float("inf")] * len(stream))
            row[at] = min(row[at], spent)
            wrong[name] += int((logits.argmax(1) != y).sum())
        errors = {name: wrong[name] / adapter.cost.samples for name, adapter in made.items()}
    ratios = {name: sum(row) / sum(least["tent"]) for name, row in least.items()}
    size = "" if kind == "vit_ln" else f", width {width}"
    print(f"\n{kind}{size}: {len(stream)} batches of 64, {rounds} rounds, lr {LR}, similarity {similarity}")
    print(f"{'':16} {'error':>7} {'back-propagated':>16} {'CPU, x Tent':>12}")
    for name, adapter in made.items():
        print(f"{name:16} {errors[name]:7.4f} {adapter.cost.backward_samples:16} {ratios[name]:12.3f}")
    whole = made["tent"].cost.backward_samples
    for name in ("eata, released", "eata, selected"):
        share = made[name].cost.backward_samples / whole
        print(f"{name} / tent, samples back-propagated: {share:.3f} (limit {LIMITS['samples']})")
        print(f"{name} / tent, CPU time: {ratios[name]:.3f} (limit {LIMITS['time']})")
        print(f"{name} - tent, error: {errors[name] - errors['tent']:+.4f} (limit {LIMITS['error']})")
    print(f"sar / tent, CPU time: {ratios['sar']:.3f} (limit {LIMITS['sar']})")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=KINDS, action="append")
    parser.add_argument("--width", type=int, choices=(16, 32), action="append", help="of conv nets")
    parser.add_argument("--pictures", type=int, default=240, help="of each of the fifteen corruptions")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--turns", choices=("stream", "batch"), default="stream")
    parser.add_argument("--similarity", type=float, default=0.33)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for kind in given.kind or KINDS:
        for width in (16,) if kind == "vit_ln" else given.width or (16, 32):
            measure(kind, width, given.pictures, given.rounds, given.similarity, given.turns)


if __name__ == "__main__":
    main()
