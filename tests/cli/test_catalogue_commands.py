"""`ponder methods`, `ponder verifiers` and `ponder models`."""

from __future__ import annotations

import json

import pytest

from ponder.cli.methods import settings_of
from ponder.cli.methods_found import find_component
from ponder.cli.verifiers import cost_of
from ponder.core.papers import rows
from ponder.core.registry import adapters, models, strategies, verifiers
from ponder.models import fetch
from tests.cli.command import Command


def test_methods_are_all_listed_one_a_line(ponder: Command) -> None:
    texts, classifiers = ponder("methods").out.split("\n\n")
    assert [line.split()[0] for line in texts.splitlines()[1:]] == strategies.names()
    assert [line.split()[0] for line in classifiers.splitlines()[2:]] == adapters.names()


def test_adapters_are_listed_alone_where_only_they_carry_the_tags(ponder: Command) -> None:
    lines = ponder("methods", "--what", "adaptation", "--where", "safety").out.splitlines()
    assert [line.split()[0] for line in lines] == ["Adapters", "adapter", "guard"]


@pytest.mark.parametrize(
    ("called", "kind", "name"),
    [
        ("eata", "adapter", "eata"),
        ("TENT", "adapter", "tent"),
        ("SAR", "adapter", "sar"),
        ("TCA", "adapter", "token_condensation"),
        ("T3", "adapter", "t3_merging"),
        ("T³", "adapter", "t3_merging"),
        ("ckepe", "adapter", "merl"),
        ("MERL + CKEPE", "adapter", "merl"),
        ("Label Shift Adapter", "adapter", "label_shift"),
        ("AdaNPC", "adapter", "adanpc"),
        ("arXiv:2204.02610", "adapter", "eata"),
        ("AoT", "method", "atom_of_thoughts"),
        ("wqrm", "verifier", "wqrm"),
    ],
)
def test_components_are_found_by_their_own_name_and_by_their_papers(
    ponder: Command, called: str, kind: str, name: str
) -> None:
    shown = json.loads(ponder("methods", "show", called, "--json").out)
    assert (shown["kind"], shown["name"]) == (kind, name)


def test_every_paper_that_works_is_found_by_its_name() -> None:
    for row in rows():
        if row.paper.components:
            entry = find_component(row.paper.name)
            assert f"{entry.kind}/{entry.name}" in row.paper.components


def test_other_components_of_the_paper_are_named(ponder: Command) -> None:
    said = ponder("methods", "show", "eata").out
    assert "Of the same paper: eta." in said
    assert "masked | selected" in said
    assert "learning rate, >= 0." in said, "a setting that the adapter inherits is explained too"


def test_a_planned_paper_says_so(ponder: Command) -> None:
    planned = next(row.paper for row in rows() if not row.paper.components)
    done = ponder("methods", "show", planned.name)
    assert (done.code, done.err) == (
        2,
        f"ponder: {planned.name} (card {planned.card}) is planned: there is nothing to show yet\n",
    )


def test_methods_as_json_have_their_facts(ponder: Command) -> None:
    facts = {fact["name"]: fact for fact in json.loads(ponder("methods", "--json").out)}
    assert facts["best_of_n"]["needs"] == ["verifier"]
    assert facts["best_of_n"]["cards"] == [4, 13]
    assert {setting["name"] for setting in facts["self_consistency"]["settings"]} >= {"n", "early_stop"}


def test_a_method_is_shown_with_its_settings(ponder: Command) -> None:
    said = ponder("methods", "show", "self_consistency").out
    assert "Majority" not in said.splitlines()[0]
    assert "Cost: n calls" in said
    assert "none | exact | bayes" in said
    assert json.loads(ponder("methods", "show", "greedy", "--json").out)["settings"] == []


def test_every_setting_is_documented() -> None:
    lacking = [
        (e.name, s.name) for e in [*strategies.entries(), *adapters.entries()] for s in settings_of(e) if not s.meaning
    ]
    assert not lacking


def test_an_unknown_method_has_near_matches(ponder: Command) -> None:
    done = ponder("methods", "show", "greedi")
    assert (done.code, done.err) == (2, "ponder: no method is called 'greedi'. Did you mean 'greedy'?\n")


