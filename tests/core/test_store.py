from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput
from ponder.core.model import Completion, ModelInfo, Request, Sampling, Tokens
from ponder.core.store import Store, cut
from ponder.core.task import Message
from ponder.core.usage import Usage

INFO = ModelInfo(fingerprint="weights")


def request(**changes: object) -> Request:
    return Request(messages=(Message("user", "hi"),), **changes)  # type: ignore[arg-type]


def answer(length: int, *, finished: bool = True, tokens: bool = True) -> Completion:
    words = tuple(f"w{i} " for i in range(length))
    return Completion(
        message=Message("assistant", "".join(words)),
        finish="stop" if finished else "length",
        usage=Usage(calls=1, prompt_tokens=3, completion_tokens=length),
        tokens=Tokens(
            ids=tuple(range(length)), texts=words, logprobs=(-0.5,) * length, top=(((0, "a", -0.5),),) * length
        )
        if tokens
        else None,
        certainty=tuple(map(float, range(length))),
    )


def test_completion_survives_the_file(tmp_path: Path) -> None:
    store = Store(tmp_path / "deep" / "store.sqlite")
    store.put("k", INFO, answer(4))
    store.close()
    again = Store(tmp_path / "deep" / "store.sqlite")
    assert again.get("k", 4) == answer(4)
    assert len(again) == 1
    assert again.mean_length(INFO) == (4.0, 1)
    assert again.mean_length(ModelInfo(fingerprint="other")) is None


def test_key_leaves_max_tokens_out_and_everything_else_in() -> None:
    base = Store.key(INFO, request())
    assert base == Store.key(INFO, request(sampling=Sampling(max_tokens=7)))
    assert base == Store.key(INFO, request(n=5))
    others = [
        Store.key(ModelInfo(fingerprint="other"), request()),
        Store.key(INFO, request(seed=1)),
        Store.key(INFO, request(sampling=Sampling(temperature=0.7))),
        Store.key(INFO, request(sampling=Sampling(stop=("x",)))),
        Store.key(INFO, request(prefix="a")),
        Store.key(INFO, request(logprobs=0)),
    ]
    assert len({base, *others}) == 7


def test_key_of_a_greedy_answer_does_not_depend_on_the_seed() -> None:
    law = Sampling(temperature=0.0)
    assert Store.key(INFO, request(sampling=law, seed=1)) == Store.key(INFO, request(sampling=law, seed=2))


def test_key_takes_lone_surrogates_and_null_bytes() -> None:
    odd = Request(messages=(Message("user", "\ud800\x00"),))
    assert len(Store.key(INFO, odd)) == 64


@given(length=st.integers(1, 12), finished=st.booleans(), cap=st.integers(1, 15), tokens=st.booleans())
def test_other_cap_is_served_only_where_the_reply_is_known(length: int, finished: bool, cap: int, tokens: bool) -> None:
    store = Store()
    store.put("k", INFO, answer(length, finished=finished, tokens=tokens))
    got = store.get("k", cap)
    if cap == length:
        assert got is not None
    elif cap > length:
        assert (got is not None) == finished
    else:
        assert (got is not None) == tokens
        if got is not None:
            assert got.finish == "length"
            assert got.usage.completion_tokens == cap
            assert got.text == "".join(f"w{i} " for i in range(cap))
            assert got.certainty == tuple(map(float, range(cap)))


def test_longer_of_two_cut_replies_stays() -> None:
    store = Store()
    for length in (5, 9, 3):
        store.put("k", INFO, answer(length, finished=False))
    assert store.get("k", 9) is not None
    store.put("k", INFO, answer(2, finished=True))
    store.put("k", INFO, answer(30, finished=False))
    kept = store.get("k", 100)
    assert kept is not None
    assert kept.finish == "stop"


def test_cut_without_tokens_is_unknown() -> None:
    assert cut(answer(5, tokens=False), 3) is None


def test_broken_off_reply_is_not_kept() -> None:
    store = Store()
    store.put("k", INFO, Completion(message=Message("assistant", "a"), finish="cancelled", usage=Usage()))
    assert len(store) == 0


def test_store_that_cannot_be_written_warns_once_and_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "store.sqlite"
    store = Store(file)
    store.put("a", INFO, answer(2))
    store._db.execute("PRAGMA query_only = 1")
    store.put("b", INFO, answer(2))
    store.put("c", INFO, answer(2))
    assert store.error is not None
    assert len(caplog.records) == 1
    assert store.get("a", 2) is not None


@pytest.mark.parametrize("content", [b"not a database, but long enough to be read as one" * 20])
def test_file_that_is_no_store_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "store.sqlite"
    file.write_bytes(content)
    with pytest.raises(BadInput, match="cannot use the response store"):
        Store(file)


def test_store_of_another_version_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "store.sqlite"
    Store(file).close()
    with sqlite3.connect(file) as db:
        db.execute("UPDATE meta SET value = '99'")
    db.close()
    with pytest.raises(BadInput, match="schema 99"):
        Store(file)


def test_directory_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInput, match="cannot use the response store"):
        Store(tmp_path / "file" / "store.sqlite")


def test_store_that_cannot_be_read_warns_once_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    store._db.execute("DROP TABLE completions")
    assert store.get("key", 1) is None
    assert store.get("key", 1) is None
    assert len(caplog.records) == 1
    store.close()
