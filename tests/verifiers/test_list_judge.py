"""The list judge: rankings, shuffled orders, and what cannot be read."""

from __future__ import annotations

import re

import pytest

from ponder import Budget, Request
from ponder.core.errors import ConfigError, ProviderError
from ponder.verifiers.list_judge import ListJudge, read_ranking
from tests.verifiers.judge_desk import desk, judge_of, judged


def longest_first(request: Request, number: int) -> str:
    found = re.findall(r'<answer number="(\d+)">\n(.*?)\n</answer>', request.messages[-1].text, re.DOTALL)
    order = sorted(found, key=lambda pair: -len(pair[1]))
    return f"So: [[{' > '.join(name for name, _ in order)}]]"


async def test_a_fair_judge_places_answers_whatever_the_order_shown() -> None:
    ctx = desk(longest_first)
    scores = await judged(ListJudge(orders=3), ctx, "a", "aaa", "aa", "aaa")
    assert [score.value for score in scores] == [0.0, 1.0, 0.5, 1.0]
    assert judge_of(ctx).calls == 3
    orders = {re.sub(r"(?s).*?<answer number", "<answer number", call.prompt, count=1) for call in judge_of(ctx).log}
    assert len(orders) > 1


async def test_a_judge_that_favours_the_first_place_is_averaged_out() -> None:
    scores = await judged(ListJudge(orders=40), desk(["[[1 > 2]]"]), "x", "y")
    assert all(0.2 < (score.value or 0) < 0.8 for score in scores)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("[[2 > 1 > 3]]", [0.5, 1.0, 0.0]),
        ("[[1 = 2 > 3]]", [0.75, 0.75, 0.0]),
        ("[[1 = 2 = 3]]", [0.5, 0.5, 0.5]),
        ("[[3 > 2 > 1]] no: [[1 > 2 > 3]]", [1.0, 0.5, 0.0]),
        ("[[1 > 2]]", None),
        ("[[1 > 2 > 2]]", None),
        ("[[1 > 2 > 4]]", None),
        ("1 > 2 > 3", None),
        ("[[ ]]", None),
    ],
)
def test_rankings_are_read_strictly(text: str, places: list[float] | None) -> None:
    assert read_ranking(text, 3) == places


async def test_what_cannot_be_had_is_missing() -> None:
    for replies, word in (["hm"], "cannot be read"), ([ProviderError("down")], "down"):
        assert all(s.value is None and word in s.reason for s in await judged(ListJudge(), desk(replies), "x", "y"))
    scores = await judged(ListJudge(orders=2), desk(longest_first, Budget(calls=1)), "a", "aa")
    assert [score.value for score in scores] == [0.0, 1.0]
    assert "1 of 2 rankings" in scores[0].reason
    (alone,) = await judged(ListJudge(), desk(longest_first), "a")
    assert alone.value is None


@pytest.mark.parametrize("wrong", [{"orders": 0}, {"max_tokens": 0}, {"temperature": float("nan")}])
def test_settings_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        ListJudge(**wrong)  # type: ignore[arg-type]
