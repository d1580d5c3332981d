"""Streams of labelled samples that shift: which domain, which label and how many samples come when.

Source: the protocols of card 00 (Tent, SAR, NOTE, the benchmark of arXiv:2306.00650, recurring domains of RDumb).
Differs: nothing is tied to pictures; anything that can be indexed by a list of rows will do.
Cost: one indexing a batch. Needs: nothing beyond the base install (and what the arrays need).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, TypeAlias

from ponder.core.errors import BadInput, ConfigError
from ponder.core.seeds import derive
from ponder.numerics.stream_orders import dirichlet_order, phases_order, sorted_order, uniform_order

__all__ = ["Arrangement", "Batch", "Domain", "Labels", "Stream", "make_stream"]

Arrangement: TypeAlias = Literal["continual", "mixed", "recurring"]
Labels: TypeAlias = Literal["iid", "sorted", "dirichlet", "phases"]


class Batch(NamedTuple):
    """Samples that arrive together.

    Attributes:
        x: inputs (B, ...).
        y: labels (B,); for scoring only.
        domains: name of the domain of each.
    """

    x: Any
    y: Any
    domains: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Domain:
    """Samples of one kind.

    Attributes:
        name: for tables; may repeat (a domain that comes back).
        x: inputs (N, ...), indexed by a list of rows.
        y: labels (N,), 0..C-1.
    """

    name: str
    x: Any
    y: Any

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y) or not len(self.x):
            raise BadInput(f"domain {self.name!r} needs as many inputs as labels, got {len(self.x)} and {len(self.y)}")


@dataclass(frozen=True, kw_only=True)
class Stream:
    """An order of samples, cut into batches; iterating gives the same batches each time.

    Attributes:
        name: in words.
        domains: where the samples are.
        order: (domain, row) of each.
        batch: samples a batch; the last one may be smaller.
    """

    name: str
    domains: tuple[Domain, ...]
    order: tuple[tuple[int, int], ...]
    batch: int

    def __len__(self) -> int:
        return -(-len(self.order) // self.batch)

    def __iter__(self) -> Iterator[Batch]:
        for at in range(0, len(self.order), self.batch):
            yield self._gather(self.order[at : at + self.batch])

    @property
    def labels(self) -> list[int]:
        """Labels in the order of the stream."""
        columns = [_ints(domain.y) for domain in self.domains]
        return [columns[domain][row] for domain, row in self.order]

    def cut(self, samples: int) -> Stream:
        """Return the first `samples` of it."""
        return replace(self, order=self.order[:samples])

    def with_batch(self, size: int) -> Stream:
        """Return the same order in batches of another size.

        Raises:
            ConfigError: below 1.
        """
        if size < 1:
            raise ConfigError(f"a batch has at least 1 sample, got {size!r}")
        return replace(self, batch=size)

    def _gather(self, places: Sequence[tuple[int, int]]) -> Batch:
        names = tuple(self.domains[domain].name for domain, _ in places)
        runs: list[tuple[int, list[int]]] = []  # neighbours of one domain are indexed at once
        for domain, row in places:
            if not runs or runs[-1][0] != domain:
                runs.append((domain, []))
            runs[-1][1].append(row)
        xs = [self.domains[domain].x[rows] for domain, rows in runs]
        ys = [self.domains[domain].y[rows] for domain, rows in runs]
        return Batch(_join(xs), _join(ys), names)


def make_stream(
    domains: Sequence[Domain],
    *,
    arrangement: Arrangement = "continual",
    labels: Labels = "iid",
    batch: int = 64,
    rounds: int = 1,
    concentration: float = 0.1,
    ratio: float = 500_000.0,
    length: int | None = None,
    seed: int = 0,
) -> Stream:
    """Put samples in an order.

    A gradual shift is a continual one over domains whose severity rises and falls (`gradual_domains`).
    Clean data between domains, as a domain of that name, shows forgetting along the way.

    Args:
        domains: at least one.
        arrangement: one domain after the other ("continual"), the same several times over ("recurring"), or all
            shuffled into one ("mixed").
        labels: within a domain (mixed: within the whole) in random order, "sorted" by class, clumped by "dirichlet", or
            drawn with replacement in "phases" that each favour one class.
        batch: samples a batch, >= 1.
        rounds: of "recurring", >= 1.
        concentration: of "dirichlet", > 0: small is clumped.
        ratio: of "phases": favoured class to another one, >= 1.
        length: samples of a domain (mixed: of all) in "phases"; by default as many as there are.
        seed: same seed, same order.

    Raises:
        BadInput: no domain.
        ConfigError: a setting out of range.
    """
    if not domains:
        raise BadInput("a stream needs at least one domain")
    if batch < 1 or rounds < 1:
        raise ConfigError(f"batch and rounds start at 1, got {batch!r} and {rounds!r}")
    if arrangement not in ("continual", "mixed", "recurring"):
        raise ConfigError(f"arrangement must be continual, mixed or recurring, got {arrangement!r}")
    groups = [[(at, row) for row in range(len(domain.y))] for at, domain in enumerate(domains)]
    if arrangement == "mixed":
        groups = [[place for group in groups for place in group]]
    columns = [_ints(domain.y) for domain in domains]
    order: list[tuple[int, int]] = []
    for turn in range(rounds if arrangement == "recurring" else 1):
        for at, group in enumerate(groups):
            rng = derive(seed, "stream", turn, at)
            found = [columns[domain][row] for domain, row in group]
            if labels == "iid":
                picked = uniform_order(len(group), rng)
            elif labels == "sorted":
                picked = sorted_order(found, rng)
            elif labels == "dirichlet":
                picked = dirichlet_order(found, concentration, rng)
            elif labels == "phases":
                picked = phases_order(found, ratio, length or len(group), rng)
            else:
                raise ConfigError(f"labels must be iid, sorted, dirichlet or phases, got {labels!r}")
            order += [group[place] for place in picked]
    name = f"{arrangement}, {labels} labels, batches of {batch}"
    return Stream(name=name, domains=tuple(domains), order=tuple(order), batch=batch)


def _ints(values: Any) -> list[int]:
    return [int(v) for v in (values.tolist() if hasattr(values, "tolist") else values)]


def _join(parts: list[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    if hasattr(parts[0], "new_tensor"):
        import torch

        return torch.cat(parts)
    if hasattr(parts[0], "tolist"):
        import numpy

        return numpy.concatenate(parts)
    return [item for part in parts for item in part]
