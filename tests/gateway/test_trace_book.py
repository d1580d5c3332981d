"""The book of requests: what is saved is found, what is old goes, and without texts none is in the file."""

from __future__ import annotations

import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder import Budget, ScriptedModel, solve
from ponder.core.errors import BadInput
from ponder.core.trace import Event, Trace
from ponder.core.usage import Usage
from ponder.gateway.redact import HIDDEN, without_texts
from ponder.gateway.settings import Traces
from ponder.gateway.trace_book import TraceBook, TraceRecord

DAY = 86400.0
RECORD = TraceRecord(
    id="t0",
    created=1000.0,
    key="alice",
    method="best_of_n",
    model="qwen",
    status=200,
    stopped="done",
    seconds=1.5,
    paid={
        "policy": Usage(calls=4, prompt_tokens=40, completion_tokens=60, usd=0.25),
        "judge": Usage(calls=1, usd=None),
    },
    request={"messages": [{"role": "user", "content": "a question é \udc00"}], "n": 1},
    result={"answer": "4", "candidates": [{"text": "<script>", "scores": {"judge": {"value": 0.5}}}]},
    events=[
        Event(1, 0, 0.0, "run", "open", {"method": "best_of_n"}),
        Event(2, 1, 0.25, "call", "open", {"role": "policy"}),
    ],
)


def record(number: int, **changes: Any) -> TraceRecord:
    return replace(RECORD, id=f"t{number}", created=1000.0 + number, **changes)


def book(folder: Path, **rules: Any) -> TraceBook:
    clock = rules.pop("clock", lambda: 2000.0)
    waiting = rules.pop("waiting", 100)
    return TraceBook(Traces(file=str(folder / "t.sqlite"), **rules), clock=clock, waiting=waiting)


async def test_what_is_saved_is_found_also_after_a_restart(tmp_path: Path) -> None:
    first = book(tmp_path)
    assert first.save(RECORD)
    found = await first.get("t0")
    assert found is not None
    assert found.request["messages"][0]["content"].startswith("a question é ")
    assert replace(found, request={}) == replace(RECORD, request={})
    await first.close()
    second = book(tmp_path)
    assert await second.get("t0") == found
    assert await second.get("none") is None
    await second.close()


async def test_rows_are_the_newest_first_in_pages_and_by_name(tmp_path: Path) -> None:
    kept = book(tmp_path)
    for number in range(7):
        kept.save(record(number, key="ab"[number % 2], model="mn"[number > 3]))
    page = await kept.list(limit=3)
    assert [row.id for row in page] == ["t6", "t5", "t4"]
    assert [row.id for row in await kept.list(limit=3, before=page[-1].number)] == ["t3", "t2", "t1"]
    assert [row.id for row in await kept.list(key="b", model="m")] == ["t3", "t1"]
    assert [row.id for row in await kept.list(since=1005.0)] == ["t6", "t5"]
    assert await kept.list(key="' OR 1 --") == []
    row = page[0]
    assert (row.calls, row.tokens, row.usd, row.seconds, row.status) == (5, 100, 0.25, 1.5, 200)
    await kept.close()


async def test_old_and_surplus_records_go(tmp_path: Path) -> None:
    now = 1000.0
    kept = book(tmp_path, days=1.0, rows=4, clock=lambda: now)
    for number in range(10):
        kept.save(record(number))
    await kept.tidy()
    assert [row.id for row in await kept.list()] == ["t9", "t8", "t7", "t6"]
    now = 1000.0 + 7.5 + DAY
    await kept.tidy()
    assert [row.id for row in await kept.list()] == ["t9", "t8"]
    await kept.close()
    forever = book(tmp_path, days=None, rows=None, clock=lambda: 1e12)
    await forever.tidy()
    assert len(await forever.list()) == 2
    await forever.close()


async def test_retention_happens_by_itself(tmp_path: Path) -> None:
    kept = book(tmp_path, rows=5, waiting=10_000)
    for number in range(450):
        kept.save(record(number))
    assert len(await kept.list(limit=1000)) <= 5 + 200
    await kept.close()
    again = book(tmp_path)
    assert [row.id for row in await again.list()] == [f"t{number}" for number in range(449, 444, -1)]
    await again.close()


async def test_nothing_that_was_taken_is_lost_when_it_closes(tmp_path: Path) -> None:
    kept = book(tmp_path, waiting=5000)
    assert all(kept.save(record(number)) for number in range(1500))
    await kept.close()
    await kept.close()
    again = book(tmp_path)
    assert len(await again.list(limit=5000)) == 1500
    assert kept.lost == 0
    await again.close()


async def test_a_full_queue_drops_and_counts_and_takes_again(tmp_path: Path) -> None:
    kept, gate = book(tmp_path, waiting=3), threading.Event()
    assert kept._worker is not None
    kept._worker.post(lambda db: gate.wait())  # a disk that does not answer
    assert [kept.save(record(number)) for number in range(5)] == [True, True, True, False, False]
    assert (kept.dropped, kept.lost) == (2, 2)
    gate.set()
    assert [row.id for row in await kept.list()] == ["t2", "t1", "t0"]
    assert kept.save(record(9))
    await kept.close()


