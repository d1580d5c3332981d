"""Stored answers have an end, belong to one key, and are only for requests that ask."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ponder.core.errors import ConfigError
from ponder.core.model import Completion, ModelInfo
from ponder.core.store import Store
from ponder.core.task import Message
from ponder.core.usage import Usage
from ponder.gateway.answers import Answers, Drawer
from ponder.gateway.keys import hash_key
from ponder.gateway.settings import Key, Stored
from ponder.gateway.settings_file import load_settings
from ponder.models.scripted import ScriptedModel
from tests.gateway.house import Address, chat, scripted, serving

INFO = ModelInfo(fingerprint="f")


def _reply(text: str) -> Completion:
    return Completion(message=Message("assistant", text), finish="stop", usage=Usage(completion_tokens=1))


def test_an_answer_ends_with_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("ponder.core.store.time.time", lambda: now)
    store = Answers(tmp_path / "a.sqlite", hours=1.0, clock=lambda: now)
    store.put("a", INFO, _reply("x"))
    now += 3590
    store.put("b", INFO, _reply("y"))
    assert store.get("a", 10) is not None
    now += 20  # less than a sweep after the last one: the row is looked at by itself
    assert store.get("a", 10) is None
    assert store.get("b", 10) is not None
    now += 3600
    assert store.get("other", 10) is None  # and what nobody asks for goes too
    assert len(store) == 0
    store.close()


def test_without_a_time_it_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Answers(hours=None, clock=lambda: 1e12)
    store.put("a", INFO, _reply("x"))
    assert store.get("a", 10) is not None
    store.close()


async def test_drawers_do_not_meet() -> None:
    store = Store()
    ann, bob = Drawer(store, "ann"), Drawer(store, "bob")
    ann.put("k", INFO, _reply("x"))
    assert ann.get("k", 10) is not None
    assert bob.get("k", 10) is None
    assert ann.claim("k")
    assert bob.claim("k")  # nor do their flights
    assert not ann.claim("k")
    ann.release("k")
    await ann.wait("k")
    assert ann.claim("k")
    assert ann.mean_length(INFO) is None
    ann.close()
    assert len(store) == 1
    store.close()


async def _ask(house: Address, key: str) -> tuple[str, Any]:
    body = chat("greedy@m", ponder={"store": True})
    status, reply = await house.post("/v1/chat/completions", body, headers={"Authorization": f"Bearer {key}"})
    assert status == 200, reply
    return reply["choices"][0]["message"]["content"], reply["usage"]["total_tokens"]


@pytest.mark.parametrize("shared", [False, True])
async def test_one_key_is_not_served_from_another_unless_told(shared: bool, tmp_path: Path) -> None:
    model = ScriptedModel(replies=lambda request, number: f"answer {number}")
    keys = tuple(Key(name=name, hash=hash_key(name)) for name in ("ann", "bob"))
    settings = replace(scripted(keys=keys), store=Stored(file=str(tmp_path / "a.sqlite"), shared=shared))
    async with serving(settings, {"m": model}) as house:
        first, _ = await _ask(house, "ann")
        assert await _ask(house, "ann") == (first, 0)
        other, paid = await _ask(house, "bob")
        assert (other == first, paid == 0) == (shared, shared)
    async with serving(settings, {"m": model}) as house:  # it outlives the process
        assert await _ask(house, "ann") == (first, 0)


def test_settings(tmp_path: Path) -> None:
    file = tmp_path / "g.toml"
    file.write_text("[upstreams.m]\nspec = 'scripted:x'\n[store]\nfile = 'a.sqlite'\nhours = 2\n")
    assert load_settings(file).store == Stored(file=str(tmp_path / "a.sqlite"), hours=2.0)
    file.write_text("[upstreams.m]\nspec = 'scripted:x'\n[store]\nfile = ':memory:'\n")
    assert load_settings(file).store == Stored(file=":memory:")
    with pytest.raises(ConfigError, match="hours"):
        Stored(hours=0)
