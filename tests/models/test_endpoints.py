"""Endpoints files: what is read, and that errors name the line and never a key."""

from __future__ import annotations

from pathlib import Path

import pytest

from ponder.core.errors import BadInput, ConfigError
from ponder.models.endpoints import read
from ponder.models.openai import OpenAI
from ponder.models.upstreams import Upstreams

GOOD = """
# my endpoints
[endpoints.safe]
upstreams = ["fast", "cloud"]
rest = 2

[endpoints.fast]
model = "Qwen/Qwen3-8B"
base_url = "http://127.0.0.1:8000/v1"
kind = "vllm"
connections = 32
timeout = 60

[endpoints.cloud]
model = "gpt-x"
base_url = "https://cloud.example/v1"
api_key_env = "CLOUD_KEY"
gives = ["text", "seed"]
usd_per_prompt_token = 1e-6
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "endpoints.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_gives_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    specs = read(write(tmp_path, GOOD))
    assert list(specs) == ["safe", "fast", "cloud"]
    fast = specs["fast"].open()
    assert isinstance(fast, OpenAI)
    assert (fast.kind, fast.connections, fast.timeout) == ("vllm", 32, 60.0)
    with pytest.raises(ConfigError, match="CLOUD_KEY"):
        specs["safe"].open()
    monkeypatch.setenv("CLOUD_KEY", "sk-abcdefgh123")
    safe = specs["safe"].open()
    assert isinstance(safe, Upstreams)
    assert safe.rest == 2.0
    assert safe.determinism == "best_effort"
    assert "sk-abcdefgh123" not in repr(safe) + repr(specs)


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ('kind = "vllm"', 'kind = "vlm"', 10, "kind must be"),
        ("connections = 32", "conections = 32", 11, "Did you mean 'connections'"),
        ("connections = 32", 'connections = "32"', 11, "connections must be int, not str"),
        ("connections = 32", "connections = true", 11, "connections must be int, not bool"),
        ("connections = 32", "connections = 0", 11, "connections must be at least 1"),
        ("timeout = 60", "timeout = -1", 12, "timeout"),
        ('model = "Qwen/Qwen3-8B"', "", 7, "needs a model"),
        ('"http://127.0.0.1:8000/v1"', '"127.0.0.1:8000"', 7, "must begin with"),
        ('gives = ["text", "seed"]', 'gives = ["text", 3]', 18, "list of texts"),
        ('gives = ["text", "seed"]', 'gives = ["mind"]', 18, "mind"),
        ('["fast", "cloud"]', '["fsat"]', 4, "Did you mean 'fast'"),
        ('["fast", "cloud"]', '["safe"]', 4, "no endpoint 'safe'"),
        ('["fast", "cloud"]', "[]", 4, "list of names"),
        ("rest = 2", "pause = 2", 5, "no setting"),
        ('api_key_env = "CLOUD_KEY"', 'api_key = "sk-abcdefgh123"', 17, "clear text"),
        ('api_key_env = "CLOUD_KEY"', 'api_key_env = "sk-abcdefgh123"', 17, "clear text"),
        ('api_key_env = "CLOUD_KEY"', 'Authorization = "Bearer abcdefgh123"', 17, "clear text"),
    ],
)
def test_errors_name_the_line_and_no_key(tmp_path: Path, old: str, new: str, line: int, what: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError, match=what) as caught:
        read(write(tmp_path, GOOD.replace(old, new)))
    assert f"endpoints.toml, line {line}: " in str(caught.value)
    assert "abcdefgh123" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[endpoints]", "endpoints = 3", "[models.a]\nmodel='x'", "[endpoints]\na = 1"])
def test_a_file_without_tables_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"\[endpoints"):
        read(write(tmp_path, text))


def test_a_file_that_is_no_toml_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="line 2"):
        read(write(tmp_path, "[endpoints.a]\nmodel = \n"))
    path = tmp_path / "latin.toml"
    path.write_bytes(b"# caf\xe9")
    with pytest.raises(BadInput, match="not UTF-8"):
        read(path)
    with pytest.raises(BadInput, match="cannot be read"):
        read(tmp_path / "nowhere.toml")
