"""Agreement and scores as confidence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ponder.bench.metrics.calibration import Calibration
from ponder.core.errors import ConfigError
from tests.bench.metrics.metric_doubles import graded_row


def test_agreement_of_a_right_and_of_a_wrong_leader() -> None:
    rows = [graded_row("a", "1110"), graded_row("b", "0001")]
    found = {measure.name: measure for measure in Calibration().compute(rows)}
    assert found["ece"].value == pytest.approx(0.25)  # 3/4 stated twice, one of two right
    assert found["ece"].note == "10 bins of equal width"
    assert found["brier"].value == pytest.approx((0.0625 + 0.5625) / 2)
    assert found["auroc"].value == 0.5


def test_scores_rank_each_sample() -> None:
    found = {
        measure.name: measure.value for measure in Calibration(confidence="score").compute([graded_row("a", "10")])
    }
    assert found == {"ece": 0.25, "brier": 0.0625, "auroc": 1.0}


def test_scores_that_are_no_probabilities_are_only_ranked() -> None:
    row = graded_row("a", "10")
    assert row.evidence is not None
    wide = replace(row, evidence=replace(row.evidence, scores=(7.0, -2.0)))
    ece, brier, auroc = Calibration(confidence="score").compute([wide])
    assert (ece.value, brier.value, auroc.value) == (None, None, 1.0)
    assert "no probabilities" in ece.note


def test_single_sample_shows_no_agreement() -> None:
    assert {measure.value for measure in Calibration().compute([graded_row("a", "1")])} == {None}


@pytest.mark.parametrize("wrong", [{"confidence": "mood"}, {"bins": 0}, {"binning": "equal"}])
def test_bad_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError):
        Calibration(**wrong)
