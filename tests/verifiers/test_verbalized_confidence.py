"""Confidence in words as a verifier and as a stop rule: sources, calls, faults."""

from __future__ import annotations

from typing import Any

import pytest

from ponder import (
    Budget,
    Candidate,
    Context,
    Message,
    Meter,
    Request,
    Sampling,
    Score,
    ScriptedModel,
    Task,
    Trace,
    solve,
)
from ponder.core.access import Access
from ponder.core.errors import AccessDenied, ConfigError
from ponder.core.seeds import sample_seed
from ponder.verifiers.verbalized_confidence import VerbalizedConfidence

TASK = Task.of("How many?", answer="number")


def context(judge: ScriptedModel, budget: Budget | None = None) -> Context:
    return Context(models={"policy": ScriptedModel(), "judge": judge}, meter=Meter(budget), trace=Trace())


def texts(*given: str) -> list[Candidate]:
    return [Candidate(index=i, message=Message("assistant", text), finish="stop") for i, text in enumerate(given)]


async def scores(judge: ScriptedModel, *given: str, **settings: Any) -> list[Score]:
    found: list[Score] = await VerbalizedConfidence(**settings).score(TASK, texts(*given), context(judge))
    return found


async def test_reflection_asks_once_for_each_distinct_response_and_hides_its_thought() -> None:
    seen: list[str] = []

    def reply(request: Request, number: int) -> str:
        seen.append(request.messages[-1].text)
        assert request.sampling.temperature == 0
        return "Fine. <confidence>70%</confidence>"

    judge = ScriptedModel(replies=reply)
    found = await scores(judge, "<think>secret</think>It is 12", "7", "7")
    assert [score.value for score in found] == [0.7] * 3
    assert judge.calls == 2
    assert all("How many?" in prompt for prompt in seen)
    assert not any("secret" in prompt for prompt in seen)
    assert any("It is 12" in prompt for prompt in seen)


async def test_stated_reads_the_answer_and_asks_nobody() -> None:
    judge = ScriptedModel(replies=["<confidence>1%</confidence>"])
    given = ("12 <confidence>80%</confidence>", "12", "<confidence>sure</confidence>")
    found = await scores(judge, *given, source="stated")
    assert [score.value for score in found] == [0.8, None, None]
    assert all(score.reason for score in found)
    assert judge.calls == 0
    either = await scores(judge, *given, source="either")
    assert [score.value for score in either] == [0.8, 0.01, 0.01]
    assert judge.calls == 2
    (probability,) = await scores(judge, "<confidence>0.4</confidence>", source="stated", form="probability")
    assert probability.value == 0.4


async def test_what_cannot_be_read_is_missing_and_says_why() -> None:
    for reply, why in (("90% sure", "no confidence tag"), ("<confidence>many</confidence>", "no number")):
        (score,) = await scores(ScriptedModel(replies=[reply]), "12")
        assert score.value is None
        assert why in score.reason
    (cut,) = await scores(ScriptedModel(replies=["a b c <confidence>9%</confidence>"]), "12", max_tokens=2)
    assert "cut" in cut.reason
    (failed,) = await scores(ScriptedModel(fail_every=1), "12")
    assert failed.value is None
    broke = await VerbalizedConfidence().score(TASK, texts("12"), context(ScriptedModel(), Budget(tokens=1)))
    assert broke[0].value is None


async def test_a_begun_tag_is_filled_in_with_few_tokens() -> None:
    seen: list[Request] = []

    def reply(request: Request, number: int) -> str:
        seen.append(request)
        return "75% </confidence> and more"

    (score,) = await scores(ScriptedModel(replies=reply), "12", fill=True)
    assert score.value == 0.75
    law = seen[0].sampling
    assert (seen[0].prefix, law.stop, law.max_tokens) == ("<confidence>", ("</confidence>",), 8)
    blind = ScriptedModel(access=frozenset({Access.TEXT, Access.SEED}))
    with pytest.raises(AccessDenied):
        await scores(blind, "12", fill=True)


async def test_confidence_is_the_stop_rule_of_best_of_n() -> None:
    """The third answer is trusted enough: three answers and three reflections, whatever n is."""
    base = sample_seed(0, 0, "sample", TASK.id)
    policy = ScriptedModel(replies=lambda request, _: f"It is {(request.seed - base) % 97}")

    def judge(request: Request, number: int) -> str:
        return f"<confidence>{95 if 'It is 2' in request.messages[-1].text else 40}%</confidence>"

    critic = ScriptedModel(replies=judge)
    result = await solve(
        TASK,
        model=policy,
        roles={"judge": critic},
        method="best_of_n",
        verifier="verbalized_confidence",
        n=16,
        accept=0.9,
        ahead=1,
    )
    assert result.answer == "2"
    assert (policy.calls, critic.calls) == (3, 3)
    assert "accepted after 3 of 16" in result.detail
    never = await solve(
        TASK,
        model=policy,
        roles={"judge": ScriptedModel(replies=["<confidence>40%</confidence>"])},
        method="best_of_n",
        verifier="verbalized_confidence",
        n=4,
        accept=0.9,
    )
    assert len(never.candidates) == 4


@pytest.mark.parametrize("wrong", [{"source": "guess"}, {"form": "words"}, {"max_tokens": 0}, {"temperature": -1.0}])
def test_bad_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        VerbalizedConfidence(**wrong)


@pytest.mark.embedded
async def test_a_small_model_reflects_within_the_budget(embedded: Any) -> None:
    result = await solve(
        Task.of("What is 3 times 4?", answer="number"),
        model=embedded,
        method="best_of_n",
        verifier=VerbalizedConfidence(max_tokens=60),
        sampling=Sampling(temperature=0.8, max_tokens=30),
        n=2,
    )
    (used,) = (used for role, used in result.usage.items() if role == "judge")
    assert used.calls == len({candidate.text for candidate in result.candidates})
    for candidate in result.candidates:
        score = candidate.scores["verbalized_confidence"]
        assert (score.value is None and score.reason) or 0 <= (score.value or 0) <= 1
