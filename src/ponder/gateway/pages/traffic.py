"""What passes through the gateway: counts over time, cost by key, method and model, latencies, what `auto` saves.

Everything is read from the book of traces, so it covers what the book keeps. What `auto` would have cost without its
policy cannot be known: shown are its tokens a request beside those of other methods on the same model here, and what
the policy's own evidence says.
Source: our own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

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
        "auto": _auto(shown, gateway.house.settings.policy),
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


def _auto(lines: Sequence[Mapping[str, Any]], policy: str | None) -> dict[str, Any]:
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
    return {"here": here, "evidence": None if policy is None else _evidence(policy)}


def _evidence(policy: str) -> dict[str, Any] | None:
    """Return what the policy's file says it cost on held-out questions, beside the fixed method."""
    try:
        data = json.loads(Path(policy).read_text(encoding="utf-8"))
        held = data["evidence"]["held_out"]
        fixed = held["fixed"]
        return {"unit": data["unit"], "cost": held["cost"], "fixed": fixed["cost"], "ratio": fixed["ratio"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None
