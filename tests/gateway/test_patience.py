"""Heads that never end are not waited for; those that do are answered, however they come in."""

from __future__ import annotations

import asyncio

import pytest

from ponder.gateway import patience
from ponder.models.scripted import ScriptedModel
from tests.gateway.house import scripted, serving

HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


async def _connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    await reader.readexactly(int(length.split(b":")[1]))
    return head.split()[1]


@pytest.mark.parametrize("sent", [b"", b"G", HEAD])
async def test_a_head_that_does_not_end_is_not_waited_for(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "HEAD_SECONDS", 0.1)
    async with serving(scripted(), {"m": ScriptedModel()}) as house:
        reader, writer = await _connect(house.url)
        writer.write(sent)
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize("sent", [b"G", HEAD, b"\r\n"])
async def test_nor_is_the_second_of_a_connection(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(scripted(), {"m": ScriptedModel()}) as house:
        reader, writer = await _connect(house.url)
        writer.write(HEAD + b"\r\n")
        assert await _answer(reader) == b"200"
        monkeypatch.setattr(patience, "HEAD_SECONDS", 0.1)
        writer.write(sent)
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()


async def test_a_head_in_pieces_and_an_answer_that_takes_longer_are_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "HEAD_SECONDS", 0.5)
    async with serving(scripted(), {"m": ScriptedModel(latency=1.0)}) as house:
        reader, writer = await _connect(house.url)
        for _ in range(2):
            for byte in HEAD + b"\r\n":
                writer.write(bytes([byte]))
                await writer.drain()
            assert await _answer(reader) == b"200"
        writer.close()
        assert (await house.chat("single@m"))[0] == 200
