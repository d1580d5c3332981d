from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

pytest.importorskip("torch", reason="needs the extra 'torch': pip install 'ponder[torch]'")

import torch
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.model import Sampling
from ponder.models._hf_measures import certainty, measure
from ponder.models._hf_sampler import Row, choose

pytestmark = pytest.mark.torch


def row(law: Sampling, seed: int = 0, prompt: tuple[int, ...] = (), drawn: dict[int, int] | None = None) -> Row:
    return Row(law, random.Random(seed), frozenset(prompt), Counter(drawn or {}))


def sorted_law(logits: torch.Tensor, law: Sampling) -> torch.Tensor:
    """The law by the textbook: sort, cut, renormalise."""
    p = torch.softmax(logits.double() / law.temperature, -1)
    order = p.argsort(descending=True)
    q = p[order]
    if law.top_k:
        q[law.top_k :] = 0
        q = q / q.sum()
    q = torch.where(q.cumsum(0) - q < law.top_p, q, 0)
    q = torch.where(q >= law.min_p * q[0], q, 0)
    out = torch.zeros_like(p)
    out[order] = q / q.sum()
    return out


LAWS = [
    Sampling(temperature=1.0, top_p=1.0),
    Sampling(temperature=0.8, top_p=0.95),
    Sampling(temperature=1.5, top_p=0.3),
    Sampling(temperature=1.0, top_p=1.0, top_k=5),
    Sampling(temperature=1.0, top_p=0.8, top_k=20),
    Sampling(temperature=1.0, top_p=0.9, min_p=0.1),
]


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_draws_follow_the_sorted_law(law: Sampling) -> None:
    logits = torch.randn(700, generator=torch.Generator().manual_seed(4)) * 2  # 700: not a multiple of the block
    expected = sorted_law(logits, law)
    count = 20_000
    drawn = choose(logits.expand(count, -1), [row(law, seed) for seed in range(count)])
    seen = torch.bincount(torch.tensor(drawn), minlength=700) / count
    assert float(seen[expected == 0].sum()) == 0
    # Each share within five standard deviations of its expectation.
    slack = 5 * (expected * (1 - expected) / count).sqrt() + 1 / count
    assert bool(((seen - expected).abs() <= slack).all())


@given(st.integers(0, 2**31), st.sampled_from(LAWS), st.integers(2, 9))
def test_row_draws_the_same_alone_and_among_others(seed: int, law: Sampling, rows: int) -> None:
    logits = torch.randn(rows, 600, generator=torch.Generator().manual_seed(seed)) * 3
    others = [LAWS[(seed + i) % len(LAWS)] for i in range(rows)]
    others[0] = law
    together = choose(logits, [row(other, seed + i) for i, other in enumerate(others)])
    assert together[0] == choose(logits[:1], [row(law, seed)])[0]


def test_temperature_zero_is_the_likeliest_token() -> None:
    logits = torch.tensor([[0.0, 3.0, 1.0], [2.0, 0.0, 1.0]])
    assert choose(logits, [row(Sampling(temperature=0))] * 2) == [1, 0]


def test_tiny_nucleus_is_the_likeliest_token() -> None:
    logits = torch.randn(1, 5000, generator=torch.Generator().manual_seed(0)) * 0.01
    assert choose(logits, [row(Sampling(temperature=1, top_p=1e-9))]) == [int(logits.argmax())]


def test_penalties_count_what_they_say() -> None:
    logits = torch.tensor([[4.0, 3.9, -1.0]])

    def greedy(**penalties: float) -> Sampling:
        return replace(Sampling(temperature=0), **penalties)  # type: ignore[arg-type]  # all of them are floats

    # The repeat penalty divides a positive logit of a token of the prompt: 4 / 1.1 < 3.9.
    assert choose(logits, [row(greedy(repeat_penalty=1.1), prompt=(0,))]) == [1]
    # The other two see the answer only, and frequency counts: 4 - 0.04 * 3 < 3.9 < 4 - 0.04.
    assert choose(logits, [row(greedy(presence_penalty=0.2), prompt=(0,))]) == [0]
    assert choose(logits, [row(greedy(presence_penalty=0.2), drawn={0: 1})]) == [1]
    assert choose(logits, [row(greedy(frequency_penalty=0.04), drawn={0: 1})]) == [0]
    assert choose(logits, [row(greedy(frequency_penalty=0.04), drawn={0: 3})]) == [1]


@pytest.mark.parametrize(
    ("p", "expected"),
    [  # source: card 26, numbers worked by hand there
        ([0.7, 0.1, 0.1, 0.1], 0.429813),
        ([0.97, 0.01, 0.01, 0.01], 2.075198),
        ([0.7, 0.28, 0.01, 0.01], 1.323701),
        ([0.25, 0.25, 0.25, 0.25], 0.0),
    ],
)
def test_certainty_matches_the_card(p: list[float], expected: float) -> None:
    assert float(certainty(torch.tensor([p]).log())) == pytest.approx(expected, abs=1e-6)


def test_measures_are_those_of_each_law_alone() -> None:
    logits = torch.randn(5, 300, generator=torch.Generator().manual_seed(2)) * 3
    tokens = [7, 0, 299, 31, 8]
    together = measure(logits, tokens, top=2)
    for i, token in enumerate(tokens):
        law = torch.log_softmax(logits[i].double(), -1)
        assert together.logprobs[i] == pytest.approx(float(law[token]), abs=1e-5)
        assert [value for _, value in together.top[i]] == pytest.approx(law.topk(2).values.tolist(), abs=1e-5)
        shifted = measure(logits[i : i + 1] + 7, [token], top=0)
        assert shifted.certainty == pytest.approx([together.certainty[i]], abs=1e-5)
        assert shifted.top == [()]
