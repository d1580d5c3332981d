"""The guide of adaptation: its programs run as written, and the adapters, streams and options that it names exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ponder.bench.adapt_arrays import read_arrays
from ponder.bench.adapt_bench import STREAMS, check_streams, compare_adapters, read_method
from ponder.bench.adapt_subjects import Subject
from ponder.cli.adapt import app
from ponder.tasks.streams import Domain

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "adapt.md").read_text(encoding="utf-8")


def part(heading: str) -> str:
    found = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", GUIDE, re.DOTALL | re.MULTILINE)
    assert found, f"the guide has no part {heading!r}"
    return found.group(1)


@pytest.mark.torch
def test_its_programs_run_one_after_the_other() -> None:
    pytest.importorskip("torch")
    known: dict[str, Any] = {}
    programs = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    assert len(programs) >= 3
    for program in programs:
        exec(program, known)


@pytest.mark.torch
def test_classifiers_of_transformers_fit_as_they_are_and_in_its_wrapper() -> None:
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    known: dict[str, Any] = {"torch": torch}
    exec(re.findall(r"```python\n(class Wrapped.*?)```", GUIDE, re.DOTALL)[0], known)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.ViTConfig(**sizes, image_size=16, patch_size=8, num_labels=3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, x = transformers.ViTForImageClassification(config), torch.rand(12, 3, 16, 16)
    domain = Domain(name="d", x=x, y=torch.arange(12) % 3)
    methods = [read_method(text) for text in ("source", "tent:lr=0.1", "guard+tent")]
    bare, wrapped = (
        compare_adapters(Subject(name="s", model=one, domains=(domain,)), methods, ["mixed"], batch=4).rows
        for one in (model, known["Wrapped"](model))
    )
    assert [row.why_not for row in (*bare, *wrapped)] == [""] * 6
    assert [row.runs[0].predictions for row in bare] == [row.runs[0].predictions for row in wrapped]


def test_its_commands_name_methods_streams_and_options_that_exist() -> None:
    commands = re.findall(r"^ponder adapt bench .*$", GUIDE, re.MULTILINE)
    assert commands
    told = CliRunner().invoke(app, ["bench", "--help"], env={"COLUMNS": "200"}).output
    for command in commands:
        for option, value in re.findall(r"(-\S+) (\S+)", command):
            assert option in told
            if option == "--method":
                read_method(value)
            if option == "--stream":
                check_streams([value])
    for option in re.findall(r"`(--[a-z-]+)", GUIDE):
        assert option in told, option


def test_every_adapter_that_it_recommends_exists_and_every_stream_is_described() -> None:
    table = part("Which adapter when")
    advised = [
        name for row in table.splitlines() if row.count("|") > 3 for name in re.findall("`([^`]+)`", row.split("|")[2])
    ]
    assert len(advised) >= 10
    for name in advised:
        if name != "ckepe":  # prompts for an adapter, none itself
            read_method(name.removesuffix("+..."))
    streams = part("Streams to judge by")
    assert [name for name in STREAMS if f"`{name}`" not in streams] == []


@pytest.mark.torch
def test_the_arrays_that_it_lists_are_all_that_are_read(tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    pytest.importorskip("torch")
    rows = [row.split("|")[1] for row in part("Measure: `ponder adapt bench`").splitlines() if row.startswith("| `")]
    names = [name for cell in rows for name in re.findall("`([^`]+)`", cell)]
    arrays = {name: np.zeros((2, 3), "float32") if name.endswith("x") else np.array([0, 1]) for name in names}
    np.savez(tmp_path / "stream.npz", **arrays)
    found = read_arrays(tmp_path / "stream.npz")
    assert len(found.domains) == 2
    assert len(found.clean) == len(found.source) == 1
    assert found.facts == ("2 samples of stream.npz",), "none is left unread"
