"""The chain over answers: exact law on a model whose answers can be listed, and what becomes of calls that fail."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from ponder import (
    Budget,
    Candidate,
    Completion,
    Context,
    Message,
    Meter,
    Model,
    Request,
    Sampling,
    Score,
    ScriptedModel,
    Task,
)
from ponder.core.errors import ProviderError
from ponder.core.model import Tokens
from ponder.core.seeds import derive
from ponder.core.trace import Trace
from ponder.core.usage import Usage
from ponder.engines.chain import Chains, run_chains
from ponder.engines.chain import Law as Target
from tests.numerics.enumerable_law import Law, mean, read_law, target, total_variation
from tests.parity.cases import folders

TASK = Task.of("spell")
LETTERS = "abcdefghij"
Reward = Callable[[str], float | None]


@dataclass(frozen=True)
class Rewarding:
    """Rewards a text by a function."""

    reward: Reward

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
        return [Score(value=self.reward(c.text), reason="by function") for c in candidates]


def toy() -> tuple[Law, float, int]:
    """The card's toy: tokens a and b, and the end of text, which is forced at the fourth place."""
    given = json.loads((folders("02")[0] / "cases.json").read_text(encoding="utf-8"))["cases"][0]["inputs"]
    return read_law(given), given["beta"], given["max_len"]


def spelling(law: Law, reply: Completion | None = None) -> Callable[[Request, int], Completion]:
    """A model that samples from the law, letter by letter, after the prefix that it is given."""
    eos = len(law.next_token(())) - 1

    def write(request: Request, number: int) -> Completion:
        rng = derive(request.seed, "spell")
        tokens = [LETTERS.index(letter) for letter in request.prefix]
        written: list[int] = []
        while len(written) < request.sampling.max_tokens:
            (token,) = rng.choices(range(eos + 1), law.next_token((*tokens, *written)))
            written.append(token)
            if token == eos:
                break
        return completion(written, eos)

    return write


def completion(written: Sequence[int], eos: int = 99) -> Completion:
    """As back-ends report: the end of text is a token without text."""
    texts = tuple("" if token == eos else LETTERS[token] for token in written)
    return Completion(
        message=Message("assistant", "".join(texts)),
        finish="stop" if eos in written else "length",
        usage=Usage(calls=1, prompt_tokens=1, completion_tokens=len(written)),
        tokens=Tokens(ids=tuple(written), texts=texts),
    )


def counting(request: Request, number: int) -> Completion:
    """Goes on with a, b, c after the prefix, as far as it may."""
    return completion([0, 1, 2][len(request.prefix) :][: request.sampling.max_tokens])


async def walk(model: ScriptedModel, reward: Reward, *, budget: Budget | None = None, **options: Any) -> Chains:
    sampling = Sampling(temperature=1.0, top_p=1.0, max_tokens=options.pop("max_tokens", 3))
    ctx = Context(
        models={"policy": model},
        meter=Meter(budget),
        trace=Trace(),
        sampling=sampling,
        verifier=Rewarding(reward),
        verifier_name="reward",
        method="test",
        seed=options.pop("seed", 0),
    )
    options = {"chains": 1, "steps": 4, "law": Target(beta=1.0), **options}
    found = await run_chains(TASK, ctx, **options)
    assert ctx.meter.in_flight == 0
    return found


def texts(found: Chains, chain: int = 0) -> list[str]:
    return [found.candidates[index].text for index in found.states[chain]]


@pytest.mark.slow
async def test_chain_reaches_the_exact_law_of_the_toy() -> None:
    law, beta, places = toy()
    model = ScriptedModel(replies=spelling(law))
    found = await walk(
        model, lambda text: float(text.count("a")), chains=8, steps=4000, law=Target(beta=beta), max_tokens=places - 1
    )
    names = ["".join(LETTERS[token] for token in answer[:-1]) for answer in law.answers]
    held = [text for chain in range(8) for text in texts(found, chain)[50:]]
    frequencies = [held.count(name) / len(held) for name in names]
    wanted = target(law, beta)
    assert total_variation(frequencies, wanted) < 0.02
    assert abs(mean(frequencies, law.reward) - mean(wanted, law.reward)) < 0.05
    assert 0.2 < found.accepted / found.proposed < 0.9


async def test_large_beta_leaves_the_model_as_it_is() -> None:
    law, _, places = toy()
    model = ScriptedModel(replies=spelling(law))
    found = await walk(
        model, lambda text: float(len(text)), chains=8, steps=600, law=Target(beta=1e9), max_tokens=places - 1
    )
    names = ["".join(LETTERS[token] for token in answer[:-1]) for answer in law.answers]
    held = [text for chain in range(8) for text in texts(found, chain)]
    assert total_variation([held.count(name) / len(held) for name in names], law.base) < 0.04


async def test_proposal_keeps_the_tokens_before_the_cut_and_is_a_whole_answer() -> None:
    asked: list[Request] = []

    def write(request: Request, number: int) -> Completion:
        asked.append(request)
        return completion([*range(number, number + 3), 99])

    found = await walk(ScriptedModel(replies=write), lambda text: 0.0, steps=5, max_tokens=9)
    for request, candidate in zip(asked, found.candidates, strict=True):
        cut = candidate.metadata["cut"]
        assert candidate.text.startswith(request.prefix)
        assert len(request.prefix) == cut
        assert request.sampling.max_tokens == 9 - cut
        assert candidate.completion is not None
        assert candidate.completion.tokens is not None
        assert "".join(candidate.completion.tokens.texts) == candidate.text


