"""The report of recorded runs: what it says, that it is whole HTML, and that a real browser draws it."""

from __future__ import annotations

import asyncio
import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from ponder.bench.picture_files import standalone, write_pictures
from ponder.bench.recorded_runs import Runs, read_runs
from ponder.bench.report_sections import front_section, laws_section, metrics_section, observations
from ponder.bench.rows import CandidateRow, Row, append_rows
from ponder.bench.run_report import run_report
from ponder.bench.runner import run_job
from ponder.bench.studies.page import Study, render_markdown, render_page
from ponder.core.errors import BadInput
from ponder.core.usage import Usage
from tests.bench.job_worlds import job, small
from tests.bench.test_report import Page
from tests.bench.test_tune import PROBLEMS, a_model, recorded

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return asyncio.run(recorded(a_model()))


@pytest.fixture(scope="module")
def study(rows: list[Row]) -> Study:
    return run_report(Runs(rows=tuple(rows)), more=(front_section, metrics_section, laws_section))


def titles(study: Study) -> list[str]:
    return [section.title for section in study.sections]


def test_the_report_has_its_parts(study: Study) -> None:
    assert titles(study) == [
        "f",
        "f: by difficulty",
        "f: cost by role",
        "What nothing else beats",
        "Metrics",
        "Laws",
        "Every prompt",
    ]
    text = render_markdown(study)
    assert "clear gain" in text
    assert "saturation" in text
    assert "arise" in text


def test_the_page_is_balanced_and_loads_nothing(study: Study) -> None:
    parsed = Page()
    text = render_page(study)
    parsed.feed(text)
    parsed.close()
    assert parsed.open == []
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", text)
    assert "script" not in parsed.tags


def test_what_a_model_wrote_is_escaped(rows: list[Row]) -> None:
    run = "r1"
    row = replace(rows[0], run=run, answer="<script>alert(1)</script>", result="t1")
    wrote = CandidateRow(run=run, problem=row.problem, index=0, text="<img src=x onerror=alert(1)>", usage=Usage())
    found = run_report(Runs(rows=(row,), candidates=(wrote,), prompts={row.problem: "<b>bold</b>"}))
    text = render_page(found)
    assert "<script>" not in text
    assert "<img" not in text
    assert "<b>bold" not in text


def test_the_front_holds_what_nothing_beats(rows: list[Row]) -> None:
    section = front_section(rows)
    assert section is not None
    front = section.tables[0].rows
    # Eight votes are as accurate as sixteen on these questions, and cheaper.
    assert [(curve, n) for _, curve, n, _, _ in front] == [("vote", "1"), ("vote", "4"), ("vote", "8")]


def test_laws_are_fitted_to_curves_of_three_budgets_and_more(rows: list[Row]) -> None:
    assert set(observations(rows)) == {("f", "greedy"), ("f", "vote")}
    section = laws_section(rows)
    assert section is not None
    named = {cells[1] for cells in section.tables[0].rows}
    assert {"saturation", "sequential_scaling"} <= named
    assert {cells[0] for cells in section.tables[0].rows} == {"f, vote"}
    assert laws_section([row for row in rows if row.n <= 2]) is None


def test_ungraded_rows_are_reported_as_such(rows: list[Row]) -> None:
    found = run_report(Runs(rows=tuple(replace(row, correct=None) for row in rows)), more=(front_section,))
    assert "not graded" in render_markdown(found)
    assert "What nothing else beats" not in titles(found)


def test_several_models_and_budgets_keep_their_curves_apart(rows: list[Row]) -> None:
    other = [replace(row, model="large") for row in rows]
    capped = [replace(row, budget="tokens=30") for row in rows]
    found = run_report(Runs(rows=(*rows, *other, *capped)))
    names = {point["curve"] for point in found.data["points"]}
    assert {"vote · small", "vote · large", "vote · small · tokens=30"} <= names


def test_cost_by_role_is_left_out_where_it_cannot_be_compared(rows: list[Row]) -> None:
    judged = [
        replace(row, roles={"judge": "other"}, usage={**row.usage, "judge": Usage(calls=1, prompt_tokens=9)})
        for row in rows
    ]
    assert "f: cost by role" not in titles(run_report(Runs(rows=tuple(judged))))


