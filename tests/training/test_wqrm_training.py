"""A tiny encoder learns which side of an edit is better: card 01, check 8."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ponder.core.errors import BadInput, ConfigError
from ponder.training.edit_pairs import EditPair
from ponder.training.wqrm import WqrmTraining, measure_pairs, train_wqrm
from tests.training.writing_world import edits, tiny_encoder

pytestmark = pytest.mark.torch

QUICK = WqrmTraining(epochs=3, rate=2e-3, batch=16)


def test_a_tiny_encoder_prefers_edited_texts_that_it_has_not_seen(tmp_path: Path) -> None:
    steps: list[tuple[int, int, float | None]] = []
    encoder = tiny_encoder(tmp_path / "encoder")
    network = train_wqrm(encoder, edits(160), QUICK, device="cpu", progress=lambda *told: steps.append(told))
    report = network.report
    assert report["held_out"]["accuracy"] > 0.8
    assert report["held_out"]["gap"] > 1
    assert report["held_out"]["pairs"] == report["edits"]["held_out"] == 32
    assert report["items"] == {"train": 3 * 128, "held_out": 3 * 32}
    assert steps[-1][:2] == (72, 72)
    assert report["validation_loss"] == min(loss for *_, loss in steps if loss is not None)
    assert report["below_ceiling"] is (report["validation_loss"] < 0.6)
    fresh = edits(60, seed=9)
    found = measure_pairs(network, fresh)
    assert found["accuracy"] > 0.8

    # What is written is read again: the same rewards, by the verifier's way in.
    from ponder.verifiers._wqrm_network import load_network

    network.save(tmp_path / "out")
    again = load_network(tmp_path / "out", device="cpu")
    rows = [again.encode(pair.draft) for pair in fresh[:5]]
    assert again.rewards(rows) == pytest.approx(network.rewards(rows), abs=1e-5)
    assert again.report["held_out"] == report["held_out"]


@pytest.mark.parametrize("kinds", ["P", "R"])
def test_one_kind_of_item_alone_is_enough_to_train(kinds: Any, tmp_path: Path) -> None:
    encoder = tiny_encoder(tmp_path, layers=1, hidden=16)
    settings = WqrmTraining(kinds=kinds, epochs=1, rate=1e-3)
    network = train_wqrm(encoder, edits(20), settings, device="cpu")
    assert network.report["items"]["train"] == (16 if kinds == "P" else 32)
    same = train_wqrm(encoder, edits(20), settings, device="cpu")
    assert same.report["validation_loss"] == network.report["validation_loss"]  # by its seed


def test_what_cannot_be_trained_is_refused(tmp_path: Path) -> None:
    encoder = tiny_encoder(tmp_path, layers=1, hidden=16)
    with pytest.raises(BadInput, match="two different drafts"):
        train_wqrm(encoder, edits(1), device="cpu")
    with pytest.raises(BadInput, match="cannot read the encoder"):
        train_wqrm(tmp_path / "none", edits(4), device="cpu")
    long = [EditPair(draft="river " * 80 + str(k), edited="cat " * 80) for k in range(4)]
    with pytest.raises(BadInput, match="fits"):
        train_wqrm(encoder, long, device="cpu")
    for wrong in ({"epochs": 0}, {"rate": 0.0}, {"warm_up": 2.0}, {"batch": 0}):
        with pytest.raises(ConfigError):
            WqrmTraining(**wrong)
