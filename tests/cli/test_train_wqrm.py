from __future__ import annotations

import dataclasses
import json

import pytest

from tests.training.writing_world import edits, tiny_encoder

pytestmark = pytest.mark.torch


def test_a_reward_is_trained_and_written(ponder, tmp_path):
    file, out = tmp_path / "edits.jsonl", tmp_path / "out"
    file.write_text("\n".join(json.dumps(dataclasses.asdict(pair)) for pair in edits(24)), encoding="utf-8")
    encoder = tiny_encoder(tmp_path / "encoder", layers=1, hidden=16)
    options = ("--encoder", str(encoder), "--epochs", "1", "--rate", "0.001", "--device", "cpu")
    done = ponder("train", "wqrm", str(file), str(out), *options)
    assert done.code == 0, done.err
    assert "held-out edits preferred" in done.out
    assert (out / "heads.safetensors").is_file()
    told = ponder("train", "wqrm", str(file), str(out), *options, "--json")
    assert json.loads(told.out)["edits"] == {"train": 19, "held_out": 5}
    assert ponder("train", "wqrm", str(file), str(out), *options, "--kinds", "X").code != 0
    assert ponder("train", "wqrm", str(tmp_path / "none"), str(out), *options).code != 0
