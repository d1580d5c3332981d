"""The catalogue of papers: its data, and when a row may say that it works."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.papers import Outcome, Paper, State, papers, rows, shipped_state
from ponder.core.registry import registries

GREEN: Mapping[str, Outcome] = {"conformance": "passed", "tests": "passed"}
OUTCOMES = st.sampled_from(["passed", "failed", "skipped", "missing"])


def paper(*components: str) -> Paper:
    return Paper(card=4, name="X", title="Y", arxiv="2408.03314", year=2024, fidelity="paper", components=components)


def state(parity: Mapping[int, Outcome] | None = None, aspects: Mapping[str, Outcome] | None = None) -> State:
    return State(components={"method/a": {**GREEN, **(aspects or {})}, "method/b": GREEN}, parity=parity or {})


def test_papers_are_the_65_cards_in_order() -> None:
    assert [p.card for p in papers()] == list(range(1, 66))


def test_papers_have_unique_names_and_identifiers() -> None:
    names, identifiers = {p.name for p in papers()}, {p.arxiv for p in papers()}
    assert (len(names), len(identifiers)) == (65, 65)
    assert all(p.title and 2000 + int(p.arxiv[:2]) == p.year for p in papers())


@pytest.mark.parametrize("card", [8, 35, 49, 55, 58])
def test_papers_known_from_abstracts_are_reconstructed(card: int) -> None:
    assert papers()[card - 1].fidelity == "reconstructed"


def test_papers_require_components_of_known_kinds() -> None:
    kinds = {key.partition("/")[0] for p in papers() for key in p.components}
    assert kinds <= registries().keys()


def test_every_card_of_a_component_is_a_card() -> None:
    cards = {card for registry in registries().values() for entry in registry.entries() for card in entry.card}
    assert cards <= set(range(1, 66))


def test_supports_needs_every_component_registered_and_green() -> None:
    assert state().supports(paper("method/a", "method/b"), ["method/a", "method/b"])
    assert not state().supports(paper("method/a", "method/b"), ["method/a"])
    assert not state().supports(paper("method/a", "method/c"), ["method/a", "method/c"])


def test_supports_never_calls_a_paper_without_requirements_working() -> None:
    assert not state().supports(paper(), ["method/a"])


@pytest.mark.parametrize("outcome", ["failed", "skipped", "missing"])
@pytest.mark.parametrize("aspect", ["conformance", "tests"])
def test_supports_refuses_a_component_that_did_not_pass(aspect: str, outcome: Outcome) -> None:
    assert not state(aspects={aspect: outcome}).supports(paper("method/a"), ["method/a"])


@pytest.mark.parametrize(
    ("parity", "works"),
    [({}, True), ({4: "passed"}, True), ({4: "failed"}, False), ({4: "missing"}, False), ({13: "failed"}, True)],
)
def test_supports_needs_parity_where_the_card_has_fixtures(parity: dict[int, Outcome], *, works: bool) -> None:
    assert state(parity).supports(paper("method/a"), ["method/a"]) is works


@given(
    st.dictionaries(st.text(), st.dictionaries(st.sampled_from(["conformance", "tests"]), OUTCOMES)),
    st.dictionaries(st.integers(1, 65), OUTCOMES),
)
def test_state_survives_json_whatever_the_order(components: dict, parity: dict) -> None:
    here = State(components=components, parity=parity)
    turned = State(components=dict(reversed(components.items())), parity=dict(reversed(parity.items())))
    assert State.from_json(here.to_json()) == here
    assert here.to_json() == turned.to_json()


def test_rows_show_the_components_that_carry_the_card() -> None:
    best_of_n = next(row for row in rows() if row.paper.card == 4)
    assert "best_of_n" in best_of_n.components


def test_rows_work_only_by_the_state_they_are_given() -> None:
    assert {row.state for row in rows(State(components={}, parity={}))} == {"planned"}


def test_rows_serialise_to_the_documented_fields() -> None:
    lines = json.loads(json.dumps([row.to_dict() for row in rows()]))
    assert len(lines) == 65
    assert all(line.keys() == {"card", "name", "state", "fidelity", "components"} for line in lines)


def test_shipped_state_can_be_read() -> None:
    assert State.from_json(shipped_state().to_json()) == shipped_state()
