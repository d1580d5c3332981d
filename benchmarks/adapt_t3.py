"""T3: merge two models anew for each of 64 samples, batched, against a Python loop over the samples (issue G: 5x).

Prints, for each kind of net: CPU time of the loop, of torch.func's vmap and of mixed layers, the ratio to the loop, and
how far the results are apart. The ways take turns; of each the least of the rounds counts. The goal is held against
what `T3Merging` itself chooses, which is "mix" for all three.
Run: python -m benchmarks.adapt_t3 (about 15 s)
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch

from ponder.adapt._merged_forward import differing, run_merged, unmixable
from ponder.adapt._reference_models import ConvNet, TinyViT
from ponder.adapt.t3_merging import T3Merging

LIMIT = 5.0


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name, (first, second, shape) in nets().items():
        first.eval()
        second.eval()
        x, weight = torch.randn(given.rows, *shape), torch.rand(given.rows)
        names = differing(first, second, ())
        ways = ["loop", "vmap", *(["mix"] if not unmixable(first, names) else [])]
        adapter = T3Merging(first, expert=second, gamma=10.0)
        adapter(x)
        out, least = {}, dict.fromkeys(ways, float("inf"))
        with torch.no_grad():
            for _ in range(given.rounds + 1):
                for how in ways:
                    began = time.process_time()
                    out[how] = run_merged(first, second, names, x, weight, how, adapter._chunk())
                    least[how] = min(least[how], time.process_time() - began)
        for how in ways[1:]:
            apart = float((out[how] - out["loop"]).abs().max())
            chosen = f"chosen, limit {LIMIT:g}" if how == adapter._chosen else "not chosen"
            print(
                f"{name}, {given.rows} samples: loop {least['loop'] * 1e3:.1f} ms, {how} {least[how] * 1e3:.1f} ms: "
                f"{least['loop'] / least[how]:.1f} x faster ({chosen}), results within {apart:.1e}"
            )


if __name__ == "__main__":
    main()
