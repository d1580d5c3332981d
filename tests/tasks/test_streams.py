"""Streams: every sample once and in the promised order, whatever holds the data."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.stream_orders import autocorrelation
from ponder.tasks.streams import Domain, make_stream


class Rows(list[Any]):
    """A list that can be indexed by a list, as arrays can."""

    def __getitem__(self, at: Any) -> Any:
        return Rows(list.__getitem__(self, row) for row in at) if isinstance(at, list) else list.__getitem__(self, at)


def domain(name: str, count: int = 20, classes: int = 4) -> Domain:
    return Domain(name=name, x=Rows(f"{name}{at}" for at in range(count)), y=Rows(at % classes for at in range(count)))


@pytest.mark.parametrize("labels", ["iid", "sorted", "dirichlet"])
@pytest.mark.parametrize("arrangement", ["continual", "mixed"])
@given(st.integers(1, 9), st.integers(0, 5))
def test_every_sample_comes_once_with_its_label(arrangement: Any, labels: Any, batch: int, seed: int) -> None:
    stream = make_stream([domain("a"), domain("b", 7)], arrangement=arrangement, labels=labels, batch=batch, seed=seed)
    parts = list(stream)
    assert len(parts) == len(stream) == -(-27 // batch)
    assert {len(part.x) for part in parts[:-1]} <= {batch}
    seen = [x for part in parts for x in part.x]
    assert sorted(seen) == sorted([f"a{at}" for at in range(20)] + [f"b{at}" for at in range(7)])
    for part in parts:
        for x, y, name in zip(part.x, part.y, part.domains, strict=True):
            assert x[0] == name
            assert int(x[1:]) % 4 == y
    assert [y for part in parts for y in part.y] == stream.labels


def test_continual_domains_follow_each_other_and_recurring_ones_come_back() -> None:
    names = [name for part in make_stream([domain("a"), domain("b")]) for name in part.domains]
    assert names == ["a"] * 20 + ["b"] * 20
    stream = make_stream([domain("a"), domain("b")], arrangement="recurring", rounds=3)
    assert [name for part in stream for name in part.domains] == (["a"] * 20 + ["b"] * 20) * 3
    first, second = stream.order[:20], stream.order[40:60]
    assert first != second, "the same samples in another order"


def test_clean_data_may_come_between_domains() -> None:
    stream = make_stream([domain("a"), domain("clean", 8), domain("b"), domain("clean", 8)], batch=4)
    names = [part.domains[0] for part in stream]
    assert names == 5 * ["a"] + 2 * ["clean"] + 5 * ["b"] + 2 * ["clean"]


def test_mixed_domains_are_mixed() -> None:
    stream = make_stream([domain("a", 200), domain("b", 200)], arrangement="mixed")
    half = Counter(name for name, _ in (("a" if d == 0 else "b", 0) for d, _ in stream.order[:200]))
    assert 60 < half["a"] < 140


def test_phases_favour_one_class_at_a_time_and_may_repeat_samples() -> None:
    stream = make_stream([domain("a", 40)], labels="phases", ratio=1e6, length=400)
    assert len(stream.order) == 400
    correlated = autocorrelation(stream.labels)
    assert correlated is not None
    assert correlated > 0.95


def test_same_seed_same_stream() -> None:
    make = lambda seed: make_stream([domain("a")], seed=seed).order  # noqa: E731
    assert make(1) == make(1) != make(2)


def test_cut_and_batch_keep_the_order() -> None:
    stream = make_stream([domain("a")], batch=8)
    assert stream.cut(5).order == stream.order[:5]
    assert [len(part.x) for part in stream.with_batch(1)] == [1] * 20
    with pytest.raises(ConfigError):
        stream.with_batch(0)


def test_arrays_are_joined_across_domains() -> None:
    import numpy

    a, b = (Domain(name=n, x=numpy.full((3, 2), v), y=numpy.arange(3)) for n, v in (("a", 1.0), ("b", 2.0)))
    batch = next(iter(make_stream([a, b], arrangement="mixed", batch=6)))
    assert batch.x.shape == (6, 2)
    assert [("a", "b")[int(v) - 1] for v in batch.x[:, 0]] == list(batch.domains)


@pytest.mark.torch
def test_tensors_are_joined_across_domains() -> None:
    import torch

    a, b = (Domain(name=n, x=torch.full((3, 2), v), y=torch.arange(3)) for n, v in (("a", 1.0), ("b", 2.0)))
    batch = next(iter(make_stream([a, b], arrangement="mixed", batch=6)))
    assert batch.x.shape == (6, 2)
    assert [("a", "b")[int(v) - 1] for v in batch.x[:, 0]] == list(batch.domains)


@pytest.mark.parametrize(
    ("error", "settings"),
    [
        (BadInput, {"domains": []}),
        (ConfigError, {"batch": 0}),
        (ConfigError, {"rounds": 0}),
        (ConfigError, {"arrangement": "chaotic"}),
        (ConfigError, {"labels": "unsorted"}),
        (ConfigError, {"labels": "dirichlet", "concentration": 0}),
        (ConfigError, {"labels": "phases", "length": 2}),
    ],
)
def test_wrong_settings_are_refused(error: type[Exception], settings: dict[str, Any]) -> None:
    with pytest.raises(error):
        make_stream(**{"domains": [domain("a")], **settings})


def test_a_domain_without_samples_or_with_too_few_labels_is_refused() -> None:
    with pytest.raises(BadInput):
        Domain(name="a", x=Rows(), y=Rows())
    with pytest.raises(BadInput):
        Domain(name="a", x=Rows("ab"), y=Rows([1]))
