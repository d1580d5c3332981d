"""The provider: our half of it always, and a task evaluated by inspect-ai itself where that is installed."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ponder.core.errors import BadInput, BadReply, ConfigError, EndpointDown, MissingExtra, ProviderError
from ponder.core.model import ModelInfo, Request, Sampling
from ponder.core.result import total
from ponder.core.task import Message
from ponder.core.usage import Usage
from ponder.harness import inspect_provider
from ponder.harness.inspect_provider import Answerer, messages_of, provider, sampling_of, usage_of
from ponder.harness.method_model import MethodModel
from ponder.models.scripted import ScriptedModel

ROOT = Path(__file__).parents[2]
PROMPT = "What is 6 x 7?"


@pytest.fixture
def scripted(monkeypatch):
    """What `load` opens, by spelling; a spelling that is not there opens a model that gives the usual replies."""
    made: dict[str, ScriptedModel] = {}

    def load(spec: str, **options: Any) -> ScriptedModel:
        return made.setdefault(spec, ScriptedModel(replies=("40", "6 x 7 = 42", "41"), **options))

    monkeypatch.setattr(inspect_provider, "load", load)
    return made


def plan(**arguments: Any) -> MethodModel:
    return MethodModel.read("best_of_n@scripted:x", {"n": 3, "verifier": "arithmetic", "answer": "number", **arguments})


async def test_the_chosen_answer_comes_back_with_the_bill_of_all_calls(scripted):
    answerer = Answerer(plan())
    result = await answerer.answer((Message("user", PROMPT),), Sampling())
    assert result.text == "6 x 7 = 42"
    paid = total(result.paid)
    assert paid.calls == scripted["scripted:x"].calls == 3
    assert usage_of(result.paid)["total_tokens"] == paid.prompt_tokens + paid.completion_tokens
    await answerer.close()


async def test_equal_conversations_are_drawn_anew_and_others_are_not_moved_by_them(scripted):
    seeds: list[int] = []

    def reply(request: Request, number: int) -> str:
        seeds.append(request.seed)
        return "42"

    scripted["scripted:x"] = ScriptedModel(replies=reply)
    answerer = Answerer(MethodModel.read("greedy@scripted:x", {}))
    for text in ("a", "a", "b", "a"):
        await answerer.answer((Message("user", text),), Sampling(temperature=1.0))
    again = Answerer(MethodModel.read("greedy@scripted:x", {}))
    for text in ("b", "a", "a", "a"):
        await again.answer((Message("user", text),), Sampling(temperature=1.0))
    first, second = seeds[:4], seeds[4:]
    assert sorted(first) == sorted(second)
    assert (first[0], first[2]) == (second[1], second[0])
    assert len({first[0], first[1], first[3]}) == 3


async def test_a_judge_is_part_of_the_bill_and_stays_a_role_of_its_own(scripted):
    scripted["scripted:j"] = ScriptedModel(replies=("Score: 5",), info=ModelInfo(fingerprint="j"))
    judged = Answerer(MethodModel.read("best_of_n@scripted:x", {"n": 2, "verifier": "judge", "judge": "scripted:j"}))
    result = await judged.answer((Message("user", PROMPT),), Sampling())
    assert set(result.paid) == {"policy", "judge"}
    assert usage_of(result.paid)["total_tokens"] == sum(used.tokens for used in result.paid.values())


async def test_a_budget_is_a_wall(scripted):
    result = await Answerer(plan(budget="calls=2")).answer((Message("user", PROMPT),), Sampling())
    assert result.stopped == "budget"
    assert total(result.paid).calls == 2
    assert result.text == "6 x 7 = 42"


async def test_a_model_that_gives_nothing_is_a_failure_and_no_empty_answer(scripted):
    scripted["scripted:x"] = ScriptedModel(dies_after=0)
    with pytest.raises(EndpointDown):
        await Answerer(plan()).answer((Message("user", PROMPT),), Sampling())
    scripted["scripted:x"] = ScriptedModel(replies=(BadReply("what?"),))
    answerer = Answerer(plan())
    with pytest.raises(ProviderError, match="what"):
        await answerer.answer((Message("user", PROMPT),), Sampling())
    assert not +answerer._asked  # asked again, it is the same question


def test_a_second_event_loop_opens_its_own_models(scripted):
    answerer = Answerer(plan())
    for _ in range(2):
        assert asyncio.run(answerer.answer((Message("user", PROMPT),), Sampling())).text == "6 x 7 = 42"


async def test_a_store_pays_once(scripted, tmp_path):
    for calls in (3, 3):
        answerer = Answerer(plan(store=str(tmp_path / "store.sqlite")))
        result = await answerer.answer((Message("user", PROMPT),), Sampling())
        await answerer.close()
        assert scripted["scripted:x"].calls == calls
    assert total(result.paid).calls == 0
    assert total(result.usage).calls == 3


def test_a_configuration_becomes_the_law_of_the_samples():
    config = SimpleNamespace(temperature=0.0, top_p=0.5, top_k=None, max_tokens=9, stop_seqs=["END"], logprobs=False)
    assert sampling_of(config) == Sampling(temperature=0.0, top_p=0.5, max_tokens=9, stop=("END",))
    assert sampling_of(SimpleNamespace()) == Sampling()


@pytest.mark.parametrize(("name", "value"), [("logprobs", True), ("num_choices", 2), ("extra_body", {"a": 1})])
def test_what_no_method_passes_on_is_refused(name, value):
    with pytest.raises(ConfigError, match=name):
        sampling_of(SimpleNamespace(**{name: value}))


def test_a_conversation_is_taken_over():
    picture = "data:image/png;base64,aGk="
    call = SimpleNamespace(id="c1", function="f", arguments={"a": 1})
    chat = [
        SimpleNamespace(role="system", content="short"),
        SimpleNamespace(
            role="user",
            content=[SimpleNamespace(type="text", text="look"), SimpleNamespace(type="image", image=picture)],
        ),
        SimpleNamespace(role="assistant", content=[SimpleNamespace(type="reasoning")], tool_calls=[call]),
        SimpleNamespace(role="tool", content="7", tool_call_id="c1"),
    ]
    system, user, assistant, tool = messages_of(chat)
    assert (system.role, system.text) == ("system", "short")
    assert (user.text, user.images[0].data) == ("look", b"hi")
    assert assistant.text == ""
    assert assistant.tool_calls[0]["function"] == {"name": "f", "arguments": '{"a": 1}'}
    assert (tool.role, tool.tool_call_id) == ("tool", "c1")
    with pytest.raises(BadInput, match="audio"):
        messages_of([SimpleNamespace(role="user", content=[SimpleNamespace(type="audio")])])
    with pytest.raises(BadInput, match="neither data nor an address"):
        messages_of([SimpleNamespace(role="user", content=[SimpleNamespace(type="image", image="cat.png")])])


def test_cached_tokens_are_apart_as_inspect_counts_them():
    paid = {
        "policy": Usage(calls=2, prompt_tokens=10, cached_tokens=4, completion_tokens=6, thinking_tokens=2, usd=0.5),
        "judge": Usage(calls=1, prompt_tokens=5, completion_tokens=1, usd=0.25),
    }
    assert usage_of(paid) == {
        "input_tokens": 11,
        "output_tokens": 7,
        "total_tokens": 22,
        "input_tokens_cache_read": 4,
        "reasoning_tokens": 2,
        "total_cost": 0.75,
    }


def test_the_entry_point_names_this_module():
    points = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    assert importlib.import_module(points["inspect_ai"]["ponder"]) is inspect_provider


class Absent:
    """Finds no inspect-ai, wherever it is."""

    def find_spec(self, name: str, *rest: Any) -> None:
        if name == "inspect_ai":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def test_without_inspect_ai_the_install_line_is_said(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "inspect_ai"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    with pytest.raises(MissingExtra, match=r"pip install 'ponder\[inspect\]'"):
        provider()


needs_inspect = pytest.mark.skipif(
    importlib.util.find_spec("inspect_ai") is None,
    reason="exempt: inspect_ai not installed: pip install 'ponder[inspect]'",
)


@needs_inspect
@pytest.mark.filterwarnings("default")  # inspect-ai's own
def test_inspect_ai_evaluates_a_task_with_a_method(scripted, tmp_path):
    from inspect_ai import Task, eval
    from inspect_ai.dataset import Sample
    from inspect_ai.scorer import match

    task = Task(
        dataset=[Sample(input=PROMPT, target="42"), Sample(input="What is 5 x 8?", target="42")], scorer=match()
    )
    (log,) = eval(
        task,
        model="ponder/best_of_n@scripted:x",
        model_args={"n": 3, "verifier": "arithmetic", "answer": "number", "budget": "calls=30"},
        log_dir=str(tmp_path),
        display="none",
        epochs=2,
        max_tokens=50,
    )
    assert log.status == "success", log.error
    assert scripted["scripted:x"].calls == 2 * 2 * 3
    used = [len(call.prompt.split()) for call in scripted["scripted:x"].log]
    (stats,) = log.stats.model_usage.values()
    assert stats.input_tokens == sum(used)
    assert stats.total_tokens == stats.input_tokens + stats.output_tokens
    assert len(log.samples or ()) == 4
    for sample in log.samples or ():
        told = sample.output.metadata["ponder"]
        assert told["method"] == "best_of_n"
        assert told["candidates"] == told["paid"]["policy"]["calls"] == 3
        assert sample.output.usage.output_tokens == told["paid"]["policy"]["completion_tokens"]
        if sample.input == PROMPT:  # the verifier picked the one right answer of three
            assert sample.output.completion == "6 x 7 = 42"
            assert sample.scores["match"].value == "C"
    (event,) = [event for event in log.samples[0].events if event.event == "model"]
    assert len(event.call.response["candidates"]) == 3


@needs_inspect
@pytest.mark.filterwarnings("default")
def test_inspect_ai_is_told_what_cannot_work(scripted):
    from inspect_ai.model import get_model

    with pytest.raises(ConfigError, match="needs a verifier"):
        get_model("ponder/best_of_n@scripted:x", memoize=False)
    model = get_model("ponder/greedy@scripted:x", memoize=False)
    assert not model.api.should_retry(EndpointDown("gone"))
    assert model.api.should_retry(BadReply("what?"))
    tool = SimpleNamespace(name="f")
    with pytest.raises(ConfigError, match="without tools"):
        asyncio.run(model.api.generate([], [tool], "auto", model.config))
