"""AdaNPC: look-up of a batch in a large memory, faiss against exact, at recall@k >= .95 (issue G: 1,000,000 x 128).

Entries are features of the reference model (group-norm net) on drawn shapes, widened to `width` by a fixed random map,
with noise, so that they are clustered as features are; queries are features of other pictures. Recall is measured on
the very queries that are timed. Both memories answer each batch in turn, on one thread, in CPU time of the process; the
ratio of medians counts, not the seconds. The index is told to find .97 of its own entries' neighbours, so that other
pictures' keep .95.
Run: python -m benchmarks.adapt_adanpc (about a minute; 3 GB)
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import torch

from ponder.adapt._feature_memory import FeatureMemory
from ponder.adapt._reference_models import reference_model
from ponder.core.registry import need


def features(entries: int, width: int, seed: int) -> torch.Tensor:
    """Return unit features (entries, width)."""
    found = reference_model("conv_gn")
    caught: list[torch.Tensor] = []
    hook = found.model.head.register_forward_pre_hook(lambda _, args: caught.append(args[0]))
    with torch.no_grad():
        for part in (found.train if seed == 0 else found.test).x.split(256):
            found.model(part)
    hook.remove()
    rows = torch.cat(caught)
    wide = rows @ torch.randn(rows.shape[1], width, generator=torch.Generator().manual_seed(7)) / rows.shape[1] ** 0.5
    draw = torch.Generator().manual_seed(seed)
    chosen = wide[torch.randint(len(wide), (entries,), generator=draw)]
    noise = torch.randn(entries, width, generator=draw) * wide.std(0) / 2
    return torch.nn.functional.normalize(chosen + noise, dim=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--batches", type=int, default=10)
    given = parser.parse_args()
    torch.set_num_threads(1)
    faiss: Any = need("faiss", extra="adapt", feature="a faiss memory")
    faiss.omp_set_num_threads(1)
    keys, labels = features(given.entries, given.width, 0), torch.zeros(given.entries, dtype=torch.long)
    queries = features(64 * (given.batches + 1), given.width, 1).split(64)
    exact = FeatureMemory(keys, labels)
    began = time.process_time()
    quick = FeatureMemory(keys, labels, recall=0.97, k=given.k)
    built = time.process_time() - began
    assert quick.index is not None
    probes, wide = quick.index.probes, quick.index.wide
    print(f"index over {given.entries:,} x {given.width} built in {built:.1f} s: {probes} cells, {wide} x k candidates")
    taken: dict[str, list[float]] = {"exact": [], "faiss": []}
    hits = []
    for at, batch in enumerate(queries):
        found = {}
        for name, memory in (("exact", exact), ("faiss", quick)):
            began = time.process_time()
            found[name] = memory.nearest(batch, given.k)
            if at:  # the first warms up
                taken[name].append(time.process_time() - began)
        hits.append((found["faiss"][:, :, None] == found["exact"][:, None]).any(1).double().mean())
    slow, fast = (statistics.median(taken[name]) for name in ("exact", "faiss"))
    print(f"batch of 64, k={given.k}, CPU: exact {slow * 1e3:.1f} ms, faiss {fast * 1e3:.2f} ms")
    print(f"faiss / exact: {fast / slow:.3f}, {slow / fast:.1f} x faster")
    print(f"recall@{given.k}: {float(sum(hits)) / len(hits):.3f} (limit 0.95)")


if __name__ == "__main__":
    main()
