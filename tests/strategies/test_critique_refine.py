"""Critique and refine: gates, votes and calls, and card 12's ways to check it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ponder import Budget, Message, Model, Request, Result, Sampling, ScriptedModel, Task, solve
from ponder.core.errors import ConfigError, ProviderError
from ponder.core.seeds import derive, sample_seed
from ponder.numerics.refinement import accuracy_after, calls_always
from ponder.verifiers.critique import Critique

TASK = Task.of("How many {x} $y?", answer="number")
CORRECT = "Step sentence: x\nCorrectness of the step: Correct\nCorrectness of the final answer: Correct"
WRONG = "Step sentence: x\nCorrectness of the step: Wrong\nCorrectness of the final answer: Wrong"
Reply = Callable[[Request, int], str | ProviderError]


def actor(first: list[str], rewritten: Reply) -> ScriptedModel:
    """Answers sample k with the k-th of `first`; rewrites by a function."""
    base = sample_seed(0, 0, "sample", TASK.id)

    def reply(request: Request, number: int) -> str | ProviderError:
        if len(request.messages) > 1:
            return rewritten(request, number)
        return first[(request.seed - base) % len(first)]

    return ScriptedModel(replies=reply)


async def run(policy: ScriptedModel, critic: str | Reply, **options: Any) -> Result:
    judge = ScriptedModel(replies=critic if callable(critic) else [critic], name="critic")
    task = options.pop("task", TASK)
    return await solve(task, model=policy, roles={"critic": judge}, method="critique_refine", **options)


def always(text: str) -> Reply:
    return lambda request, number: text


async def test_wrong_verdict_rewrites_with_the_solution_and_the_critique_in_the_chat() -> None:
    seen: list[tuple[Message, ...]] = []

    def rewrite(request: Request, number: int) -> str:
        seen.append(request.messages)
        assert request.sampling.temperature == 0
        return "It is 12"

    result = await run(actor(["It is 7"], rewrite), WRONG)
    assert result.answer == "12"
    ((question, solution, request),) = seen
    assert question == TASK.messages[0]
    assert solution == Message("assistant", "It is 7")
    assert request.text.endswith(WRONG + "\n")
    assert result.candidates[0].scores["critique"].value == 0.0


@pytest.mark.parametrize("collect", ["last", "all"])
@pytest.mark.parametrize("keep", [True, False])
async def test_critic_that_never_objects_leaves_the_plain_vote(collect: str, keep: bool) -> None:
    first = ["7", "12", "12", "7", "12"]
    options = {"samples": 5, "rounds": 2, "collect": collect, "keep_original": keep}
    result = await run(actor(first, always("3")), CORRECT, **options)
    vote = await solve(TASK, model=actor(first, always("3")), method="self_consistency", n=5)
    assert (result.answer, result.chosen) == (vote.answer, vote.chosen) == ("12", 1)
    assert (result.usage["policy"].calls, result.usage["critic"].calls) == (5, 5)


async def test_no_rounds_is_the_plain_vote_without_a_critic() -> None:
    result = await run(actor(["7", "12", "12"], always("3")), WRONG, samples=3, rounds=0)
    assert (result.answer, set(result.usage)) == ("12", {"policy"})


@pytest.mark.parametrize(("samples", "rounds"), [(1, 1), (5, 3), (2, 2)])
async def test_refining_everything_makes_the_calls_of_the_card(samples: int, rounds: int) -> None:
    result = await run(
        actor(["7"], always("12")), CORRECT, samples=samples, rounds=rounds, gate="always", collect="all"
    )
    assert result.cost.calls == calls_always(samples, rounds)


async def test_gated_calls_are_samples_critiques_and_objections() -> None:
    def critic(request: Request, number: int) -> str:
        return WRONG if "<solution>\n7" in request.messages[0].text else CORRECT

    result = await run(actor(["7", "12", "7"], always("12")), critic, samples=3, rounds=2)
    # Three samples, three critiques, two objections rewritten, and the two rewritings criticised in their turn.
    assert (result.usage["policy"].calls, result.usage["critic"].calls) == (3 + 2, 3 + 2)


@pytest.mark.parametrize(
    ("collect", "keep", "votes"),
    [("last", False, "3"), ("last", True, "1"), ("all", False, "2"), ("all", True, "1")],
)
async def test_pool_holds_what_the_settings_say(collect: str, keep: bool, votes: str) -> None:
    def rewrite(request: Request, number: int) -> str:
        return {"1": "2", "2": "3"}[request.messages[1].text]

    result = await run(actor(["1"], rewrite), WRONG, rounds=2, collect=collect, keep_original=keep)
    assert result.answer == votes  # the first of the pool, for all its answers differ


@pytest.mark.parametrize(
    ("critic", "gate"),
    [("I like it.", "verdict"), (ProviderError("down"), "verdict"), (ProviderError("down"), "always")],
)
async def test_critique_that_cannot_be_had_rewrites_nothing(critic: str | ProviderError, gate: str) -> None:
    result = await run(actor(["7"], always("12")), lambda request, number: critic, gate=gate)
    assert (result.answer, len(result.candidates)) == ("7", 1)
    assert result.candidates[0].scores["critique"].value is None


async def test_refining_everything_takes_unreadable_critiques_too() -> None:
    result = await run(actor(["7"], always("12")), "Hm.", gate="always")
    assert result.answer == "12"


async def test_wrong_step_alone_is_an_objection() -> None:
    mixed = WRONG.replace("final answer: Wrong", "final answer: Correct")
    result = await run(actor(["7"], always("12")), mixed)
    assert result.answer == "12"


async def test_failed_rewriting_leaves_the_solution_before_it() -> None:
    policy = actor(["7"], lambda request, number: ProviderError("down"))
    result = await run(policy, WRONG, rounds=2)
    assert (result.answer, result.stopped) == ("7", "done")


async def test_budget_spent_on_critiques_leaves_the_vote_over_what_there_is() -> None:
    result = await run(actor(["7", "12", "12"], always("3")), WRONG, samples=3, budget=Budget(calls=4))
    assert (result.answer, result.stopped) == ("12", "budget")


async def test_single_sample_is_greedy_and_several_are_not() -> None:
    temperatures: set[float] = set()

    def reply(request: Request, number: int) -> str:
        temperatures.add(request.sampling.temperature)
        return "7"

    await run(ScriptedModel(replies=reply), CORRECT)
    assert temperatures == {0.0}
    temperatures.clear()
    await run(ScriptedModel(replies=reply), CORRECT, samples=2)
    assert temperatures == {0.8}


async def test_equal_numbers_are_one_answer_and_the_first_wins_ties() -> None:
    assert (await run(actor(["7", "12", "12.0"], always("1")), CORRECT, samples=3)).answer == "12"
    assert (await run(actor(["7", "12"], always("1")), CORRECT, samples=2)).answer == "7"


async def test_perfect_critic_and_actor_are_right_after_one_round() -> None:
    def critic(request: Request, number: int) -> str:
        return CORRECT if "<solution>\n12" in request.messages[0].text else WRONG

    for seed in range(10):
        result = await run(ScriptedModel(replies=_world(0.5, fix=1.0, keep=1.0)), critic, seed=seed)
        assert result.answer == "12"


def _world(start: float, *, fix: float, keep: float) -> Reply:
    """An actor that is right (12) with `start`, and rewrites right to right with `keep`, wrong to right with `fix`."""

    def reply(request: Request, number: int) -> str:
        chance = start
        if len(request.messages) > 1:
            chance = keep if request.messages[-2].text == "12" else fix
        return "12" if derive(request.seed, "world").random() < chance else "7"

    return reply


@pytest.mark.parametrize(("gate", "rates"), [("verdict", {"detect": 0.8, "false_alarm": 0.1}), ("always", {})])
async def test_accuracy_by_round_is_that_of_the_markov_model(gate: str, rates: dict[str, float]) -> None:
    def critic(request: Request, number: int) -> str:
        right = "<solution>\n12" in request.messages[0].text
        alarm = derive(request.seed, "alarm").random() < (0.1 if right else 0.8)
        return WRONG if alarm else CORRECT

    # In one run, chains are as good as independent questions; only the last answer of each is looked at. An accepted
    # answer is not criticised again, where the model of the card draws a new verdict: so one round is compared.
    result = await run(ScriptedModel(replies=_world(0.5, fix=0.3, keep=0.6)), critic, samples=2000, rounds=1, gate=gate)
    last = {c.metadata["chain"]: c.answer for c in result.candidates}
    (wanted,) = accuracy_after(0.5, 1, fix=0.3, keep=0.6, **rates)
    assert sum(answer == "12" for answer in last.values()) / 2000 == pytest.approx(wanted, abs=0.04)


@pytest.mark.embedded
async def test_embedded_model_criticises_and_rewrites(embedded: Model) -> None:
    task = Task.of("Ann has 3 bags with 4 apples in each. How many apples are there?", answer="number")
    law = Sampling(max_tokens=48)
    result = await solve(
        task, model=embedded, method="critique_refine", samples=2, gate="always", critic_tokens=64, sampling=law
    )
    assert result.chosen is not None
    assert (result.usage["policy"].calls, result.usage["critic"].calls) == (4, 2)


async def test_verifier_and_method_ask_the_critic_the_same() -> None:
    prompts: list[str] = []

    def critic(request: Request, number: int) -> str:
        prompts.append(request.messages[0].text)
        return CORRECT

    await run(actor(["7"], always("1")), critic)
    judge = ScriptedModel(replies=critic, name="critic")
    await solve(
        TASK, model=actor(["7"], always("1")), roles={"critic": judge}, method="best_of_n", verifier=Critique(), n=1
    )
    assert prompts[0] == prompts[1]


@pytest.mark.parametrize(
    "settings",
    [{"samples": 0}, {"rounds": -1}, {"gate": "oracle"}, {"collect": "first"}, {"critic_tokens": 0}],
)
async def test_settings_are_checked(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        await run(ScriptedModel(), CORRECT, **settings)
