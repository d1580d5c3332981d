"""A memory of unit features with labels: source entries that stay, and entries that a stream adds behind them.

Source: our own; cosines are exact, or of the source entries through a faiss inverted file of short codes.
Cost: exact O(B M d), in blocks of rows; faiss as its cells allow. Adding is amortised: the buffer grows by a share of
itself, half of a small one and an eighth of a large one. With a bound, adding moves what is kept of the added entries.
Needs: the extra `torch`; `faiss-cpu` for the index.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ponder.core.errors import BadInput
from ponder.core.registry import need

__all__ = ["FeatureMemory", "SourceIndex"]

_BLOCK = 1 << 17  # rows whose cosines are held at once
_FEW = 4096  # below this many entries an inverted file is not worth its cells
_PROBED = 256  # queries by which recall is measured
_TRAINED = 40  # entries that each cell's centre is found from


class FeatureMemory:
    """Rows (M, d) of length 1 with labels (M,); the first `base` of them are the source's.

    Attributes:
        base: source entries.
        index: over them, or None.
    """

    def __init__(self, keys: Tensor, labels: Tensor, *, recall: float | None = None, k: int = 1, seed: int = 0) -> None:
        if keys.ndim != 2 or labels.shape != keys.shape[:1]:
            raise BadInput(f"features (M, d) and labels (M,) do not fit: {tuple(keys.shape)}, {tuple(labels.shape)}")
        self._keys, self._labels = keys.clone(), labels.long().clone()
        self.base = self._size = len(keys)
        self.index = None if recall is None else SourceIndex(self.keys, recall=recall, k=k, seed=seed)

    def __len__(self) -> int:
        return self._size

    @property
    def keys(self) -> Tensor:
        """All features, (M, d)."""
        return self._keys[: self._size]

    @property
    def labels(self) -> Tensor:
        """All labels, (M,)."""
        return self._labels[: self._size]

    def nearest(self, queries: Tensor, k: int) -> Tensor:
        """Return the positions (B, min(k, M)) of the nearest entries of unit queries (B, d)."""
        k = min(k, self._size)
        if k < 1:
            raise BadInput("the memory is empty: give labelled source data")
        queries = queries.detach().to(self._keys)
        if self.index is None:
            return _nearest(queries, self.keys, 0, k)
        at = self.index.search(queries, k).to(queries.device)
        if self._size > self.base:
            added = _nearest(queries, self.keys[self.base :], self.base, min(k, self._size - self.base))
            at = torch.cat([at, added], 1)
        found = _best(queries, self._keys, at, k)
        short = (found < 0).any(1)  # the cells looked into held fewer than k
        if bool(short.any()):
            found[short] = _nearest(queries[short], self.keys, 0, k)
        return found

    @contextmanager
    def source_only(self) -> Iterator[None]:
        """Inside, what the stream added is out of sight; nothing may be added."""
        size, self._size = self._size, self.base
        try:
            yield
        finally:
            self._size = size

    def add(self, keys: Tensor, labels: Tensor, *, most: int | None = None) -> None:
        """Append entries (n, d), (n,); with `most`, the oldest added ones make room."""
        keep = self._size - self.base
        if most is not None:
            keys, labels = keys[max(0, len(keys) - most) :], labels[max(0, len(labels) - most) :]
            spare = max(0, keep + len(keys) - most)
            if spare:
                rest = slice(self.base + spare, self._size)
                kept = (self._keys[rest].clone(), self._labels[rest].clone())
                keep -= spare
                self._keys[self.base : self.base + keep], self._labels[self.base : self.base + keep] = kept
                self._size = self.base + keep
        end = self._size + len(keys)
        if end > len(self._keys):
            more = len(self._keys) // (2 if len(self._keys) < _BLOCK else 8)
            room = max(end - len(self._keys), more)
            self._keys = torch.cat([self._keys, self._keys.new_empty(room, self._keys.shape[1])])
            self._labels = torch.cat([self._labels, self._labels.new_empty(room)])
        self._keys[self._size : end], self._labels[self._size : end] = keys.to(self._keys), labels.to(self._labels)
        self._size = end

    def added(self) -> tuple[Tensor, Tensor]:
        """Return what the stream added, as views that hold until the next `add`."""
        rest = slice(self.base, self._size)
        return self._keys[rest], self._labels[rest]

    def replace_added(self, keys: Tensor, labels: Tensor) -> None:
        """Forget what was added and put this in its place."""
        self._size = self.base
        self.add(keys, labels)


class SourceIndex:
    """A faiss index over fixed rows, as fast as the wanted recall allows.

    Rows are kept in cells at 4 bits a coordinate, an eighth of their size, which faiss compares in registers; it names
    more candidates than are wanted, and whoever holds the rows picks the nearest of them by exact cosines.

    Attributes:
        recall: share of the k exact neighbours among the candidates' best, measured on rows with noise that may not
            find themselves.
        probes: cells it looks into; 0 for a flat (exact) index.
        wide: candidates for each wanted neighbour.
    """

    def __init__(self, keys: Tensor, *, recall: float, k: int, seed: int) -> None:
        faiss = need("faiss", extra="adapt", feature="a faiss memory")
        rows = keys.detach().float().cpu().contiguous()
        count, width = rows.shape
        self.recall, self.probes, self.wide = 1.0, 0, 1
        if count < _FEW:
            self._index = faiss.IndexFlatIP(width)
            self._index.add(rows.numpy())
            return
        cells = 2 ** round(math.log2(math.sqrt(count)))
        self._index = faiss.IndexIVFPQFastScan(
            faiss.IndexFlatIP(width), width, cells, width, 4, faiss.METRIC_INNER_PRODUCT
        )
        self._index.cp.seed, self._index.cp.niter = seed + 1, 10
        draw = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
        self._index.train(rows[draw[: _TRAINED * cells]].numpy())
        self._index.add(rows.numpy())
        self._tune(rows, recall, min(k, count), seed)

    def search(self, queries: Tensor, k: int) -> Tensor:
        """Return the positions (B, min(k x wide, entries)) of candidates; -1 where the cells held too few."""
        rows = queries.detach().float().cpu().contiguous().numpy()
        return torch.from_numpy(self._index.search(rows, min(k * self.wide, self._index.ntotal))[1])

    def _tune(self, rows: Tensor, wanted: float, k: int, seed: int) -> None:
        """Look into as many cells, for as many candidates, as recall on rows with half their spread as noise needs."""
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randint(len(rows), (min(_PROBED, len(rows)),), generator=generator)
        noise = torch.randn(len(chosen), rows.shape[1], generator=generator) * rows[chosen].std(0) / 2
        queries = torch.nn.functional.normalize(rows[chosen] + noise, dim=-1)
        exact = _nearest(queries, rows, 0, k + 1)
        others = exact != chosen[:, None]  # a row always finds itself, which a stream's samples cannot
        least = _cosines(queries, rows, exact).amin(1, keepdim=True) - 1e-6

        # As many cells as hold the neighbours, with half of what may be missed to spare; then candidates.
        order = torch.from_numpy(self._index.quantizer.search(queries.numpy(), self._index.nlist)[1])
        home = torch.from_numpy(self._index.quantizer.search(rows[exact].flatten(0, 1).numpy(), 1)[1]).view_as(exact)
        ranks = order.argsort(1).gather(1, home)[others].sort().values
        self.probes = int(ranks[math.ceil(len(ranks) * (1 + wanted) / 2) - 1]) + 1
        self._index.nprobe, self.wide = self.probes, 2
        while self.wide * k < 2 * len(rows):
            found = _best(queries, rows, self.search(queries, k), k + 1)
            close = _cosines(queries, rows, found) >= least  # of equal rows any will do
            hits = (close & (found != chosen[:, None])).sum(1).minimum(others.sum(1))
            self.recall = float(hits.sum() / others.sum())
            if self.recall >= wanted:
                return
            self.wide *= 2


def _best(queries: Tensor, keys: Tensor, at: Tensor, k: int) -> Tensor:
    """Return those k of the positions `at` (B, n) whose keys are nearest to the queries (B, d); -1 stands for none."""
    return at.gather(1, _cosines(queries, keys, at).topk(min(k, at.shape[1]), dim=1).indices)


def _cosines(queries: Tensor, keys: Tensor, at: Tensor) -> Tensor:
    """Return the cosines (B, n) of the queries (B, d) to the keys at positions (B, n); none is as far as can be."""
    return (keys[at.clamp_min(0)] @ queries[:, :, None])[..., 0].masked_fill(at < 0, -math.inf)


def _nearest(queries: Tensor, keys: Tensor, first: int, k: int) -> Tensor:
    """Return the exact positions (B, k) among `keys`, counted from `first`, block by block."""
    best: Tensor | None = None
    at: Tensor | None = None
    for start in range(0, len(keys), _BLOCK):
        close = queries @ keys[start : start + _BLOCK].T
        top = close.topk(min(k, close.shape[1]), dim=1)
        new = top.indices + (first + start)
        if best is None or at is None:
            best, at = top.values, new
            continue
        both = torch.cat([best, top.values], 1)
        chosen = both.topk(min(k, both.shape[1]), dim=1)
        best, at = chosen.values, torch.cat([at, new], 1).gather(1, chosen.indices)
    assert at is not None
    return at
