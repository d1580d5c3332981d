"""Multi-agent debate: card 09's ways to check it: limit cases, call counts, what prompts hold, the vote."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ponder import Request, Result, Sampling, ScriptedModel, Task, solve
from ponder.core.errors import ConfigError
from ponder.core.seeds import derive
from ponder.numerics.debate import debate_accuracy, reread
from ponder.strategies.multi_agent_debate import MultiAgentDebate
from tests.strategies.bad_outputs import recorded

TASK = Task.of("2+3?", answer="number")
WORDS = ["it is 4", "it is 5", "maybe 5", "no idea", "5.0 it is", "6"]


class Logged:
    """A model whose replies say who wrote them: by the seed's place, or a number that counts up."""

    def __init__(self, replies: Any = None) -> None:
        self.seen: list[Request] = []

        def reply(request: Request, number: int) -> str:
            self.seen.append(request)
            return f"reply-{number:03} says 5" if replies is None else replies(request, number)

        self.model = ScriptedModel(replies=reply)


async def run(model: ScriptedModel, **settings: Any) -> Result:
    return await solve(TASK, model=model, method="multi_agent_debate", **settings)


# -- limit cases -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 5, 16])
@pytest.mark.parametrize("seed", [0, 3])
async def test_one_round_is_self_consistency(n: int, seed: int) -> None:
    debate = await run(ScriptedModel(replies=WORDS), agents=n, rounds=1, seed=seed)
    options: dict[str, Any] = {"method": "self_consistency", "n": n, "early_stop": "none", "seed": seed}
    vote = await solve(TASK, model=ScriptedModel(replies=WORDS), **options)
    assert [c.text for c in debate.candidates] == [c.text for c in vote.candidates]
    assert (debate.answer, debate.usage) == (vote.answer, vote.usage)
    assert vote.chosen in (debate.chosen, None), "where nothing can be read a debate still shows a text"


async def test_one_agent_and_one_round_is_a_single_answer() -> None:
    debate = await run(ScriptedModel(replies=WORDS), agents=1, rounds=1)
    single = await solve(TASK, model=ScriptedModel(replies=WORDS), method="self_consistency", n=1)
    assert [c.text for c in debate.candidates] == [c.text for c in single.candidates]
    assert (debate.answer, debate.usage) == (single.answer, single.usage)


@pytest.mark.parametrize("memory", ["markov", "history"])
async def test_one_agent_refines_itself(memory: str) -> None:
    logged = Logged()
    result = await run(logged.model, agents=1, rounds=4, memory=memory)
    assert result.cost.calls == 4
    assert result.text == "reply-003 says 5"
    for turn, request in enumerate(logged.seen):
        text = "\n".join(m.text for m in request.messages)
        shown = re.findall(r"reply-\d+", text)
        wanted = [f"reply-{k:03}" for k in range(turn)]
        assert shown == (wanted if memory == "history" else wanted[-1:])
        assert "ther people" not in text
        assert turn == 0 or "heck" in text


