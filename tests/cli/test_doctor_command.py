"""`ponder doctor`."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

import pytest

from ponder.cli.extras import extras
from tests.cli.command import Command


def test_doctor_says_what_is_there_and_what_is_not(ponder: Command) -> None:
    done = ponder("doctor")
    assert done.code == 0
    assert "not here yet" in done.out
    assert "→ ponder models get smollm2" in done.out


def test_doctor_as_json_has_every_section(ponder: Command) -> None:
    found = json.loads(ponder("doctor", "--json").out)
    assert {finding["section"] for finding in found} == {"ponder", "extras", "machine", "Debian", "cache", "model"}
    assert {finding["name"] for finding in found if finding["section"] == "extras"} == set(extras())


def test_a_cache_that_cannot_be_written_is_bad(
    ponder: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("PONDER_CACHE", str(tmp_path / "file"))
    done = ponder("doctor")
    assert done.code == 1
    assert "set PONDER_CACHE" in done.out


def test_extras_come_from_the_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["rich>=14", "no-such-thing>=1; extra == 'local'", "rich>=14; extra == 'plots'", "rich; extra == 'all'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: lines)
    found = extras()
    assert list(found) == ["local", "plots"]
    assert (found["local"].missing, found["local"].install) == (("no-such-thing",), "pip install 'ponder[local]'")
    assert "model llamacpp" in found["local"].adds
    assert found["plots"].missing == ()


def test_an_endpoint_that_is_not_there_is_exit_code_4(ponder: Command) -> None:
    done = ponder("doctor", "--endpoint", "http://127.0.0.1:9/v1#tiny", "--model-option", "retries=0")
    assert done.code == 4
    assert done.err.startswith("ponder: ")


def test_options_of_an_endpoint_need_one(ponder: Command) -> None:
    assert ponder("doctor", "--model-option", "kind=vllm").code == 2


@pytest.mark.embedded
def test_the_embedded_model_answers(ponder: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PONDER_CACHE")
    (line,) = [finding for finding in json.loads(ponder("doctor", "--json").out) if finding["section"] == "model"]
    assert line["ok"] is True
    assert "tokens/s" in line["text"]
