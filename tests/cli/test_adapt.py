"""`ponder adapt bench` on a user's model: what it prints, writes and keeps, and what it says where it cannot."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Command

np = pytest.importorskip("numpy")
pytest.importorskip("torch")
pytestmark = pytest.mark.torch

MODEL = """
import torch
def make():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.LayerNorm(8), torch.nn.Linear(8, 3))
"""
WRITTEN = {"page.html", "table.json", "table.md", "runs.csv", "domains.csv"}
OWN = (
    "adapt",
    "bench",
    "-m",
    "my_cli_model:make",
    "--data",
    "data.npz",
    "--batch",
    "8",
    "--out",
    "here",
    "--device",
    "cpu",
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "my_cli_model.py").write_text(MODEL, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    x, y = np.random.default_rng(0).normal(size=(40, 4)).astype("float32"), np.arange(40) % 3
    np.savez("data.npz", x=x, y=y, domain=["a"] * 20 + ["b"] * 20, source_x=x, source_y=y)
    return tmp_path


def test_bench_prints_a_table_and_writes_a_page(ponder: Command, here: Path) -> None:
    done = ponder(*OWN, "--method", "tent", "--method", "t3_merging", "--stream", "mixed", "--stream", "single")
    assert done.code == 0, done.err
    assert {path.name for path in (here / "here").iterdir()} == WRITTEN
    assert "6 of 6: t3_merging on single" in done.err
    lines = done.out.splitlines()
    assert "seed 0 · never reset" in lines[0]
    assert lines[0].endswith("on cpu")
    heads = [line for line in lines if line.startswith("method")]
    assert len(heads) == 3, "all streams at a glance, and each"
    assert any(line.startswith("- t3_merging did not run: needs expert") for line in lines)
    assert max(map(len, (line for line in lines if line.startswith(("method", "source", "tent"))))) < 80
    assert "here/page.html" in lines[-1]


def test_the_source_model_runs_whether_it_is_named_or_not(ponder: Command) -> None:
    rows = json.loads(ponder(*OWN, "--method", "tent", "--stream", "mixed", "--json").out)["rows"]
    assert [row["method"] for row in rows] == ["source", "tent"]
    assert rows[1]["gain"] is not None
    assert len(rows[1]["curve"]) == 20


def test_json_is_all_that_is_printed_and_is_what_the_file_holds(ponder: Command, here: Path) -> None:
    done = ponder(*OWN, "--method", "guard+tent", "--stream", "sorted", "--seeds", "2", "--json")
    printed, kept = json.loads(done.out), json.loads((here / "here" / "table.json").read_text(encoding="utf-8"))
    assert printed["rows"] == kept["rows"]
    assert (kept["study"], kept["planned"], kept["seeds"], kept["reset"]) == ("adapt", 2, [0, 1], "never")
    runs = list(csv.DictReader((here / "here" / "runs.csv").read_text(encoding="utf-8").splitlines()))
    assert [(line["method"], line["seed"]) for line in runs] == [
        (m, s) for m in ("source", "guard+tent") for s in ("0", "1")
    ]


def test_the_report_shows_it(ponder: Command, here: Path) -> None:
    ponder(*OWN, "--method", "tent", "--stream", "mixed")
    done = ponder("report", "here", "-o", "r.html")
    assert (done.code, done.out) == (0, "")
    assert "2 runs" in done.err
    assert "Adaptation at test time" in (here / "r.html").read_text(encoding="utf-8")


def test_ctrl_c_keeps_the_runs_that_are_done(ponder: Command, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ponder.bench import adapt_bench

    real: Any = vars(adapt_bench)["run_stream"]
    count = 0

    def impatient(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        if count == 4:  # a run, and one more for its memory: in the second method's
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(adapt_bench, "run_stream", impatient)
    done = ponder(*OWN, "--method", "tent", "--stream", "mixed", "--stream", "sorted")
    assert done.code == 130
    assert "1 of 4 runs are in here/page.html" in done.err
    assert "! It ended after 1 of 4 runs" in done.out
    assert "1 of 4 runs" in (here / "here" / "page.html").read_text(encoding="utf-8")
    count = 3
    done = ponder(*OWN, "--method", "tent", "--stream", "mixed")
    assert (done.code, done.out) == (130, "")
    assert "0 of 2 runs are in no file" in done.err


def test_a_model_that_no_method_can_adapt_is_a_failure(ponder: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from ponder.bench import adapt_bench

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(adapt_bench, "run_stream", broken)
    done = ponder(*OWN, "--method", "tent", "--stream", "mixed")
    assert done.code == 1
    assert "tent did not run: RuntimeError: out of memory" in done.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method", "tant"], "Did you mean 'tent'"),
        (["--method", "tent:lr=abc"], "cannot read lr='abc' as float"),
        (["--stream", "mixd"], "Did you mean 'mixed'"),
        (["--model", "conv_bm"], "Did you mean 'conv_bn'"),
        (["--model", "nobody_here:make"], "cannot find"),
        (["--model", "my_cli_model:none"], "cannot find"),
        (["--reset", "often"], "never or domain"),
        (["--device", "toaster"], "take auto or one of cpu"),
        (["--out", "data.npz"], "choose another --out"),
        (["--data", "data.npz"], "brings its own data"),
        (["--model", "my_cli_model:make"], "give its test data"),
    ],
)
def test_bench_says_what_is_wrong_in_one_line(ponder: Command, words: list[str], said: str) -> None:
    done = ponder("adapt", "bench", *words)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert len(done.err.strip().splitlines()) == 1, "and before anything is trained or run"


def test_a_cache_that_cannot_be_written_is_said_in_one_line(
    ponder: Command, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PONDER_CACHE", str(here / "data.npz" / "inside"))
    done = ponder("adapt", "bench", "-m", "conv_bn")
    assert (done.code, done.out) == (2, "")
    assert "set PONDER_CACHE" in done.err.splitlines()[-1]
    assert "Traceback" not in done.err


def test_at_a_glance_many_streams_fit_a_terminal_with_the_names_before_each_part() -> None:
    from ponder.cli.adapt import _narrow

    head, row = ("method", *"abcdefg"), ("tent", *"1234567")
    assert _narrow(head, [row], None) == [(head, [row])]
    parts = _narrow(head, [row], 80)
    assert [part for part, _ in parts] == [("method", *"abc"), ("method", *"def"), ("method", "g")]
    assert [rows for _, rows in parts] == [[("tent", *"123")], [("tent", *"456")], [("tent", "7")]]
    assert len(_narrow(head, [row], 20)) == 7, "one at least"


def test_a_recording_runs_in_its_own_order_first_where_no_stream_is_named(ponder: Command) -> None:
    rows = json.loads(ponder(*OWN, "--method", "source", "--json").out)["rows"]
    assert [row["stream"] for row in rows] == ["recorded", "continual", "mixed", "correlated"]


def test_without_a_method_those_run_too_that_a_subject_is_made_for(ponder: Command, here: Path) -> None:
    (here / "my_pair.py").write_text(
        MODEL
        + """
def pair():
    from ponder.bench.adapt_subjects import Subject
    from ponder.tasks.streams import Domain

    x, y = torch.randn(40, 4), torch.arange(40) % 3
    given = {"t3_merging.expert": make(), "seed": 1, "tent.lr": 0.01}
    return Subject(name="pair", model=make(), domains=(Domain(name="d", x=x, y=y),), given=given)
""",
        encoding="utf-8",
    )
    words = ("adapt", "bench", "-m", "my_pair:pair", "--stream", "mixed", "--out", "here", "--json")
    rows = json.loads(ponder(*words).out)["rows"]
    assert [row["method"] for row in rows][-1] == "t3_merging"
    assert rows[-1]["error"] is not None
    assert [row["method"] for row in rows].count("tent") == 1
    assert [row["method"] for row in json.loads(ponder(*words, "--method", "tent").out)["rows"]] == ["source", "tent"]
