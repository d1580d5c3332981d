"""Findings in words: who has the fewest errors and what that costs, and how numbers are written."""

from __future__ import annotations

from typing import Any

import pytest

from ponder.bench.adapt_findings import answer, limits, share, signed
from ponder.bench.adapt_page import adapt_study
from tests.bench.test_adapt_rows import made

pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def rows(*methods: tuple[str, int, int]) -> Any:
    return made(*methods).to_dict()["rows"]


def test_the_answer_names_the_leader_its_gain_its_cost_and_who_is_not_told_apart() -> None:
    said = answer(rows(("good", 0, 160), ("near", 0, 158), ("some", 0, 120)))
    assert said.startswith("good has the fewest errors, 20.0 %: gain on the source model +30.0 (+24.1 to +36.7)")
    assert "calibration error (ECE) 30.0 instead of 0.0" in said
    assert "3.0 times the source model's time" in said
    assert "forgotten" not in said, "no clean data"
    assert said.endswith("Not told apart from it: near.")
    assert answer(rows(("good", 0, 160), ("some", 0, 120))).endswith("All others have more, beyond doubt.")


def test_where_nothing_is_clearly_better_it_says_so() -> None:
    assert answer(rows(("same", 0, 101))) == "no method is clearly better than the source model (50.0 % wrong)."
    assert answer(rows()) == "", "nothing is compared"
    assert answer(rows(("good", 0, 160))[1:]) == "", "nor is it without the source model"


def test_the_answer_stands_first_with_all_streams_or_with_the_only_one() -> None:
    one = made(("good", 0, 160)).to_dict()
    (section,) = adapt_study(one).sections
    assert section.lines[0] == answer(one["rows"])
    two = {**one, "rows": [*one["rows"], *({**row, "stream": "label_shift"} for row in one["rows"])]}
    two["samples"] = {"mixed": 200, "label_shift": 200}
    glance, *others = adapt_study(two).sections
    assert glance.lines == (f"mixed: {answer(one['rows'])}", f"label shift: {answer(one['rows'])}")
    assert not any("fewest" in line for section in others for line in section.lines)


def test_numbers() -> None:
    assert (share(None), share(0.1234)) == ("", "12.3")
    assert [signed(value) for value in (None, 0.1, -0.1, -0.0001)] == ["", "+10.0", "-10.0", "+0.0"]
    assert limits(None) == ""
    assert limits((-0.1, -0.2, -0.0001)) == "-20.0 to -0.0", "the sign tells that 0 is outside"
