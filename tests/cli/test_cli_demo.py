from __future__ import annotations

import typer
from typer.testing import CliRunner

from ponder.bench.rows import read_rows
from ponder.cli.demo import demo
from ponder.core.errors import BadInput

app = typer.Typer()
app.command()(demo)


def run(*arguments):
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "100"})


def test_demo_prints_tables_curves_and_costs_and_writes_the_page(tmp_path):
    page, rows = tmp_path / "page.html", tmp_path / "rows.jsonl"
    done = run("--model", "scripted:12|18|The river.", "--prompts", "3", "--out", str(page), "--rows", str(rows))
    assert done.exit_code == 0, done.output
    assert "Multiplication stories" in done.output
    assert "verifier = grader" in done.output
    assert "paid: 51 policy calls" in done.output
    assert "clear gain" in done.output
    assert str(page) in done.output
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert len(read_rows(rows)) == 3 * (12 + 6)


def test_demo_of_a_dead_model_says_so_and_writes_no_page(tmp_path, monkeypatch):
    from ponder.models.scripted import ScriptedModel

    monkeypatch.setattr(ScriptedModel, "from_spec", classmethod(lambda cls, rest: cls(dies_after=0)))
    done = run("--model", "scripted:x", "--prompts", "2", "--out", str(tmp_path / "page.html"))
    assert done.exit_code == 4
    assert "Ended after 0 of 4 prompts" in done.output
    assert not (tmp_path / "page.html").exists()


def test_demo_refuses_a_page_it_could_not_write_before_it_runs(tmp_path):
    for out in (tmp_path, tmp_path / "missing" / "page.html"):
        done = run("--model", "scripted:12", "--out", str(out))
        assert isinstance(done.exception, BadInput)
        assert not done.output
