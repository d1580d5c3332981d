"""Which points a pool is replayed for: methods as they are spelled, sizes, and the verifiers whose scores it holds.

Source: our own. Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from ponder.bench.curve import Point
from ponder.bench.pools.pool import Pool
from ponder.core import registry
from ponder.core.context import needs_of
from ponder.core.errors import ConfigError
from ponder.core.registry import configure, parameters

__all__ = ["ALIASES", "default_methods", "default_sizes", "points_of"]

ALIASES = {"majority": "self_consistency", "borda": "borda_voting"}


def default_methods(pool: Pool) -> list[str]:
    """Return what can be replayed from what the pool holds."""
    found = ["greedy"] if pool.greedy.present.all() else []
    found.append("self_consistency")
    if (pool.samples.certainty == pool.samples.certainty).any():
        found += ["self_certainty", "borda_voting"]
    if pool.samples.scores:
        found += ["best_of_n", "best_of_n:weighted=true"]
    return found


def default_sizes(pool: Pool) -> list[int]:
    """Return 1, 2, 4, ... and the most samples that all problems have."""
    most = int(pool.samples.present.min()) if len(pool.ids) else 0
    return sorted({2**k for k in range(most.bit_length()) if 2**k <= most} | ({most} if most else set()))


def points_of(text: str, sizes: Sequence[int], pool: Pool, *, model: str, verifiers: Sequence[str] = ()) -> list[Point]:
    """Return the points of a method, spelled "NAME[:KEY=V1|V2,...]"; `verifier=LABEL` names recorded scores.

    Args:
        text: the method; "majority" and "borda" are short for the registered names.
        sizes: n of methods that have one, unless the text names it.
        pool: the samples.
        model: spelling of who answered, for the names of curves.
        verifiers: labels of scores for methods that need a verifier; by default all that the pool holds.

    Raises:
        ConfigError: no such setting, or a method that needs scores where there are none.
        UnknownName: no such method.
    """
    name, _, rest = text.partition(":")
    method = ALIASES.get(name, name)
    entry = registry.strategies.get(method)
    values: dict[str, list[str]] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals or key in values:
            raise ConfigError(f"--method {text}: cannot read {part!r}; write KEY=VALUE once for each setting")
        values[key] = value.split("|")
    chosen = values.pop("verifier", None) or list(verifiers) or list(pool.samples.scores)
    if method == "self_consistency":
        values.setdefault("early_stop", ["none"])  # all samples are there: nothing is saved by stopping
    found = []
    for combination in itertools.product(*values.values()):
        settings = configure(entry, dict(zip(values, combination, strict=True)))
        made = entry.make(**settings)
        ns = [None] if "n" not in parameters(made) else [settings["n"]] if "n" in settings else list(sizes)
        for label in chosen if "verifier" in needs_of(entry, made) else [""]:
            found += list(_points(method, settings, ns, label, pool, model))
    if not found:
        raise ConfigError(f"{method} chooses by scores, and the pool holds none: `ponder record score {pool.name}`")
    return found


def _points(
    method: str, settings: dict[str, Any], ns: Sequence[int | None], label: str, pool: Pool, model: str
) -> Iterator[Point]:
    told = "".join(f" {key}={value}" for key, value in settings.items() if key != "n")
    known = pool.facts.get("verifiers", {}).get(label, {})
    for n in ns:
        yield Point(
            curve=f"{method}{told}{f' by {label}' if label else ''}@{model}",
            method=method,
            settings=settings if n is None else {**settings, "n": n},
            verifier=known.get("name", label) or None,
            judging=known.get("settings", {}),
        )
