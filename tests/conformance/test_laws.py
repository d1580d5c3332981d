"""One battery over every registered law, on curves that it need not describe well."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from ponder.core import registry
from ponder.core.errors import BadInput
from ponder.core.registry import Entry, parameters
from ponder.planning.laws.law import Law, Observation, held_out

# Laws of more than one dimension read `settings`; every point gives those that are known, all growing with n.
POINTS = [
    Observation(n=n, accuracy=accuracy, questions=200, cost=10.0 * n, settings={"k": n, "m": n / 2, "n": n})
    for n, accuracy in [(1, 0.24), (2, 0.41), (4, 0.6), (8, 0.76), (16, 0.79), (32, 0.8)]
]
SHAPES = {
    "rising": POINTS,
    "falling": [replace(p, accuracy=1 - p.accuracy) for p in POINTS],
    "flat": [replace(p, accuracy=0.5) for p in POINTS],
    "never": [replace(p, accuracy=0.0) for p in POINTS],
    "always": [replace(p, accuracy=1.0) for p in POINTS],
}
ENTRIES = registry.laws.entries()
every_law = pytest.mark.parametrize("entry", ENTRIES, ids=[entry.name for entry in ENTRIES])


def law_of(entry: Entry) -> Law:
    law: Law = entry.make()
    return law


@every_law
@pytest.mark.parametrize("shape", SHAPES)
def test_prediction_is_an_accuracy(entry: Entry, shape: str) -> None:
    points = SHAPES[shape]
    fitted = law_of(entry).fit(points)
    for p in points:
        assert 0 <= fitted.predict(p.n, p.settings) <= 1
    far = points[-1]
    assert 0 <= fitted.predict(1000 * far.n, {name: 1000 * value for name, value in far.settings.items()}) <= 1


@every_law
@pytest.mark.parametrize("shape", SHAPES)
def test_report_is_json_and_says_how_well_the_law_fits(entry: Entry, shape: str) -> None:
    report = law_of(entry).fit(SHAPES[shape]).report()
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert {"points", "range", "rmse", "r2"} <= report.keys()
    assert report["points"] == len(SHAPES[shape])


@every_law
def test_order_of_the_points_does_not_matter(entry: Entry) -> None:
    law = law_of(entry)
    left, right = law.fit(POINTS), law.fit(POINTS[::-1])
    for p in POINTS:
        assert math.isclose(left.predict(p.n, p.settings), right.predict(p.n, p.settings), abs_tol=1e-9)


@every_law
@pytest.mark.parametrize("count", [0, 1])
def test_too_few_points_are_refused(entry: Entry, count: int) -> None:
    with pytest.raises(BadInput):
        law_of(entry).fit(POINTS[:count])


@every_law
def test_budgets_held_out_are_predicted_with_their_error(entry: Entry) -> None:
    found = held_out(law_of(entry), POINTS, beyond=8)
    assert [n for n, _, _ in found.points] == [16, 32]
    assert 0 <= found.error <= 1
    assert json.loads(json.dumps(found.report(), allow_nan=False)) == found.report()


@every_law
def test_law_survives_a_round_trip_of_its_settings(entry: Entry) -> None:
    law = law_of(entry)
    assert entry.make(**json.loads(json.dumps(parameters(law)))) == law
