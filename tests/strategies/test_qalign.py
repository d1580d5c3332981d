"""QAlign as a method: what it votes over, and card 02's ways to check it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from ponder import (
    Access,
    Budget,
    Candidate,
    Context,
    Model,
    Request,
    Result,
    Sampling,
    Score,
    ScriptedModel,
    Task,
    solve,
)
from ponder.core.errors import AccessDenied, ConfigError
from ponder.core.seeds import derive
from ponder.core.trace import Trace
from ponder.numerics.metropolis import softmax_weights
from ponder.numerics.votes import totals, weighted_vote

TASK = Task.of("How many?", answer="number")
Reply = Callable[[Request, int], str]


@dataclass(frozen=True)
class Table:
    """Rewards texts by a table; others miss."""

    rewards: dict[str, float]

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
        found = [self.rewards.get(c.text) for c in candidates]
        return [Score.missing("not in the table") if value is None else Score(value=value) for value in found]


async def run(replies: Reply | Sequence[str], rewards: dict[str, float], **options: Any) -> Result:
    model = options.pop("model", None) or ScriptedModel(replies=replies)
    task = options.pop("task", TASK)
    return await solve(task, model=model, method="qalign", verifier=Table(rewards), **options)


def weighted(law: dict[str, float]) -> Reply:
    """One-token answers drawn from a law."""
    return lambda request, number: derive(request.seed, "answer").choices(list(law), list(law.values()))[0]


async def test_answer_moves_from_the_models_favourite_to_the_rewarded_one() -> None:
    replies, rewards = weighted({"7": 0.7, "12": 0.3}), {"7": 0.0, "12": 1.0}
    sampling = Sampling(max_tokens=1)
    plain = await run(replies, rewards, beta=1e9, steps=300, sampling=sampling)
    aligned = await run(replies, rewards, beta=0.5, steps=300, sampling=sampling)
    assert (plain.answer, aligned.answer) == ("7", "12")
    assert "moves accepted" in aligned.detail


async def test_constant_reward_votes_as_the_majority_does() -> None:
    replies = weighted({"7": 0.55, "12": 0.25, "3": 0.2})
    result = await run(replies, {"7": 1.0, "12": 1.0, "3": 1.0}, steps=200, sampling=Sampling(max_tokens=1))
    vote = await solve(TASK, model=ScriptedModel(replies=replies), method="self_consistency", n=200)
    assert result.answer == vote.answer == "7"


@pytest.mark.parametrize(
    ("beta", "first", "second", "winner"), [(1.0, 0.598, 0.402, 0), (0.5, 0.869, 0.131, 0), (1e9, 0.25, 0.75, 2)]
)
def test_weighted_majority_that_it_is_compared_with(beta: float, first: float, second: float, winner: int) -> None:
    """Card 02, check 6: rewards 2, 0.5, 0.6, 0.4 for the answers X, Y, Y, Y; a large beta is the plain majority."""
    answers, rewards = ["X", "Y", "Y", "Y"], [2.0, 0.5, 0.6, 0.4]
    weights = softmax_weights(rewards, beta)
    sums = totals(answers, weights)
    assert [sums["X"], sums["Y"]] == pytest.approx([first, second], abs=1e-3)
    assert answers[winner] == answers[weighted_vote(answers, weights) or 0]


async def test_refused_proposals_do_not_vote() -> None:
    def reply(request: Request, number: int) -> str:
        return "12" if number == 0 else "7"

    result = await run(reply, {"12": 1.0, "7": -30.0}, steps=9, beta=0.1, sampling=Sampling(max_tokens=1))
    assert (result.answer, result.chosen) == ("12", 0)
    assert [c.metadata["accepted"] for c in result.candidates] == [True, *[False] * (len(result.candidates) - 1)]
    assert result.candidates[0].scores["Table"].value == 1.0


def climbing(request: Request, number: int) -> str:
    return str(number)


CLIMB = {str(k): float(k) for k in range(50)}
ALWAYS = {"beta": 0.01, "sampling": Sampling(max_tokens=1)}  # every proposal is better by far


async def test_last_is_the_state_held_last() -> None:
    result = await run(climbing, CLIMB, steps=9, choose="last", **ALWAYS)
    assert result.chosen == len(result.candidates) - 1


async def test_burn_in_and_thinning_leave_states_out() -> None:
    last = await run(climbing, CLIMB, steps=9, burn_in=9, **ALWAYS)
    assert last.chosen == len(last.candidates) - 1
    assert (await run(climbing, CLIMB, steps=9, thin=20, **ALWAYS)).chosen == 0


async def test_budget_inside_the_burn_in_counts_all_states() -> None:
    result = await run(climbing, CLIMB, steps=30, burn_in=30, budget=Budget(calls=4), **ALWAYS)
    assert (result.stopped, len(result.candidates)) == ("budget", 4)
    assert result.answer is not None
    assert "burn-in" in result.detail


@pytest.mark.parametrize("utility", ["rouge1", "ucs"])
async def test_minimum_risk_takes_what_agrees_most_with_the_others(utility: str) -> None:
    texts = ["the cat sat", "the cat ran", "the cat sat down", "a dog"]
    task = Task.of("Write")
    model = ScriptedModel(replies=lambda request, number: texts[number % 4] if not request.prefix else "")
    result = await run(
        texts, dict.fromkeys(texts, 0.0), chains=4, steps=0, choose="mbr", utility=utility, task=task, model=model
    )
    assert result.text == ("the cat sat" if utility == "rouge1" else "the cat sat down")


async def test_without_any_reward_the_first_readable_answer_is_returned_and_said_so() -> None:
    result = await run(["12"], {}, steps=3)
    assert result.answer is not None
    assert "no proposal has a reward" in result.detail


async def test_states_without_an_answer_leave_the_last_one() -> None:
    result = await run(["nothing"], {"nothing": 1.0}, steps=2, sampling=Sampling(max_tokens=1))
    assert (result.answer, result.text) == (None, "nothing")
    assert "no state has a readable answer" in result.detail


async def test_diagnosis_is_in_the_trace() -> None:
    trace = Trace()
    await run(climbing, CLIMB, steps=5, trace=trace, **ALWAYS)
    (facts,) = [event.data for event in trace.events if event.kind == "chains"]
    assert facts.keys() == {"states", "acceptance_rate", "mean_cut", "effective_sample_size", "distinct_states"}
    assert facts["states"] == 6
    steps = [event.data for event in trace.events if event.kind == "chain"]
    assert all({"cut", "acceptance", "accepted", "reward"} <= step.keys() for step in steps)


async def test_votes_do_not_fall_where_the_reward_has_heavy_tails() -> None:
    """Card 02, check 8: the best of many finds what fools the reward; the chain's vote does not."""
    answers = {str(k): 1.0 for k in range(40)} | {"77": 30.0}  # 77 is right, and the model's favourite
    rewards = {answer: float(answer == "77") for answer in answers} | {"13": 1.6}  # 13 is wrong and fools the reward
    replies, sampling = weighted(answers), Sampling(max_tokens=1)
    best = await solve(
        TASK,
        model=ScriptedModel(replies=replies),
        method="best_of_n",
        verifier=Table(rewards),
        n=400,
        sampling=sampling,
    )
    chain = await run(replies, rewards, steps=400, sampling=sampling)
    assert (best.answer, chain.answer) == ("13", "77")


@pytest.mark.embedded
async def test_embedded_model_walks(embedded: Model) -> None:
    task = Task.of("Ann has 3 bags with 4 apples in each. How many apples are there?", answer="number")
    result = await solve(
        task, model=embedded, method="qalign", verifier="arithmetic", steps=8, sampling=Sampling(max_tokens=32), seed=2
    )
    assert result.chosen is not None
    assert result.usage["policy"].completion_tokens < 400
    assert all(c.usage.completion_tokens + c.metadata["cut"] <= 32 for c in result.candidates)


async def test_model_that_cannot_continue_a_prefix_is_refused() -> None:
    model = ScriptedModel(access=frozenset({Access.TEXT, Access.LOGPROBS}))
    with pytest.raises(AccessDenied, match="prefix"):
        await run([], {}, model=model)


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": -1},
        {"chains": 0},
        {"beta": 0.0},
        {"thin": 0},
        {"burn_in": 65},
        {"choose": "best"},
        {"utility": "bleu"},
    ],
)
async def test_settings_are_checked(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        await run(["1"], {}, **settings)
