from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput, ConfigError
from ponder.core.seeds import derive
from ponder.numerics.auc import Counted, auc, auc_interval

TRIALS = st.lists(
    st.builds(
        Counted,
        st.integers(0, 5).map(float),
        st.integers(0, 3).map(float),
        st.integers(0, 3).map(float),
        st.sampled_from("ab"),
    )
)


def by_hand(trials: list[Counted], *, within: bool = False) -> float | None:
    won = total = 0.0
    for good in trials:
        for bad in trials:
            if within and good.cluster != bad.cluster:
                continue
            total += good.right * bad.wrong
            won += good.right * bad.wrong * ((good.score > bad.score) + (good.score == bad.score) / 2)
    return won / total if total else None


@given(TRIALS)
def test_area_equals_the_count_of_pairs(trials: list[Counted]) -> None:
    assert auc(trials) == pytest.approx(by_hand(trials))
    assert auc(trials, "within") == pytest.approx(by_hand(trials, within=True))


def test_area_of_known_orders() -> None:
    # Source: by hand; 1 of 4 pairs is in the wrong order, then one of the four is a tie.
    right = [Counted(s, 1, 0) for s in (0.9, 0.4)]
    assert auc([*right, Counted(0.5, 0, 1), Counted(0.1, 0, 1)]) == 0.75
    assert auc([*right, Counted(0.4, 0, 1), Counted(0.1, 0, 1)]) == 0.875
    assert auc([Counted(0.3, 2, 3)]) == 0.5  # one prefix with both outcomes tells nothing
    assert auc([Counted(0.3, 2, 0)]) is None


@given(TRIALS)
def test_reversed_scores_reverse_the_area(trials: list[Counted]) -> None:
    area = auc(trials)
    turned = auc([t._replace(score=-t.score) for t in trials])
    assert (area is None) == (turned is None)
    if area is not None and turned is not None:
        assert area + turned == pytest.approx(1.0)


def test_difficulty_of_tasks_counts_between_them_and_not_within() -> None:
    easy = [Counted(0.9, 3, 1, "easy"), Counted(0.9, 3, 1, "easy")]
    hard = [Counted(0.1, 1, 3, "hard"), Counted(0.1, 1, 3, "hard")]
    assert auc([*easy, *hard], "within") == 0.5
    area = auc([*easy, *hard])
    assert area is not None
    assert area > 0.6


def test_interval_holds_the_area_and_repeats_with_its_seed() -> None:
    trials = [Counted(i % 7, i % 2, (i + 1) % 2, i % 10) for i in range(60)]
    first = auc_interval(trials, seed=3, resamples=200)
    assert first == auc_interval(trials, seed=3, resamples=200)
    assert first is not None
    assert first.low <= first.value <= first.high
    assert auc_interval([Counted(1.0, 1, 0)]) is None


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ConfigError, match="resamples"):
        auc_interval([], resamples=0)
    with pytest.raises(BadInput, match="negative"):
        auc([Counted(0.1, -1, 0)])


@given(TRIALS, st.booleans(), st.integers(0, 2))
def test_interval_is_that_of_the_resampled_trials(trials: list[Counted], whole: bool, seed: int) -> None:
    """Digit for digit, for whole counts (which are multiplied) and others (which are added)."""
    if not whole:
        trials = [trial._replace(right=trial.right * 0.3) for trial in trials]
    parts = [[trial for trial in trials if trial.cluster == name] for name in dict.fromkeys(t.cluster for t in trials)]
    for pairs in ("all", "within"):
        rng, areas = derive(seed, "auc_interval"), []
        for _ in range(3):
            drawn = rng.choices(range(len(parts)), k=len(parts)) if parts else []
            copies = [[t._replace(cluster=f"{at} {t.cluster}") for t in parts[part]] for at, part in enumerate(drawn)]
            area = auc([trial for part in copies for trial in part], pairs)
            areas += [] if area is None else [area]
        found = auc_interval(trials, pairs, seed=seed, resamples=3)
        if found is not None and len(areas) == 3:
            low, middle, high = sorted(areas)
            assert found.low == pytest.approx(low + 0.05 * (middle - low), abs=1e-12)
            assert found.high == pytest.approx(middle + 0.95 * (high - middle), abs=1e-12)
