"""What the first request would wait for is done before the gateway says that it is ready."""

from __future__ import annotations

import subprocess
import sys

from ponder.gateway.gateway import Gateway
from ponder.models.scripted import ScriptedModel
from tests.gateway.house import scripted

PROGRAM = """
import asyncio, sys
from ponder.models.scripted import ScriptedModel
from tests.gateway.house import chat, scripted, serving

async def main():
    model = ScriptedModel(replies=("42",), stream=True)
    async with serving(scripted(), {"m": model}) as house:
        await house.get("/readyz")
        before = set(sys.modules)
        for name in ("single@m", "m", "self_consistency@m"):
            assert (await house.chat(name))[0] == 200
            await house.stream(chat(name))
        assert (await house.get("/v1/models"))[0] == 200
        late = sorted(name for name in set(sys.modules) - before if name.startswith("ponder."))
        assert not late, late

asyncio.run(main())
"""


def test_no_request_imports_a_part_of_the_package() -> None:
    """In a process of its own: here everything has long been imported."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


async def test_warming_up_calls_no_upstream_and_counts_nothing() -> None:
    asked: list[object] = []

    def reply(request: object, _: int) -> str:
        asked.append(request)
        return "x"

    gateway = await Gateway.open(scripted(), opener=lambda _: ScriptedModel(replies=reply))
    try:
        assert not asked
        assert gateway.metrics is None or b"requests_total{" not in gateway.metrics.render()[0]
        assert ("m", 1, False) in gateway.house.chooser._plans
    finally:
        await gateway.close()
