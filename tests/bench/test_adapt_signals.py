"""Two towers on simulated electrocardiograms: what prompts of a vocabulary gain, and shifts of signals."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


@lru_cache(maxsize=1)
def towers() -> Any:
    from ponder.bench._adapt_signals import two_signal_towers

    pytest.importorskip("neurokit2")
    return two_signal_towers()


@pytest.mark.slow
def test_enriched_prompts_beat_bare_names_and_unfiltered_ones_lose_part() -> None:
    """Macro area under the curve, with intervals: bare names, confirmed phrases, phrases of other classes mixed in."""
    from ponder.adapt._reference_ecg import CONDITIONS
    from ponder.adapt.merl import MERL, class_embeddings
    from ponder.core.seeds import derive
    from ponder.numerics.auc import Counted, auc_interval

    found = towers()
    rng = derive(0, "made up")
    others = {c: [p for o, (_, ps) in CONDITIONS.items() if o != c for p in ps] for c in CONDITIONS}
    prompts = {
        "bare": {c: name for c, (name, _) in CONDITIONS.items()},
        "enriched": {c: ", ".join([name, *phrases]) for c, (name, phrases) in CONDITIONS.items()},
        "unfiltered": {
            c: ", ".join([name, *phrases, *rng.sample(others[c], 6)]) for c, (name, phrases) in CONDITIONS.items()
        },
    }
    areas: dict[str, Any] = {}
    for kind, texts in prompts.items():
        scores = MERL(found.towers, classes=class_embeddings(texts, found.towers.encode))(found.unseen.signals)
        trials = [
            Counted(float(s), bool(y), not y, c)
            for c in range(scores.shape[1])
            for s, y in zip(scores[:, c], found.unseen.labels[:, c], strict=True)
        ]
        areas[kind] = auc_interval(trials, "within", resamples=200)
    assert areas["enriched"].low > areas["bare"].high
    assert areas["unfiltered"].value < areas["enriched"].value


@pytest.mark.slow
def test_the_subject_of_the_bench_runs_adapters_on_shifted_signals() -> None:
    from ponder.bench._adapt_signals import SHIFTS
    from ponder.bench.adapt_bench import compare_adapters, read_method
    from ponder.bench.adapt_subjects import reference_subject

    pytest.importorskip("neurokit2")
    subject = reference_subject("ecg")
    found = compare_adapters(
        subject, [read_method(name) for name in ("source", "merl", "tent", "adanpc:margin=1.1")], ["continual"]
    )
    rows = {row.method: row for row in found.rows}
    assert not any(row.why_not for row in rows.values())
    assert set(rows["merl"].runs[0].domain_errors) == set(SHIFTS)
    assert rows["merl"].gain is not None
    assert rows["merl"].gain.low > 0, "prompts of the vocabulary beat bare names under shift too"


@pytest.mark.parametrize("kind", ["noise", "wander", "lost leads", "slow recorder"])
def test_shifts_keep_the_shape_and_range_and_follow_the_seed(kind: str) -> None:
    from ponder.bench._adapt_signals import shift_signals

    x = torch.rand(5, 3, 40, generator=torch.Generator().manual_seed(0))
    one = shift_signals(x, kind, seed=1)
    assert one.shape == x.shape
    assert ((one >= 0) & (one <= 1)).all()
    assert not one.equal(x)
    assert one.equal(shift_signals(x, kind, seed=1))
    assert kind == "slow recorder" or not one.equal(shift_signals(x, kind, seed=2))


def test_records_with_one_condition_have_its_number_as_class() -> None:
    from ponder.adapt._reference_ecg import Records
    from ponder.bench._adapt_signals import single_labels

    labels = torch.tensor([[0, 1, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1]])
    x, y = single_labels(Records(signals=torch.arange(4.0).view(4, 1, 1), labels=labels, reports=[""] * 4))
    assert x.flatten().tolist() == [0.0, 3.0]
    assert y.tolist() == [1, 2]


def test_records_are_simulated_once_for_each_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ponder.bench import _adapt_signals

    asked: list[int] = []

    def simulate(plans: Sequence[Any], **_: Any) -> Any:
        asked.append(len(plans))
        return torch.stack([torch.randn(3, 500, generator=torch.Generator().manual_seed(p.seed)) for p in plans])

    monkeypatch.setenv("PONDER_CACHE", str(tmp_path))
    monkeypatch.setattr(_adapt_signals, "simulate", simulate)
    first, again = _adapt_signals._simulated(3, seed=0), _adapt_signals._simulated(3, seed=0)
    assert asked == [3]
    assert again.signals.equal(first.signals)
    assert (again.reports, again.labels.tolist()) == (first.reports, first.labels.tolist())
    other = _adapt_signals._simulated(3, seed=1)
    assert asked == [3, 3]
    assert not other.signals.equal(first.signals)
    assert len(list((tmp_path / "reference").glob("*.safetensors"))) == 2
    assert not list((tmp_path / "reference").glob("*.part"))


def test_other_settings_of_a_condition_are_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ponder.adapt import _reference_ecg
    from ponder.bench import _adapt_signals

    monkeypatch.setenv("PONDER_CACHE", str(tmp_path))
    monkeypatch.setattr(_adapt_signals, "simulate", lambda plans, **_: torch.rand(len(plans), 3, 500))
    _adapt_signals._simulated(2, seed=0)
    monkeypatch.setattr(_reference_ecg, "_WIDTHS", (0.25, 0.1, 0.1, 0.1, 0.4))
    _adapt_signals._simulated(2, seed=0)
    assert len(list((tmp_path / "reference").glob("*.safetensors"))) == 2


def test_people_are_told_how_far_the_simulation_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ponder.bench import _adapt_signals

    def simulate(plans: Sequence[Any], *, progress: Any) -> Any:
        for done in range(len(plans)):
            progress(done, len(plans))
        return torch.rand(len(plans), 3, 500)

    told: list[str] = []
    monkeypatch.setenv("PONDER_CACHE", str(tmp_path))
    monkeypatch.setattr(_adapt_signals, "simulate", simulate)
    _adapt_signals._simulated(150, seed=0, tell=told.append)
    assert [line.partition(": ")[2] for line in told] == ["0 of 150", "100 of 150"]
    _adapt_signals._simulated(150, seed=0, tell=told.append)
    assert len(told) == 2, "what is read takes no time"