async def test_without_a_file_nothing_is_kept() -> None:
    none = TraceBook(Traces())
    assert not none.save(RECORD)
    assert (await none.get("t0"), await none.list(), await none.traffic(0.0), none.lost) == (None, [], [], 0)
    await none.tidy()
    await none.close()


async def test_a_record_that_cannot_be_packed_is_counted_and_takes_no_other_with_it(tmp_path: Path) -> None:
    kept = book(tmp_path)
    circle: dict[str, Any] = {}
    circle["circle"] = circle
    for broken in (record(0), record(1, result=circle), record(2)):
        kept.save(broken)
    assert [row.id for row in await kept.list()] == ["t2", "t0"]
    assert (kept.lost, kept.dropped, kept._waiting) == (1, 0, 0)
    await kept.close()


async def test_numbers_that_json_has_not_are_kept_by_name(tmp_path: Path) -> None:
    kept = book(tmp_path)
    kept.save(record(0, result={"score": float("nan"), "list": [float("inf")]}))
    found = await kept.get("t0")
    assert found is not None
    assert found.result == {"score": "nan", "list": ["inf"]}
    await kept.close()


async def test_traffic_sums_by_key_method_and_model(tmp_path: Path) -> None:
    kept = book(tmp_path, waiting=200)
    for number in range(100):
        kept.save(record(number, seconds=float(number + 1), status=500 if number < 3 else 200))
    kept.save(record(100, key="bob", paid={}, seconds=2.0))
    kept.save(record(-1000, key="long ago"))
    first, second = await kept.traffic(since=1000.0)
    assert (first.key, first.method, first.model, first.requests, first.failed) == (
        "alice",
        "best_of_n",
        "qwen",
        100,
        3,
    )
    assert (first.calls, first.tokens, first.usd) == (500, 10_000, 25.0)
    assert (first.p50, first.p90, first.p99) == (50.0, 90.0, 99.0)  # nearest rank of 1 .. 100
    assert asdict(second) == {
        "key": "bob",
        "method": "best_of_n",
        "model": "qwen",
        "requests": 1,
        "failed": 0,
        "calls": 0,
        "tokens": 0,
        "usd": 0.0,
        "p50": 2.0,
        "p90": 2.0,
        "p99": 2.0,
    }
    await kept.close()


def test_a_file_that_is_no_database_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "t.sqlite").write_bytes(b"x" * 5000)
    with pytest.raises(BadInput):
        book(tmp_path)


# -- the privacy switch --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["self_consistency", "best_of_n", "critique_refine"])
async def test_without_texts_no_text_of_a_real_run_is_in_the_file(tmp_path: Path, method: str) -> None:
    secret = "zebra"
    trace = Trace()
    model = ScriptedModel(
        replies=[f"{secret} thinks, so the answer is \\boxed{{{n}{secret}}}. Score: 7" for n in (1, 2, 2)]
    )
    verifier = None if method == "self_consistency" else "judge"
    result = await solve(
        f"What does the {secret} say?",
        model=model,
        method=method,
        budget=Budget(calls=9),
        trace=trace,
        verifier=verifier,
    )
    full = record(0, request={"messages": [{"role": "user", "content": secret}]}, result=result.to_json())
    full = replace(full, events=trace.events)
    kept = book(tmp_path, texts=False)
    kept.save(full)
    found = await kept.get("t0")
    await kept.close()
    assert found is not None
    assert secret in str(full)
    assert secret not in str(found)
    # What numbers tell is still there.
    assert found.result["usage"] == full.result["usage"]
    assert len(found.result["candidates"]) == len(full.result["candidates"])
    assert [(e.id, e.parent, e.kind, e.phase) for e in found.events] == [
        (e.id, e.parent, e.kind, e.phase) for e in full.events
    ]
    assert found.result["method"] == method
    assert found.result["stopped"] == full.result["stopped"]


def test_votes_by_answer_lose_their_answers_and_keep_their_numbers() -> None:
    vote = {"votes": {"Paris": 3, "Rome": 1}, "index": 2, "note": "because Paris"}
    assert without_texts(vote) == {"votes": {"#0": 3, "#1": 1}, "index": 2, "note": HIDDEN}


def test_a_request_keeps_only_the_keys_of_the_protocol() -> None:
    request = {"model": "m", "n": 2, "messages": [{"role": "user", "content": "hush"}], "hush": 1, "user": "hush"}
    assert without_texts(request, top=False) == {
        "model": "m",
        "n": 2,
        "messages": [{"role": "user", "content": HIDDEN}],
        "#3": 1,
        "#4": HIDDEN,
    }


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(min_size=1).map("§".__add__),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["answer", "data", "§x", "votes", "text"]), inner),
)


@given(_JSON)
def test_no_text_survives_whatever_the_shape(value: Any) -> None:
    assert "§" not in str(without_texts(value, top=False))


@given(_JSON)
def test_numbers_and_shapes_survive(value: Any) -> None:
    def shape(item: Any) -> Any:
        if isinstance(item, dict):
            return [shape(one) for one in item.values()]
        return [shape(one) for one in item] if isinstance(item, list) else "text" if isinstance(item, str) else item

    assert shape(without_texts(value)) == shape(value)
