"""Whole runs over an HTTP endpoint: the spelling, the ledger against the server's own, and where a key might show."""

from __future__ import annotations

from pathlib import Path

import pytest

import ponder
from ponder.core.errors import PonderError
from ponder.models.openai import OpenAI
from tests.models.fault_server import FaultServer

KEY = "sk-5ecret5ecret"


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


async def test_an_endpoint_is_a_model_like_any_other() -> None:
    async with FaultServer(script=["500", None, "429-after"]) as server:
        result = await ponder.solve(
            "say some words", model=f"openai:{server.url}#stub", method="self_consistency", n=6, budget="calls=6"
        )
    assert result.answer
    assert sum(usage.calls for usage in result.paid.values()) == server.served.answers == 6
    assert sum(usage.completion_tokens for usage in result.paid.values()) == server.served.completion_tokens
    assert sum(usage.prompt_tokens for usage in result.paid.values()) == server.served.prompt_tokens


@pytest.mark.parametrize("right", [True, False])
async def test_no_file_of_a_run_holds_the_key(tmp_path: Path, right: bool) -> None:
    async with FaultServer(key=KEY if right else "another") as server:
        model = OpenAI.from_spec(f"{server.url}#stub", api_key=KEY)
        try:
            result = await ponder.solve(
                "say some words",
                model=model,
                method="greedy",
                store=tmp_path / "store.sqlite",
                trace=tmp_path / "trace.jsonl",
            )
            shown = repr(result) + str(result.to_json())
        except PonderError as err:
            shown = repr(err)
        await model.close()
        assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert KEY not in shown
    written = contents(tmp_path)
    assert len(written) >= 2
    assert not [name for name, data in written.items() if KEY.encode() in data]
