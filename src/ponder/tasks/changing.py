"""Streams of pictures whose corruption never stands still: one fades out step by step while the next fades in.

Source: continually changing corruptions, Press et al. 2023, arXiv:2306.05401 (card 00): two corruptions at a time, and
never a moment without one.
Differs: severities move in whole steps over our corruptions, and their sum stays the same; the original keeps the error
of a reference model nearly constant instead.
Cost: two corruptions a picture. Needs: the extra `torch`. Same seed, same pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ponder.core.errors import BadInput, ConfigError
from ponder.core.seeds import derive_seed
from ponder.tasks.corruptions import CORRUPTIONS, By, corrupt
from ponder.tasks.streams import Domain

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["changing_domains", "changing_severities"]


def changing_severities(kinds: Sequence[str], *, most: int = 5, rounds: int = 1) -> list[tuple[str, int, str, int]]:
    """Return the steps (old, its severity, new, its severity), severities of each step summing to `most`.

    The first kind begins alone; the last one of a round fades into the first, which ends the walk alone again.

    Raises:
        ConfigError: fewer than two kinds, or most or rounds below 1.
    """
    if len(kinds) < 2 or most < 1 or rounds < 1:
        raise ConfigError(f"need two kinds, most >= 1 and rounds >= 1, got {len(kinds)}, {most!r} and {rounds!r}")
    walk = [*list(kinds) * rounds, kinds[0]]
    steps = [(old, most - at, new, at) for old, new in pairwise(walk) for at in range(most)]
    return [*steps, (walk[-2], 0, walk[-1], most)]


def changing_domains(
    x: Tensor, y: Any, kinds: Sequence[str] | None = None, *, rounds: int = 1, seed: int = 0, by: By = "ponder"
) -> list[Domain]:
    """Return nearly equal parts of the pictures, one for each step; a domain has the name of its stronger corruption.

    Args:
        x: (N, C, H, W), as `corrupt` takes them.
        y: (N,) labels.
        kinds: corruptions in the order in which they come; by default all fifteen.
        rounds: walks through all of them.
        seed: of what is random.
        by: whose corruptions, as in `corrupt`.

    Raises:
        BadInput: fewer pictures than steps.
    """
    steps = changing_severities(tuple(CORRUPTIONS) if kinds is None else kinds, rounds=rounds)
    if len(x) < len(steps):
        raise BadInput(f"{len(steps)} steps need as many pictures, got {len(x)}")
    domains = []
    for at, (old, fading, new, growing) in enumerate(steps):
        rows = slice(at, None, len(steps))
        part = corrupt(x[rows], old, fading, seed=derive_seed(seed, at, "old"), by=by)
        part = corrupt(part, new, growing, seed=derive_seed(seed, at, "new"), by=by)
        domains.append(Domain(name=old if fading > growing else new, x=part, y=y[rows]))
    return domains
