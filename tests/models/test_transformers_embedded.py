from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

import ponder
from ponder.core.model import Request, Sampling
from ponder.core.task import Message
from ponder.models.transformers import TransformersModel

pytestmark = [pytest.mark.torch, pytest.mark.embedded, pytest.mark.asyncio(loop_scope="module")]

ASK = (Message("user", "What is 6 times 7? Reply with just the number."),)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model() -> AsyncIterator[TransformersModel]:
    opened = ponder.load("hf:smollm2", dtype="float32")
    assert isinstance(opened, TransformersModel)
    yield opened
    await opened.close()


async def test_smollm2_is_the_model_that_the_gguf_says(model: TransformersModel) -> None:
    assert model.info.parameters == 134_515_008  # source: the model card of SmolLM2-135M
    assert (model.info.layers, model.info.heads, model.info.kv_heads) == (30, 9, 3)
    (done,) = await model.generate(Request(messages=ASK, sampling=Sampling(temperature=0, max_tokens=24)))
    assert done.finish == "stop"
    assert "42" in done.text


async def test_smollm2_sibling_alone_equals_sibling_in_a_batch(model: TransformersModel) -> None:
    request = Request(messages=ASK, n=16, seed=11, sampling=Sampling(max_tokens=16), certainty=True)
    together = await model.generate(request)
    (alone,) = await model.generate(request.sibling(9))
    assert alone.tokens == together[9].tokens
    assert alone.certainty == pytest.approx(together[9].certainty, abs=1e-3)


async def test_smollm2_is_surer_of_sense_than_of_nonsense(model: TransformersModel) -> None:
    request = Request(messages=(Message("user", "Tell me about Paris."),), certainty=True)
    sense = await model.score(request, "Paris is the capital of France and its largest city.")
    nonsense = await model.score(request, "of city Paris largest is and France its the capital.")
    assert sense.certainty is not None
    assert nonsense.certainty is not None
    mean = [sum(values) / len(values) for values in (sense.certainty, nonsense.certainty)]
    assert mean[0] > mean[1]  # card 26, check 7
