"""The store of sleeps: keys, names, refresh, single flight, faults."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from ponder.core.errors import BadInput
from ponder.core.tasks import gather_all
from ponder.core.usage import Usage
from ponder.engines.sleep_store import Learned, SleepStore, digest_of


def learned(context: str = "c", memory: str = "m", context_id: str = "") -> Learned:
    usage = Usage(calls=2, prompt_tokens=3, completion_tokens=4)
    return Learned(context=context, memory=memory, context_id=context_id, usage=usage, facts={"rounds": 1})


def test_what_was_put_is_there_after_opening_again(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "sleep.db"
    key = SleepStore.key("c", "model", {"rounds": 1})
    store = SleepStore(file)
    store.put(key, learned())
    store.close()
    again = SleepStore(file)
    found = again.get(key)
    assert found is not None
    assert (found.context, found.memory, found.usage.completion_tokens, found.facts) == ("c", "m", 4, {"rounds": 1})
    assert found.created > 0
    assert again.get("another") is None
    again.close()


def test_context_model_and_settings_make_the_key() -> None:
    keys = {
        SleepStore.key(context, model, {"rounds": rounds})
        for context in ("a", "b")
        for model in ("m", "n")
        for rounds in (1, 2)
    }
    assert len(keys) == 8


def test_a_name_leads_to_the_newest_and_a_changed_context_drops_the_old() -> None:
    store = SleepStore()
    store.put("k1", learned("old", "notes", "doc"))
    store.put("k2", learned("old", "better notes", "doc"))
    assert len(store) == 2, "other settings of the same context stay"
    store.put("k3", learned("new", "new notes", "doc"))
    found = store.find("doc")
    assert found is not None
    assert (found.context, found.memory, found.digest) == ("new", "new notes", digest_of("new"))
    assert len(store) == 1
    assert store.get("k1") is None
    assert store.find("") is None
    assert store.drop("doc") == 1
    assert store.find("doc") is None


def test_a_look_up_under_a_new_name_makes_it_lead_there() -> None:
    store = SleepStore()
    store.put("k", learned(context_id=""))
    assert store.get("k", "doc") is not None
    assert store.find("doc") is not None


def test_two_names_lead_to_one_context_and_part_when_it_changes_under_one() -> None:
    store = SleepStore()
    store.put("k", learned("same", "notes", "first"))
    for _ in range(2):
        found = store.get("k", "second")
        assert found is not None
        assert found.context_id == "second"
    assert len(store) == 2
    assert [getattr(store.find(name), "context", None) for name in ("first", "second")] == ["same", "same"]
    store.put("k2", learned("other", "notes", "second"))
    assert [getattr(store.find(name), "context", None) for name in ("first", "second")] == ["same", "other"]


def test_old_entries_and_too_many_go_oldest_first() -> None:
    store = SleepStore()
    for at in range(1, 7):
        store.put(f"k{at}", Learned(context=f"c{at}", memory="x", context_id=f"n{at}", created=float(at)))
    assert store.prune() == 0
    assert store.prune(before=3.0) == 2
    assert store.prune(before=3.0, rows=9) == 0
    assert store.prune(rows=1) == 3
    assert store.find("n6") is not None
    assert len(store) == 1


async def test_one_flight_for_all_stores_on_a_file(tmp_path: Path) -> None:
    one, two = SleepStore(tmp_path / "s.db"), SleepStore(tmp_path / "s.db")
    order: list[str] = []

    async def work(store: SleepStore, name: str) -> None:
        async with store.flight("k"):
            if store.get("k") is None:
                order.append(name)
                await asyncio.sleep(0.01)
                store.put("k", learned())

    await gather_all([partial(work, one, "one"), partial(work, two, "two")])
    assert order == ["one"]


def test_files_that_are_no_store(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    file.write_text("this is no database, and long enough to say so " * 20)
    with pytest.raises(BadInput):
        SleepStore(file)
    with pytest.raises(BadInput):
        SleepStore(tmp_path)


def test_broken_entries_are_said(tmp_path: Path) -> None:
    store = SleepStore(tmp_path / "s.db")
    store._db.execute("INSERT INTO sleeps VALUES ('k', '', '', 0, 'no json')")
    with pytest.raises(BadInput):
        store.get("k")
    store._db.execute("UPDATE sleep_meta SET value = '99'")
    store.close()
    with pytest.raises(BadInput, match="schema"):
        SleepStore(tmp_path / "s.db")
