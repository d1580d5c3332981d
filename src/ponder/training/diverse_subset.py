"""A small, diverse part of a training set: a domain at random, in it a source at random, in that an example at random.

Source: Huang et al. 2025, arXiv:2504.00869 (m1, card 07), how m1K is drawn from m23K: uniform over domains and then
over the data sets within, not over examples, without replacement, until there are enough; what is used up is left out.
Differs: domains come with the records (the paper has a model name them); the draw is by the seed of `core.seeds`.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeVar

from ponder.core.errors import BadInput
from ponder.core.seeds import derive

__all__ = ["diverse_subset"]

T = TypeVar("T")


def diverse_subset(
    records: Sequence[T], count: int, domains: Sequence[Hashable], sources: Sequence[Hashable], *, seed: int = 42
) -> list[T]:
    """Return `count` of the records in the order in which they are drawn; all of them where there are no more.

    A smaller count with the same seed gives the first of them.

    Args:
        records: to draw from.
        count: >= 0.
        domains: of each record.
        sources: of each record.
        seed: of the draws.

    Raises:
        BadInput: as many domains or sources are not there, or count is negative.
    """
    if not len(records) == len(domains) == len(sources) or count < 0:
        raise BadInput("needs count >= 0, and a domain and a source for each record")
    left: dict[Hashable, dict[Hashable, list[int]]] = {}
    for at, (domain, source) in enumerate(zip(domains, sources, strict=True)):
        left.setdefault(domain, {}).setdefault(source, []).append(at)
    rng = derive(seed, "diverse_subset")
    drawn: list[T] = []
    while left and len(drawn) < count:
        domain = rng.choice(list(left))
        source = rng.choice(list(left[domain]))
        places = left[domain][source]
        drawn.append(records[places.pop(rng.randrange(len(places)))])
        if not places:
            del left[domain][source]
        if not left[domain]:
            del left[domain]
    return drawn
