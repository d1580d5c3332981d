"""The study of sleeps: costs shared by the questions of a context, in a world where notes hold the answers."""

from __future__ import annotations

import pytest

from ponder import Access, Completion, Request, Sampling, ScriptedModel
from ponder.bench.studies.recording import record
from ponder.bench.studies.sleep import context_of, predictabilities, sleep, sleep_turns
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Tokens
from ponder.core.task import Message
from ponder.core.usage import Usage
from ponder.numerics.intervals import wilson
from ponder.numerics.paired import paired_score_interval
from ponder.tasks.stateful import Stateful

PROBLEMS = Stateful(questions=5).generate(10, 0)
ANSWERS = {p.task.prompt: p.reference for p in PROBLEMS}


def policy(request: Request, number: int) -> str:
    """Right with notes; wrong, and at length, without."""
    text = "\n".join(m.text for m in request.messages)
    if "Situation:" in text:
        return "one two three four five six seven eight nine ten\nDONE"
    answer = next(answer for prompt, answer in ANSWERS.items() if prompt in text)
    return str(answer) if "Notes that were made" in text else "let me see this is hard to say 0"


async def test_costs_are_those_of_the_formula() -> None:
    model = ScriptedModel(replies=policy)
    turns = sleep_turns(model, verbosities=(0,), rounds=3)
    done = await record(PROBLEMS, turns, family="stateful", sampling=Sampling(max_tokens=50))
    found = sleep(done.rows, price=10).data["levels"]["0"]
    base, slept = found["base"], found["slept"]
    assert (base["accuracy"]["value"], slept["accuracy"]["value"]) == (0, 1)
    assert (base["asked_written"], slept["asked_written"]) == (9, 1)
    assert slept["slept_written"] == 10
    assert base["cost_written"] == 90
    assert slept["cost_written"] == pytest.approx((10 + 10 * 5) / 5)
    assert found["break_even"] == pytest.approx(10 / (10 * 8))
    assert found["gain"]["value"] == 1
    sent = [c for c in model.log if "Situation:" in c.prompt]
    assert len(sent) == 2, "one sleep for each context"


class Scoring(ScriptedModel):
    """Gives each word a log-probability of -1, and every second question one of -2."""

    async def score(self, request: Request, text: str) -> Completion:
        words = text.split()
        value = -1.0 if len(words) % 2 else -2.0
        tokens = Tokens(ids=tuple(range(len(words))), texts=tuple(words), logprobs=(value,) * len(words))
        usage = Usage(calls=1, prompt_tokens=len(words))
        return Completion(message=Message("assistant", text), finish="stop", usage=usage, tokens=tokens)


async def test_answers_that_all_fare_alike_leave_doubt() -> None:
    model = ScriptedModel(replies=policy)
    done = await record(PROBLEMS, sleep_turns(model, verbosities=(0,)), family="stateful", sampling=Sampling())
    found = sleep(done.rows).data["levels"]["0"]
    n = len(PROBLEMS)
    assert found["n"] == n
    assert found["slept"]["accuracy"]["low"] == pytest.approx(wilson(n, n).low)
    assert found["base"]["accuracy"]["high"] == pytest.approx(wilson(0, n).high)
    assert found["gain"]["low"] == pytest.approx(paired_score_interval(n, 0, n).low)


async def test_gain_by_predictability() -> None:
    model = ScriptedModel(replies=policy)
    done = await record(PROBLEMS, sleep_turns(model, verbosities=(0,)), family="stateful", sampling=Sampling())
    scorer = Scoring(access=frozenset({Access.TEXT, Access.SCORE}))
    predicted = await predictabilities(PROBLEMS, scorer)
    assert set(predicted.values()) <= {-1.0, -2.0}
    study = sleep(done.rows, predicted=predicted)
    assert study.data["levels"]["0"]["gain_by_prediction"] == [1.0] * 5


def test_rows_and_settings_that_are_of_no_use() -> None:
    with pytest.raises(BadInput):
        sleep([])
    with pytest.raises(ConfigError):
        sleep_turns(ScriptedModel(), verbosities=())
    assert context_of("a/b/3") == "a/b"
    assert context_of("alone") == "alone"