def test_runs_are_read_from_folders_and_files(rows: list[Row], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "traces.sqlite").touch()
    append_rows(folder / "rows.jsonl", rows)
    append_rows(folder / "candidates.jsonl", [CandidateRow(run="x", problem="q0", index=0)])
    (folder / "problems.jsonl").write_text(json.dumps(PROBLEMS[0].to_json()) + "\n")
    found = read_runs([folder, folder / "rows.jsonl"])
    assert (len(found.rows), len(found.candidates)) == (2 * len(rows), 1)
    assert found.prompts == {"q0": "hard 0"}
    assert found.traces == (folder / "traces.sqlite",)
    with pytest.raises(BadInput, match="cannot read"):
        read_runs([tmp_path / "none.jsonl"])
    (folder / "problems.jsonl").write_text("{}\n")
    with pytest.raises(BadInput, match=r"problems.jsonl:1: not a problem"):
        read_runs([folder])
    with pytest.raises(BadInput, match="no row"):
        run_report(Runs(rows=()))


def test_pictures_are_written_as_files(study: Study, tmp_path: Path) -> None:
    files = write_pictures(study, tmp_path / "pictures")
    assert [file.name for file in files] == ["01-f.svg", "02-f-by-difficulty.svg", "03-f-cost-by-role.svg"]
    for file in files:
        text = file.read_text()
        assert text.startswith("<svg")
        assert text.endswith("</svg>")
        assert 'xmlns="http://www.w3.org/2000/svg"' in text
    assert "greedy" in standalone(study.sections[0].pictures[0])


def test_pictures_as_png(study: Study, tmp_path: Path) -> None:
    pytest.importorskip("resvg_py", reason="pip install 'ponder[plots]'")
    for file in write_pictures(study, tmp_path, png=True):
        assert file.read_bytes().startswith(b"\x89PNG\r\n")


def drawn(text: str, folder: Path, width: int) -> int:
    """Draw a page in Chromium, check that it is not blank, and return the width that it takes of a window of `width`.

    Headless Chromium has no window narrower than 500, so the page is measured in a frame.
    """
    page, shot, frame = folder / "report.html", folder / "report.png", folder / "frame.html"
    page.write_text(text, encoding="utf-8")
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1300,1600"]
    narrow = [*command[:-1], f"--window-size={width},1600"]
    subprocess.run([*narrow, f"--screenshot={shot}", page.as_uri()], check=True, capture_output=True, timeout=120)
    assert shot.read_bytes().startswith(b"\x89PNG")
    assert shot.stat().st_size > 20_000  # not a blank page
    # The page tells its own width to the frame around it: nothing may stand out at the side.
    probe = "<script>parent.postMessage(document.documentElement.scrollWidth, '*')</script></body>"
    inside = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text).replace("</body>", probe)
    frame.write_text(
        "<title>none</title><script>addEventListener('message', e => document.title = e.data)</script>"
        f'<iframe width="{width}" height="1600" style="border:0" srcdoc="{html.escape(inside)}"></iframe>'
    )
    out = subprocess.run([*command, "--dump-dom", frame.as_uri()], check=True, capture_output=True, timeout=120)
    title = re.search(r"<title>(\d+)</title>", out.stdout.decode())
    assert title is not None
    return int(title[1])


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="apt-get install chromium")
@pytest.mark.parametrize("width", [400, 1200])
def test_a_browser_draws_the_page(study: Study, tmp_path: Path, width: int) -> None:
    assert drawn(render_page(study), tmp_path, width) <= width


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="apt-get install chromium")
@pytest.mark.parametrize("width", [400, 1200])
def test_a_browser_draws_the_page_with_every_trace_unfolded(tmp_path: Path, width: int) -> None:
    asyncio.run(run_job(job(count=6), tmp_path / "run", opener=small))
    text = render_page(run_report(read_runs([tmp_path / "run"])))
    assert "Runs in detail" in text
    assert drawn(text.replace("<details>", "<details open>"), tmp_path, width) <= width
