from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder import ScriptedModel, Task
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Request
from ponder.verifiers.prm_features import STEP_FEATURES, read_steps, step_statistics
from tests.training.prm_world import world

TASK = Task.of("1 + 1 + 1", answer="number")


def test_statistics_by_hand() -> None:
    first, second = step_statistics([(0, 2), (2, 3)], [-1.0, -3.0, -0.5], [4.0, 2.0, 7.0], [0.0, -2.5, -0.25])
    assert first == [-2.0, -3.0, 3.0, 2.0, -2.5, -3.0, -3.0, -2.0, -2.5, 1.0, 2.0]
    assert second == [-0.5, -0.5, 7.0, 7.0, -0.25, -3.0, -1.75, -1.5, -2.5, 2.0, 1.0]


def test_step_without_a_token_is_finite() -> None:
    assert step_statistics([(0, 0)], [], [], []) == [[0.0] * 9 + [1.0, 0.0]]


@given(st.lists(st.floats(-9, 0), min_size=4, max_size=12), st.integers(1, 3))
def test_step_never_depends_on_what_follows(logprobs: list[float], cut: int) -> None:
    certainty = [-value for value in logprobs]
    spans = [(at, at + 1) for at in range(len(logprobs))]
    margins = [value / 2 for value in logprobs]
    whole = step_statistics(spans, logprobs, certainty, margins)
    assert step_statistics(spans[:cut], logprobs[:cut], certainty[:cut], margins[:cut]) == whole[:cut]
    assert all(len(vector) == STEP_FEATURES for vector in whole)


async def test_tokens_belong_to_the_step_that_they_spell() -> None:
    seen = await read_steps(world(), TASK, ["1 + 1 = 2\n", "2 + 1 = 4"], "certainty")
    assert [vector[1] for vector in seen.vectors] == [-0.1, -1.5]  # the least log-probability of each step
    assert [vector[4] for vector in seen.vectors] == [0.0, -1.4]  # how far below the likeliest one
    assert [vector[-1] for vector in seen.vectors] == [5.0, 5.0]


async def test_model_without_the_access_is_refused() -> None:
    with pytest.raises(ConfigError, match="score"):
        await read_steps(ScriptedModel(), TASK, ["a"], "certainty")
    with pytest.raises(ConfigError, match="hidden"):
        await read_steps(world(), TASK, ["a"], "hidden")


@pytest.mark.torch
async def test_hidden_features_agree_with_the_certainty_ones_and_add_the_state() -> None:
    pytest.importorskip("torch")
    from ponder.models.transformers import TransformersModel
    from tests.verifiers.test_prm import language_model, tokenizer

    model = TransformersModel(language_model(), tokenizer(), fingerprint="tiny", template_options={})
    model.tokenizer.chat_template = "{% for m in messages %}{{ m.content }}:{% endfor %}"
    steps = ["1 + 1 = 2\n", "2 + 1 = 4"]
    try:
        plain = await read_steps(model, TASK, steps, "certainty")
        deep = await read_steps(model, TASK, steps, "hidden", layers=(2, 1))
        (first,) = (await read_steps(model, TASK, steps[:1], "hidden", layers=(1,))).vectors
        inside = await model.inspect(Request(messages=TASK.messages), "".join(steps))
        with pytest.raises(BadInput, match="layers"):
            await read_steps(model, TASK, steps, "hidden", layers=(9,))
    finally:
        await model.close()
    for vector, other in zip(deep.vectors, plain.vectors, strict=True):
        assert vector[:STEP_FEATURES] == pytest.approx(other, abs=1e-4)
        assert len(vector) == STEP_FEATURES + 2 * 16
    assert first == pytest.approx(deep.vectors[0][:STEP_FEATURES] + deep.vectors[0][-16:], abs=1e-4)
    assert inside.hidden is not None
    ends = [inside.start + len(steps[0]) - 1, len(inside.ids) - 1]
    for vector, end in zip(deep.vectors, ends, strict=True):
        assert vector[-16:] == pytest.approx(inside.hidden[1, end].tolist(), abs=1e-4)
    assert plain.paid is not None
    assert deep.paid is not None
    assert deep.paid.prompt_tokens == plain.paid.prompt_tokens == len(inside.ids)
    assert deep.paid.cached_tokens == inside.start
    assert plain.vectors[0][-1] == len(steps[0])  # a token is a byte
