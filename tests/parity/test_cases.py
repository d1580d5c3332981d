"""The harness itself: what it reads, what it lets pass and what it does not."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy
import pytest

from tests.parity.cases import Case, Kind, Kinds, arrays, compare, folders, measure, numbers, read_cases


def error(ours: Any, wanted: Any) -> float:
    return max((found for _, found in compare(ours, wanted)), default=0.0)


@pytest.mark.parametrize(
    ("ours", "wanted", "difference"),
    [
        (0.5, 0.5, 0.0),
        (0.5, 0.75, 0.25),
        (200.0, 100.0, 1.0),
        (3, 3.5, 0.5 / 3.5),
        (math.nan, "nan", 0.0),
        (-math.inf, "-inf", 0.0),
        (math.inf, "-inf", math.inf),
        (math.nan, 1.0, math.inf),
        (3, 4, math.inf),
        ("a", "a", 0.0),
        ("a", "b", math.inf),
        ("nan", "nan", 0.0),
        (None, None, 0.0),
        (None, 0.0, math.inf),
        (True, 1, math.inf),
        ([1.0, 2.0], [1.0, 2.5], 0.2),
        ((1.0,), [1.0, 2.0], math.inf),
        ({"a": 1.0}, {"a": 1.0}, 0.0),
        ({"a": 1.0}, {"a": 1.0, "b": 1.0}, math.inf),
        ({"a": 1.0, "b": 1.0}, {"a": 1.0}, math.inf),
        ({}, [], math.inf),
    ],
)
def test_compare_measures_numbers_and_asks_all_else_to_be_equal(ours: Any, wanted: Any, difference: float) -> None:
    assert error(ours, wanted) == pytest.approx(difference)


def test_numbers_reads_words_in_nested_lists_only() -> None:
    assert numbers([["-inf", 1], "inf", "x", None]) == [[-math.inf, 1], math.inf, "x", None]


def test_cases_share_the_inputs_of_the_earlier_released_one(tmp_path: Path) -> None:
    shared = {"name": "x", "kind": "k", "version": "released", "inputs": {"a": 1, "b": 2}, "outputs": {}}
    other = {"name": "y", "kind": "k", "version": "paper", "inputs": {"same_inputs_as": "x", "b": 3}, "outputs": {}}
    path = tmp_path / "cases.json"
    path.write_text(json.dumps({"cases": [shared, other]}), encoding="utf-8")
    assert [case.inputs for case in read_cases("00", path)] == [{"a": 1, "b": 2}, {"a": 1, "b": 3}]
    path.write_text(json.dumps({"cases": [other]}), encoding="utf-8")
    with pytest.raises(pytest.UsageError, match="no earlier"):
        read_cases("00", path)


def test_arrays_are_grouped_by_case(tmp_path: Path) -> None:
    held: dict[str, Any] = {"one/x": numpy.ones(2), "one/y": numpy.zeros(1), "z": numpy.array(3.0)}
    numpy.savez(tmp_path / "cases.npz", **held)
    found = arrays(tmp_path / "cases.npz")
    assert {case: sorted(parts) for case, parts in found.items()} == {"one": ["x", "y"], "": ["z"]}


def test_card_without_fixtures_is_an_error_unless_others_were_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PONDER_FIXTURES", str(tmp_path))
    assert folders("00") == []
    monkeypatch.setenv("PONDER_FIXTURES", str(tmp_path / "nowhere"))
    with pytest.raises(pytest.UsageError, match="no folder"):
        folders("04")
    monkeypatch.delenv("PONDER_FIXTURES")
    with pytest.raises(pytest.UsageError, match="no fixtures of card 00"):
        folders("00")


KINDS: Kinds = {("k", "paper"): Kind(lambda given: {"y": given["x"], "more": 0}, 1e-12)}


def case(kind: str, outputs: dict[str, float]) -> Case:
    return Case(card="00", place=0, kind=kind, version="paper", name="n", inputs={"x": 1.0}, outputs=outputs)


def test_agreement_passes() -> None:
    measured = measure(case("k", {"y": 1.0 + 1e-13}), KINDS)
    assert not measured.wrong
    assert 0 < measured.error <= measured.tolerance


@pytest.mark.parametrize(
    ("kind", "outputs", "wrong"),
    [
        ("k", {"y": 2.0}, {"y": 0.5}),
        ("k", {"y": 1.0, "z": 0.0}, {"z": math.inf}),
        ("k", {}, {"outputs": math.inf}),
        ("new", {"y": 1.0}, {"kind": math.inf}),
    ],
)
def test_disagreement_and_what_nothing_computes_are_wrong(
    kind: str, outputs: dict[str, float], wrong: dict[str, float]
) -> None:
    measured = measure(case(kind, outputs), KINDS)
    assert measured.wrong == wrong
    assert measured.error == max(wrong.values())
