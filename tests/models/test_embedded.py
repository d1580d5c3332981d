from __future__ import annotations

import importlib.util
from typing import Any

import pytest

import ponder
from ponder.core.errors import ConfigError, MissingExtra, UnknownName
from ponder.models.embedded import MANY, choose


def install(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name in names else None)


def test_few_siblings_go_to_llamacpp_and_many_to_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "xllamacpp", "torch", "transformers")
    assert [choose(n) for n in (1, MANY - 1, MANY, 64)] == ["llamacpp", "llamacpp", "hf", "hf"]


def test_the_one_that_is_installed_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "xllamacpp")
    assert choose(64) == "llamacpp"
    install(monkeypatch, "torch", "transformers")
    assert choose(1) == "hf"
    install(monkeypatch)
    with pytest.raises(MissingExtra, match=r"pip install 'ponder\[local\]'"):
        choose(1)


def test_bare_name_opens_the_chosen_back_end(monkeypatch: pytest.MonkeyPatch) -> None:
    from ponder.models.llamacpp import LlamaCpp

    opened: list[tuple[str, Any]] = []
    install(monkeypatch, "xllamacpp")
    monkeypatch.setattr(LlamaCpp, "from_spec", classmethod(lambda cls, rest, **options: opened.append((rest, options))))
    ponder.load("smollm2", n=4, slots=2)
    assert opened == [("smollm2", {"slots": 2})]


def test_unknown_bare_name_says_what_there_is() -> None:
    with pytest.raises(UnknownName, match="There are: smollm2"):
        ponder.load("smollm3")
    with pytest.raises(ConfigError):
        ponder.load("")
