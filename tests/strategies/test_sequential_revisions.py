"""Sequential revisions: what each attempt sees, and the choice within and across chains (card 04, part C)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from ponder import (
    Budget,
    Candidate,
    Context,
    Message,
    Model,
    Request,
    Result,
    Sampling,
    Score,
    ScriptedModel,
    Task,
    solve,
)
from ponder.core.errors import ConfigError
from ponder.core.seeds import derive, sample_seed

TASK = Task.of("How many {x} $y?", answer="number")


@dataclass(frozen=True)
class Table:
    """Scores candidates by their text."""

    scores: dict[str, float | None]

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
        return [Score(value=self.scores[c.text], reason="by table") for c in candidates]


def script(chains: Sequence[Sequence[str]]) -> ScriptedModel:
    """Replies with the given attempts of each chain, told apart by their first sample's seed and their history."""
    first = sample_seed(0, 0, "sample", TASK.id)

    def reply(request: Request, number: int) -> str:
        prompt = request.messages[-1].text
        if "Attempt " not in prompt:
            return chains[request.seed - first][0]
        chain = next(c for c in chains if f":\n{c[0]}\n" in prompt or prompt.count(c[0]))
        return chain[prompt.count("Attempt ")]

    return ScriptedModel(replies=reply)


async def revise(model: ScriptedModel, scores: dict[str, float | None], **options: Any) -> Result:
    return await solve(TASK, model=model, method="sequential_revisions", verifier=Table(scores), **options)


async def test_choice_is_made_inside_chains_and_then_across_them() -> None:
    # Card 04, check 5: chain 1 [A .8, B .5, B .4] -> B .5; chain 2 [A .3, A .35, C .6] -> A .35; across: B .5.
    model = script([["one: 1", "one: 2", "one: 02"], ["two: 1", "two: 01", "two: 3"]])
    scores = {"one: 1": 0.8, "one: 2": 0.5, "one: 02": 0.4, "two: 1": 0.3, "two: 01": 0.35, "two: 3": 0.6}
    result = await revise(model, dict(scores), n=6, ratio=1.5)
    assert (result.answer, result.text) == ("2", "one: 2")
    majority = await revise(model, dict(scores), n=6, ratio=1.5, choose="majority")
    assert (majority.answer, majority.chosen) == ("1", 0)


async def test_revision_sees_the_last_attempts_only_with_their_numbers() -> None:
    prompts: list[str] = []

    def reply(request: Request, number: int) -> str:
        prompts.append(request.messages[-1].text)
        return f"say {number}"

    result = await revise(ScriptedModel(replies=reply), {f"say {k}": 0.1 for k in range(7)}, n=7, ratio=7)
    assert len(result.candidates) == 7
    assert prompts[0] == TASK.prompt
    assert all(TASK.prompt in prompt for prompt in prompts)
    assert [f"Attempt {k}:\nsay {k - 1}" in prompts[6] for k in range(1, 7)] == [False, False, True, True, True, True]
    assert "Attempt 1:\nsay 0" in prompts[4]


async def test_purely_parallel_is_weighted_best_of_n_on_the_same_samples() -> None:
    replies = ["1", "2", "02", "3"]
    scores: dict[str, float | None] = {"1": 0.9, "2": 0.5, "02": 0.45, "3": 0.2}
    for seed in range(4):
        ours = await revise(ScriptedModel(replies=replies), scores, n=4, ratio=1 / 4, seed=seed)
        best = await solve(
            TASK, model=ScriptedModel(replies=replies), method="best_of_n", verifier=Table(scores), n=4, seed=seed
        )
        # A chain of one is its own representative, so across chains equal answers still add up.
        weighted = await solve(
            TASK,
            model=ScriptedModel(replies=replies),
            method="best_of_n",
            verifier=Table(scores),
            n=4,
            weighted=True,
            seed=seed,
        )
        assert ours.answer == weighted.answer
        assert [c.text for c in ours.candidates] == [c.text for c in best.candidates]


async def test_verifier_along_the_chain_beats_the_last_attempt() -> None:
    # Card 04, check 9: wrong to right 0.3, right to wrong 0.38; the last attempt is right in 44 % at most.
    def reply(request: Request, number: int) -> str:
        prompt = request.messages[-1].text
        was_right = prompt.rstrip().rpartition("Attempt ")[2].find(":\n12") > 0
        chance = 0.62 if was_right else 0.3
        return "12" if derive(request.seed, "revise").random() < chance else "7"

    last = chosen = 0
    for seed in range(60):
        result = await revise(ScriptedModel(replies=reply), {"12": 0.9, "7": 0.1}, n=8, ratio=8, seed=seed)
        last += result.candidates[-1].answer == "12"
        chosen += result.answer == "12"
    assert last < 40
    assert chosen > 50


async def test_without_any_score_the_majority_is_returned_and_said_so() -> None:
    result = await revise(ScriptedModel(replies=["1", "1", "1"]), {"1": None}, n=4)
    assert result.answer == "1"
    assert "no attempt has a score" in result.detail


async def test_cut_budget_chooses_among_what_there_is() -> None:
    result = await revise(ScriptedModel(replies=["1"]), {"1": 0.4}, n=16, budget=Budget(calls=6))
    assert (result.stopped, result.answer, len(result.candidates)) == ("budget", "1", 6)


async def test_system_message_stays() -> None:
    seen: list[tuple[str, ...]] = []

    def reply(request: Request, number: int) -> str:
        seen.append(tuple(message.role for message in request.messages))
        return "1"

    task = Task.of([Message("system", "Be brief."), Message("user", "How many?")], answer="number")
    await solve(
        task,
        model=ScriptedModel(replies=reply),
        method="sequential_revisions",
        verifier=Table({"1": 1.0}),
        n=2,
        ratio=2,
    )
    assert seen == [("system", "user")] * 2


@pytest.mark.embedded
async def test_embedded_model_revises(embedded: Model) -> None:
    task = Task.of("Ann has 3 bags with 4 apples in each. How many apples are there?", answer="number")
    result = await solve(
        task,
        model=embedded,
        method="sequential_revisions",
        verifier="arithmetic",
        n=4,
        sampling=Sampling(max_tokens=48),
    )
    assert result.chosen is not None
    assert [c.metadata["round"] for c in result.candidates] == [0, 0, 1, 1]


@pytest.mark.parametrize("settings", [{"n": 0}, {"ratio": 0.0}, {"context": 0}, {"choose": "last"}])
async def test_settings_are_checked(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        await revise(ScriptedModel(), {}, **settings)
