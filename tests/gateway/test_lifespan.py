"""Starting, reading the settings again, ending; and what the command refuses to start."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ponder.cli.serve import _settings
from ponder.core.errors import BadInput, ConfigError
from ponder.gateway.gateway import Gateway
from ponder.gateway.lifespan import _bind, serve
from ponder.gateway.settings import Server, Settings, Upstream
from ponder.gateway.settings_file import load_settings
from ponder.models.scripted import ScriptedModel
from tests.gateway.house import scripted, serving

ROOT = Path(__file__).parents[2]


class Closing(ScriptedModel):
    """Knows whether it is closed."""

    closed = False

    async def close(self) -> None:
        self.closed = True


async def test_a_reload_keeps_what_stayed_and_lets_the_rest_go_when_its_guests_have_left() -> None:
    models: dict[str, Closing] = {}

    def opener(upstream: Upstream) -> Any:
        return models.setdefault(upstream.name, Closing(replies=(upstream.name,)))

    def settings(*names: str) -> Settings:
        return Settings(upstreams=tuple(Upstream(name=name, spec="scripted:x") for name in names))

    gateway = await Gateway.open(settings("a", "b"), opener=opener)
    with gateway.visit() as house:
        await gateway.use(settings("a", "c"))
        assert set(gateway.house.lines.by_model) == {"a", "c"}
        assert set(house.lines.by_model) == {"a", "b"}  # whoever is in goes on as they came
        assert not models["b"].closed
    await gateway.tidy()
    assert models["b"].closed
    assert not models["a"].closed
    assert gateway.house.lines.models[Upstream(name="a", spec="scripted:x")] is models["a"]
    await gateway.close()
    assert models["a"].closed
    assert models["c"].closed


async def test_a_file_that_cannot_be_used_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "g.toml"
    file.write_text('[upstreams.a]\nspec = "scripted:one"\n')
    gateway = await Gateway.open(load_settings(file), path=file)
    file.write_text('[upstreams.a]\nspec = "nonsense:one"\n')
    assert "stay as they were" in await gateway.reload()
    assert "a" in gateway.house.lines.by_model
    file.write_text('default_method = "greedy"\n[upstreams.b]\nspec = "scripted:two"\n[server]\nport = 1\n')
    line = await gateway.reload()
    assert "read again" in line
    assert "what is new in [server] waits for the next start" in line
    assert "waits" not in await gateway.reload()  # said once
    assert list(gateway.house.lines.by_model) == ["b"]
    assert gateway.house.settings.default_method == "greedy"
    await gateway.close()


async def test_what_the_command_line_says_is_no_change_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "g.toml"
    file.write_text('[upstreams.a]\nspec = "scripted:one"\n')
    settings = load_settings(file)
    gateway = await Gateway.open(replace(settings, server=replace(settings.server, port=8399)), path=file)
    try:
        assert (await gateway.reload()) == f"settings read again from {file}"
        assert gateway.house.settings.server.port == 8399
    finally:
        await gateway.close()


async def test_an_open_address_needs_keys_and_a_taken_one_is_said() -> None:
    with pytest.raises(ConfigError, match="keys are needed"):
        scripted(server=Server(host="0.0.0.0"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="cannot listen"):
            await serve(scripted(server=Server(port=taken.getsockname()[1])))


def test_the_command_wants_a_file_or_the_demo(tmp_path: Path) -> None:
    file = tmp_path / "g.toml"
    file.write_text('[upstreams.a]\nspec = "scripted:one"\n')
    with pytest.raises(ConfigError, match="either"):
        _settings(None, demo=False, host=None, port=None)
    with pytest.raises(ConfigError, match="either"):
        _settings(file, demo=True, host=None, port=None)
    with pytest.raises(ConfigError, match="keys are needed"):
        _settings(file, demo=False, host="0.0.0.0", port=None)
    with pytest.raises(BadInput):
        _settings(tmp_path / "absent.toml", demo=False, host=None, port=None)
    made = _settings(None, demo=True, host="127.0.0.1", port=0)
    assert (made.models, made.server.port) == (("smollm2",), 0)


def test_the_process_serves_reads_its_settings_again_and_ends(tmp_path: Path) -> None:
    """The command as it is started: SIGHUP, then SIGTERM with a request in flight."""
    file = tmp_path / "g.toml"
    file.write_text('[upstreams.a]\nspec = "scripted:first"\n')
    process = subprocess.Popen(
        [sys.executable, "-m", "ponder", "serve", str(file), "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert " at http://127.0.0.1:" in line, line
        url = line.split(" at ")[1].split("/v1")[0]
        assert _models(url) == {"a"}
        file.write_text('[upstreams.b]\nspec = "scripted:second"\n')
        process.send_signal(signal.SIGHUP)
        assert "read again" in process.stderr.readline()
        assert _models(url) == {"b"}
        body = json.dumps({"model": "b", "messages": [{"role": "user", "content": "x"}]}).encode()
        request = urllib.request.Request(f"{url}/v1/chat/completions", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as reply:
            assert json.load(reply)["choices"][0]["message"]["content"] == "second"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def _models(url: str) -> set[str]:
    with urllib.request.urlopen(f"{url}/v1/models", timeout=20) as reply:
        return {entry["ponder"]["model"] for entry in json.load(reply)["data"]}


async def test_readiness_follows_upstreams_and_shutdown() -> None:
    async with serving(scripted(), {"m": ScriptedModel()}) as house:
        assert (await house.get("/readyz"))[0] == 200
        health = house.gateway.house.lines.by_model["m"].health[0]
        health.rests_until = float("inf")
        status, text = await house.get("/readyz")
        assert (status, json.loads(text)["models"]) == (503, {"m": False})
        health.rests_until = 0.0
        house.gateway.draining = True
        status, text = await house.get("/readyz")
        assert (status, json.loads(text)["draining"]) == (503, True)
        assert (await house.get("/healthz"))[0] == 200


async def test_metrics_count_what_was_answered() -> None:
    async with serving(scripted(), {"m": ScriptedModel(replies=("a b",))}) as house:
        await house.chat("single@m", "one two three")
        await house.chat("nothing")
        status, text = await house.get("/metrics")
        assert status == 200
        line = 'ponder_requests_total{key="anyone",method="single",model="m",status="200"} 1.0'
        assert line in text
        assert 'ponder_calls_total{model="m",role="policy"} 1.0' in text
        await asyncio.sleep(0)


async def test_replies_do_not_wait_for_one_another_on_the_wire() -> None:
    """Nagle's wait (40 ms a reply) is off on what the listener accepts, with asyncio's own loop too."""
    listener = _bind("127.0.0.1", 0)
    seen: list[int] = []

    def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted = writer.get_extra_info("socket")
        seen.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    async with await asyncio.start_server(note, sock=listener) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        await reader.read()
        writer.close()
    assert len(seen) == 1
    assert seen[0] != 0
