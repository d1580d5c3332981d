from __future__ import annotations

import json

import pytest

TRACE = (
    "We count the bags.\n\nWait, let me check: 3 bags of 4 are 12.\n\nWait, let me check the colour of the sky,"
    " which is blue.\n\nSo we have it."
)


def write(path):
    line = {"question": "Ann has 3 bags of 4 apples. How many?", "reasoning": TRACE, "answer": "12"}
    path.write_text(json.dumps(line) + "\n", encoding="utf-8")
    return path


def test_bad_uses_are_refused(ponder, tmp_path):
    traces = write(tmp_path / "in.jsonl")
    denied = ponder("prune", str(traces), str(tmp_path / "out.jsonl"), "-m", "scripted:12")
    assert denied.code != 0
    assert "score" in denied.err
    assert ponder("prune", str(tmp_path / "none"), str(tmp_path / "o"), "-m", "scripted:12").code != 0
    assert ponder("prune", str(traces), str(tmp_path / "o"), "--way", "both", "-m", "scripted:12").code != 0


@pytest.mark.torch
@pytest.mark.embedded
def test_a_trace_is_pruned_with_smollm2(ponder, tmp_path, monkeypatch):
    monkeypatch.delenv("PONDER_CACHE")
    traces, out = write(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    done = ponder("prune", str(traces), str(out), "--ratio", "0.5", "--least-words", "3", "--json")
    assert done.code == 0, done.err
    facts = json.loads(done.out)
    assert facts["tokens_after"] < facts["tokens_before"]
    assert facts["steps"]["V"] == {"all": 2, "kept": 1}
    assert facts["cached_tokens"] > 0
    line = json.loads(out.read_text(encoding="utf-8"))
    assert [message["role"] for message in line["messages"]] == ["user", "assistant"]
    assert sum(step["kept"] for step in line["pruning"]["steps"]) == len(line["pruning"]["steps"]) - 1
