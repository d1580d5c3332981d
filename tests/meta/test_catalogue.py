"""How the plugin that keeps the state file reads outcomes, and what it calls stale."""

from __future__ import annotations

from pathlib import Path

import pytest

from ponder.core.papers import State
from ponder.core.registry import strategies
from tests.catalogue import Recorder, aggregate, differences, subjects

GREEDY = strategies.get("greedy")


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        ([], "missing"),
        (["skipped"], "skipped"),
        (["skipped", "passed"], "passed"),
        (["passed", "failed", "skipped"], "failed"),
    ],
)
def test_aggregate_needs_a_pass_and_no_failure(outcomes: list, said: str) -> None:
    assert aggregate(outcomes) == said


@pytest.mark.parametrize(
    ("path", "parameters", "about"),
    [
        ("strategies/test_greedy.py", [], {("method/greedy", "tests")}),
        ("engines/test_greedy.py", [], set()),
        ("strategies/test_greedy_more.py", [], set()),
        ("conformance/test_methods.py", [GREEDY, 3], {("method/greedy", "conformance")}),
        ("conformance/test_methods.py", ["greedy"], set()),
        ("parity/test_04_13_votes.py", [], {("04", "parity"), ("13", "parity")}),
        ("parity/test_harness.py", [], set()),
    ],
)
def test_subjects_follow_the_place_of_a_test(path: str, parameters: list, about: set) -> None:
    assert subjects(Path(path), parameters, [GREEDY]) == about


@pytest.mark.parametrize(
    ("shipped", "fresh", "found"),
    [
        ({"method/a": {"tests": "passed"}}, {"method/a": {"tests": "passed"}}, 0),
        ({"method/a": {"tests": "passed"}}, {"method/a": {"tests": "failed"}}, 1),
        ({"method/a": {"tests": "passed"}}, {"method/a": {"tests": "skipped"}}, 0),
        ({}, {"method/a": {"tests": "skipped"}}, 1),
        ({"method/a": {"tests": "passed"}}, {}, 1),
        ({"method/a": {"tests": "passed"}}, {"method/b": {"tests": "passed"}}, 2),
        ({"method/a": {"tests": "passed"}}, {"method/a": {"tests": "passed", "conformance": "passed"}}, 1),
    ],
)
def test_stale_is_all_but_what_could_not_run(shipped: dict, fresh: dict, found: int) -> None:
    assert len(differences(State(components=shipped, parity={}), State(components=fresh, parity={}))) == found


def test_a_card_without_outcome_is_stale() -> None:
    none = State(components={}, parity={})
    seven = State(components={}, parity={7: "missing"})
    assert differences(none, seven) == ["card 07: the file says nothing, the tests say missing"]
    assert differences(seven, seven) == []


def test_outcomes_are_read_from_reports_of_any_process() -> None:
    recorder = Recorder("check")
    for when, outcome in [("setup", "passed"), ("call", "failed"), ("teardown", "passed"), ("setup", "skipped")]:
        report = pytest.TestReport("a", ("a", 0, "a"), {}, outcome, None, when)  # type: ignore[arg-type]
        report.user_properties.append(("catalogue", [["method/greedy", "tests"]]))
        recorder.pytest_runtest_logreport(report)
    assert recorder.said == {("method/greedy", "tests"): ["failed", "skipped"]}
