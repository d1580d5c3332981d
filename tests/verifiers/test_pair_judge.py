"""The pair judge: positions swapped, ties, points, neighbours, and what is missing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder import Budget, Request, ScriptedModel, Task, solve
from ponder.core.errors import ConfigError, ProviderError
from ponder.verifiers._pairs import Heard, merged, most_said, pairings
from ponder.verifiers.pair_judge import PairJudge
from tests.verifiers.judge_desk import desk, judge_of, judged, longer_wins, shown


async def test_a_fair_judge_orders_answers_by_their_share_of_points() -> None:
    ctx = desk(longer_wins)
    scores = await judged(PairJudge(), ctx, "aaa", "a", "aa")
    assert [score.value for score in scores] == [1.0, 0.0, 0.5]
    assert judge_of(ctx).calls == 6
    assert scores[2].reason == "1 won, 0 tied, 1 lost"


async def test_a_judge_that_always_says_a_gives_ties_when_swapped_and_favours_the_first_when_not() -> None:
    scores = await judged(PairJudge(), desk(["[[A]]"]), "x", "y")
    assert [score.value for score in scores] == [0.5, 0.5]
    assert "the two orders disagree" in scores[0].reason
    ctx = desk(["[[A]]"])
    assert [score.value for score in await judged(PairJudge(swap=False), ctx, "x", "y")] == [1.0, 0.0]
    assert judge_of(ctx).calls == 1


async def test_a_tie_counts_only_where_ties_are_allowed() -> None:
    assert [s.value for s in await judged(PairJudge(), desk(["[[C]]"]), "x", "y")] == [0.5, 0.5]
    ctx = desk(["[[C]]"])
    assert [s.value for s in await judged(PairJudge(ties=False), ctx, "x", "y")] == [None, None]
    assert "[[C]]" not in judge_of(ctx).log[0].prompt


async def test_equal_texts_are_judged_once_and_share_their_score() -> None:
    ctx = desk(longer_wins)
    scores = await judged(PairJudge(), ctx, "aa", "a", "aa")
    assert [score.value for score in scores] == [1.0, 0.0, 1.0]
    assert judge_of(ctx).calls == 2


async def test_an_order_without_a_verdict_leaves_the_other_to_decide() -> None:
    def reply(request: Request, number: int) -> str:
        return "[[A]]" if shown(request)[0] == "x" else "who knows"

    assert [s.value for s in await judged(PairJudge(), desk(reply), "x", "y")] == [1.0, 0.0]


async def test_what_cannot_be_had_is_missing_with_its_reason() -> None:
    for replies, word in (["hm"], "cannot be read"), ([ProviderError("down")], "down"):
        scores = await judged(PairJudge(), desk(replies), "x", "y")
        assert all(score.value is None and word in score.reason for score in scores)
    scores = await judged(PairJudge(), desk(longer_wins, Budget(calls=2)), "a", "aa", "aaa")
    assert [score.value for score in scores][:2] == [0.0, 1.0]
    assert scores[2].value is None
    assert "not judged" in scores[2].reason
    (alone,) = await judged(PairJudge(), desk(longer_wins), "a")
    assert (alone.value, "no other answer" in alone.reason) == (None, True)


async def test_a_majority_of_votes_decides() -> None:
    said = iter(["[[A]]", "[[B]]", "[[A]]", "[[B]]", "[[B]]", "[[A]]"])
    ctx = desk(lambda request, number: next(said))
    scores = await judged(PairJudge(votes=3, temperature=0.7), ctx, "x", "y")
    assert [score.value for score in scores] == [1.0, 0.0]
    assert judge_of(ctx).calls == 6


@given(st.integers(0, 12), st.integers(0, 6))
def test_neighbours_meet_around_the_circle(count: int, opponents: int) -> None:
    pairs = pairings(count, opponents)
    assert len(set(pairs)) == len(pairs)
    assert all(0 <= i < j < count for i, j in pairs)
    if opponents and 2 * opponents < count - 1:
        meets = [sum(k in pair for pair in pairs) for k in range(count)]
        assert meets == [2 * opponents] * count
    else:
        assert len(pairs) == count * (count - 1) // 2


def test_orders_are_merged_and_votes_counted() -> None:
    assert merged(Heard("A"), Heard("B")).letter == "A"
    assert merged(Heard("A"), Heard("A")).letter == "tie"
    assert merged(Heard("tie"), Heard("tie")) == Heard("tie")
    assert merged(Heard(None, "why"), Heard("A")).letter == "B"
    assert merged(Heard(None, "why"), Heard(None, "other")) == Heard(None, "why")
    assert merged(Heard("A"), None).letter == "A"
    assert most_said([Heard("A"), Heard("B")]).letter == "tie"
    assert most_said([Heard("tie"), Heard("tie"), Heard("A")]).letter == "tie"
    assert most_said([Heard(None, "why"), Heard("B")]).letter == "B"


async def test_best_of_n_takes_the_answer_that_wins_most() -> None:
    policy = ScriptedModel(replies=["a", "aaa", "aa"])
    result = await solve(
        Task.of("Say a lot."),
        model=policy,
        roles={"judge": ScriptedModel(replies=longer_wins, name="judge")},
        method="best_of_n",
        verifier="pair_judge",
        n=6,
    )
    assert result.text == max((c.text for c in result.candidates), key=len)


@pytest.mark.parametrize("wrong", [{"votes": 0}, {"votes": 2}, {"opponents": -1}, {"max_tokens": 0}])
def test_settings_are_checked(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        PairJudge(**wrong)  # type: ignore[arg-type]
