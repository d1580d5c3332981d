"""What a comparison of adapters found, as rows and as plain values for tables, pages and other programs.

Source: metrics of card 00. Intervals are over the samples of one order: several seeds are averaged, and do not count as
more samples.
Cost: none but arithmetic. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from ponder.core.errors import BadInput
from ponder.engines.online_run import OnlineRun
from ponder.numerics.intervals import Interval, wilson
from ponder.numerics.paired import paired_score_interval

__all__ = ["Comparison", "Row", "judged", "write_tables"]

_POINTS = 20  # of a curve
_ALIKE = 0.01  # share of predictions below which two methods are said to be alike
_RUN = (
    "samples",
    "error",
    "domain_error",
    "clean_error",
    "forgetting",
    "ece",
    "calibration_drift",
    "dominant_share",
    "forwards_per_sample",
    "backwards_per_sample",
    "updates",
    "skipped",
    "ms_per_sample",
    "state_bytes",
    "graph_bytes",
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One method on one stream, over all seeds.

    Attributes:
        method: as it was asked for.
        stream: its name.
        runs: one for each seed; empty where it could not run.
        guards: of each run, what its guard did: "alarms" (batch, reason, back_to) and "abstained" batches; None where
            nothing guarded.
        why_not: why it could not run; "" if it did.
        error: share of wrong predictions, with its interval.
        gain: source error less its error, on the same samples, with its interval; None where source did not run.
    """

    method: str
    stream: str
    runs: tuple[OnlineRun, ...] = ()
    guards: tuple[Mapping[str, Any] | None, ...] = ()
    why_not: str = ""
    error: Interval | None = None
    gain: Interval | None = None

    def mean(self, name: str) -> float | None:
        """Return the mean over seeds of one of the run's numbers (`OnlineRun.to_dict`); None where it is missing."""
        return _mean([run.to_dict()[name] for run in self.runs])

    def curve(self, window: int) -> list[float]:
        """Return the error of each stretch of samples, averaged over seeds."""
        curves = [run.curve(window) for run in self.runs]
        return [sum(at) / len(at) for at in zip(*curves, strict=True)] if curves else []


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All rows so far, and how they came about.

    Attributes:
        subject: name of what was adapted.
        facts: about it.
        rows: of the runs that are done.
        planned: rows that there are in the end.
        domains: names, in the subject's order.
        samples: of a stream, by its name.
        seeds: of the orders.
        batch: samples a batch.
        reset: "never" or "domain".
        device: where it ran.
    """

    subject: str
    facts: tuple[str, ...]
    rows: tuple[Row, ...]
    planned: int
    domains: tuple[str, ...]
    samples: Mapping[str, int]
    seeds: tuple[int, ...]
    batch: int
    reset: str = "never"
    device: str = "cpu"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values: what tables and pages are made of."""
        own = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "rows"}
        own |= {name: list(own[name]) for name in ("facts", "domains", "seeds")} | {"samples": dict(self.samples)}
        return {**own, "rows": [self._plain(row) for row in self.rows]}

    def _plain(self, row: Row) -> dict[str, Any]:
        """Return a row; its numbers are means over seeds."""
        stretch = max(1, self.samples[row.stream] // _POINTS)
        runs = [run.to_dict() for run in row.runs]
        if self.device != "cpu":  # what a GPU has in its queue is in the wall clock only
            for plain, run in zip(runs, row.runs, strict=True):
                plain["ms_per_sample"] = 1000 * run.wall / max(1, len(run.right))
        for plain, seed, run, guard in zip(runs, self.seeds, row.runs, row.guards or (None,) * len(runs), strict=False):
            plain |= {"seed": seed, "domain_samples": _counts(run.domains), "guard": guard}
        return {
            "method": row.method,
            "stream": row.stream,
            "why_not": row.why_not,
            "error": None if row.error is None else list(row.error),
            "gain": None if row.gain is None else list(row.gain),
            "means": {name: _mean([plain[name] for plain in runs]) for name in _RUN} if runs else {},
            "domain_errors": _by_domain(runs, self.domains),
            "alike": self._alike(row),
            **self._place(row),
            "stretch": stretch,
            "curve": row.curve(stretch),
            "domains": _stretches(row.runs[0].domains) if runs else [],
            "runs": runs,
        }

    def _alike(self, row: Row) -> list[Any] | None:
        """Return the first method before it whose predictions are nearly its own, and the share that differs."""
        for other in self.rows:
            if other is row or not row.runs:
                break
            if other.stream != row.stream or len(other.runs) != len(row.runs):
                continue
            pairs = [
                (a, b)
                for ours, theirs in zip(row.runs, other.runs, strict=True)
                for a, b in zip(ours.predictions, theirs.predictions, strict=True)
            ]
            differ = sum(a != b for a, b in pairs) / len(pairs)
            if differ < _ALIKE:
                return [other.method, differ]
        return None

    def _place(self, row: Row) -> dict[str, Any]:
        """Return whether the row leads its stream, and by how much its error is above the leader's, with interval.

        The leader has the fewest errors of those that are better than the source model beyond doubt; there may be none.
        """
        sure = [other for other in self.rows if other.stream == row.stream and other.gain and other.gain.low > 0]
        leader = min(sure, key=lambda other: other.error or (1.0,), default=None)
        behind = None if leader is None or row is leader or not row.runs else list(_fewer_errors(leader, row))
        return {"leads": row is leader, "behind": behind}


def _fewer_errors(one: Row, other: Row) -> Interval:
    """Return the other's error less the one's, on the same samples, averaged over seeds."""
    pairs = [
        pair
        for ours, theirs in zip(one.runs, other.runs, strict=True)
        for pair in zip(ours.right, theirs.right, strict=True)
    ]
    seeds = len(one.runs)
    won, lost = pairs.count((True, False)) / seeds, pairs.count((False, True)) / seeds
    return paired_score_interval(won, lost, len(one.runs[0].right))


def judged(row: Row, base: Row | None) -> Row:
    """Add intervals. Samples of one stream are not independent, so these are too narrow rather than too wide."""
    if not row.runs:
        return row
    seeds, count = len(row.runs), len(row.runs[0].right)
    error = wilson(sum(run.right.count(False) for run in row.runs) / seeds, count)
    gain = None if base is None or row.method == base.method else _fewer_errors(row, base)
    return dataclasses.replace(row, error=error, gain=gain)


def write_tables(data: Mapping[str, Any], folder: Path) -> tuple[Path, Path]:
    """Write runs.csv, a line for each method, stream and seed, and domains.csv, one for each domain of these too.

    Args:
        data: as `Comparison.to_dict` returns it.
        folder: one that exists.

    Raises:
        BadInput: a file cannot be written.
    """
    runs: list[dict[str, Any]] = []
    domains: list[dict[str, Any]] = []
    for row in data["rows"]:
        for run in row["runs"]:
            key = {"subject": data["subject"], "method": row["method"], "stream": row["stream"], "seed": run["seed"]}
            guard = run["guard"] or {}
            own = {name: run[name] for name in _RUN}
            alarms = len(guard["alarms"]) if guard else None
            runs.append({**key, **own, "alarms": alarms, "abstained": guard.get("abstained")})
            domains += [
                {**key, "domain": name, "samples": run["domain_samples"][name], "error": error}
                for name, error in run["domain_errors"].items()
            ]
    files = folder / "runs.csv", folder / "domains.csv"
    try:
        for file, lines in zip(files, (runs, domains), strict=True):
            with file.open("w", encoding="utf-8", newline="") as out:
                writer = csv.DictWriter(out, list(lines[0]) if lines else ["method"])
                writer.writeheader()
                writer.writerows(lines)
    except OSError as err:
        raise BadInput(f"cannot write the tables into {str(folder)!r}: {err.strerror or err}") from err
    return files


def _mean(found: Sequence[float | None]) -> float | None:
    known = [float(value) for value in found if value is not None]
    return sum(known) / len(known) if known and len(known) == len(found) else None


def _by_domain(runs: Sequence[Mapping[str, Any]], order: Sequence[str]) -> dict[str, float | None]:
    """Return the mean error of each domain, in the subject's order; others behind."""
    seen = dict.fromkeys(name for run in runs for name in run["domain_errors"])
    names = [*(name for name in order if name in seen), *(name for name in seen if name not in order)]
    return {name: _mean([run["domain_errors"].get(name) for run in runs]) for name in names}


def _counts(domains: Sequence[str]) -> dict[str, int]:
    return {name: domains.count(name) for name in dict.fromkeys(domains)}


def _stretches(domains: Sequence[str]) -> list[list[Any]]:
    """Return (name, samples) of each unbroken stretch of one domain; nothing where domains are shuffled."""
    found: list[list[Any]] = [[name, len(list(same))] for name, same in groupby(domains)]
    return found if 4 * len(found) <= max(4, len(domains)) else []
