"""What passes through the gateway: counts over time, cost by key, method and model, latencies, what `auto` saves.

Everything is read from the book of traces, so it covers what the book keeps. What `auto` saves is what its requests
would have cost at the rate that the active policy's evidence states: the cost of the fixed method that was as accurate
on questions which neither had seen, for each token or dollar of the policy's. The interval is that of the rate; how far
the questions here are like those of the evidence nobody knows.
Source: our own.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from ponder.gateway.gateway import Gateway
from ponder.gateway.settings import Key
from ponder.gateway.trace_book import TraceRow

__all__ = ["traffic"]

_BINS = 60
_MOST = 20_000  # requests that the counts over time look at


async def traffic(gateway: Gateway, key: Key, *, hours: float, everyone: bool) -> dict[str, Any]:
    """Return what passed in the last hours.

    Args:
        gateway: where.
        key: who asks.
        hours: so far back, > 0.
        everyone: all keys; else only this one.
    """
    now = time.time()
    since = now - hours * 3600.0
    mine = None if everyone else key.name
    lines = [line for line in await gateway.book.traffic(since) if mine is None or line.key == mine]
    rows = await gateway.book.list(limit=_MOST, since=since, key=mine)
    limits = await gateway.account.report(None if everyone and not gateway.house.settings.keys else key)
    shown = [asdict(line) for line in lines]
    return {
        "now": now,
        "since": since,
        "kept": gateway.book.rules.file is not None,
        "lost": gateway.book.lost,
        "running": gateway.admission.running,
        "waiting": gateway.admission.waiting,
        "lines": shown,
        "bins": _bins(rows, since, now),
        "latency": _latency([row.seconds for row in rows]),
        "limits": [{**line._asdict(), "left": line.left} for line in limits],
        "auto": _auto(shown, rows, gateway.house.settings.policy),
    }


def _bins(rows: Sequence[TraceRow], since: float, now: float) -> list[dict[str, Any]]:
    width = (now - since) / _BINS
    bins = [{"start": since + i * width, "requests": 0, "failed": 0, "tokens": 0} for i in range(_BINS)]
    for row in rows:
        bin_ = bins[min(_BINS - 1, max(0, int((row.created - since) / width)))]
        bin_["requests"] += 1
        bin_["failed"] += row.status >= 400
        bin_["tokens"] += row.tokens
    return bins


def _latency(seconds: Sequence[float]) -> dict[str, float] | None:
    """Return nearest-rank percentiles, in seconds; None where nothing passed."""
    ordered = sorted(seconds)
    if not ordered:
        return None
    return {f"p{q}": ordered[max(0, -(-len(ordered) * q // 100) - 1)] for q in (50, 90, 99)}


def _auto(lines: Sequence[Mapping[str, Any]], rows: Sequence[TraceRow], policy: str | None) -> dict[str, Any]:
    """Return what is known about the savings of `auto`."""
    by: dict[str, dict[str, list[int]]] = {}
    for line in lines:
        totals = by.setdefault(line["model"], {}).setdefault(line["method"], [0, 0])
        totals[0] += line["requests"]
        totals[1] += line["tokens"]
    here = [
        {
            "model": model,
            "requests": methods["auto"][0],
            "tokens": methods["auto"][1] / methods["auto"][0],
            "others": {
                name: tokens / requests for name, (requests, tokens) in sorted(methods.items()) if name != "auto"
            },
        }
        for model, methods in by.items()
        if "auto" in methods
    ]
    evidence = None if policy is None else _evidence(policy)
    return {
        "here": here,
        "evidence": None if evidence is None else evidence._asdict(),
        "saved": None if evidence is None else _saved(rows, evidence),
    }


class _Evidence(NamedTuple):
    """What a policy cost on held-out questions (`cost`, a question's mean) beside a fixed method (`fixed`).

    `ratio` is cost / fixed with its interval; `against` says which fixed method it was: the one of "equal_accuracy", or
    in older files the best within the budget ("fixed"). `since` is when the file became what it is.
    """

    unit: str
    cost: float
    fixed: float
    ratio: tuple[float, float, float]
    against: str
    since: float


def _evidence(policy: str) -> _Evidence | None:
    try:
        since = Path(policy).stat().st_mtime
        data = json.loads(Path(policy).read_text(encoding="utf-8"))
        held = data["evidence"]["held_out"]
        against = "equal_accuracy" if (held.get("equal_accuracy") or {}).get("ratio") else "fixed"
        value, low, high = map(float, held[against]["ratio"])
        if not 0 < low <= value <= high:
            return None
        fixed = float(held[against]["cost"])
        return _Evidence(str(data["unit"]), float(held["cost"]), fixed, (value, low, high), against, since)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _saved(rows: Sequence[TraceRow], evidence: _Evidence) -> dict[str, Any] | None:
    """Return what `auto` spent since the policy is active, and what it saved with the limits of that estimate.

    None where nobody asked it, or where what it spent is not known in the policy's unit.
    """
    asked = [row for row in rows if row.method == "auto" and row.created >= evidence.since and row.status < 400]
    spent = [float(row.tokens) if evidence.unit == "tokens" else row.usd for row in asked]
    known = [value for value in spent if value is not None]
    if not known or len(known) < len(spent) or evidence.unit not in ("tokens", "usd"):
        return None
    total = math.fsum(known)
    value, low, high = evidence.ratio
    return {
        "requests": len(known),
        "spent": total,
        "saved": [total * (1 / ratio - 1) for ratio in (value, high, low)],
    }
