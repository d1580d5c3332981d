"""Traces on the report's page: what is picked, what the tree shows, and that any trace can be shown."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.bench.job import Grid
from ponder.bench.recorded_runs import Runs, read_runs
from ponder.bench.run_report import run_report
from ponder.bench.runner import run_job
from ponder.bench.studies.page import Fold, Section, Study, render_markdown, render_page
from ponder.bench.trace_section import trace_section
from ponder.bench.trace_tree import fold_of, grow
from ponder.core.trace import Event, Trace
from tests.bench.job_worlds import job, small
from tests.bench.test_report import Page
from tests.bench.test_run_folder import refusing


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Runs:
    folder = tmp_path_factory.mktemp("run")
    methods = (
        Grid(method="self_consistency", settings={"n": (1, 4), "early_stop": ("none",)}),
        Grid(method="best_of_n", settings={"n": (1, 4)}, verifier="arithmetic"),
        Grid(method="auto"),
    )
    asyncio.run(run_job(job(methods=methods, count=12, budgets=("", "calls=3")), folder, opener=refusing))
    return read_runs([folder])


def section_of(runs: Runs, most: int = 3) -> Section:
    section = trace_section(runs, runs.rows, most=most).section
    assert section is not None
    return section


def within(fold: Fold) -> list[Fold]:
    return [fold, *(below for part in fold.folds for below in within(part))]


def test_of_each_curve_the_dearest_a_wrong_and_a_broken_run_are_shown(runs):
    section = section_of(runs)
    for name in {row.curve for row in runs.rows}:
        n = max(row.n for row in runs.rows if row.curve == name)
        rows = [row for row in runs.rows if (row.curve, row.n) == (name, n)]
        label = f"{name} @ {n} · "
        shown = [fold.summary for fold in section.folds if fold.summary.startswith(label)]
        assert len(shown) == 3
        assert f"{max(row.nominal.tokens for row in rows):,} tokens · dearest" in shown[0]
        assert any("✗" in summary for summary in shown) == any(row.correct is False for row in rows)
        assert any(" · budget · " in summary for summary in shown) == any(row.stopped == "budget" for row in rows)
    assert len({fold.place for fold in section.folds}) == len(section.folds)
    assert trace_section(runs, runs.rows, most=0).section is None
    assert all("dearest" in fold.summary for fold in section_of(runs, most=1).folds)


def test_more_runs_come_in_the_order_of_their_cost(runs):
    many = section_of(runs, most=12).folds
    assert len({fold.place for fold in many}) == len(many) <= 60
    assert any("next in cost" in fold.summary for fold in many)


def test_the_tree_shows_samples_with_scores_votes_and_the_stop(runs):
    fold = next(fold for fold in section_of(runs).folds if fold.summary.startswith("best_of_n"))
    row = next(row for row in runs.rows if fold.place == f"run-{row.run}")
    mine = [candidate for candidate in runs.candidates if candidate.run == row.run]
    samples = [part for part in fold.folds if part.summary.startswith("sample ")]
    assert [int(part.summary.split()[1]) for part in samples] == [candidate.index for candidate in mine]
    for part, candidate in zip(samples, mine, strict=True):
        value = candidate.scores["arithmetic"]
        assert f"arithmetic {'missing' if value is None else f'{value:.3g}'}" in part.summary
        assert ("failed: " in part.summary) == (candidate.error is not None)
    assert fold.folds[-1].summary.startswith("chose ")
    assert row.stopped in fold.folds[-1].summary
    (votes,) = fold.tables
    assert sum(int(cells[2]) for cells in votes.rows) == sum(candidate.group is not None for candidate in mine)


def test_a_run_within_a_run_is_a_branch(runs):
    fold = next(fold for fold in section_of(runs).folds if fold.summary.startswith("auto"))
    nested = [part for part in fold.folds if part.summary.startswith("self_consistency (")]
    assert len(nested) == 1
    assert any(part.summary.startswith("sample 0") for part in nested[0].folds)


def test_links_lead_to_what_is_on_the_page_and_nothing_is_loaded(runs):
    text = render_page(run_report(runs))
    parsed = Page()
    parsed.feed(text)
    parsed.close()
    assert parsed.open == []
    places = {part.split('"')[0] for part in text.split(' id="')[1:]}
    leads = {part.split('"')[0] for part in text.split('href="#')[1:]}
    assert places
    assert leads == places
    assert "<script>" not in text.replace("&lt;script&gt;", "")
    assert "<img" not in text
    assert "Runs in detail" in render_markdown(run_report(runs))


def test_rows_without_traces_have_no_such_section(runs):
    assert trace_section(replace(runs, traces=()), runs.rows, most=3).section is None
    untraced = replace(runs, rows=tuple(replace(row, result="") for row in runs.rows))
    assert trace_section(untraced, untraced.rows, most=3).section is None


def test_several_folders_are_searched(runs, tmp_path):
    asyncio.run(run_job(job(count=2), tmp_path, opener=small))
    both = read_runs([tmp_path, runs.traces[0].parent])
    assert len(both.traces) == 2
    detail = trace_section(both, both.rows, most=3)
    assert {row.version for row in both.rows if row.run in detail.places}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
EVENTS = st.lists(
    st.builds(
        Event,
        id=st.integers(0, 8),
        parent=st.integers(0, 8),
        t=st.floats(0, 100),
        kind=st.sampled_from(["step", "policy", "other"]),
        phase=st.sampled_from(["open", "close", "instant"]),
        data=st.dictionaries(st.text(max_size=6), VALUES, max_size=4),
    ),
    max_size=20,
)


@given(events=EVENTS)
def test_any_events_make_a_tree_that_holds_each_of_them(events):
    root = grow(events)
    spans = {0}
    closes = 0
    for event in events:
        closes += event.phase == "close" and event.id in spans
        spans |= {event.id} if event.phase == "open" else set()
    nodes, todo = 0, list(root.children)
    while todo:
        node = todo.pop()
        nodes += 1
        todo += node.children
    assert nodes == len(events) - closes
    folds = [below for node in root.children for below in within(fold_of(node))]
    assert len(folds) == nodes
    section = Section(title="", folds=tuple(map(fold_of, root.children)))
    page = render_page(Study(name="", title="", facts=(), sections=(section,), notes=(), data={}))
    assert page.count("<details>") == len(folds)


def test_what_is_long_is_bounded_and_said():
    trace = Trace()
    run = trace.open("run", method="m", settings={"n": 300})
    for index in range(300):
        call = trace.open("call", run, role="policy", path=["sample"], index=index)
        trace.close(call, "call", run, index=index, text="x" * 9000, finish="stop")
    trace.close(run, "run", stopped="done")
    (top,) = grow(trace.events).children
    fold = fold_of(top)
    assert len(fold.folds) == 101
    assert fold.folds[-1].summary == "200 more are in the trace"
    assert all(len(part.text) < 4200 for part in fold.folds)
    assert "5,000 more characters" in fold.folds[0].text


def test_a_run_that_was_never_closed_is_shown():
    trace = Trace()
    run = trace.open("run", method="m", settings={})
    trace.open("call", run, role="judge", path=["judge", 3], index=0)
    fold = fold_of(grow(trace.events).children[0])
    assert "not ended" in fold.summary
    assert fold.folds[0].summary.startswith("judge/3 0 · judge · not ended")


def test_a_score_without_its_sample_and_what_a_verifier_said_are_shown():
    trace = Trace()
    run = trace.open("run", method="m", settings={})
    score = {"value": 0.25, "steps": [0.5, 0.5], "why": ""}
    trace.instant("score", run, verifier="prm", index=7, score=score)
    trace.close(run, "run", stopped="budget", answer="a")
    (found,) = fold_of(grow(trace.events).children[0]).folds
    assert found.summary == "score of 7: prm 0.25"
    assert '"steps"' in found.text


def test_the_folder_of_the_page_need_not_be_the_runs_own(runs, tmp_path: Path):
    page = tmp_path / "far" / "report.html"
    page.parent.mkdir()
    page.write_text(render_page(run_report(runs)), encoding="utf-8")
    assert str(runs.traces[0]) not in page.read_text(encoding="utf-8").replace(runs.names[0], "")
