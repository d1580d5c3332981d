"""The programs of examples/ and of the README run as written, offline."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests.models.fault_server import FaultServer

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = {path.stem: path for path in (ROOT / "examples").glob("*.py")}


async def output(*command: str) -> str:
    """Run Python with `command` and return what it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(300):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


def readme(heading: str) -> str:
    """Return the first Python block under a heading of the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(heading)}$.*?^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found, f"the README has no program under {heading!r}"
    return found.group(1)


def test_every_example_is_run_here() -> None:
    assert set(EXAMPLES) == {"own_endpoint", "own_method", "quickstart"}


async def test_own_method_stops_when_two_agree() -> None:
    assert await output(str(EXAMPLES["own_method"])) == "32 after 3 calls\n"


async def test_own_endpoint_votes_until_it_is_decided_and_tells_what_it_cost() -> None:
    async with FaultServer(says="It is 51.") as server:
        out = await output(str(EXAMPLES["own_endpoint"]), server.url, "stub")
    assert out.startswith("51 ")
    assert server.served.answers == 4  # of eight: a first answer that half of them give cannot lose
    assert f"calls=4, prompt_tokens={server.served.prompt_tokens}" in out
    assert f"completion_tokens={server.served.completion_tokens}" in out


async def test_the_endpoint_program_of_the_readme_works_as_written() -> None:
    program = readme("Your own endpoint, in five")
    assert len(program.strip().splitlines()) <= 6  # five, and a blank line
    async with FaultServer(says="It is 51.") as server:
        assert program.count("http://127.0.0.1:8000/v1") == 1
        assert await output("-c", program.replace("http://127.0.0.1:8000/v1", server.url)) == "51\n"
    assert server.served.answers == 4


async def test_quickstart_compares_three_methods() -> None:
    lines = (await output(str(EXAMPLES["quickstart"]), "scripted:42|6 * 7 = 42|41")).splitlines()
    assert [line.split()[0] for line in lines] == ["greedy", "self_consistency", "best_of_n"]
    assert "answer 42   16 calls" in lines[2]


@pytest.mark.embedded
async def test_quickstart_runs_on_the_embedded_model() -> None:
    lines = (await output(str(EXAMPLES["quickstart"]))).splitlines()
    assert [line.split()[0] for line in lines] == ["greedy", "self_consistency", "best_of_n"]


@pytest.mark.embedded
async def test_the_first_program_of_the_readme_works_as_written() -> None:
    assert "Usage(calls=" in await output("-c", readme("Offline, in ten lines"))
