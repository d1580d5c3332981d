"""The shipped state file against what this very run said (full runs only; it runs last), and how outcomes are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from ponder.core.papers import shipped_state
from ponder.core.registry import strategies
from tests.catalogue import Recorder, aggregate, subjects

GREEDY = strategies.get("greedy")


def test_state_file_says_what_the_tests_said(request: pytest.FixtureRequest) -> None:
    recorder = request.config.pluginmanager.get_plugin("catalogue-recorder")
    assert isinstance(recorder, Recorder)
    shipped, fresh = shipped_state(), recorder.state()
    # What could not run here says nothing against the file; under PONDER_STRICT everything runs.
    parity = {
        card: said if said != "skipped" else shipped.parity.get(card, said) for card, said in fresh.parity.items()
    }
    components = {
        key: {
            aspect: outcome if outcome != "skipped" else shipped.components.get(key, {}).get(aspect, outcome)
            for aspect, outcome in said.items()
        }
        for key, said in fresh.components.items()
    }
    assert (components, parity) == (shipped.components, shipped.parity), "stale: run `make catalogue`, commit the file"


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
