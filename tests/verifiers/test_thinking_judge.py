"""The thinking judge: verdicts behind the thought, cues, rounds, votes, and ends before the end."""

from __future__ import annotations

from typing import Any

import pytest

from ponder import Budget, Request, ScriptedModel, Task, solve
from ponder.core.access import Access
from ponder.core.errors import AccessDenied, ConfigError, ProviderError
from ponder.core.model import Model
from ponder.numerics.judging import rounds_of
from ponder.verifiers.thinking_judge import Judgement, ThinkingJudge
from tests.verifiers.judge_desk import TASK, desk, judge_of, judged, shown


def thinker(*verdicts: str) -> Any:
    """Thinks "hm [[B]]" at each round, and after k cues gives the k-th verdict (the last one from there on)."""

    def reply(request: Request, number: int) -> str:
        waits = request.prefix.count("Wait")
        if "</think>" in request.prefix:
            return verdicts[min(waits, len(verdicts) - 1)]
        return "hm [[B]]"

    return reply


def longer_wins(request: Request, number: int) -> str:
    if "</think>" not in request.prefix:
        return "let me see"
    first, second = map(len, shown(request))
    return "[[A]]" if first > second else "[[B]]"


async def judge(replies: Any, budget: Budget | None = None, **settings: Any) -> tuple[Judgement, ScriptedModel]:
    ctx = desk(replies, budget)
    found = await ThinkingJudge(**settings).judge(TASK, "x", "y", ctx)
    assert ctx.meter.in_flight == 0
    return found, judge_of(ctx)


async def test_the_verdict_is_read_behind_the_thought() -> None:
    found, model = await judge(thinker("[[A]]"), cues=0)
    assert found.verdict == "A"
    assert found.rounds == ("A",)
    assert model.calls == 2
    assert model.log[-1].prompt.endswith("<think>\nhm [[B]]\n</think>\n\n")


async def test_cues_lengthen_the_thought_and_rounds_are_told_apart() -> None:
    found, model = await judge(thinker("[[A]]", "[[B]]", "[[A]]"), cues=2, per_round=True)
    assert found.rounds == ("A", "B", "A")
    assert (found.verdict, found.cues) == ("A", 2)
    assert found.text.count("Wait") == 2
    assert found.tokens == 8  # "hm [[B]]" three times, and two cues
    assert model.calls == 3 + 1 + 2
    (flips,) = [rounds_of([found.rounds], ["A"])]
    assert (flips.to_wrong, flips.to_right) == ((1, 0), (0, 1))


async def test_no_cues_is_ordinary_judging_and_rounds_change_no_verdict() -> None:
    plain, _ = await judge(thinker("[[A]]", "[[B]]"), cues=0)
    first, _ = await judge(thinker("[[A]]", "[[B]]"), cues=1, per_round=True)
    final, _ = await judge(thinker("[[A]]", "[[B]]"), cues=1)
    assert plain.verdict == first.rounds[0] == "A"
    assert first.verdict == final.verdict == "B"
    assert first.text.startswith(plain.text.rstrip("\n"))


async def test_a_cut_thought_is_asked_for_its_final_verdict() -> None:
    found, model = await judge(
        lambda request, number: "[[B]]" if "</think>" in request.prefix else "w " * 50, thinking=10, cues=3
    )
    assert (found.verdict, found.tokens, found.cues) == ("B", 10, 0)
    assert model.log[-1].prompt.endswith("</think>\n\nFinal verdict: ")


async def test_a_verdict_within_the_thought_or_none_is_missing() -> None:
    found, _ = await judge(lambda request, number: "[[A]]" if "</think>" not in request.prefix else "unsure")
    assert found.verdict is None
    assert "cannot be read" in found.reason


async def test_scores_are_points_of_both_orders_and_votes() -> None:
    ctx = desk(longer_wins)
    scores = await judged(ThinkingJudge(cues=0), ctx, "aaa", "a", "aa")
    assert [score.value for score in scores] == [1.0, 0.0, 0.5]
    assert judge_of(ctx).calls == 6 * 2
    ctx = desk(longer_wins)
    assert [s.value for s in await judged(ThinkingJudge(cues=0, votes=3, temperature=1.0), ctx, "aa", "a")] == [
        1.0,
        0.0,
    ]
    assert judge_of(ctx).calls == 2 * 3 * 2


async def test_a_judge_that_favours_a_place_ends_in_ties() -> None:
    scores = await judged(ThinkingJudge(), desk(thinker("[[A]]")), "x", "y")
    assert [score.value for score in scores] == [0.5, 0.5]


@pytest.mark.parametrize("calls", [1, 2, 3])
async def test_a_budget_that_ends_leaves_the_verdict_missing(calls: int) -> None:
    found, _ = await judge(thinker("[[A]]"), Budget(calls=calls), cues=2)
    assert found.verdict is None
    assert "not judged" in found.reason


async def test_a_broken_off_round_leaves_the_final_verdict() -> None:
    found, _ = await judge(thinker("[[B]]", "[[A]]"), Budget(calls=3), cues=1, per_round=True)
    assert found.verdict == "A"


async def test_failures_are_missing_and_a_model_without_prefix_is_refused() -> None:
    found, _ = await judge([ProviderError("down")])
    assert (found.verdict, "down" in found.reason) == (None, True)
    ctx = desk(["x"], access=frozenset({Access.TEXT, Access.SEED}))
    with pytest.raises(AccessDenied):
        await judged(ThinkingJudge(), ctx, "x", "y")


async def test_best_of_n_can_use_it() -> None:
    result = await solve(
        Task.of("Say a lot."),
        model=ScriptedModel(replies=["a", "aaa", "aa"]),
        roles={"judge": ScriptedModel(replies=longer_wins, name="judge")},
        method="best_of_n",
        verifier=ThinkingJudge(cues=1),
        n=4,
    )
    assert result.text == max((c.text for c in result.candidates), key=len)
    assert result.usage["judge"].thinking_tokens > 0


@pytest.mark.parametrize(
    "wrong", [{"cues": -1}, {"thinking": 0}, {"votes": 0}, {"votes": 3}, {"verdict": 0}, {"markers": "none"}]
)
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ThinkingJudge(**wrong)


@pytest.mark.embedded
async def test_the_embedded_model_stays_within_its_budgets(embedded: Model) -> None:
    ctx = desk([])
    ctx.models = {"policy": embedded, "judge": embedded}
    judge = ThinkingJudge(thinking=24, cues=1, verdict=12, per_round=True)
    found = await judge.judge(Task.of("What is 3 + 4?"), "7", "Nine, I think.", ctx)
    assert 0 < found.tokens <= 24
    assert found.cues <= 1
    assert len(found.rounds) == 1 + found.cues
    usage = ctx.meter.nominal["judge"]
    assert usage.calls == 1 + found.cues + len(found.rounds)
    assert usage.completion_tokens <= 24 + 12 * len(found.rounds)
