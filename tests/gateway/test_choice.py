"""Which method answers: every spelling, and what is refused with a hint."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ponder.core import registry
from ponder.core.access import Access
from ponder.gateway.choice import Chooser, converted
from ponder.gateway.errors import ApiError
from ponder.gateway.keys import ANYONE
from ponder.gateway.settings import Key, RequestRules, Settings, Upstream
from ponder.gateway.upstreams import Lines
from ponder.models.scripted import ScriptedModel


def chooser(*names: str, model: ScriptedModel | None = None, **more: Any) -> Chooser:
    settings = Settings(upstreams=tuple(Upstream(name=name, spec="scripted:x") for name in names or ("qwen",)), **more)
    lines = asyncio.run(Lines.open(settings, opener=lambda _: model or ScriptedModel()))
    return Chooser(settings, lines)


@pytest.fixture(scope="module")
def one() -> Chooser:
    return chooser("qwen")


@pytest.mark.parametrize(
    ("model", "wanted", "plan"),
    [
        ("qwen", {}, "auto@qwen"),
        ("single@qwen", {}, "single@qwen"),
        ("greedy@qwen", {}, "greedy@qwen"),
        ("greedy", {}, "greedy@qwen"),
        ("qwen", {"method": "self_consistency", "params": {"n": 3}}, "self_consistency@qwen"),
        ("best_of_n@qwen", {"method": "best_of_n", "verifier": "judge"}, "best_of_n@qwen"),
        ("best_of_n@qwen", {"verifier": {"name": "judge", "params": {"max_tokens": 5}}}, "best_of_n@qwen"),
    ],
)
def test_spellings(one: Chooser, model: str, wanted: dict[str, Any], plan: str) -> None:
    assert one.plan(model, wanted, key=ANYONE).model == plan


@pytest.mark.parametrize(
    ("model", "wanted", "said", "param"),
    [
        ("qwem", {}, "Did you mean 'qwen'", "model"),
        ("self_consistancy@qwen", {}, "Did you mean 'self_consistency'", "model"),
        ("greedy@qwem", {}, "Did you mean 'qwen'", "model"),
        ("greedy@qwen", {"method": "auto"}, "says 'greedy'", "ponder.method"),
        ("qwen", {"method": "gredy"}, "Did you mean 'greedy'", "ponder.method"),
        ("best_of_n@qwen", {}, "needs a verifier", "ponder.verifier"),
        ("best_of_n@qwen", {"verifier": "juge"}, "Did you mean 'judge'", "ponder.verifier"),
        ("best_of_n@qwen", {"verifier": "judge", "params": {"nn": 4}}, "Did you mean", "ponder.params.nn"),
        ("best_of_n@qwen", {"verifier": "judge", "params": {"n": "4"}}, "cannot be '4'", "ponder.params.n"),
        ("best_of_n@qwen", {"verifier": "judge", "params": {"n": 2.5}}, "cannot be", "ponder.params.n"),
        ("best_of_n@qwen", {"verifier": "judge", "params": {"n": True}}, "cannot be", "ponder.params.n"),
        ("best_of_n@qwen", {"verifier": "judge", "params": {"n": 0}}, "at least 1", "ponder.params"),
        ("best_of_n@qwen", {"verifier": "judge", "params": {"n": 65}}, "more than the 64", "ponder.params.n"),
        ("self_consistency@qwen", {"params": {"early_stop": "never"}}, "cannot be 'never'", "ponder.params.early_stop"),
        ("auto@qwen", {"params": {"policy": "/etc/passwd"}}, "set by whoever runs", "ponder.params"),
        ("auto@qwen", {"policy": "default"}, "no policy", "ponder.policy"),
        ("greedy@qwen", {"policy": "none"}, "goes with the method auto", "ponder.policy"),
        (
            "best_of_n@qwen",
            {"verifier": {"name": "unit_tests", "params": {"confinement": "unconfined"}}},
            "set by whoever runs",
            "ponder.verifier.params",
        ),
        ("single@qwen", {"params": {"n": 2}}, "takes no params", "ponder.params"),
    ],
)
def test_refusals_say_what_to_do(one: Chooser, model: str, wanted: dict[str, Any], said: str, param: str) -> None:
    with pytest.raises(ApiError, match=said.replace("(", "\\(")) as caught:
        one.plan(model, wanted, key=ANYONE)
    assert (caught.value.status, caught.value.param) == (400, param)


def test_missing_access_is_named_with_what_would_do() -> None:
    narrow = chooser("qwen", model=ScriptedModel(access=frozenset({Access.TEXT})))
    with pytest.raises(ApiError, match=r"needs logits.*back-ends that would do") as caught:
        narrow.plan("self_certainty@qwen", None, key=ANYONE)
    assert (caught.value.status, caught.value.code) == (400, "access_denied")
    usable = {usable.id for usable in narrow.usable()}
    assert "self_certainty@qwen" not in usable
    assert "beam_search@qwen" not in usable  # it continues a prefix
    assert {"qwen", "single@qwen", "greedy@qwen"} <= usable


def test_a_method_alone_needs_one_model() -> None:
    with pytest.raises(ApiError, match="on which model"):
        chooser("a", "b").plan("greedy", None, key=ANYONE)


def test_a_judge_in_the_house_is_the_verifier_of_those_that_need_one() -> None:
    judged = chooser("qwen", roles={"judge": "qwen"})
    plan = judged.plan("best_of_n@qwen", None, key=ANYONE)
    assert plan.verifier_name == "judge"
    assert judged.plan("greedy@qwen", None, key=ANYONE).verifier is None
    needs = {usable.id: usable.needs for usable in judged.usable()}
    assert needs["best_of_n@qwen"] == ()
    assert {u.id: u.needs for u in chooser().usable()}["best_of_n@qwen"] == ("verifier",)


def test_keys_may_be_kept_to_some_methods_and_models() -> None:
    both = chooser("a", "b")
    key = Key(name="k", hash="sha256:" + "0" * 64, methods=("greedy",), models=("a",))
    assert both.plan("greedy@a", None, key=key).name == "greedy"
    for model in ("greedy@b", "single@a", "a"):
        with pytest.raises(ApiError, match="this key may not use") as caught:
            both.plan(model, None, key=key)
        assert caught.value.status == 403


def test_tools_take_the_pass_through_unless_another_is_named(one: Chooser) -> None:
    assert one.plan("qwen", None, key=ANYONE, bare=True).single
    assert one.plan("greedy@qwen", None, key=ANYONE, bare=True).name == "greedy"


def test_plans_without_settings_are_made_once(one: Chooser) -> None:
    assert one.plan("greedy@qwen", None, key=ANYONE) is one.plan("greedy@qwen", None, key=ANYONE)
    assert one.plan("greedy@qwen", None, key=ANYONE) is not one.plan("greedy@qwen", {"policy": None}, key=ANYONE)


def test_a_name_with_an_at_sign_is_a_model_first() -> None:
    assert chooser("greedy@home").plan("greedy@home", None, key=ANYONE).model == "auto@greedy@home"
    assert chooser("a@b").plan("greedy@a@b", None, key=ANYONE).model == "greedy@a@b"


def test_candidates_have_a_limit_of_the_house() -> None:
    tight = chooser(request=RequestRules(max_candidates=3))
    with pytest.raises(ApiError, match="more than the 3"):
        tight.plan("single@qwen", None, key=ANYONE, n=4)
    with pytest.raises(ApiError, match="more than the 3"):
        tight.plan("self_consistency@qwen", None, key=ANYONE)


@pytest.mark.parametrize("kind", ["strategies", "verifiers"])
def test_no_setting_that_names_files_or_the_sandbox_is_a_clients(kind: str) -> None:
    """A new component with such a setting must be added to those of `choice.closed`."""
    suspicious = ("path", "file", "directory", "checkpoint", "confine", "package", "device", "url", "command", "host")
    for entry in getattr(registry, kind).entries():
        for name in _names(entry):
            if any(word in name.lower() for word in suspicious):
                with pytest.raises(ApiError):
                    converted(entry, {name: "x"}, where="here")


@pytest.mark.parametrize(
    ("method", "values", "fits"),
    [
        ("sleep_time", {"keep": "/tmp/x.db"}, False),
        ("sleep_time", {"keep": ""}, False),
        ("thought_mani", {"keep": 0.25}, True),  # a share
        ("agent_graph", {"graph": "/etc/passwd"}, False),
        ("agent_graph", {"graph": " x.json"}, False),
        ("agent_graph", {"graph": '{"v": 1}'}, True),  # what stands in such a file
        ("agent_graph", {"graph": ""}, True),
    ],
)
def test_files_are_named_by_whoever_runs_the_gateway(method: str, values: dict[str, Any], fits: bool) -> None:
    entry = registry.strategies.get(method)
    if fits:
        assert converted(entry, values, where="here") == values
    else:
        with pytest.raises(ApiError) as caught:
            converted(entry, values, where="here")
        assert caught.value.code == "forbidden_setting"


def _names(entry: registry.Entry) -> list[str]:
    import dataclasses

    return [field.name for field in dataclasses.fields(entry.cls)] if dataclasses.is_dataclass(entry.cls) else []
