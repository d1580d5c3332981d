"""PIR and pruning: card 59, checks 1 to 5, 7 and 8."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.trace_pruning import (
    accuracy_per_token,
    greedy_removals,
    importance,
    perplexity,
    prune,
    prune_any,
    prune_at_random,
    removals,
)

KINDS = ("V", "V", "M", "E", "E")
FULL = [math.log(p) for p in (0.8, 0.9)]
WITHOUT = [[math.log(p) for p in pair] for pair in ((0.5, 0.6), (0.82, 0.9), (0.7, 0.9), (0.85, 0.95), (0.4, 0.5))]
traces = st.lists(st.tuples(st.sampled_from("PVME"), st.floats(-3, 3)), max_size=20)


def test_worked_example() -> None:
    assert perplexity(FULL) == pytest.approx(1.1785, abs=1e-4)
    scores = {at: importance(FULL, row) for at, row in enumerate(WITHOUT)}
    assert list(scores.values()) == pytest.approx([0.4377, -0.0123, 0.0668, -0.0573, 0.6405], abs=1e-4)
    gone = {ratio: set(range(5)) - set(prune(KINDS, scores, ratio)) for ratio in (0.2, 0.4, 0.5, 0.8)}
    assert gone[0.2] == set()
    assert gone[0.4] == {1, 3}
    assert [len([at for at in gone[0.5] if KINDS[at] == kind]) for kind in "VME"] == [1, 1, 1]
    assert [len([at for at in gone[0.8] if KINDS[at] == kind]) for kind in "VME"] == [2, 1, 2]


@given(traces, st.floats(0, 1))
def test_pruning_keeps_order_and_progressive_steps(steps: list[tuple[str, float]], ratio: float) -> None:
    kinds = [kind for kind, _ in steps]
    scores = {at: score for at, (kind, score) in enumerate(steps) if kind != "P"}
    kept = prune(kinds, scores, ratio)
    assert list(kept) == sorted(set(kept))
    assert {at for at, kind in enumerate(kinds) if kind == "P"} <= set(kept)
    assert prune(kinds, scores, 0) == tuple(range(len(kinds)))
    assert prune(kinds, scores, 1) == tuple(at for at, kind in enumerate(kinds) if kind == "P")
    for kind in "VME":
        gone = [at for at in range(len(kinds)) if kinds[at] == kind and at not in kept]
        stay = [at for at in kept if kinds[at] == kind]
        assert len(gone) == removals(len(gone) + len(stay), ratio)
        assert all(scores[a] <= scores[b] for a in gone for b in stay)
    assert len(prune_at_random(kinds, ratio, random.Random(0))) == len(kept)


@given(st.lists(st.tuples(st.floats(-9, 0), st.floats(-9, 0)), min_size=1))
def test_pir_is_the_log_ratio_of_perplexities_and_changes_sign(pairs: list[tuple[float, float]]) -> None:
    with_, without = [a for a, _ in pairs], [b for _, b in pairs]
    assert importance(with_, without) == pytest.approx(math.log(perplexity(without) / perplexity(with_)), abs=1e-9)
    assert importance(with_, without) == -importance(without, with_)


def test_ties_go_from_the_end_and_steps_without_a_score_stay() -> None:
    assert prune("VVV", {0: 0.0, 1: 0.0, 2: 0.0}, 0.34) == (0, 1)
    assert prune("VVV", {1: 5.0}, 1.0) == (0, 2)
    assert prune("PP", {}, 1.0) == (0, 1)


def test_the_step_with_the_key_fact_is_kept_and_fillers_go() -> None:
    """Checks 5 and 7: an answer has probability .9 with the fact and .1 without it."""

    def read(places: tuple[int, ...] | list[int]) -> list[float]:
        return [math.log(0.9 if 2 in places else 0.1)]

    kinds = "PVVVV"
    scores = {at: importance(read(range(5)), read([p for p in range(5) if p != at])) for at in (1, 2, 3, 4)}  # type: ignore[arg-type]
    assert scores == {1: 0.0, 2: pytest.approx(math.log(9)), 3: 0.0, 4: 0.0}
    for ratio in (0.25, 0.5, 0.75):
        assert 2 in prune(kinds, scores, ratio)
    at_random = [2 in prune_at_random(kinds, 0.5, random.Random(seed)) for seed in range(2000)]
    assert sum(at_random) / 2000 == pytest.approx(0.5, abs=0.05)
    order = greedy_removals(kinds, read)  # type: ignore[arg-type]
    assert [at for at, _ in order] == [4, 3, 1, 2]
    assert order[-1][1] == pytest.approx(math.log(9))


def test_greedy_keeps_one_of_two_checks_of_the_same_fact() -> None:
    def read(places: list[int]) -> list[float]:
        return [math.log(0.9 if {1, 2} & set(places) else 0.1)]

    scores = {at: importance(read([0, 1, 2, 3]), read([p for p in range(4) if p != at])) for at in (1, 2, 3)}
    assert scores == {1: 0.0, 2: 0.0, 3: 0.0}  # each looks superfluous beside the other
    assert [at for at, _ in greedy_removals("PVVV", read)] == [3, 2, 1]  # type: ignore[arg-type]


def test_baselines_and_efficiency() -> None:
    assert prune_any([0.3, -1.0, 0.2], 1) == (0, 2)
    assert prune_any([0.3, -1.0, 0.2], 0) == (0, 1, 2)
    gain = accuracy_per_token(0.421, 4716) / accuracy_per_token(0.379, 6646)
    assert gain == pytest.approx(1.565, abs=1e-3)


def test_bad_input_is_refused() -> None:
    with pytest.raises(BadInput):
        perplexity([])
    with pytest.raises(BadInput):
        importance([-1.0], [])
    with pytest.raises(BadInput):
        prune("PX", {}, 0.5)
    with pytest.raises(ConfigError):
        prune("PV", {1: 0.0}, 1.5)
    with pytest.raises(ConfigError):
        removals(3, math.nan)
    for accuracy, tokens in ((1.5, 10), (0.5, 0)):
        with pytest.raises(BadInput):
            accuracy_per_token(accuracy, tokens)
