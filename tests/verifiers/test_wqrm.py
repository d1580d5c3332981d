"""The writing reward as a verifier: heads by hand (card 01, checks 1 and 2), padding, files, budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ponder import Budget, Candidate, Context, Message, Meter, ScriptedModel, Task, Trace, solve
from ponder.core.errors import BadInput, ConfigError
from ponder.verifiers.wqrm import Wqrm
from tests.training.writing_world import tiny_encoder

TASK = Task.of("Write.")


def context(budget: Budget | None = None) -> Context:
    return Context(models={"policy": ScriptedModel()}, meter=Meter(budget), trace=Trace())


def texts(*given: str) -> list[Candidate]:
    return [Candidate(index=i, message=Message("assistant", text), finish="stop") for i, text in enumerate(given)]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> str:
    from ponder.verifiers._wqrm_network import load_network

    where = tiny_encoder(tmp_path_factory.mktemp("wqrm"), layers=1, hidden=16)
    load_network(where, device="cpu", fresh=True).save(where)
    return str(where)


async def test_without_a_directory_every_score_is_missing() -> None:
    (score,) = await Wqrm().score(TASK, texts("a"), context())
    assert "ponder train wqrm" in score.reason
    for wrong, error in (({"batch": 0}, ConfigError), ({"directory": "/nowhere"}, BadInput)):
        with pytest.raises(error):
            Wqrm(**wrong)


@pytest.mark.torch
def test_pooling_similarity_and_squashing_by_hand() -> None:
    import torch

    from ponder.verifiers._wqrm_network import Heads

    heads = Heads(2).eval()
    states = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [9.0, 9.0], [1.0, 1.0], [1.0, -1.0], [2.0, 0.0], [7.0, 7.0]]])
    read = heads(states, [(2, 3)])
    assert read.similarities.item() == pytest.approx(0.70711, abs=1e-5)
    torch.nn.init.zeros_(heads.reward[1].weight)
    torch.nn.init.zeros_(heads.reward[1].bias)
    for raw, reward in ((-1.0, 2.6894), (0.0, 5.0), (0.5, 6.2246), (1.0, 7.3106)):
        torch.nn.init.constant_(heads.reward[3].bias, raw)
        assert heads(states, [(2, 3)]).rewards.item() == pytest.approx(reward, abs=1e-4)
    opposite = torch.tensor([[[1.0, 0.0], [0.0, 0.0], [-1.0, 0.0]]])
    assert heads(opposite, [(1, 1)]).similarities.item() == pytest.approx(1e-7)


@pytest.mark.torch
async def test_each_distinct_text_is_read_once_and_booked(directory: str) -> None:
    ctx = context()
    given = texts("the river", "a cat sleeps under warm light", "the river", "", "cat " * 80)
    found = await Wqrm(directory=directory, device="cpu").score(TASK, given, ctx)
    assert found[0].value == found[2].value
    assert all(score.value is not None and 0 < score.value < 10 for score in found[:3])
    assert [score.value for score in found[3:]] == [None, None]
    assert all(score.reason for score in found[3:])
    used = ctx.meter.nominal["wqrm"]
    assert (used.calls, used.prompt_tokens, used.completion_tokens) == (1, (2 + 2) + (6 + 2), 0)


@pytest.mark.torch
async def test_padding_and_batches_change_nothing(directory: str) -> None:
    given = texts("the river", "a cat sleeps under warm light near open doors", "old stone walls")
    together = await Wqrm(directory=directory, device="cpu").score(TASK, given, context())
    alone = await Wqrm(directory=directory, device="cpu", batch=1).score(TASK, given, context())
    assert [s.value for s in together] == pytest.approx([s.value for s in alone], abs=1e-5)


@pytest.mark.torch
async def test_it_ranks_revisions_and_a_budget_leaves_scores_missing(directory: str) -> None:
    policy = ScriptedModel(replies=["Part 3\nthe cat sleeps", "Part 3\nold walls and light"])
    options: dict[str, Any] = {"model": policy, "method": "write_and_rank", "revisions": 3, "length_change": None}
    result = await solve(TASK, verifier=Wqrm(directory=directory, device="cpu"), **options)
    rewards = [c.scores["wqrm"].value for c in result.candidates]
    assert all(reward is not None for reward in rewards)
    assert result.chosen == rewards.index(max(rewards))  # type: ignore[type-var]
    (score,) = await Wqrm(directory=directory, device="cpu").score(TASK, texts("the cat"), context(Budget(tokens=2)))
    assert score.value is None
    assert "not read" in score.reason


@pytest.mark.torch
def test_released_heads_are_read_by_shape_and_nothing_but_tensors(directory: str, tmp_path: Path) -> None:
    import torch

    from ponder.verifiers._wqrm_network import HEADS, RELEASED, load_network

    network = load_network(directory, device="cpu")
    where = network.save(tmp_path / "released")
    state = network.heads.state_dict()
    (where / HEADS).unlink()
    with pytest.raises(BadInput, match="ponder train wqrm"):
        load_network(where, device="cpu")
    torch.save({"regression": {f"x.{name}": value for name, value in state.items()}}, where / RELEASED)
    row = network.encode("the river runs")
    assert load_network(where, device="cpu").rewards([row]) == pytest.approx(network.rewards([row]))
    torch.save({"a": state["reward.1.weight"]}, where / RELEASED)
    with pytest.raises(BadInput, match="not those of WQRM"):
        load_network(where, device="cpu")
    torch.save({"a": Path("evil")}, where / RELEASED)
    with pytest.raises(BadInput, match="heads in"):
        load_network(where, device="cpu")
    (where / HEADS).write_bytes(b"broken")
    with pytest.raises(BadInput, match="cannot be read"):
        load_network(where, device="cpu")
