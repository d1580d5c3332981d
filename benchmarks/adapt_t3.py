"""T3: merge two models anew for each of 64 samples, batched, against a Python loop over the samples (issue G: 5x).

    python benchmarks/adapt_t3.py [--rows 64] [--rounds 5]

Prints, for each kind of net: seconds of the loop, of torch.func's vmap and of mixed layers, their ratios, and how far
the results are apart. One process, one run; the ratio counts, not the seconds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from functools import partial
from typing import Any

import torch

from ponder.adapt._merged_forward import differing, run_merged, unmixable
from ponder.adapt._reference_models import ConvNet, TinyViT


def nets() -> dict[str, tuple[Any, Any, Any]]:
    """Return pairs of nets of one shape, and a batch shape each."""
    torch.manual_seed(0)
    mlp = [torch.nn.Sequential(*_layers(256, 4), torch.nn.Linear(256, 10)) for _ in range(2)]
    return {
        "mlp 256 x 4": (*mlp, (256,)),
        "conv, group norm": (ConvNet("group"), ConvNet("group"), (1, 16, 16)),
        "small ViT": (TinyViT(), TinyViT(), (1, 16, 16)),
    }


def _layers(width: int, count: int) -> list[Any]:
    block = [lambda: torch.nn.Linear(width, width), lambda: torch.nn.LayerNorm(width), torch.nn.GELU]
    return [make() for _ in range(count) for make in block]


def seconds(run: Any, rounds: int) -> float:
    """Return the median of some rounds, after one that does not count."""
    run()
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        run()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    for name, (first, second, shape) in nets().items():
        first.eval()
        second.eval()
        x, weight = torch.randn(given.rows, *shape), torch.rand(given.rows)
        names = differing(first, second, ())
        ways = ["loop", "vmap", *(["mix"] if not unmixable(first, names) else [])]
        with torch.no_grad():
            runs = {how: partial(run_merged, first, second, names, x, weight, how, given.rows) for how in ways}
            out = {how: run() for how, run in runs.items()}
            taken = {how: seconds(run, given.rounds) for how, run in runs.items()}
        for how in ways[1:]:
            apart = float((out[how] - out["loop"]).abs().max())
            print(
                f"{name}, {given.rows} samples: loop {taken['loop'] * 1e3:.1f} ms, {how} {taken[how] * 1e3:.1f} ms: "
                f"{taken['loop'] / taken[how]:.1f}x faster, results within {apart:.1e}"
            )


if __name__ == "__main__":
    main()
