"""The saturating law: recovery, refusal of an open ceiling, and questions that differ."""

from __future__ import annotations

import pytest

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.saturation import BetaMix, QuestionMix, SaturationModel
from ponder.planning.laws.law import Observation, held_out
from ponder.planning.laws.saturation import Saturation


def curve(model: SaturationModel | QuestionMix | BetaMix, *budgets: int, questions: int = 2000) -> list[Observation]:
    return [Observation(n=n, accuracy=model.value(n), questions=questions) for n in budgets]


def test_fit_finds_the_parameters_and_the_saturation_point() -> None:
    fitted = Saturation().fit(curve(SaturationModel(0.3, 0.8), 1, 2, 4, 8, 16, 32, questions=20_000))
    report = fitted.report()
    assert (report["p"], report["f_max"]) == pytest.approx((0.3, 0.8), abs=1e-6)
    assert report["saturation"] == fitted.saturation() == 9
    assert report["accuracy_there"] == pytest.approx(0.76772, abs=1e-4)
    low, high = report["f_max_interval"]
    assert low <= 0.8 <= high


def test_saturation_is_refused_where_small_budgets_leave_the_ceiling_open() -> None:
    fitted = Saturation().fit(curve(SaturationModel(0.05, 0.6), 1, 2, 4, questions=100))
    assert fitted.saturation() is None
    assert "larger budgets" in fitted.report()["refused"]
    assert fitted.report()["accuracy_there"] is None


def test_ceiling_without_resamples_has_no_interval() -> None:
    fitted = Saturation(resamples=0).fit(curve(SaturationModel(0.05, 0.6), 1, 2, 4, questions=100))
    assert fitted.ceiling is None
    assert fitted.saturation() is not None


def test_spread_of_difficulty_predicts_where_one_p_shows_a_false_ceiling() -> None:
    questions = QuestionMix((0.9, 0.9, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01))
    points = curve(questions, 1, 2, 4, 8, 16, 32)
    one = held_out(Saturation(resamples=0), points, beyond=8)
    spread = held_out(Saturation(difficulty="spread"), points, beyond=8)
    assert spread.error < one.error / 2
    assert {"a", "b", "mean_p"} <= spread.fitted.report().keys()


def test_same_seed_gives_the_same_interval() -> None:
    points = curve(SaturationModel(0.2, 0.7), 1, 4, 16)
    assert Saturation(seed=1).fit(points) == Saturation(seed=1).fit(points[::-1])


def test_one_budget_cannot_be_fitted() -> None:
    with pytest.raises(BadInput):
        Saturation().fit(curve(SaturationModel(0.2), 4, 4))


@pytest.mark.parametrize("wrong", [{"difficulty": "hard"}, {"eps": 0.0}, {"resamples": -1}])
def test_bad_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError):
        Saturation(**wrong)
