"""Traces in, shorter traces out in the chat form (card 59)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ponder import ScriptedModel
from ponder.core.errors import AccessDenied, BadInput, ConfigError, EndpointDown, ProviderError
from ponder.training.trace_pruning import TracePruning, prune_traces
from ponder.training.trace_records import TraceRecord, read_traces
from tests.verifiers.scoring_world import KeyWords

STEPS = (
    "We count the bags.\n\n",
    "Wait, let me check the KEY bags.\n\n",
    "Wait, let me check the sky.\n\n",
    "So we add them up.",
)
TRACE = "".join(STEPS)
SHORT = TRACE.replace(STEPS[2], "")
SETTINGS = TracePruning(ratio=0.5, least_words=2)


def tagged(trace: str) -> dict[str, Any]:
    reply = {"role": "assistant", "content": f"<think>\n{trace}\n</think>\n\nIt is 12."}
    return {"id": 7, "messages": [{"role": "user", "content": "How many?"}, reply], "answer": "12"}


async def test_a_trace_loses_what_does_not_matter_and_keeps_its_structure(tmp_path: Path) -> None:
    out = tmp_path / "new" / "pruned.jsonl"
    model = KeyWords()
    (made,) = await prune_traces(model, [TraceRecord.from_json(tagged(TRACE))], SETTINGS, file=out)
    written = json.loads(out.read_text(encoding="utf-8"))
    table = written.pop("pruning")
    assert written == tagged(SHORT)
    assert [(row["kind"], row["kept"]) for row in table["steps"]] == [
        ("P", True),
        ("V", True),
        ("V", False),
        ("P", True),
    ]
    assert table["steps"][0]["pir"] is None
    assert table["steps"][1]["pir"] > 2
    assert (table["tokens_before"], table["tokens_after"]) == (len(TRACE.split()), len(SHORT.split()))
    assert made.usage["scorer"].calls == len(model.scored) == 3
    assert made.cached > 0
    again = read_traces(out)
    assert again[0].trace == SHORT
    with pytest.raises(BadInput, match="already"):
        await prune_traces(model, again, SETTINGS, file=out)


@pytest.mark.parametrize(
    "data",
    [
        tagged(TRACE),
        {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": TRACE}], "answer": "1"},
        {
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": "q"},
                {"role": "assistant", "content": "It is 12.", "reasoning_content": TRACE},
            ],
            "answer": "12",
        },
    ],
)
def test_chats_make_a_round_trip(data: dict[str, Any]) -> None:
    record = TraceRecord.from_json(data)
    assert record.trace == TRACE
    assert record.to_json() == data
    assert record.with_trace("x").to_json()["messages"][:-1] == data["messages"][:-1]


def test_plain_fields_become_a_chat() -> None:
    record = TraceRecord.from_json({"problem": "How many?", "solution": TRACE, "answer": 12, "year": 2025})
    assert (record.task.prompt, record.trace, record.answer) == ("How many?", TRACE, "12")
    made = record.to_json()
    assert made["messages"][-1]["content"] == f"<think>\n{TRACE}\n</think>\n\n12"
    assert made["year"] == 2025


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "{}",
        '{"answer": "1"}',
        '{"question": "q", "reasoning": " ", "answer": "1"}',
        '{"question": "q", "reasoning": "r", "answer": " "}',
        '{"messages": [], "answer": "1"}',
        '{"messages": [{"role": "user", "content": "q"}, {"role": "user", "content": "q"}], "answer": "1"}',
        '{"messages": [{"role": "cat", "content": "q"}, {"role": "assistant", "content": "a"}], "answer": "1"}',
    ],
)
def test_broken_lines_are_refused_with_their_place(line: str, tmp_path: Path) -> None:
    file = tmp_path / "traces.jsonl"
    file.write_text(json.dumps(tagged(TRACE)) + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(BadInput, match=":2: "):
        read_traces(file)


def test_files_without_traces_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        read_traces(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(BadInput, match="no trace"):
        read_traces(tmp_path / "empty.jsonl")


async def test_faults(tmp_path: Path) -> None:
    record = TraceRecord.from_json(tagged(TRACE))
    (lost,) = await prune_traces(KeyWords(error=ProviderError("lost")), [record], SETTINGS)
    assert lost.record.trace == TRACE  # what could not be scored stays
    assert lost.problem == "lost"
    assert lost.to_json()["pruning"]["problem"] == "lost"
    gone = KeyWords(error=EndpointDown("gone"), breaks_after=3)
    done = await prune_traces(gone, [record, record, record], SETTINGS, file=tmp_path / "part.jsonl")
    assert [one.stopped for one in done] == ["done"]
    assert len(read_traces(tmp_path / "part.jsonl")) == 1
    with pytest.raises(AccessDenied):
        await prune_traces(ScriptedModel(), [record], SETTINGS)
    with pytest.raises(ConfigError):
        TracePruning(ratio=1.5)
