"""The example settings are read, opened and answer; the Dockerfile holds what it claims."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from ponder.gateway.keys import hash_key
from ponder.gateway.settings import Server, Settings
from ponder.gateway.settings_file import load_settings
from tests.gateway.house import chat, serving
from tests.models.fault_server import FaultServer

ROOT = Path(__file__).parents[2]
EXAMPLES = {path.stem: path for path in (ROOT / "examples/gateway").glob("*.toml")}


def test_there_is_one_for_each_kind_of_server() -> None:
    assert set(EXAMPLES) == {"llamacpp", "ollama", "openai", "sglang", "vllm"}


@pytest.mark.parametrize("name", EXAMPLES)
async def test_an_example_serves(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its upstreams are put on a server of this test; all else is as written."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    async with FaultServer(says="It is 51.") as server:
        copy = tmp_path / f"{name}.toml"
        text = re.sub(r"openai:https?://[^#]+#", f"openai:{server.url}#", EXAMPLES[name].read_text(encoding="utf-8"))
        copy.write_text(text.replace("0" * 64, hash_key("k").removeprefix("sha256:")), encoding="utf-8")
        settings: Settings = load_settings(copy)
        settings = replace(settings, server=replace(settings.server, host=Server().host))
        async with serving(settings) as house:
            (model,) = settings.models
            headers = {"Authorization": "Bearer k"}
            for asked in (f"single@{model}", model, f"best_of_n@{model}"):
                body = chat(
                    asked, "what is it?", ponder={"params": {"n": 2}} if "best" in asked else None, max_tokens=50
                )
                status, reply = await house.post("/v1/chat/completions", body, headers=headers)
                assert status == 200, reply
                assert reply["choices"][0]["message"]["content"] == "It is 51. "
            if name == "openai":
                assert server.headers[0]["Authorization"] == "Bearer sk-test"
                assert reply["usage"]["ponder"]["usd"] > 0
                assert (await house.post("/v1/chat/completions", body))[0] == 401


def test_the_dockerfile_runs_as_nobody_special() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert "USER 10001" in lines
    assert any(line.startswith("HEALTHCHECK") for line in lines)
    assert not any(re.match(r"(ARG|ENV).*(KEY|TOKEN|PASSWORD)", line) for line in lines)
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from" not in line]
    assert all((ROOT / name).exists() for names in copied for name in names)