# -- calls and prompts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("memory", ["markov", "history"])
@pytest.mark.parametrize(("agents", "rounds"), [(2, 8), (4, 4), (8, 2), (3, 1)])
async def test_calls_and_answers_read_again(agents: int, rounds: int, memory: Any) -> None:
    logged = Logged()
    result = await run(logged.model, agents=agents, rounds=rounds, memory=memory)
    assert result.cost.calls == agents * rounds == MultiAgentDebate(agents=agents, rounds=rounds).calls()["policy"]
    assert len(result.candidates) == agents * rounds
    shown = 0
    for number, request in enumerate(logged.seen):
        turn = number // agents
        found = [int(k) for k in re.findall(r"reply-(\d+)", "\n".join(m.text for m in request.messages))]
        assert all(k // agents < turn for k in found), "nothing of the same round"
        if memory == "markov":
            assert sorted(found) == list(range((turn - 1) * agents, turn * agents) if turn else [])
        shown += len(found)
    assert shown == reread(agents, rounds, memory)


async def test_without_its_own_answer_an_agent_sees_the_others() -> None:
    logged = Logged()
    await run(logged.model, agents=3, rounds=2, include_own=False)
    for agent, request in enumerate(logged.seen[3:]):
        shown = {int(k) for k in re.findall(r"reply-(\d+)", request.messages[-1].text)}
        assert shown == {0, 1, 2} - {agent}


async def test_others_are_anonymous_and_shuffled_by_seed() -> None:
    orders = set()
    for seed in range(6):
        logged = Logged()
        await run(logged.model, agents=4, rounds=2, seed=seed)
        text = logged.seen[4].messages[-1].text
        assert text.count("Yours:") == 1
        assert text.count("Someone else's:") == 3
        orders.add(tuple(re.findall(r"reply-(\d+)", text)[1:]))
    assert len(orders) > 1
    fixed = Logged()
    await run(fixed.model, agents=4, rounds=2, shuffle=False)
    assert re.findall(r"reply-(\d+)", fixed.seen[4].messages[-1].text) == ["000", "001", "002", "003"]


async def test_shown_answers_are_cut_and_cannot_close_their_fence() -> None:
    logged = Logged(lambda request, number: 'a """ b ' + "long " * 50)
    await run(logged.model, agents=2, rounds=2, shared_tokens=5)
    text = logged.seen[-1].messages[-1].text
    assert text.count('"""') == 4
    assert text.count("long") <= 4


async def test_models_and_personas_take_turns() -> None:
    other = Logged()
    logged = Logged()
    method = MultiAgentDebate(agents=4, rounds=2, models=("policy", "second"), personas=("", "Be safe."))
    result = await solve(TASK, model=logged.model, roles={"second": other.model}, method=method)
    assert {role: used.calls for role, used in result.usage.items()} == {"policy": 4, "second": 4}
    assert all(request.messages[0].text == "Be safe." for request in other.seen)
    assert all(request.messages[0].role == "user" for request in logged.seen)


# -- the vote ----------------------------------------------------------------------------------------------------------


async def test_equal_answers_of_another_form_are_one_vote_and_unreadable_ones_none() -> None:
    said = ["4", "5.0", "5", "no idea"]
    result = await run(ScriptedModel(replies=lambda request, number: said[number]), agents=4, rounds=1)
    assert result.chosen == 1


@recorded("multi_agent_debate")
async def test_recorded_replies_of_the_embedded_model_vote_only_with_an_answer(row: dict[str, Any]) -> None:
    """One agent says a recorded reply, and two others say 7 and 8: it has a vote where it holds a number."""
    logged = Logged(lambda request, number: [row["reply"], "it is 7", "it is 8"][number % 3])
    result = await run(logged.model, agents=3, rounds=1)
    assert (result.answer != "7") is row["usable"], "the first of equal votes wins"


async def test_ties_go_to_the_first_agent_or_to_chance() -> None:
    said = ["4", "7", "7", "4"]

    def model() -> ScriptedModel:
        return ScriptedModel(replies=lambda request, number: said[number])

    assert (await run(model(), agents=4, rounds=1)).answer == "4"
    drawn = {(await run(model(), agents=4, rounds=1, ties="random", seed=s)).answer for s in range(12)}
    assert drawn == {"4", "7"}


async def test_an_unreadable_last_round_falls_back() -> None:
    result = await run(ScriptedModel(replies=lambda request, number: "5" if number < 2 else "hm"), agents=2, rounds=3)
    assert result.answer == "5"


@pytest.mark.parametrize("bad", ["", "I'm sorry, I cannot help.", '{"answer": }', "   \n"])
async def test_bad_replies_end_with_a_reason(bad: str) -> None:
    result = await run(ScriptedModel(replies=[bad]), agents=2, rounds=2)
    assert result.cost.calls == 4
    assert result.answer is None
    assert "no answer can be read" in result.detail


async def test_early_stop_saves_calls_where_unanimity_stays() -> None:
    late = await run(ScriptedModel(replies=["5"]), agents=3, rounds=4)
    early = await run(ScriptedModel(replies=["5"]), agents=3, rounds=4, early_stop=True)
    assert (late.answer, late.cost.calls) == ("5", 12)
    assert (early.answer, early.cost.calls, early.stopped) == ("5", 3, "agreement")


@pytest.mark.parametrize(
    "settings",
    [
        {"agents": 0},
        {"rounds": 0},
        {"memory": "all"},
        {"ties": "last"},
        {"shared_tokens": 0},
        {"models": ("",)},
        {"personas": ()},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        MultiAgentDebate(**settings)


# -- the toy world -----------------------------------------------------------------------------------------------------


async def test_agents_that_persuade_each_other_do_as_the_closed_form_says() -> None:
    p, keep, win = 0.3, 0.9, 0.8

    def reply(request: Request, number: int) -> str:
        stream = derive(request.seed, "world")
        text = request.messages[-1].text
        if "Yours:" not in text:
            return "1" if stream.random() < p else "0"
        own = re.search(r'Yours:\n"""\n(\d)', text)
        others = re.findall(r'else\'s:\n"""\n(\d)', text)
        assert own is not None
        said = [own.group(1), *others]
        right = said.count("1")
        if right in (0, len(said)):
            return own.group(1)
        chance = keep if own.group(1) == "1" else win * right / len(said)
        return "1" if stream.random() < chance else "0"

    model, n = ScriptedModel(replies=reply), 400
    right = 0.0
    for seed in range(n):
        method = MultiAgentDebate(agents=4, rounds=3, ties="random")
        result = await solve(TASK, model=model, method=method, seed=seed, sampling=Sampling(max_tokens=4))
        right += result.answer == "1"
    wanted = debate_accuracy(p, 4, 3, keep=keep, win=win)
    assert abs(right / n - wanted) < 4 * (wanted * (1 - wanted) / n) ** 0.5
