"""Every level of access that a back-end declares is used on the real thing: the cells of docs/access.md."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import ponder
import ponder.core.registry
from ponder import Access, Message, Model, ReplayModel, Request, Sampling, ScriptedModel
from ponder.core.errors import PonderError
from ponder.core.model import Embedder, Scorer
from ponder.models.replay import Recorded

ASK = (Message("user", "Name a colour."),)
GREEDY = Sampling(temperature=0.0, top_p=1.0, max_tokens=6)
SHORT = Sampling(max_tokens=6)


def ask(**fields: Any) -> Request:
    return Request(**{"messages": ASK, "sampling": SHORT, **fields})


async def text(model: Any) -> bool:
    (done,) = await model.generate(ask())
    return bool(done.text)


async def prefix(model: Any) -> bool:
    (whole,) = await model.generate(ask(messages=(), prompt="one two three", sampling=GREEDY))
    (split,) = await model.generate(ask(messages=(), prompt="one two", prefix=" three", sampling=GREEDY))
    (chat,) = await model.generate(ask(prefix="The colour is"))
    return whole.text == split.text and "The colour is" not in chat.text


async def logprobs(model: Any) -> bool:
    (done,) = await model.generate(ask(logprobs=0))
    values = done.tokens.logprobs
    return len(values) == len(done.tokens.ids) and all(value <= 1e-6 for value in values)


async def top_logprobs(model: Any) -> bool:
    (done,) = await model.generate(ask(logprobs=3))
    tokens = done.tokens
    return all(
        1 <= len(top) <= 3 and top[0][2] == max(p for _, _, p in top) and top[0][2] >= own - 1e-4
        for top, own in zip(tokens.top, tokens.logprobs, strict=True)
    )


async def logits(model: Any) -> bool:
    (done,) = await model.generate(ask(certainty=True))
    return len(done.certainty) == done.usage.completion_tokens and all(value >= -1e-5 for value in done.certainty)


async def score(model: Any) -> bool:
    assert isinstance(model, Scorer)
    done = await model.score(ask(), "Blue")
    return done.text == "Blue" and all(value <= 0 for value in done.tokens.logprobs)  # type: ignore[union-attr]


async def seed(model: Any) -> bool:
    same = [(await model.generate(ask(seed=5)))[0].text for _ in range(2)]
    others = {(await model.generate(ask(seed=k)))[0].text for k in range(8)}
    return same[0] == same[1] and len(others) > 1


async def siblings(model: Any) -> bool:
    done = await model.generate(ask(n=3, seed=5))
    return len(done) == 3 and len({c.text for c in done}) > 1


async def schema(model: Any) -> bool:
    wanted = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    law = Sampling(temperature=0.0, max_tokens=60)
    (done,) = await model.generate(ask(json_schema=wanted, sampling=law))
    return isinstance(json.loads(done.text)["n"], int)


async def embed(model: Any) -> bool:
    assert isinstance(model, Embedder)
    near, far, same = await model.embed(["a red apple", "interest rates rose", "a red apple"])
    assert len(near) == len(far) == len(same) > 1

    def dot(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True))

    return dot(near, same) > dot(near, far)


async def hidden(model: Any) -> bool:
    seen = await model.inspect(ask(), hidden=True)
    return len(seen.hidden) == model.info.layers + 1


async def attention(model: Any) -> bool:
    seen = await model.inspect(ask(), hidden=False, attention=True)
    return len(seen.attention) == model.info.layers


USES: dict[Access, Callable[[Any], Awaitable[bool]]] = {
    Access.TEXT: text,
    Access.PREFIX: prefix,
    Access.LOGPROBS: logprobs,
    Access.TOP_LOGPROBS: top_logprobs,
    Access.LOGITS: logits,
    Access.SCORE: score,
    Access.SEED: seed,
    Access.N: siblings,
    Access.SCHEMA: schema,
    Access.EMBED: embed,
    Access.HIDDEN: hidden,
    Access.ATTENTION: attention,
}


def scripted() -> ScriptedModel:
    return ScriptedModel(replies=lambda request, number: f"colour number {request.seed % 7}")


async def replay() -> ReplayModel:
    law = ask(n=1, logprobs=1, certainty=True)
    source, pool = scripted(), []
    for index in range(8):
        (done,) = await source.generate(law.sibling(index))
        pool.append(Recorded(messages=ASK, index=index, completion=done))
    return ReplayModel(pool=pool)


@pytest.mark.parametrize("level", sorted(scripted().access))
async def test_scripted_gives_what_it_declares(level: Access) -> None:
    model = scripted()
    assert await USES[level](model)


@pytest.mark.parametrize("level", [Access.TEXT, Access.LOGPROBS, Access.TOP_LOGPROBS, Access.LOGITS])
async def test_replay_gives_what_its_records_hold(level: Access) -> None:
    model = await replay()
    assert level in model.access
    assert await USES[level](model)


@pytest.mark.embedded
async def test_llamacpp_gives_what_it_declares_and_refuses_the_rest() -> None:
    await declared("llamacpp:smollm2", slots=4)


@pytest.mark.embedded
@pytest.mark.torch
async def test_hf_gives_what_it_declares_and_refuses_the_rest() -> None:
    await declared("hf:smollm2")


async def declared(spec: str, **options: Any) -> None:
    model: Model = ponder.load(spec, **options)
    try:
        for level in sorted(model.access):
            assert await USES[level](model), level
        for level in (Access.LOGITS, Access.SCHEMA):  # what a request could ask for
            if level not in model.access:
                with pytest.raises(PonderError):
                    await USES[level](model)
        assert isinstance(model, Scorer) == (Access.SCORE in model.access)
        assert isinstance(model, Embedder) == (Access.EMBED in model.access)
    finally:
        await model.close()


def test_page_of_access_names_every_back_end() -> None:
    page = (Path(__file__).parents[2] / "docs" / "access.md").read_text(encoding="utf-8")
    for entry in ponder.core.registry.models.entries():
        assert f"| `{entry.name}` |" in page
