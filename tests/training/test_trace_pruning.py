"""Traces in, shorter traces out in the chat form (card 59)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ponder import Request, ScriptedModel
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


async def test_only_what_decides_needs_scores_and_the_same_steps_go() -> None:
    """One check of its kind at 0.3 stays whatever it scores; two at 0.5 are compared; all at 1 go unread."""
    trace = f"{STEPS[0]}{STEPS[1]}{STEPS[2]}Alternatively, another way to see it is this.\n\n{STEPS[3]}"
    record = TraceRecord.from_json(tagged(trace))
    for ratio, calls in ((0.0, 0), (0.2, 0), (0.5, 3), (1.0, 0)):
        settings: dict[str, Any] = {"ratio": ratio, "least_words": 2}
        (every,) = await prune_traces(KeyWords(), [record], TracePruning(**settings))
        model = KeyWords()
        (few,) = await prune_traces(model, [record], TracePruning(**settings, scores="deciding"))
        assert few.record.trace == every.record.trace
        assert [kept for _, _, kept in few.steps] == [kept for _, _, kept in every.steps]
        assert len(model.scored) == calls
        known = [(score, other) for (_, score, _), (_, other, _) in zip(few.steps, every.steps, strict=True)]
        assert all(score is None or score == other for score, other in known)


async def test_a_model_can_part_the_trace_and_label_its_steps() -> None:
    trace = "We count bags.\n\nWe count apples.\n\nThe sum is as it should be.\n\nSo 12 it is."

    def reply(request: Request, number: int) -> str:
        parts = "<pieces>" in request.messages[-1].text
        return "Steps: 1, 3, 4" if parts else "1: progressive\n2: verification\n3: progressive"

    labeler = ScriptedModel(replies=reply)
    (made,) = await prune_traces(
        KeyWords(),
        [TraceRecord.from_json(tagged(trace))],
        TracePruning(ratio=1.0, split="model", labels="model"),
        labeler=labeler,
    )
    assert [kind for kind, _, _ in made.steps] == ["P", "V", "P"]
    assert made.record.trace == trace.replace("The sum is as it should be.\n\n", "")
    assert (made.labelled, made.usage["labeler"].calls, made.problem) == (3, 2, "")
    (unread,) = await prune_traces(
        KeyWords(),
        [TraceRecord.from_json(tagged(trace))],
        TracePruning(ratio=1.0, labels="model", least_words=2),
        labeler=ScriptedModel(replies=["I would rather not say."]),
    )
    assert unread.record.trace == trace  # progressive steps are never dropped
    assert "no label for step 1" in unread.problem
    refused: list[dict[str, Any]] = [{"scores": "some"}, {"split": "dice"}, {"labels": "dice"}, {"rank": "dice"}]
    for wrong in refused:
        with pytest.raises(ConfigError):
            TracePruning(**wrong)


async def test_baselines_drop_as_many_steps_by_chance_or_of_any_kind() -> None:
    """Card 59, check 7: PIR always keeps the one check that the answer needs; chance keeps it half of the time."""
    kept = {"pir": 0, "random": 0, "any": 0}
    for number in range(60):
        record = TraceRecord.from_json({**tagged(TRACE), "messages": [
            {"role": "user", "content": f"How many, case {number}?"}, tagged(TRACE)["messages"][1]]})  # fmt: skip
        for rank in kept:
            model = KeyWords()
            settings = TracePruning(ratio=0.5, least_words=2, rank=rank)  # type: ignore[arg-type]
            (made,) = await prune_traces(model, [record], settings)
            assert sum(not stays for *_, stays in made.steps) == 1
            kept[rank] += "KEY" in made.record.trace
            assert len(model.scored) == {"pir": 3, "random": 0, "any": 5}[rank]
    assert (kept["pir"], kept["any"]) == (60, 60)
    assert 15 <= kept["random"] <= 45
    record = TraceRecord.from_json(tagged(TRACE))
    (lost,) = await prune_traces(
        KeyWords(error=ProviderError("lost"), breaks_after=2),
        [record],
        TracePruning(ratio=0.5, least_words=2, rank="any"),
    )
    assert lost.record.trace == TRACE
