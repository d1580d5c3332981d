from __future__ import annotations

import math
import random
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.core.errors import BadInput, ConfigError
from ponder.core.seeds import derive
from ponder.numerics import intervals
from ponder.numerics.intervals import cluster_bootstrap, paired_difference, wilson

VALUES = st.lists(st.tuples(st.integers(0, 4), st.floats(-4, 4)), min_size=1, max_size=15)


def test_wilson_of_textbook_cases() -> None:
    # Newcombe 1998, table I: 81/263, 15/148, 0/20, 1/29 at 95 %.
    for successes, n, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611)]:
        assert wilson(successes, n) == pytest.approx((successes / n, low, high), abs=5e-5)
    assert wilson(1, 29)[1:] == pytest.approx((0.0061, 0.1718), abs=5e-5)


@given(st.integers(1, 300), st.data(), st.floats(0.01, 0.999))
def test_wilson_holds_the_share_and_mirrors(n: int, data: st.DataObject, level: float) -> None:
    successes = data.draw(st.integers(0, n))
    interval, mirrored = wilson(successes, n, level=level), wilson(n - successes, n, level=level)
    assert 0 <= interval.low <= interval.value <= interval.high <= 1
    assert interval.low == pytest.approx(1 - mirrored.high, abs=1e-12)


@given(st.integers(1, 50), st.data())
def test_wilson_solves_its_equation(n: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, n))
    interval = wilson(successes, n)
    for limit in (interval.low, interval.high):
        distance = (interval.value - limit) ** 2 * n
        assert distance == pytest.approx(1.959963984540054**2 * limit * (1 - limit), abs=1e-9)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 4)])
def test_wilson_of_nothing_is_refused(successes: int, n: int) -> None:
    with pytest.raises(BadInput):
        wilson(successes, n)


@settings(max_examples=30)
@given(VALUES)
def test_bootstrap_stays_among_the_cluster_means(pairs: list[tuple[int, float]]) -> None:
    clusters, values = [c for c, _ in pairs], [v for _, v in pairs]
    interval = cluster_bootstrap(values, clusters, resamples=50)
    means = [fmean(v for c, v in pairs if c == cluster) for cluster in set(clusters)]
    assert interval.value == pytest.approx(fmean(values), abs=1e-9)
    assert min(means) - 1e-9 <= interval.low <= interval.high <= max(means) + 1e-9


@settings(max_examples=30)
@given(VALUES)
def test_bootstrap_moves_and_scales_with_the_values(pairs: list[tuple[int, float]]) -> None:
    clusters, values = [c for c, _ in pairs], [v for _, v in pairs]
    plain = cluster_bootstrap(values, clusters, resamples=50)
    moved = cluster_bootstrap([2 * v + 1 for v in values], clusters, resamples=50)
    assert moved == pytest.approx([2 * x + 1 for x in plain], abs=1e-9)


def test_bootstrap_of_repeated_runs_is_no_narrower() -> None:
    # Ten runs of a prompt that always come out alike tell no more than one.
    values = [float(k % 3 == 0) for k in range(24)]
    once = cluster_bootstrap(values, range(24))
    tenfold = cluster_bootstrap([v for v in values for _ in range(10)], [k for k in range(24) for _ in range(10)])
    assert tenfold == pytest.approx(once)


def test_bootstrap_is_repeatable_and_depends_on_the_seed() -> None:
    values = [random.Random(k).random() for k in range(12)]
    assert cluster_bootstrap(values, range(12), seed=1) == cluster_bootstrap(values, range(12), seed=1)
    assert cluster_bootstrap(values, range(12), seed=1) != cluster_bootstrap(values, range(12), seed=2)


def test_bootstrap_agrees_with_the_binomial_it_resamples() -> None:
    # Resampling 40 right of 100 draws from Binomial(100, .4): 2.5 % and 97.5 % quantiles 31 and 50.
    interval = cluster_bootstrap([1.0] * 40 + [0.0] * 60, range(100), resamples=4000)
    assert interval.low == pytest.approx(0.31, abs=0.011)
    assert interval.high == pytest.approx(0.50, abs=0.011)


def test_bootstrap_of_one_cluster_has_no_width() -> None:
    assert cluster_bootstrap([0.0, 1.0], ["p", "p"]) == (0.5, 0.5, 0.5)


def test_paired_difference_cancels_what_prompts_share() -> None:
    base = [k / 10 for k in range(10)]
    better = [x + 0.25 for x in base]
    assert paired_difference(better, base, range(10)) == pytest.approx((0.25, 0.25, 0.25))
    there, back = paired_difference(base, better, range(10)), paired_difference(better, base, range(10))
    assert there.value == pytest.approx(-back.value)


def test_data_that_do_not_match_are_refused() -> None:
    with pytest.raises(BadInput, match="at least one"):
        cluster_bootstrap([], [])
    with pytest.raises(BadInput, match="as many"):
        cluster_bootstrap([1.0], ["p", "q"])
    with pytest.raises(BadInput, match="both sides"):
        paired_difference([1.0], [], ["p"])


@pytest.mark.parametrize("level", [0.0, 1.0, math.nan])
def test_levels_outside_zero_to_one_are_refused(level: float) -> None:
    with pytest.raises(ConfigError, match="level"):
        wilson(1, 2, level=level)
    with pytest.raises(ConfigError, match="level"):
        cluster_bootstrap([1.0], ["p"], level=level)
    with pytest.raises(ConfigError, match="resamples"):
        cluster_bootstrap([1.0], ["p"], resamples=0)


@given(VALUES, st.integers(0, 2), st.sampled_from([1, 7]))
def test_kept_draws_give_the_interval_of_drawing_afresh(
    values: list[tuple[int, float]], seed: int, resamples: int
) -> None:
    """Digit for digit that of the plain way: draw whole clusters, add up, divide."""
    clusters: dict[int, list[float]] = {}
    for cluster, value in values:
        clusters.setdefault(cluster, []).append(value)
    rng, means = derive(seed, "cluster_bootstrap"), []
    for _ in range(resamples):
        drawn = rng.choices(list(clusters.values()), k=len(clusters))
        means.append(math.fsum(math.fsum(part) for part in drawn) / sum(map(len, drawn)))
    means.sort()
    for _ in range(2):  # the second time the draws are those that were kept
        found = cluster_bootstrap([v for _, v in values], [c for c, _ in values], seed=seed, resamples=resamples)
        if resamples == 1:
            assert found[1:] == (means[0], means[0])
        else:
            assert means[0] <= found.low <= means[1]
            assert means[-2] <= found.high <= means[-1]


def test_more_draws_than_are_kept_come_out_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    values, prompts = [0.0, 1.0, 1.0, 0.5], ["a", "b", "b", "c"]
    kept = cluster_bootstrap(values, prompts)
    monkeypatch.setattr(intervals, "_MOST_KEPT", 0)
    assert cluster_bootstrap(values, prompts) == kept
