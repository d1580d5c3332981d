from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from ponder import Budget, Candidate, Context, Result, Score, ScriptedModel, Task, solve
from ponder.core.errors import ConfigError, ProviderError
from ponder.core.seeds import sample_seed

TASK = Task.of("How many?", answer="number")


@dataclass(frozen=True)
class Table:
    """Scores candidates by their text."""

    scores: Mapping[str, float | None]

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
        return [Score(value=self.scores[c.text]) for c in candidates]


async def best(replies: Sequence[str | ProviderError], scores: Mapping[str, float | None], **options: Any) -> Result:
    shift = sample_seed(0, 0, "sample", TASK.id) % len(replies)
    model = ScriptedModel(replies=[replies[(k - shift) % len(replies)] for k in range(len(replies))])
    return await solve(TASK, model=model, method="best_of_n", verifier=Table(scores), n=len(replies), **options)


async def test_highest_score_wins() -> None:
    result = await best(["1", "2", "3"], {"1": 0.2, "2": 0.9, "3": 0.5})
    assert (result.answer, result.chosen) == ("2", 1)
    assert result.candidates[1].scores["Table"].value == 0.9


async def test_weighted_form_sums_the_scores_of_equal_answers() -> None:
    # Card 04, check 1: A .9, B .5 + .45 = .95, C .2.
    replies, scores = ["1", "2", "the answer is 2", "3"], {"1": 0.9, "2": 0.5, "the answer is 2": 0.45, "3": 0.2}
    assert (await best(replies, scores)).answer == "1"
    result = await best(replies, scores, weighted=True)
    assert (result.answer, result.chosen) == ("2", 1)


async def test_equal_scores_go_to_the_first() -> None:
    assert (await best(["1", "2"], {"1": 0.5, "2": 0.5})).answer == "1"


async def test_missing_score_is_not_zero_and_never_wins() -> None:
    assert (await best(["1", "2"], {"1": None, "2": -3.0})).answer == "2"
    assert (await best(["1", "2"], {"1": float("nan"), "2": -3.0})).answer == "2"


async def test_without_any_score_the_first_readable_answer_is_returned_and_said_so() -> None:
    result = await best(["nothing", "2"], {"nothing": None, "2": None})
    assert (result.answer, result.chosen) == ("2", 1)
    assert "no candidate has a score" in result.detail


async def test_failed_samples_are_not_shown_to_the_verifier() -> None:
    result = await best([ProviderError("down"), "2"], {"2": 0.1})
    assert (result.answer, result.chosen) == ("2", 1)
    assert result.candidates[0].scores["Table"].value is None


async def test_cut_budget_chooses_among_what_there_is() -> None:
    result = await best(["1", "2", "3"], {"1": 0.2, "2": 0.9, "3": 1.0}, budget=Budget(calls=2))
    assert (result.answer, result.stopped) == ("2", "budget")
    assert "2 of 3 samples" in result.detail


async def test_weak_verifier_makes_it_worse_than_the_vote() -> None:
    replies, fooled = ["7", "7", "7", "3"], {"7": 0.5, "3": 0.6}
    assert (await best(replies, fooled)).answer == "3"
    vote = await solve(TASK, model=ScriptedModel(replies=replies), method="self_consistency", n=4)
    assert vote.answer == "7"


async def test_n_below_one_is_refused() -> None:
    with pytest.raises(ConfigError):
        await solve(TASK, model=ScriptedModel(), method="best_of_n", verifier=Table({}), n=0)


async def test_the_first_accepted_sample_ends_the_sampling() -> None:
    scores = {"1": 0.2, "2": 0.9, "3": 1.0, "4": 0.1}
    result = await best(["1", "2", "3", "4"], scores, accept=0.8)
    assert (result.answer, result.chosen, len(result.candidates)) == ("2", 1, 2)
    assert (result.stopped, result.detail) == ("done", "accepted after 2 of 4 samples")
    assert result.usage["policy"].calls == 2


async def test_where_nothing_is_accepted_the_best_of_all_wins() -> None:
    result = await best(["1", "2", "3"], {"1": 0.2, "2": None, "3": 0.5}, accept=0.8)
    assert (result.answer, len(result.candidates), result.detail) == ("3", 3, "")


@pytest.mark.parametrize("ahead", [1, 2, 5])
async def test_acceptance_does_not_depend_on_how_many_are_in_flight(ahead: int) -> None:
    scores = {"1": 0.2, "2": 0.3, "3": 1.0, "4": 1.0}
    result = await best(["1", "2", "3", "4"], scores, accept=1.0, ahead=ahead)
    assert (result.answer, [c.text for c in result.candidates]) == ("3", ["1", "2", "3"])


async def test_failed_samples_are_never_accepted() -> None:
    result = await best(["1", ProviderError("broken"), "3"], {"1": 0.1, "3": 0.9}, accept=0.5)
    assert (result.answer, len(result.candidates)) == ("3", 3)


async def test_a_budget_that_ends_before_acceptance_gives_the_best_so_far() -> None:
    result = await best(["1", "2", "3"], {"1": 0.2, "2": 0.3, "3": 1.0}, accept=1.0, budget=Budget(calls=2))
    assert (result.answer, result.stopped) == ("2", "budget")


async def test_accept_and_weighted_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="choose one"):
        await best(["1"], {"1": 1.0}, accept=0.5, weighted=True)
