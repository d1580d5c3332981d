"""The replay model: what was recorded comes back as it was, and what was not is refused."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from ponder.core.access import Access
from ponder.core.errors import BadInput, ConfigError, RequestRefused
from ponder.core.model import Completion, ModelInfo, Request, Sampling, Tokens
from ponder.core.solve import solve
from ponder.core.task import Message
from ponder.core.usage import Usage
from ponder.models.replay import Recorded, ReplayModel, facts_of, info_of, read_facts, read_pool, write_pool
from ponder.models.scripted import ScriptedModel
from ponder.models.shapes import with_shape
from ponder.numerics.cost_laws import Shape

ASK = (Message("user", "What is 2 + 2?"),)
SHAPE = Shape(active=1000, layers=2, heads=4, kv_heads=2, head_size=8, parameters=1200, hidden=32, vocabulary=100)


def recorded(index: int, text: str = "4", *, greedy: bool = False, tokens: Tokens | None = None, **more) -> Recorded:
    return Recorded(
        messages=ASK,
        index=index,
        greedy=greedy,
        completion=Completion(
            message=Message("assistant", text),
            finish="stop",
            usage=Usage(calls=1, prompt_tokens=5, completion_tokens=2),
            tokens=tokens,
            certainty=more.pop("certainty", (1.0, 2.0)),
        ),
        **more,
    )


def ask(**fields) -> Request:
    return Request(messages=ASK, **fields)


def folder(path: Path, *, facts: dict | None = None) -> Path:
    path.mkdir()
    lines = [json.dumps(recorded(at, str(at), problem="p").to_json(beside=True)) for at in range(3)]
    (path / "samples.jsonl").write_text("\n".join(lines) + "\n")
    task = {"id": "p", "messages": [message.to_json() for message in ASK], "answer": "number", "metadata": {}}
    (path / "problems.jsonl").write_text(
        json.dumps({"family": "f", "v": 1, "task": task, "reference": "4", "grader": None}) + "\n"
    )
    if facts is not None:
        (path / "pool.json").write_text(json.dumps({"v": 2, **facts}))
    return path


def test_a_file_round_trips(tmp_path: Path) -> None:
    records = [recorded(0, answer="4", group=0, grade=True, problem="p"), recorded(0, greedy=True, problem="p")]
    assert write_pool(tmp_path / "pool.jsonl", records) == 2
    assert read_pool(tmp_path / "pool.jsonl") == records


def test_samples_come_back_by_index_and_are_not_paid(tmp_path: Path) -> None:
    model = ReplayModel.from_spec(str(folder(tmp_path / "pool")))
    found = asyncio.run(model.generate(ask(n=2, index=1)))
    assert [completion.text for completion in found] == ["1", "2"]
    assert all(completion.sent == Usage() for completion in found)
    assert model.count(ask()).tokens == 5
    assert Access.LOGITS in model.access


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (ask(index=3), "holds 3 samples of this prompt, sample 3"),
        (ask(sampling=Sampling(temperature=0)), "holds 0 greedy answers"),
        (ask(sampling=Sampling(max_tokens=1)), "longer than max_tokens"),
    ],
)
def test_what_was_not_recorded_is_refused(tmp_path: Path, request_: Request, told: str) -> None:
    model = ReplayModel.from_spec(str(folder(tmp_path / "pool")))
    with pytest.raises(RequestRefused, match=told):
        asyncio.run(model.generate(request_))


def test_a_prompt_that_the_pool_does_not_know_is_an_error_of_whoever_asks(tmp_path: Path) -> None:
    model = ReplayModel.from_spec(str(folder(tmp_path / "pool")))
    for law in (Sampling(), Sampling(temperature=0)):
        with pytest.raises(ConfigError, match="no answer to the prompt that begins 'other'"):
            asyncio.run(model.generate(Request(messages=(Message("user", "other"),), sampling=law)))


def test_a_judge_that_was_not_recorded_is_refused_and_not_left_out(tmp_path: Path) -> None:
    model = ReplayModel.from_spec(str(folder(tmp_path / "pool")))
    with pytest.raises(ConfigError, match="needs a live model"):
        asyncio.run(solve(ASK, model=model, method="universal_self_consistency", n=2))
    judge = ScriptedModel(replies=["Response 1"])
    found = asyncio.run(solve(ASK, model=model, method="universal_self_consistency", n=2, roles={"judge": judge}))
    assert (found.chosen, found.detail) == (1, "")


def test_a_long_answer_is_cut_at_its_tokens() -> None:
    tokens = Tokens(ids=(1, 2), texts=("4", "!"), logprobs=(-0.1, -0.2))
    model = ReplayModel(pool=[recorded(0, "4!", tokens=tokens)])
    (found,) = asyncio.run(model.generate(ask(sampling=Sampling(max_tokens=1))))
    assert (found.text, found.finish) == ("4", "length")
    assert model.access >= {Access.LOGPROBS}
    assert Access.TOP_LOGPROBS not in model.access


def test_greedy_answers_with_less_do_not_take_access_from_the_samples() -> None:
    tokens = Tokens(ids=(1, 2), texts=("4", "!"), logprobs=(-0.1, -0.2), top=(((1, "4", -0.1),), ((2, "!", -0.2),)))
    model = ReplayModel(pool=[recorded(0, tokens=tokens), recorded(0, greedy=True, certainty=None)])
    assert model.access >= {Access.TOP_LOGPROBS, Access.LOGITS}
    greedy = Sampling(temperature=0)
    (found,) = asyncio.run(model.generate(ask(sampling=greedy)))
    assert found.text == "4"
    with pytest.raises(RequestRefused, match="no log-probabilities"):
        asyncio.run(model.generate(ask(sampling=greedy, logprobs=1)))


def test_the_model_of_the_pool_gives_prices_and_shape_but_not_its_name(tmp_path: Path) -> None:
    info = with_shape(ModelInfo(fingerprint="gguf:1", usd_per_prompt_token=1e-6, usd_per_completion_token=2e-6), SHAPE)
    assert info_of(facts_of(info)) == info
    facts = {"model": {"spec": "m", "name": "m", "info": facts_of(info)}}
    model = ReplayModel.from_spec(str(folder(tmp_path / "pool", facts=facts)))
    assert model.info.fingerprint.startswith("replay:")
    assert replace(model.info, fingerprint=info.fingerprint) == info
    priced = model.info.price(Usage(calls=1, prompt_tokens=5, completion_tokens=2))
    assert priced.usd == pytest.approx(9e-6)
    assert priced.flops == info.flops(5, 2) if info.flops else False


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "does not describe a pool"),
        ('{"v": 9}', "pool schema 9"),
        ('{"v": 2, "model": {"info": {"colour": 1}}}', "does not describe a model"),
        ('{"v": 2, "model": {}}', "does not describe a model"),
    ],
)
def test_broken_facts_are_refused(tmp_path: Path, text: str, told: str) -> None:
    pool = folder(tmp_path / "pool")
    (pool / "pool.json").write_text(text)
    with pytest.raises(BadInput, match=told):
        ReplayModel.from_spec(str(pool))


def test_a_file_has_no_facts(tmp_path: Path) -> None:
    write_pool(tmp_path / "pool.jsonl", [recorded(0)])
    assert read_facts(tmp_path / "pool.jsonl") == {}
    assert read_facts(tmp_path / "missing") == {}


@pytest.mark.parametrize("line", ["[]", '{"v": 3}', '{"v": 2}', "nonsense"])
def test_broken_lines_are_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "pool.jsonl"
    write_pool(file, [recorded(0)])
    with file.open("a") as out:
        out.write(line + "\n")
    with pytest.raises(BadInput, match=r"pool\.jsonl:2: "):
        read_pool(file)


def test_a_torn_last_line_is_left_out_and_a_later_line_counts(tmp_path: Path) -> None:
    file = tmp_path / "pool.jsonl"
    write_pool(file, [recorded(0, "old"), recorded(0, "new")])
    with file.open("a") as out:
        out.write('{"v": 2, "mess')
    assert [record.completion.text for record in read_pool(file)] == ["new"]
