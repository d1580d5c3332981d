"""MERL's zero-shot scores, and what enriched prompts gain on drawn electrocardiograms (slow)."""

from __future__ import annotations

from typing import Any

import pytest

from ponder.core.errors import BadInput

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def scorer(classes: Any) -> Any:
    from ponder.adapt.merl import MERL

    return MERL(torch.nn.Identity(), classes=classes)


def test_scores_are_cosines_and_scale_does_not_matter() -> None:
    from ponder.adapt.merl import class_embeddings

    table = {"first": [1.0, 0.0], "second": [0.0, 1.0]}
    classes = class_embeddings({"both": ["First", "SECOND"]}, lambda texts: torch.tensor([table[t] for t in texts]))
    assert scorer(classes)(torch.tensor([[1.0, 0.0]])).tolist() == [[pytest.approx(0.707107, abs=1e-6)]]
    x = torch.randn(4, 2)
    torch.testing.assert_close(scorer(classes)(3 * x), scorer(classes)(x))


def test_a_prompt_said_twice_is_the_same_class() -> None:
    from ponder.adapt.merl import class_embeddings

    def encode(texts: list[str]) -> Any:
        return torch.tensor([[float(len(t)), 1.0] for t in texts])

    once, twice = (class_embeddings({"a": prompts}, encode) for prompts in ("word", ["word", "word"]))
    torch.testing.assert_close(once, twice)


def test_nothing_is_learnt_from_a_stream() -> None:
    adapter, x = scorer(torch.eye(3)), torch.randn(5, 3)
    first = adapter(x)
    assert torch.equal(adapter(x), first)
    assert adapter.cost.forwards == 2


def test_what_does_not_fit() -> None:
    from ponder.adapt.merl import class_embeddings

    with pytest.raises(BadInput, match="dimensions"):
        scorer(torch.eye(3))(torch.ones(1, 2))
    with pytest.raises(BadInput, match="classes"):
        scorer(torch.ones(3))
    with pytest.raises(BadInput, match="no prompt"):
        class_embeddings({"a": []}, lambda texts: torch.ones(len(texts), 2))
    with pytest.raises(BadInput, match="no classes"):
        class_embeddings({}, lambda texts: torch.ones(len(texts), 2))


@pytest.mark.slow
def test_enriched_prompts_beat_bare_names_and_unfiltered_ones_lose_part() -> None:
    from ponder.adapt._reference_ecg import CONDITIONS, draw_records
    from ponder.adapt.merl import class_embeddings
    from ponder.core.seeds import derive
    from ponder.numerics.auc import Counted, auc_interval
    from ponder.training.merl import MERLTraining, build_towers, train_merl

    learnt, unseen = draw_records(1200, seed=1), draw_records(250, seed=2)
    towers = build_towers(width=64, signal_width=48)
    train_merl(towers, learnt.signals, learnt.reports, MERLTraining(epochs=8, batch=64))
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
        from ponder.adapt.merl import MERL

        scores = MERL(towers, classes=class_embeddings(texts, towers.encode))(unseen.signals)
        trials = [
            Counted(float(s), bool(y), not y, c)
            for c in range(scores.shape[1])
            for s, y in zip(scores[:, c], unseen.labels[:, c], strict=True)
        ]
        areas[kind] = auc_interval(trials, "within", resamples=200)
    assert areas["enriched"].low > areas["bare"].high
    assert areas["unfiltered"].value < areas["enriched"].value