def test_papers_are_65_rows(ponder: Command) -> None:
    rows = json.loads(ponder("methods", "--papers", "--json").out)
    assert [row["card"] for row in rows] == list(range(1, 66))
    assert all(set(row) == {"card", "name", "state", "fidelity", "components"} for row in rows)
    assert len(ponder("methods", "--papers").out.splitlines()) == 67


def test_verifiers_are_all_listed_one_a_line(ponder: Command) -> None:
    lines = ponder("verifiers").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == verifiers.names()
    gold = {line.split()[0] for line in lines[1:] if " oracle " in line}
    assert gold == {entry.name for entry in verifiers.entries() if entry.oracle}
    assert gold


def test_verifiers_as_json_have_their_facts(ponder: Command) -> None:
    facts = {fact["name"]: fact for fact in json.loads(ponder("verifiers", "--json").out)}
    assert list(facts) == verifiers.names()
    assert facts["judge"]["access"] == ["text"]
    assert facts["arithmetic"]["access"] == []
    assert facts["hidden_tests"]["oracle"] is True
    assert facts["prm"]["needs"] == ["torch"]
    assert facts["judge"]["cost"] == 'one call of the role "judge" for each distinct answer text, in parallel'
    assert facts["arithmetic"]["cost"] == "no model call"


def test_every_verifier_says_what_it_costs_and_documents_its_settings() -> None:
    assert [entry.name for entry in verifiers.entries() if not cost_of(entry)] == []
    lacking = [(e.name, s.name) for e in verifiers.entries() for s in settings_of(e) if not s.meaning]
    assert not lacking


def test_a_verifier_is_shown_with_its_settings(ponder: Command) -> None:
    said = ponder("verifiers", "show", "judge").out
    assert "max_tokens" in said
    assert "--verifier-set" in said
    assert "uses gold" in ponder("verifiers", "show", "hidden_tests").out
    assert json.loads(ponder("verifiers", "show", "judge", "--json").out)["header"].startswith("LLM judge")
    done = ponder("verifiers", "show", "juge")
    assert done.code == 2
    assert done.err.startswith("ponder: no verifier is called 'juge'. Did you mean 'judge'")


def test_models_are_all_listed(ponder: Command) -> None:
    said = json.loads(ponder("models", "--json").out)
    assert [backend["name"] for backend in said["backends"]] == models.names()
    assert all(backend["determinism"] for backend in said["backends"])
    assert "depends on its settings" not in str(said)
    said_of = {backend["name"]: backend["determinism"] for backend in said["backends"]}
    assert said_of["scripted"] == "exact"
    assert "one slot" in said_of["llamacpp"]
    assert said["fetchable"] == dict.fromkeys(fetch.SOURCES)
    assert "not here: ponder models get smollm2" in ponder("models").out


def test_getting_a_model_prints_its_path(ponder: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def get(name: str, progress: fetch.Progress) -> str:
        progress("download", 0, 0)
        progress("unpack", 1, 2)
        progress("unpack", 2, 2)
        return f"/cache/{name}"

    monkeypatch.setattr(fetch, "get", get)
    assert ponder("models", "get", "tiny") == (0, "/cache/tiny\n", "tiny: download\ntiny: unpack\n")


def test_getting_an_unknown_model_is_one_line(ponder: Command) -> None:
    done = ponder("models", "get", "gpt")
    assert (done.code, len(done.err.splitlines())) == (2, 1)


def test_methods_are_found_by_their_tags(ponder):
    shown = ponder("methods", "--what", "parallel", "--how", "verification", "--json")
    names = {entry["name"] for entry in json.loads(shown.out)}
    assert "best_of_n" in names
    assert not names & {"greedy", "beam_search", "qalign"}
    wrong = ponder("methods", "--how", "magic")
    assert (wrong.code, "no tag 'magic' on the axis 'how'" in wrong.err) == (2, True)
    none = ponder("methods", "--what", "single", "--how", "search")
    assert (none.code, "no method carries all of these tags" in none.err) == (2, True)
