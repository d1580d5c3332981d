"""`ponder adapt bench` on a user's model: what it prints and writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from ponder.cli import adapt

np = pytest.importorskip("numpy")
pytest.importorskip("torch")
pytestmark = pytest.mark.torch

MODEL = """
import torch
def make():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.LayerNorm(8), torch.nn.Linear(8, 3))
"""


def test_bench_prints_a_table_and_writes_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_cli_model.py").write_text(MODEL, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    x = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
    np.savez("data.npz", x=x, y=np.arange(40) % 3, source_x=x, source_y=np.arange(40) % 3)
    words = ["bench", "-m", "my_cli_model:make", "--data", "data.npz", "--method", "source", "--method", "tent"]
    words += ["--stream", "mixed", "--batch", "8", "--out", "here"]
    done = CliRunner().invoke(adapt.app, words)
    assert done.exit_code == 0, done.output
    assert "tent" in done.output
    assert "page: " in done.output
    assert {path.name for path in (tmp_path / "here").iterdir()} == {"page.html", "table.json", "table.md"}


@pytest.mark.parametrize("words", [["--method", "nobody"], ["--model", "nobody"], ["--model", "nobody_here:make"]])
def test_bench_says_what_is_wrong(words: list[str]) -> None:
    from ponder.core.errors import PonderError

    done = CliRunner().invoke(adapt.app, ["bench", *words])
    assert done.exit_code != 0
    assert isinstance(done.exception, PonderError)
