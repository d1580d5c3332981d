from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput
from ponder.core.seeds import derive, derive_seed, sample_seed
from ponder.core.task import Image, Message, Task


@pytest.mark.parametrize("prompt", ["", "  \n", [], [Message("user", " ")]])
def test_empty_prompt_is_refused(prompt: str | list[Message]) -> None:
    with pytest.raises(BadInput, match="empty"):
        Task.of(prompt)


def test_task_must_not_carry_gold() -> None:
    with pytest.raises(BadInput, match="gold"):
        Task(messages=(Message("user", "q"),), metadata={"reference": "42"})


def test_id_depends_on_the_messages_only() -> None:
    assert Task.of("q").id == Task.of([Message("user", "q")], answer="number").id
    assert Task.of("q").id != Task.of("r").id
    assert Task.of("q", system="s").id != Task.of("q").id


def test_prompt_is_the_last_user_message() -> None:
    task = Task.of([Message("user", "a"), Message("assistant", "b"), Message("user", "c")])
    assert task.prompt == "c"


@given(st.text())
def test_odd_text_has_an_id_or_is_refused(text: str) -> None:
    if text.strip():
        assert len(Task.of(text).id) == 16


def test_message_survives_json() -> None:
    message = Message(
        "assistant",
        "text",
        images=(Image(data=b"\x89PNG"), Image(url="http://127.0.0.1/x.png")),
        tool_calls=({"id": "1"},),
        refusal="no",
        reasoning="hm",
    )
    assert Message.from_json(message.to_json()) == message


def test_image_needs_exactly_one_source() -> None:
    with pytest.raises(BadInput):
        Image()
    with pytest.raises(BadInput):
        Image(data=b"x", url="http://127.0.0.1/")


def test_seed_streams_are_independent_and_stable() -> None:
    assert derive_seed(0, "sample", "t") == derive_seed(0, "sample", "t")
    assert derive_seed(0, "sample", "t") != derive_seed(1, "sample", "t")
    assert derive_seed(0, "ab", "c") != derive_seed(0, "a", "bc")
    assert derive(3, "x").random() == derive(3, "x").random()


@given(seed=st.integers(), index=st.integers(0, 10_000))
def test_sibling_seeds_are_consecutive_and_fit_31_bits(seed: int, index: int) -> None:
    assert sample_seed(seed, index, "t") == sample_seed(seed, 0, "t") + index
    assert 0 <= sample_seed(seed, index, "t") < 2**31
