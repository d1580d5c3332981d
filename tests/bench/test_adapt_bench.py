"""Comparing adapters end to end on a tiny model: rows, intervals, what cannot run, streams and settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ponder.bench.adapt_bench import STREAMS, build, compare_adapters, open_stream, read_method
from ponder.bench.adapt_page import adapt_study
from ponder.bench.adapt_subjects import Subject, read_subject, reference_subject
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
    study = adapt_study(found.to_dict())
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


def test_a_recording_is_run_in_its_own_order() -> None:
    one = subject()
    plain = open_stream("recorded", one, batch=16)
    assert plain.order == tuple((domain, row) for domain in (0, 1) for row in range(60))
    mixed = ((1, 0), (0, 0), (1, 1), (0, 1))
    assert open_stream("recorded", replace(one, recorded=mixed)).order == mixed
    assert open_stream("recorded", replace(one, recorded=mixed), samples=1).order == mixed[:2]


def test_streams_that_move_in_small_steps_need_domains_that_do() -> None:
    with pytest.raises(BadInput, match="continual"):
        open_stream("gradual", subject())


@pytest.mark.parametrize(
    "text",
    [
        "nobody",
        "tent:speed=3",
        "tent:lr",
        "tent+source",
        "tent:model=1",
        "tent:lr=abc",
        "tent:lr=none",
        "tent:steps=1.5",
        "guard+tent:episodic=2",
        "t3_merging:per=row",
    ],
)
def test_methods_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ConfigError):
        read_method(text)


def test_settings_keep_their_types() -> None:
    read = read_method("guard:window=none,drift=0.3+tent:lr=1,episodic=true,optimizer=adam")
    assert [dict(settings) for _, settings in read.parts] == [
        {"window": None, "drift": 0.3},
        {"lr": 1, "episodic": True, "optimizer": "adam"},
    ]
    with pytest.raises(ConfigError, match="Did you mean 'momentum'"):
        read_method("tent:momentun=0")


def test_what_fails_on_the_way_is_a_row_and_the_others_run() -> None:
    class Moody(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.head = torch.nn.LayerNorm(6), torch.nn.Linear(6, 3)

        def forward(self, x: Any) -> Any:
            if torch.is_grad_enabled():
                raise RuntimeError("no gradients\nhere")
            return self.head(self.norm(x))

    found = compare_adapters(subject(model=Moody()), [read_method("source"), read_method("tent")], ["mixed"])
    assert [row.why_not for row in found.rows] == ["", "RuntimeError: no gradients here"]


def test_what_is_done_is_told_after_each_run_and_a_page_says_what_is_missing() -> None:
    told: list[Any] = []

    def seen(found: Any) -> None:
        told.append(found)
        if len(told) == 3:
            raise KeyboardInterrupt

    methods = [read_method("tent"), read_method("source")]
    with pytest.raises(KeyboardInterrupt):
        compare_adapters(subject(), methods, ["mixed", "sorted"], seen=seen)
    assert [len(found.rows) for found in told] == [1, 2, 3]
    assert told[0].rows[0].gain is None
    assert told[1].rows[0].gain is not None, "judged once the source model has run"
    assert "3 of 4" in adapt_study(told[-1].to_dict()).warning
    assert not adapt_study(compare_adapters(subject(), methods, ["mixed"]).to_dict()).warning


def test_memory_is_counted_where_there_is_a_graph() -> None:
    found = compare_adapters(subject(), [read_method("source"), read_method("tent")], ["mixed"], batch=16)
    source, tent = (row.mean("graph_bytes") for row in found.rows)
    assert source == 0
    assert (tent or 0) >= 16 * 12 * 4, "at least what one layer of one batch holds"


def test_a_run_is_timed_after_a_first_batch_that_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    from ponder.bench import adapt_bench

    real: Any = vars(adapt_bench)["run_stream"]
    calls: list[tuple[bool, int]] = []

    def watched(adapter: Any, *args: Any, memory: bool = False, **kwargs: Any) -> Any:
        calls.append((memory, adapter.cost.samples))
        return real(adapter, *args, memory=memory, **kwargs)

    monkeypatch.setattr(adapt_bench, "run_stream", watched)
    method = read_method("guard+tent:lr=1")
    row = compare_adapters(subject(), [method], ["mixed"], batch=16).rows[0]
    assert calls == [(True, 0), (False, 16)]
    untouched = real(build(method, subject()), open_stream("mixed", subject(), batch=16))
    assert row.runs[0].predictions == untouched.predictions, "nothing is left of it"
    assert row.runs[0].cost.samples == untouched.cost.samples == 120


def test_what_a_guard_did_is_told_even_where_a_reset_makes_it_forget() -> None:
    for reset in ("never", "domain"):
        found = compare_adapters(
            subject(),
            [read_method("guard:drift=0.1,every=1,concentration=1,window=32+tent:lr=100,steps=5")],
            ["continual"],
            batch=16,
            reset=reset,
        )
        (log,) = found.rows[0].guards
        assert log is not None
        assert log["alarms"][0].keys() == {"batch", "reason", "back_to"}
        assert 0 < log["abstained"] <= log["batches"] == 8
        assert any(
            "alarm" in line and "without an update" in line for line in adapt_study(found.to_dict()).sections[0].lines
        )
    assert compare_adapters(subject(), [read_method("source")], ["mixed"]).rows[0].guards == (None,)


def test_labels_and_inputs_must_fit_the_model() -> None:
    one = subject()
    wrong = (
        (replace(one, domains=(Domain(name="a", x=torch.zeros(2, 7), y=torch.zeros(2)),)), r"batch \(2, 7\)"),
        (replace(one, domains=(Domain(name="a", x=torch.zeros(2, 6), y=torch.tensor([0, -1])),)), "from -1 to 0"),
        (replace(one, clean=[(torch.zeros(1, 6), torch.tensor([3]))]), "clean or source"),
        (replace(one, model=torch.nn.Flatten(0)), "logits"),
    )
    for two, said in wrong:
        with pytest.raises(BadInput, match=said):
            compare_adapters(two, [read_method("source")], ["mixed"])


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
        "import torch\ndef make():\n    return torch.nn.Linear(4, 3)\ndef number():\n    return 3\nthree = 3\n"
        "def boom():\n    raise OSError('no checkpoint')\n"
        "def whole():\n    from ponder.bench.adapt_subjects import Subject\n"
        "    from ponder.tasks.streams import Domain\n"
        "    return Subject(name='s', model=make(), domains=(Domain(name='d', x=torch.zeros(1, 4), y=[0]),))\n",
        encoding="utf-8",
    )
    (tmp_path / "users_broken_file.py").write_text("def x(:", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    arrays = tmp_path / "data.npz"
    x, y = np.random.default_rng(0).normal(size=(10, 4)).astype("float32"), np.arange(10) % 3
    np.savez(arrays, x=x, y=y, domain=["a"] * 6 + ["b"] * 4, clean_x=x, clean_y=y)
    found = read_subject("users_model_file:make", arrays)
    assert [(d.name, len(d.y)) for d in found.domains] == [("a", 6), ("b", 4)]
    assert (len(found.clean), len(found.source)) == (1, 0)
    assert read_subject("users_model_file:whole").name == "s"
    assert compare_adapters(found, [read_method("source")], ["mixed"]).rows[0].error is not None
    for spec, data in (
        ("users_model_file:make", None),
        ("users_model_file:number", arrays),
        ("users_model_file:none", arrays),
        ("users_model_file:three", arrays),
        ("users_model_file:boom", arrays),
        ("users_model_file:whole", arrays),
        ("users_broken_file:make", arrays),
        ("no_such_module_here:make", arrays),
        (":make", arrays),
        ("conv_bn", arrays),
        ("users_model_file:make", tmp_path / "none.npz"),
    ):
        with pytest.raises(BadInput):
            read_subject(spec, data)
