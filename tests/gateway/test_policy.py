"""`auto` behind the gateway: the policy that its settings name, and only that one."""

from __future__ import annotations

from pathlib import Path

import pytest

from ponder.core.errors import BadInput
from ponder.gateway.gateway import Gateway
from ponder.models.scripted import ScriptedModel
from ponder.planning.policy import Choice, Known, Policy
from tests.gateway.house import chat, scripted, serving, text_of


def policy(file: Path, model: ScriptedModel, choice: Choice) -> str:
    known = Known(name=model.name, fingerprint=model.info.fingerprint)
    Policy(models={"policy": known}, otherwise=choice).save(file)
    return str(file)


async def test_auto_runs_what_the_policy_says(tmp_path: Path) -> None:
    model = ScriptedModel(replies=("yes", "no", "yes"), latency=0.02, stream=True)
    vote = Choice(method="self_consistency", settings={"n": 3, "early_stop": "none"})
    async with serving(scripted(policy=policy(tmp_path / "p.json", model, vote)), {"m": model}) as house:
        _, body = await house.chat("m", ponder={"answer": "exact"}, seed=0)
        assert body["usage"]["ponder"]["calls"] == 3
        assert "self_consistency" in body["ponder"]["detail"]
        _, body = await house.chat("m", ponder={"policy": "none"})
        assert body["usage"]["ponder"]["calls"] == 1
        status, body = await house.chat("m", ponder={"params": {"policy": "/etc/passwd"}})
        assert (status, body["error"]["code"]) == (400, "forbidden_setting")


async def test_a_policy_that_picks_one_call_streams_its_tokens(tmp_path: Path) -> None:
    model = ScriptedModel(replies=("one two three",), latency=0.1, stream=True)
    file = policy(tmp_path / "p.json", model, Choice(method="greedy"))
    async with serving(scripted(policy=file), {"m": model}) as house:
        stream = await house.stream(chat("m"))
        assert text_of(stream) == "one two three"
        assert sum("content" in str(event) for event in stream) >= 3


async def test_a_policy_for_another_model_is_refused_by_name(tmp_path: Path) -> None:
    file = policy(tmp_path / "p.json", ScriptedModel(replies=("other",)), Choice(method="greedy"))
    async with serving(scripted(policy=file), {"m": ScriptedModel(replies=("this",))}) as house:
        status, body = await house.chat("m")
        assert (status, body["error"]["code"]) == (400, "impossible")
        assert "was measured with" in body["error"]["message"]


async def test_a_policy_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text("nonsense")
    with pytest.raises(BadInput, match="policy"):
        await Gateway.open(scripted(policy=str(tmp_path / "p.json")))
