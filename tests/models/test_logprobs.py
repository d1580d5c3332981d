"""Both spellings of log-probabilities say the same, and what cannot be read is missing."""

from __future__ import annotations

from typing import Any

import pytest

from ponder.models.logprobs import Entry, read_logprobs

CHAT = {
    "content": [
        {"token": "a", "bytes": [97], "logprob": -0.5, "top_logprobs": [{"token": "b", "logprob": -2.0}]},
        {"token": "é", "logprob": 1e-9},
    ]
}
RAW = {"tokens": ["a", "é"], "token_logprobs": [-0.5, 1e-9], "top_logprobs": [{"b": -2.0}, None]}


@pytest.mark.parametrize("told", [CHAT, RAW])
def test_both_forms_read_alike(told: dict[str, Any]) -> None:
    first = Entry(id=-1, data=b"a", logprob=-0.5, top=((-1, "b", -2.0),))
    assert read_logprobs(told) == [first, Entry(id=-1, data="é".encode(), logprob=0.0, top=None)]


def test_alternatives_come_the_likeliest_first() -> None:
    told = {"tokens": ["a"], "token_logprobs": [-1.0], "top_logprobs": [{"b": -3.0, "a": -1.0, "c": -2.0}]}
    (entry,) = read_logprobs(told) or []
    assert [text for _, text, _ in entry.top or ()] == ["a", "c", "b"]


@pytest.mark.parametrize(
    "told",
    [
        {"content": [{"token": "a", "logprob": "nan"}]},
        {"content": [{"logprob": -1.0}]},
        {"content": ["a"]},
        {"content": [{"token": "a", "bytes": [999], "logprob": -1.0}]},
        {"tokens": ["a", "b"], "token_logprobs": [-1.0]},
        {"tokens": ["a"]},
    ],
)
def test_what_cannot_be_read_is_missing(told: dict[str, Any]) -> None:
    assert read_logprobs(told) is None