async def test_refused_proposals_repeat_the_old_state() -> None:
    model = ScriptedModel(replies=lambda request, number: completion([min(number, 1), 99]))
    found = await walk(model, lambda text: 1.0 if text == "a" else -1000.0, steps=6, law=Target(beta=0.1))
    assert texts(found) == ["a"] * 7
    assert (found.accepted, found.proposed) == (0, 6)
    assert found.rewards[0] == (1.0,) * 7


async def test_each_text_is_rewarded_once() -> None:
    seen: list[str] = []

    def reward(text: str) -> float:
        seen.append(text)
        return 0.0

    law, _, places = toy()
    await walk(ScriptedModel(replies=spelling(law)), reward, chains=4, steps=50, max_tokens=places - 1)
    assert len(seen) == len(set(seen))


async def test_proposal_without_a_reward_is_refused_and_a_start_without_one_begins_afresh() -> None:
    model = ScriptedModel(replies=lambda request, number: completion([min(number, 2), 99]))
    found = await walk(model, lambda text: {"a": None, "b": None, "c": 1.0}.get(text), steps=3)
    assert [c.metadata["cut"] for c in found.candidates[:3]] == [0, 0, 0]
    assert texts(found)[0] == "c"
    assert found.candidates[0].scores["reward"].value is None


async def test_failed_calls_repeat_the_state_and_are_kept() -> None:
    def write(request: Request, number: int) -> Completion | ProviderError:
        return ProviderError("down") if number % 2 else completion([0, 99])

    found = await walk(ScriptedModel(replies=write), lambda text: 0.0, steps=5)
    assert len(found.states[0]) == 6
    assert [c.ok for c in found.candidates] == [True, False] * 3


async def test_nothing_but_failures_is_a_failure() -> None:
    with pytest.raises(ProviderError, match="all 5 calls failed"):
        await walk(ScriptedModel(fail_every=1), lambda text: 0.0)


async def test_answer_cut_by_the_budget_is_no_state() -> None:
    model = ScriptedModel(replies=counting)
    found = await walk(model, lambda text: 0.0, steps=9, budget=Budget(completion_tokens=5), max_tokens=3)
    assert set(texts(found)) == {"abc"}
    assert found.stopped == "budget"
    assert "states" in found.detail


async def test_answer_cut_by_the_total_cap_is_a_state_of_one_more_token() -> None:
    """It ends in a forced end of text, which can be cut off too, and then comes back without a call."""
    model = ScriptedModel(replies=counting)
    found = await walk(model, lambda text: 0.0, steps=40, max_tokens=3)
    assert {c.metadata["cut"] for c in found.candidates} == {0, 1, 2}
    assert len(found.candidates) < 41 == len(found.states[0])
    assert all(len(text) == 3 for text in texts(found))


async def test_cuts_never_split_a_character() -> None:
    """A token without text belongs to the character that a later token completes."""
    tokens = Tokens(ids=(1, 2, 3, 9), texts=("", "é", "x", ""))
    reply = Completion(message=Message("assistant", "éx"), finish="stop", usage=Usage(calls=1), tokens=tokens)
    asked: list[str] = []

    def write(request: Request, number: int) -> Completion:
        asked.append(request.prefix)
        return reply if not request.prefix else completion([99])

    await walk(ScriptedModel(replies=write), lambda text: 0.0, steps=30, max_tokens=9)
    assert set(asked) <= {"", "é", "éx"}
    assert len(set(asked)) > 1


async def test_chains_are_independent_and_in_the_order_of_their_numbers_whatever_comes_back_first() -> None:
    law, _, places = toy()
    options: dict[str, Any] = {"chains": 3, "steps": 10, "max_tokens": places - 1, "budget": Budget(calls=20)}
    quick = await walk(ScriptedModel(replies=spelling(law)), lambda text: float(len(text)), **options)
    slow = await walk(
        ScriptedModel(replies=spelling(law), latency=(0.0, 0.005)), lambda text: float(len(text)), **options
    )
    assert quick == slow
    assert len({tuple(texts(quick, chain)) for chain in range(3)}) > 1


@pytest.mark.embedded
async def test_greedy_continuation_of_its_own_prefix_writes_the_same_answer(embedded: Model) -> None:
    """The prefix is continued exactly: no blank is added, no header comes between."""
    task = Task.of("Ann has 3 bags with 4 apples in each. How many apples are there?")
    ctx = Context(
        models={"policy": embedded},
        meter=Meter(None),
        trace=Trace(),
        sampling=Sampling(temperature=0.0, max_tokens=24),
        verifier=Rewarding(lambda text: 0.0),
        verifier_name="reward",
        method="test",
    )
    found = await run_chains(task, ctx, chains=1, steps=10, law=Target(beta=1.0))
    assert len({c.metadata["cut"] for c in found.candidates}) > 3
    assert len({c.text for c in found.candidates}) == 1


async def test_a_chain_without_token_texts_has_no_state() -> None:
    bare = Completion(message=Message("assistant", "ab"), finish="stop", usage=Usage(calls=1))
    found = await walk(ScriptedModel(replies=lambda request, number: bare), lambda text: 0.0)
    assert found.states == ((),)
    assert len(found.candidates) == 5
