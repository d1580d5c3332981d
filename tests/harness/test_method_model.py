from __future__ import annotations

import pytest

from ponder.core.budget import Budget
from ponder.core.errors import ConfigError, UnknownName
from ponder.harness.method_model import MethodModel


def test_a_name_and_its_arguments_are_read():
    found = MethodModel.read(
        "best_of_n@openai:gpt-x",
        {
            "n": 3,
            "weighted": "true",
            "verifier": "arithmetic",
            "judge": "openai:judge",
            "budget": "tokens=400,calls=3",
            "answer": "number",
            "store": "answers.sqlite",
            "model_base_url": "http://127.0.0.1/v1",
        },
    )
    assert found == MethodModel(
        method="best_of_n",
        model="openai:gpt-x",
        settings={"n": 3, "weighted": True},
        options={"base_url": "http://127.0.0.1/v1"},
        verifier="arithmetic",
        roles={"judge": "openai:judge"},
        budget=Budget(tokens=400, calls=3),
        answer="number",
        store="answers.sqlite",
    )


def test_embedded_is_the_small_model():
    assert MethodModel.read("greedy@embedded", {}).model == "embedded:smollm2"
    assert MethodModel.read("greedy@llamacpp:a@b", {}).model == "llamacpp:a@b"


@pytest.mark.parametrize("budget", ["tokens=400,calls=3", ["tokens=400", "calls=3"], {"tokens": 400, "calls": 3}])
def test_a_budget_is_read_in_every_form_that_a_harness_makes_of_it(budget):
    assert MethodModel.read("greedy@embedded", {"budget": budget}).budget == Budget(tokens=400, calls=3)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("best_of_n", {}, "write METHOD@MODEL"),
        ("@embedded", {}, "write METHOD@MODEL"),
        ("best_of_n@", {}, "write METHOD@MODEL"),
        ("best_of_m@embedded", {}, "best_of_n"),
        ("best_of_n@embedded", {}, "needs a verifier"),
        ("greedy@embedded", {"k": 3}, "no setting 'k'"),
        ("greedy@embedded", {"k": "3"}, "no setting 'k'"),
        ("best_of_n@embedded", {"verifier": "arithmetics"}, "arithmetic"),
        ("best_of_n@embedded", {"n": 0, "verifier": "arithmetic"}, "at least 1"),
        ("self_consistency@embedded", {"verifier_k": 1}, "verifier=NAME"),
        ("greedy@embedded", {"answer": "numbers"}, "number"),
        ("greedy@embedded", {"budget": "tokens"}, "tokens"),
    ],
)
def test_what_cannot_work_is_refused_before_a_model_is_opened(name, arguments, message):
    with pytest.raises(ConfigError, match=message):
        MethodModel.read(name, arguments)


def test_an_unknown_method_is_an_unknown_name():
    with pytest.raises(UnknownName):
        MethodModel.read("nothing@embedded", {})
