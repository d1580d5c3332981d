"""Jobs on scripted models, and what of their rows is free of the clock and of what was there before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ponder.bench.job import Grid, Job
from ponder.bench.rows import CandidateRow, Row, read_candidates, read_rows
from ponder.core.model import Model, ModelInfo, Sampling
from tests.bench.bench_doubles import small_model

INFO = ModelInfo(fingerprint="small")  # by default it is another one in each process


def job(**fields: Any) -> Job:
    """A small job: a vote and best-of-N at three sizes on stories."""
    base: dict[str, Any] = {
        "models": ("scripted:small",),
        "methods": (
            Grid(method="self_consistency", settings={"n": (1, 2, 4), "early_stop": ("none",)}),
            Grid(method="best_of_n", settings={"n": (1, 2, 4)}, verifier="arithmetic"),
        ),
        "tasks": ("multiplication_stories",),
        "count": 4,
        "sampling": Sampling(max_tokens=40),
    }
    return Job(**{**base, **fields})


def small(spec: str) -> Model:
    """Open the scripted model of `bench_doubles`, whatever the spelling."""
    return small_model(info=INFO)


def slow(spec: str) -> Model:
    """The same, a little slow."""
    return small_model(info=INFO, latency=0.02)


def facts(folder: Path) -> tuple[dict[str, Row], dict[tuple[str, int], CandidateRow]]:
    """Read a run folder by key; what the clock says and what was paid is left out. No key may be there twice."""
    rows, candidates = read_rows(folder / "rows.jsonl"), read_candidates(folder / "candidates.jsonl")
    by_run = {row.run: replace(row, seconds=None, measured=True, paid={}) for row in rows}
    by_place = {(row.run, row.index): row for row in candidates}
    assert len(by_run) == len(rows)
    assert len(by_place) == len(candidates)
    assert {run for run, _ in by_place} <= by_run.keys()
    return by_run, by_place
