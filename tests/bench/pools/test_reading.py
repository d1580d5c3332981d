"""Pools as arrays: what the lines say, kept beside them, and made anew when they change."""

from __future__ import annotations

import json
import math
import os
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from ponder.bench.job import Named
from ponder.bench.pools.arrays import stamp
from ponder.bench.pools.folder import ARRAYS, distinct, read_problems
from ponder.bench.pools.pool import FINISHES, Block, Costs
from ponder.bench.pools.reading import read_arrays
from ponder.core.errors import BadInput, ConfigError
from ponder.core.task import Task
from ponder.core.usage import Usage
from ponder.models.replay import read_pool
from ponder.numerics.certainty import mean_certainty
from ponder.tasks.problem import Problem
from tests.bench.pools.pool_worlds import made


def same(left: Block, right: Block) -> bool:
    plain = ("present", "codes", "groups", "grades", "certainty", "logprob", "finishes")
    costs = [item.name for item in fields(Costs)]
    return (
        all(
            np.array_equal(getattr(left, name), getattr(right, name), equal_nan=True)
            for name in ("certainty", "logprob")
        )
        and all(np.array_equal(getattr(left, name), getattr(right, name)) for name in plain[:4])
        and all(
            np.array_equal(getattr(left.costs, name), getattr(right.costs, name), equal_nan=name in ("usd", "flops"))
            for name in costs
        )
        and left.scores.keys() == right.scores.keys()
        and all(np.array_equal(left.scores[name], right.scores[name], equal_nan=True) for name in left.scores)
    )


def test_arrays_say_what_the_lines_say(tmp_path: Path) -> None:
    made(tmp_path, greedy=True)
    pool = read_arrays(tmp_path)
    place = {name: at for at, name in enumerate(pool.ids)}
    assert pool.families == ("multiplication_stories",) * 4
    for record in read_pool(tmp_path):
        block, task, at = (pool.greedy if record.greedy else pool.samples), place[record.problem], record.index
        assert pool.answer(block, task, at) == record.answer
        assert block.groups[task, at] == (-1 if record.group is None else record.group)
        assert block.grades[task, at] == record.grade
        assert FINISHES[block.finishes[task, at]] == record.completion.finish
        assert block.costs.each(task)[at] == record.completion.usage
        assert block.certainty[task, at] == mean_certainty(record.completion.certainty or ())
        tokens = record.completion.tokens
        assert tokens is not None
        assert tokens.logprobs is not None
        assert block.logprob[task, at] == pytest.approx(sum(tokens.logprobs) / len(tokens.logprobs))
        score = record.scores["arithmetic"].value
        held = block.scores["arithmetic"][task, at]
        assert math.isnan(held) if score is None else held == score


def test_kept_arrays_are_the_same_and_are_made_anew_when_samples_change(tmp_path: Path) -> None:
    made(tmp_path)
    first = read_arrays(tmp_path)
    assert (tmp_path / ARRAYS).exists()
    kept = read_arrays(tmp_path)
    assert (kept.ids, kept.answers, kept.levels, kept.graders) == (
        first.ids,
        first.answers,
        first.levels,
        first.graders,
    )
    assert same(kept.samples, first.samples)
    made(tmp_path, n=8)
    assert read_arrays(tmp_path).samples.width == 8


def test_torn_arrays_are_made_anew(tmp_path: Path) -> None:
    made(tmp_path)
    first = read_arrays(tmp_path)
    for torn in (b"", b"PK nonsense"):
        (tmp_path / ARRAYS).write_bytes(torn)
        assert same(read_arrays(tmp_path).samples, first.samples)


def test_a_pool_that_cannot_be_written_to_is_read_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path)

    def refuse(*_: object) -> None:
        raise OSError("read-only")

    monkeypatch.setattr(os, "replace", refuse)
    assert read_arrays(tmp_path).samples.width == 6
    assert not (tmp_path / ARRAYS).exists()


def test_a_gap_ends_the_samples_of_a_problem(tmp_path: Path) -> None:
    made(tmp_path, count=1)
    file = tmp_path / "samples.jsonl"
    lines = [line for line in file.read_text().splitlines() if json.loads(line)["index"] != 3]
    file.write_text("\n".join(lines) + "\n")
    assert read_arrays(tmp_path).samples.present.tolist() == [3]


def test_pools_without_answers_or_samples_are_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    with pytest.raises(BadInput, match="holds no samples"):
        read_arrays(empty)
    old = tmp_path / "old.jsonl"
    old.write_text('{"v": 1, "messages": [], "index": 0, "greedy": false, "completion": {}}\n')
    with pytest.raises(BadInput, match=r"old\.jsonl:1: no problem is named"):
        read_arrays(old)
    assert stamp(tmp_path / "none") is None


def test_costs_add_up_and_unknown_money_stays_unknown() -> None:
    costs = Costs.empty(1, 2)
    costs.put(0, 0, {"calls": 1, "prompt_tokens": 3, "usd": 0.5})
    assert costs.each(0) == [Usage(calls=1, prompt_tokens=3, usd=0.5), Usage()]


def test_two_problems_of_one_name_are_refused_and_equal_ones_taken_once() -> None:
    first = Named("a", Problem(task=Task.of("x"), reference="1"))
    assert distinct([first, Named("b", first.problem)]) == [first]
    with pytest.raises(ConfigError, match="record them apart"):
        distinct([first, Named("b", Problem(task=Task.of("x"), reference="2"))])


def test_broken_problems_are_named(tmp_path: Path) -> None:
    made(tmp_path)
    with (tmp_path / "problems.jsonl").open("a") as out:
        out.write("{}\n")
    with pytest.raises(BadInput, match=r"problems\.jsonl:5: not a problem"):
        read_problems(tmp_path)
