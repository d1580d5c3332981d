"""Curves by arrays against counts over all subsets, and orders that are unbiased."""

from __future__ import annotations

import asyncio
import itertools
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.bench.pools.curves import curve, oracle
from ponder.bench.pools.importing import Foreign, Given, import_pool
from ponder.bench.pools.orders import in_order
from ponder.bench.pools.plan import points_of
from ponder.bench.pools.pool import Block, Costs, Pool
from ponder.bench.pools.reading import read_arrays
from ponder.core.errors import ConfigError
from ponder.core.task import Message
from ponder.core.usage import Usage
from ponder.numerics.votes import best_of

ANSWERS = st.lists(st.sampled_from(["none", "1", "2", "3"]), min_size=4, max_size=4)


def pool_of(path: Path, problems: list[list[str]], scores: Any = None) -> Pool:
    """A pool in which "1" is right everywhere; a sample costs 10 + 1 tokens."""
    prompts = [
        Foreign(
            where=f"line {at}",
            family="made",
            key=str(at),
            messages=(Message("user", f"problem {at}"),),
            answers=tuple(
                Given(
                    text=text,
                    usage=Usage(calls=1, prompt_tokens=10, completion_tokens=1),
                    scores={} if scores is None else {"rm": scores[at][place]},
                )
                for place, text in enumerate(texts)
            ),
            reference="1",
        )
        for at, texts in enumerate(problems)
    ]
    asyncio.run(import_pool(prompts, path, source="made", files=("made",), answer="number"))
    return read_arrays(path)


def points(pool: Pool, text: str):
    return points_of(text, [pool.samples.width], pool, model="made")[0]


@pytest.mark.slow
@given(answers=ANSWERS, data=st.data())
def test_best_of_over_all_subsets_is_counted(tmp_path_factory, answers, data) -> None:
    scores = data.draw(st.lists(st.floats(-2, 2).map(lambda v: round(v, 3)), min_size=4, max_size=4, unique=True))
    pool = pool_of(tmp_path_factory.mktemp("pool"), [answers], [scores])
    found = curve(pool, points(pool, "best_of_n"), [1, 2, 3, 4])
    for k, exact in zip((1, 2, 3, 4), found.exact, strict=True):
        right = []
        for subset in itertools.combinations(range(4), k):
            best = best_of([scores[at] for at in subset])
            assert best is not None
            right.append(answers[subset[best]] == "1")
        assert exact == pytest.approx(statistics.mean(right))


def test_means_over_many_orders_come_to_the_exact_mean(tmp_path: Path) -> None:
    problems = [["1", "2", "2", "1", "1", "none"], ["2", "1", "3", "1", "2", "2"], ["1", "1", "2", "3", "3", "1"]]
    scores = [[0.1, 0.9, 0.3, 0.8, 0.2, 0.5], [0.7, 0.6, 0.1, 0.2, 0.3, 0.4], [0.3, 0.2, 0.9, 0.1, 0.8, 0.7]]
    pool = pool_of(tmp_path, problems, scores)
    for text in ("majority", "best_of_n"):
        found = curve(pool, points(pool, text), [1, 2, 3, 5], orders=800)
        for exact, mean in zip(found.exact, found.accuracy, strict=True):
            assert exact is not None
            assert mean is not None
            assert mean.value == pytest.approx(exact, abs=0.04)  # a deviation of about 0.01, and the seed is fixed


def test_tokens_and_intervals_in_the_recorded_order(tmp_path: Path) -> None:
    pool = pool_of(tmp_path, [["1", "2"], ["2", "1"], ["1", "1"]])
    found = curve(pool, points(pool, "majority"), [1, 2])
    assert [a and a.value for a in found.accuracy] == [pytest.approx(2 / 3), pytest.approx(2 / 3)]
    assert found.tokens == (11, 22)
    assert found.counted
    assert all(a is not None and 0 <= a.low <= a.value <= a.high <= 1 for a in found.accuracy)
    assert not found.self_graded


def test_certain_outcomes_have_a_wilson_interval(tmp_path: Path) -> None:
    pool = pool_of(tmp_path, [["1"], ["1"], ["1"]])
    (accuracy,) = curve(pool, points(pool, "majority"), [1]).accuracy
    assert accuracy is not None
    assert accuracy.value == 1
    assert accuracy.low < 0.5


def test_problems_with_fewer_samples_do_not_count_beyond_them(tmp_path: Path) -> None:
    pool = pool_of(tmp_path, [["1", "2", "2"], ["1"]])
    found = curve(pool, points(pool, "majority"), [1, 3])
    assert found.problems == (2, 1)
    assert [a and a.value for a in found.accuracy] == [1.0, 0.0]
    assert found.exact == (None, None)
    assert oracle(pool, [1, 3]) == [pytest.approx((1 / 3 + 1) / 2), 1.0]


@pytest.mark.parametrize("sizes", [[], [0], [3]])
def test_sizes_outside_the_pool_are_refused(tmp_path: Path, sizes: list[int]) -> None:
    pool = pool_of(tmp_path, [["1", "2"]])
    with pytest.raises(ConfigError, match="sizes"):
        curve(pool, points(pool, "majority"), sizes)
    with pytest.raises(ConfigError, match="orders"):
        curve(pool, points(pool, "majority"), [1], orders=0)


@given(st.lists(st.lists(st.sampled_from([None, "a", "b"]), max_size=5), min_size=1, max_size=4), st.integers(1, 5))
def test_an_order_is_a_permutation_with_groups_named_anew(problems, order) -> None:
    width = max(map(len, problems))
    groups = np.full((len(problems), width), -1, dtype=np.int32)
    codes = groups.copy()
    for at, answers in enumerate(problems):
        for place, answer in enumerate(answers):
            groups[at, place] = -1 if answer is None else answers.index(answer)
            codes[at, place] = -1 if answer is None else "ab".index(answer)
    real = np.arange(groups.size, dtype=float).reshape(groups.shape)
    block = Block(
        present=np.array([len(answers) for answers in problems]),
        codes=codes,
        groups=groups,
        grades=groups.astype(np.int8),
        certainty=real,
        logprob=real,
        finishes=groups.astype(np.int8),
        costs=Costs.empty(*groups.shape),
        scores={"rm": real},
    )
    moved = in_order(block, order)
    for at, answers in enumerate(problems):
        held = len(answers)
        assert sorted(moved.certainty[at, :held]) == sorted(real[at, :held])
        assert list(moved.certainty[at, held:]) == list(real[at, held:])
        assert (moved.scores["rm"][at] == moved.certainty[at]).all()
        seen = moved.codes[at, :held].tolist()
        assert moved.groups[at, :held].tolist() == [-1 if code < 0 else seen.index(code) for code in seen]
    assert in_order(block, 0) is block
    assert (in_order(block, order).certainty == moved.certainty).all()
