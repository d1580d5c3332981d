from __future__ import annotations

import itertools
from typing import Any

import pytest

from ponder import Result, ScriptedModel, Task, solve
from ponder.core.errors import ConfigError, ProviderError
from ponder.core.seeds import sample_seed

TASK = Task.of("How many?", answer="number")


def in_order(*replies: str | ProviderError) -> ScriptedModel:
    """Reply k to sample k of TASK under seed 0."""
    base = sample_seed(0, 0, "sample", TASK.id)
    shift = base % len(replies)
    return ScriptedModel(replies=[replies[(k - shift) % len(replies)] for k in range(len(replies))])


async def vote(*replies: str | ProviderError, early_stop: str = "none", **settings: Any) -> Result:
    return await solve(
        TASK, model=in_order(*replies), method="self_consistency", n=len(replies), early_stop=early_stop, **settings
    )


async def test_most_frequent_answer_wins_and_its_first_candidate_is_chosen() -> None:
    result = await vote("5", "the answer is 7", "7", "5", "7.0")
    assert (result.answer, result.chosen) == ("7", 1)


async def test_equal_counts_go_to_the_answer_seen_first() -> None:
    assert (await vote("5", "7", "7", "5")).answer == "5"


async def test_equal_values_written_differently_are_one_answer() -> None:
    assert (await vote("9", "1/2", "0.5", "3", "50e-2", "9")).answer == "1/2"


async def test_unreadable_and_failed_samples_do_not_vote() -> None:
    result = await vote("no idea", "no idea", ProviderError("down"), "7", "none")
    assert (result.answer, result.chosen) == ("7", 3)
    assert [c.answer for c in result.candidates] == [None, None, None, "7", None]


async def test_no_readable_answer_is_no_answer_but_the_candidates_are_kept() -> None:
    result = await vote("no", "idea")
    assert (result.answer, result.chosen, len(result.candidates)) == (None, None, 2)


async def test_vote_beats_the_first_sample_where_right_answers_agree_and_not_where_wrong_ones_do() -> None:
    assert (await vote("1", "7", "7", "2", "7")).answer == "7"  # wrong answers scatter
    assert (await vote("7", "3", "3", "7", "3")).answer == "3"  # wrong answers agree: the vote is wrong too


async def test_exact_stop_keeps_the_winner_of_all_samples() -> None:
    for replies in itertools.islice(itertools.product("123", repeat=6), 0, 729, 7):
        full = await vote(*replies)
        early = await vote(*replies, early_stop="exact", ahead=1)
        assert early.answer == full.answer
        assert early.candidates == full.candidates[: len(early.candidates)]


async def test_exact_stop_ends_when_the_rest_cannot_change_the_vote() -> None:
    result = await vote("7", "7", "7", "1", "1", early_stop="exact", ahead=1)
    assert (result.stopped, len(result.candidates)) == ("agreement", 3)
    assert result.detail == "decided after 3 of 5 samples"
    assert result.paid["policy"].calls == 3


async def test_exact_stop_may_sample_ahead_and_pays_for_it() -> None:
    result = await vote("7", "7", "7", "1", "1", early_stop="exact", ahead=5)
    assert result.cost.calls == 3
    assert result.paid["policy"].calls == 5


async def test_bayesian_stop_follows_the_beta_posterior() -> None:
    # Beta(4, 1) has mass 1 - 0.5**4 = 0.9375 above one half after 3:0, and 1 - 0.5**5 = 0.96875 after 4:0.
    result = await vote(*["7"] * 8, early_stop="bayes", confidence=0.95, ahead=1)
    assert len(result.candidates) == 4
    result = await vote(*["7"] * 8, early_stop="bayes", confidence=0.93, ahead=1)
    assert len(result.candidates) == 3


async def test_gain_stop_ends_when_one_more_sample_adds_too_little() -> None:
    # After n equal answers the expected gain is (n + 1) (n + 1)! n! / (2 n + 2)!: 0.05, 0.0143 and 0.0040 for 2, 3, 4.
    result = await vote(*["7"] * 8, early_stop="gain", ahead=1)
    assert (result.stopped, len(result.candidates)) == ("agreement", 4)
    assert len((await vote(*["7"] * 8, early_stop="gain", least_gain=0.02, ahead=1)).candidates) == 3
    assert len((await vote(*"12341234", early_stop="gain", ahead=1)).candidates) > 4  # nothing agrees yet


@pytest.mark.parametrize(
    "settings",
    [{"n": 0}, {"ahead": 0}, {"early_stop": "sometimes"}, {"confidence": 0.5}, {"confidence": 1.0}, {"least_gain": 0}],
)
async def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        await solve(TASK, model=ScriptedModel(), method="self_consistency", **settings)
