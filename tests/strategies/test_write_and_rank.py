"""Write, revise, rank (card 01): choice, gap, eligibility, exact calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from ponder import Budget, Candidate, Context, Request, Result, Sampling, Score, ScriptedModel, Task, solve
from ponder.core.errors import ConfigError
from ponder.core.seeds import sample_seed

TASK = Task.of("Write about {x} $y.", answer="text")
DRAFT = "one two three four five six seven eight nine ten"
BASE = sample_seed(0, 0, "revise", TASK.id)


@dataclass(frozen=True)
class Rewards:
    """Counts a word; missing where a text says so."""

    word: str = "good"

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
        return [
            Score.missing("silent") if "silent" in c.text else Score(value=float(c.text.split().count(self.word)))
            for c in candidates
        ]


def revised(*goods: int) -> str:
    (good,) = goods
    return "Part 3\n" + " ".join(["good"] * good + DRAFT.split()[good:])


def model(*edits: str, draft: str = DRAFT, seen: list[Request] | None = None) -> ScriptedModel:
    def reply(request: Request, number: int) -> str:
        if "Part 1: problems" not in request.messages[-1].text:
            return draft
        if seen is not None:
            seen.append(request)
        return edits[(request.seed - BASE) % len(edits)]

    return ScriptedModel(replies=reply)


async def run(policy: ScriptedModel, **options: Any) -> Result:
    options = {"revisions": 3, "verifier": Rewards(), **options}
    return await solve(options.pop("task", TASK), model=policy, method="write_and_rank", **options)


async def test_the_best_revision_is_taken_and_the_gap_reported() -> None:
    seen: list[Request] = []
    policy = model(revised(1), revised(3), revised(2), seen=seen)
    result = await run(policy)
    assert result.answer == "good good good four five six seven eight nine ten"
    assert [c.scores["Rewards"].value for c in result.candidates] == [0, 1, 3, 2]
    assert result.candidates[result.chosen or 0].metadata["reward_gap"] == 3
    assert "reward gap +3, of a random revision +2" in result.detail
    assert {role: used.calls for role, used in result.usage.items()} == {"policy": 1, "editor": 3}
    assert all("Write about {x} $y." in r.messages[-1].text and DRAFT in r.messages[-1].text for r in seen)
    assert len({request.seed for request in seen}) == 3


async def test_one_revision_is_one_random_edit_and_none_is_the_draft() -> None:
    assert (await run(model(revised(1)), revisions=1)).chosen == 1
    alone = await run(model(revised(1)), revisions=0)
    assert (alone.answer, alone.cost.calls) == (DRAFT, 1)


async def test_the_draft_stays_unless_a_revision_beats_it() -> None:
    result = await run(model("Part 3\n" + DRAFT.replace("ten", "10")))
    assert result.chosen == 0
    assert "the draft is kept" in result.detail
    assert result.candidates[0].metadata["reward_gap"] == 0


async def test_revisions_that_cannot_be_read_or_change_the_length_are_not_eligible() -> None:
    long = "Part 3\n" + "good " * 40
    result = await run(model(long, "no parts here", "Part 3\nsilent " + " ".join(DRAFT.split()[1:])))
    assert result.chosen == 0
    assert "2 of 3 revisions cannot be read or change the length too much" in result.detail
    free = await run(model(long), length_change=None)
    assert (free.answer or "").split() == ["good"] * 40


async def test_edits_without_a_whole_text_are_applied_to_the_draft() -> None:
    result = await run(model("Part 2\n- `one two` -> `good good`\n"), revisions=1)
    assert result.answer == DRAFT.replace("one two", "good good")
    assert result.candidates[1].metadata["edits"] == 1


async def test_a_draft_without_a_reward_gives_way() -> None:
    result = await run(model(revised(1), draft="silent " + DRAFT), length_change=None)
    assert result.chosen == 1
    assert "the draft has no reward" in result.detail
    assert result.candidates[1].metadata["reward_gap"] is None


async def test_an_editor_of_its_own_and_a_small_budget() -> None:
    editor = model(revised(2))
    result = await solve(
        TASK, model=model("?"), roles={"editor": editor}, method="write_and_rank", verifier=Rewards(), revisions=4
    )
    assert (editor.calls, result.usage["editor"].calls) == (4, 4)
    short = await run(model(revised(1), revised(2), revised(3)), budget=Budget(calls=3))
    assert short.stopped == "budget"
    assert len(short.candidates) == 3
    assert short.chosen == 2


@pytest.mark.parametrize("wrong", [{"revisions": -1}, {"length_change": -0.1}, {"edit_tokens": 0}])
async def test_bad_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        await run(model("x"), **wrong)


@pytest.mark.embedded
async def test_a_small_model_writes_and_revises(embedded: Any) -> None:
    result = await solve(
        Task.of("Write a sentence that includes the words river, apple and stone."),
        model=embedded,
        method="write_and_rank",
        verifier="constraints",
        revisions=2,
        edit_tokens=120,
        sampling=Sampling(temperature=0.8, max_tokens=40),
    )
    assert result.chosen is not None
    assert result.cost.completion_tokens <= 280
    assert "reward gap" in result.detail or "draft" in result.detail
