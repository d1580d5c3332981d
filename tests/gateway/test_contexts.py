"""Contexts that clients name: thought about once, kept for each key, replaced when they change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ponder.core.model import Request
from ponder.core.task import Message
from ponder.engines.sleep_store import Learned, SleepStore
from ponder.gateway import contexts
from ponder.gateway.errors import ApiError
from ponder.gateway.keys import ANYONE, hash_key
from ponder.gateway.settings import Contexts, Key, Settings
from ponder.models.scripted import ScriptedModel
from tests.gateway.house import Address, scripted, serving, text_of

DOC = "Ann has 3 boxes with 4 pens in each."
KEYS = tuple(Key(name=name, hash=hash_key(f"secret-{name}")) for name in ("ann", "bob"))


class Sleeper:
    """Makes notes that are done at once, and answers; it remembers every prompt."""

    def __init__(self) -> None:
        self.sleeps: list[str] = []
        self.asked: list[tuple[Message, ...]] = []
        self.model = ScriptedModel(replies=self.reply)

    def reply(self, request: Request, number: int) -> str:
        text = request.messages[-1].text
        if "You have time to think" in text:
            self.sleeps.append(text)
            return f"Notes {len(self.sleeps)}: 12 pens\nDONE"
        self.asked.append(request.messages)
        return "The answer is 12"


def house_of(folder: Path, **more: Any) -> Settings:
    return scripted(contexts=Contexts(folder=str(folder)), **more)


async def ask(
    house: Address, question: str, *, system: str = "", name: str = "doc", key: str = "", **more: Any
) -> tuple[int, Any]:
    said = [{"role": "system", "content": system}] if system else []
    body: dict[str, Any] = {
        "model": "sleep_time@m",
        "messages": [*said, {"role": "user", "content": question}],
        "ponder": {"context_id": name, **more},
    }
    headers = {"authorization": f"Bearer secret-{key}"} if key else {}
    return await house.post("/v1/chat/completions", body, headers=headers)


def roles(body: Any) -> set[str]:
    return set(body["usage"]["ponder"]["roles"])


async def test_a_context_is_thought_about_once_and_can_then_be_left_out(tmp_path: Path) -> None:
    sleeper = Sleeper()
    async with serving(house_of(tmp_path), {"m": sleeper.model}) as house:
        status, body = await ask(house, "How many pens?", system=DOC)
        assert status == 200
        assert body["choices"][0]["message"]["content"] == "The answer is 12"
        assert roles(body) == {"policy", "sleeper"}, "the offline pass is on the bill"
        status, body = await ask(house, "I am in a hurry. How many boxes?")
        assert status == 200
        assert roles(body) == {"policy"}
    assert len(sleeper.sleeps) == 1
    assert DOC in sleeper.sleeps[0]
    assert "pens?" not in sleeper.sleeps[0], "the question is not known in the sleep"
    first, second = sleeper.asked
    assert [message.role for message in second] == ["system", "user"]
    assert second[0] == first[0], "context and notes are back"
    assert DOC in second[0].text
    assert "Notes 1: 12 pens" in second[0].text
    assert second[1].text == "I am in a hurry. How many boxes?"


async def test_another_text_under_the_name_replaces_context_and_notes(tmp_path: Path) -> None:
    sleeper = Sleeper()
    async with serving(house_of(tmp_path), {"m": sleeper.model}) as house:
        await ask(house, "How many?", system=DOC)
        status, body = await ask(house, "How many?", system=f"{DOC} One box is lost.")
        assert (status, roles(body)) == (200, {"policy", "sleeper"})
        await ask(house, "How many?")
        assert "One box is lost." in sleeper.asked[-1][0].text
        assert "Notes 2" in sleeper.asked[-1][0].text
        await ask(house, "How many?", system=DOC)
    assert len(sleeper.sleeps) == 3, "the notes about the old text went when it was replaced"


async def test_a_later_turn_of_the_chat_changes_no_context(tmp_path: Path) -> None:
    sleeper = Sleeper()
    async with serving(house_of(tmp_path), {"m": sleeper.model}) as house:
        await ask(house, "How many?", system=DOC)
        turns = [("system", DOC), ("user", "How many?"), ("assistant", "12"), ("user", "Sure?")]
        body = {
            "model": "sleep_time@m",
            "messages": [{"role": role, "content": text} for role, text in turns],
            "ponder": {"context_id": "doc"},
        }
        status, _ = await house.post("/v1/chat/completions", body)
        assert status == 200
    assert len(sleeper.sleeps) == 1
    assert [message.text for message in sleeper.asked[-1][1:]] == ["How many?", "12", "Sure?"]


async def test_keys_do_not_see_each_others_contexts(tmp_path: Path) -> None:
    sleeper = Sleeper()
    async with serving(house_of(tmp_path, keys=KEYS), {"m": sleeper.model}) as house:
        await ask(house, "How many?", system=DOC, key="ann")
        status, body = await ask(house, "How many?", key="bob")
        assert (status, body["error"]["code"]) == (404, "unknown_context")
        status, body = await ask(house, "How many?", system=DOC, key="bob")
        assert (status, roles(body)) == (200, {"policy", "sleeper"}), "nor by the time that an answer takes"
        status, body = await ask(house, "How many?", key="ann")
        assert (status, roles(body)) == (200, {"policy"}), "the name still leads to her own"
    assert all(Path(contexts.file_of(Contexts(folder=str(tmp_path)), key)).exists() for key in KEYS)  # noqa: ASYNC240


def test_every_key_has_a_file_of_its_own_inside_the_folder() -> None:
    rules = Contexts(folder="here")
    names = ["ann", "Ann", "a/n", "a-n", "../../etc/passwd", "", "ä", "x" * 300]
    files = [contexts.file_of(rules, Key(name=name, hash="h")) for name in names]
    assert len(set(files)) == len(names)
    assert all(Path(file).parent == Path("here") and len(Path(file).name) < 80 for file in files)


async def test_the_offline_pass_is_held_to_the_budget(tmp_path: Path) -> None:
    sleeper = Sleeper()
    async with serving(house_of(tmp_path), {"m": sleeper.model}) as house:
        status, body = await ask(house, "How many?", system=DOC, budget={"calls": 1})
        assert (status, roles(body)) == (200, {"policy"}), "one call is for the answer"
        assert body["usage"]["ponder"]["calls"] == 1
        status, body = await ask(house, "How many?")
        assert status == 404, "nothing was thought, so nothing is kept"
        status, body = await ask(house, "How many?", system=DOC, budget={"calls": 2})
        assert (status, body["usage"]["ponder"]["calls"]) == (200, 2)


async def test_a_stream_uses_the_notes_too(tmp_path: Path) -> None:
    sleeper = Sleeper()
    async with serving(house_of(tmp_path), {"m": sleeper.model}) as house:
        await ask(house, "How many?", system=DOC)
        said = [{"role": "user", "content": "And now?"}]
        events = await house.stream({"model": "sleep_time@m", "messages": said, "ponder": {"context_id": "doc"}})
        assert text_of(events) == "The answer is 12"
    assert len(sleeper.sleeps) == 1
    assert "Notes 1" in sleeper.asked[-1][0].text


async def test_thinking_can_be_done_ahead_of_any_question(tmp_path: Path) -> None:
    sleeper = Sleeper()
    async with serving(house_of(tmp_path), {"m": sleeper.model}) as house:
        status, body = await ask(house, "Think about it.", system=DOC, params={"offline": True})
        assert (status, roles(body)) == (200, {"sleeper"})
        assert body["choices"][0]["message"]["content"] == "Notes 1: 12 pens"
        status, body = await ask(house, "How many?")
        assert (status, roles(body)) == (200, {"policy"})
    assert "Notes 1" in sleeper.asked[-1][0].text


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"model": "greedy@m"}, 400, "goes with the method 'sleep_time'"),
        ({"model": "single@m"}, 400, "goes with the method 'sleep_time'"),
        ({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}, 400, "the question"),
        ({"messages": [{"role": "system", "content": DOC}]}, 400, "the question"),
        ({"messages": [{"role": "user", "content": "x"}]}, 404, "no context is kept under 'doc'"),
        ({"ponder": {"context_id": ""}}, 400, "context_id"),
        ({"ponder": {"context_id": "x" * 201}}, 400, "context_id"),
        ({"ponder": {"context_id": 7}}, 400, "context_id"),
        ({"ponder": {"context_id": "a\ud800"}}, 400, "surrogate"),
        ({"ponder": {"context_id": "doc", "params": {"keep": "/tmp/mine.db"}}}, 400, "set by whoever runs"),
        ({"ponder": {"params": {"keep": "/tmp/mine.db"}}}, 400, "set by whoever runs"),
    ],
)
async def test_what_cannot_be_is_refused(tmp_path: Path, change: dict[str, Any], status: int, said: str) -> None:
    said_first = [{"role": "system", "content": DOC}, {"role": "user", "content": "How many?"}]
    body = {"model": "sleep_time@m", "messages": said_first, "ponder": {"context_id": "doc"}, **change}
    sleeper = Sleeper()
    async with serving(house_of(tmp_path), {"m": sleeper.model}) as house:
        found, reply = await house.post("/v1/chat/completions", body)
    assert found == status
    assert said in reply["error"]["message"]
    assert not sleeper.asked
    assert not sleeper.sleeps


async def test_without_a_folder_and_without_a_chat_there_are_no_names(tmp_path: Path) -> None:
    async with serving(scripted(), {"m": Sleeper().model}) as house:
        status, body = await ask(house, "How many?", system=DOC)
        assert (status, body["error"]["code"]) == (400, "no_contexts")
    async with serving(house_of(tmp_path), {"m": Sleeper().model}) as house:
        body = {"model": "sleep_time@m", "prompt": "How many?", "ponder": {"context_id": "doc"}}
        status, reply = await house.post("/v1/completions", body)
        assert (status, reply["error"]["param"]) == (400, "ponder.context_id")


def test_old_contexts_and_too_many_go(tmp_path: Path) -> None:
    rules = Contexts(folder=str(tmp_path), days=1.0, rows=2)
    store = SleepStore(contexts.file_of(rules, ANYONE))
    store.put("old", Learned(context="long ago", memory="x", context_id="old", created=1.0))
    for name in ("a", "b", "c"):
        store.put(name, Learned(context=name, memory="x", context_id=name))
    chat = (Message("user", "How many?"),)
    assert contexts.named({"context_id": "c"}, chat, ANYONE, rules).facts["context"] == "c"
    assert len(store) == 2
    store.close()
    with pytest.raises(ApiError, match="no context is kept"):
        contexts.named({"context_id": "old"}, chat, ANYONE, rules)


def test_a_broken_file_is_no_fault_of_the_client(tmp_path: Path) -> None:
    rules = Contexts(folder=str(tmp_path))
    Path(contexts.file_of(rules, ANYONE)).write_text("no database, but long enough to be read as one")
    for chat in ((Message("user", "How many?"),), (Message("system", DOC), Message("user", "How many?"))):
        with pytest.raises(ApiError) as caught:
            contexts.named({"context_id": "doc"}, chat, ANYONE, rules)
        assert caught.value.status == 503
        assert str(tmp_path) not in str(caught.value)
