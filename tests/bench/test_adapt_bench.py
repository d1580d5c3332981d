"""Comparing adapters end to end on a tiny model: rows, intervals, what cannot run, streams and settings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ponder.bench.adapt_bench import STREAMS, build, compare_adapters, open_stream, read_method
from ponder.bench.adapt_page import adapt_study
from ponder.bench.adapt_subjects import Subject, read_subject, reference_subject
from ponder.bench.studies.page import write_study
from ponder.bench.svg_plot import COLOURS
from ponder.core.errors import BadInput, ConfigError, UnknownName
from ponder.tasks.streams import Domain

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def subject(**parts: Any) -> Subject:
    """A small classifier with layer norms that is right about most points, and two shifts."""
    torch.manual_seed(0)
    draw = torch.Generator().manual_seed(0)
    centres = 3 * torch.randn(3, 6, generator=draw)

    def points(count: int, shift: float) -> tuple[Any, Any]:
        y = torch.randint(3, (count,), generator=draw)
        return centres[y] + shift + torch.randn(count, 6, generator=draw), y

    model = torch.nn.Sequential(torch.nn.Linear(6, 12), torch.nn.LayerNorm(12), torch.nn.ReLU(), torch.nn.Linear(12, 3))
    x, y = points(300, 0.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    domains = tuple(
        Domain(name=name, x=px, y=py) for name, (px, py) in {"a": points(60, 0.5), "b": points(60, 2.0)}.items()
    )
    made = {"name": "tiny", "model": model.eval(), "domains": domains, "clean": [(x[:50], y[:50])], "source": [(x, y)]}
    return Subject(**{**made, **parts})


def test_rows_hold_errors_gains_and_costs() -> None:
    methods = [read_method(text) for text in ("source", "tent", "adanpc:k=5,margin=0.6", "guard+tent:lr=0.01")]
    found = compare_adapters(subject(), methods, ["continual", "sorted"], batch=16, seeds=(0, 1))
    assert [(row.stream, row.method) for row in found.rows] == [
        (s, m.name) for s in ("continual", "sorted") for m in methods
    ]
    assert all(not row.why_not for row in found.rows)
    for row in found.rows:
        assert row.error is not None
        assert (row.gain is None) == (row.method == "source"), "it gains nothing on itself"
        assert row.error.low <= row.error.value <= row.error.high
        assert len(row.runs) == 2
        assert len(row.runs[0].right) == 120
    source, tent = found.rows[0], found.rows[1]
    assert (source.mean("forgetting"), source.mean("forwards_per_sample")) == (0, 1)
    assert (tent.mean("backwards_per_sample") or 0) > 0


def test_same_seed_same_comparison_and_the_model_is_left_alone() -> None:
    one = subject()
    before = {name: value.clone() for name, value in one.model.state_dict().items()}
    methods = [read_method("tent:lr=0.05")]
    first, second = (compare_adapters(one, methods, ["mixed"], batch=8) for _ in range(2))
    assert first.rows[0].runs[0].predictions == second.rows[0].runs[0].predictions
    assert all(torch.equal(value, before[name]) for name, value in one.model.state_dict().items())


def test_source_is_the_same_under_every_order() -> None:
    found = compare_adapters(
        subject(), [read_method("source")], ["continual", "mixed", "correlated", "sorted", "single"]
    )
    assert len({row.error.value for row in found.rows if row.error}) == 1


def test_what_cannot_run_is_a_row_that_says_why() -> None:
    methods = [read_method(text) for text in ("source", "batch_norm", "t3_merging", "token_condensation")]
    found = compare_adapters(subject(), methods, ["mixed"], samples=20)
    reasons = {row.method: row.why_not for row in found.rows}
    assert reasons["source"] == ""
    assert "expert" in reasons["t3_merging"]
    assert "classes" in reasons["token_condensation"]
    assert reasons["batch_norm"]
    study = adapt_study(found)
    assert any("t3_merging did not run" in line for line in study.sections[0].lines)


def test_given_things_reach_the_method() -> None:
    one = subject()
    for name in ("expert", "t3_merging.expert"):
        two = subject(given={name: one.fresh(), "token_condensation.classes": torch.eye(3)})
        adapter: Any = build(read_method("t3_merging:gamma=10,per=batch"), two)
        assert (adapter.gamma, adapter.per) == (10, "batch")
        assert build(read_method("adanpc"), two)(two.domains[0].x).shape[1] == 3, "classes are of another adapter"


@pytest.mark.parametrize("name", sorted(STREAMS))
def test_every_stream_opens_and_repeats(name: str) -> None:
    one = subject()
    one = replace(one, moving=dict.fromkeys(("gradual", "changing"), lambda: one.domains))
    first, second = (open_stream(name, one, batch=16, seed=3, samples=30) for _ in range(2))
    assert first.order == second.order
    assert len(first.order) == (120 if name == "recurring" else 60)
    assert first.batch == (1 if name == "single" else 16)


def test_streams_that_move_in_small_steps_need_domains_that_do() -> None:
    with pytest.raises(BadInput, match="continual"):
        open_stream("gradual", subject())


def test_the_page_and_tables_hold_the_numbers(tmp_path: Path) -> None:
    found = compare_adapters(subject(), [read_method("source"), read_method("tent")], ["continual"], batch=16)
    page = write_study(adapt_study(found), tmp_path).read_text(encoding="utf-8")
    assert "<polyline" in page
    assert "tent" in page
    body = json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))
    assert body["rows"][1]["method"] == "tent"
    assert body["rows"][1]["error"][0] == pytest.approx(found.rows[1].runs[0].error)
    assert "| source |" in (tmp_path / "table.md").read_text(encoding="utf-8")


def test_many_methods_are_drawn_in_several_pictures_with_source_in_each() -> None:
    names = ["source", *(f"tent:lr={number}" for number in range(1, 8))]
    found = compare_adapters(subject(), [read_method(name) for name in names], ["continual"], samples=16)
    pictures = adapt_study(found).sections[0].pictures
    assert [picture.labels for picture in pictures] == [tuple(names[:COLOURS]), ("source", *names[COLOURS:])]


@pytest.mark.parametrize("text", ["nobody", "tent:speed=3", "tent:lr", "tent+source", "tent:model=1"])
def test_methods_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ConfigError):
        read_method(text)


def test_nothing_to_compare() -> None:
    one = subject()
    for methods, streams, more in (
        ([], ["mixed"], {}),
        ([read_method("source")], [], {}),
        ([read_method("source")], ["mixed"], {"samples": 0}),
        ([read_method("source")], ["mixed"], {"reset": "often"}),
    ):
        with pytest.raises(ConfigError):
            compare_adapters(one, methods, streams, **more)
    with pytest.raises(UnknownName):
        compare_adapters(one, [read_method("source")], ["nowhere"])
    with pytest.raises(BadInput):
        subject(domains=())
    with pytest.raises(UnknownName, match="conv_bn"):
        reference_subject("nobody")


def test_a_users_function_and_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np = pytest.importorskip("numpy")
    (tmp_path / "users_model_file.py").write_text(
        "import torch\ndef make():\n    return torch.nn.Linear(4, 3)\ndef number():\n    return 3\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    arrays = tmp_path / "data.npz"
    x, y = np.random.default_rng(0).normal(size=(10, 4)).astype("float32"), np.arange(10) % 3
    np.savez(arrays, x=x, y=y, domain=["a"] * 6 + ["b"] * 4, clean_x=x, clean_y=y)
    found = read_subject("users_model_file:make", arrays)
    assert [(d.name, len(d.y)) for d in found.domains] == [("a", 6), ("b", 4)]
    assert (len(found.clean), len(found.source)) == (1, 0)
    assert compare_adapters(found, [read_method("source")], ["mixed"]).rows[0].error is not None
    for spec, data in (
        ("users_model_file:make", None),
        ("users_model_file:number", arrays),
        ("users_model_file:none", arrays),
        ("no_such_module_here:make", arrays),
        ("users_model_file:make", tmp_path / "none.npz"),
    ):
        with pytest.raises(BadInput):
            read_subject(spec, data)
    np.savez(tmp_path / "bad.npz", x=x)
    with pytest.raises(BadInput, match="x and y"):
        read_subject("users_model_file:make", tmp_path / "bad.npz")
