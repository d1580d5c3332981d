"""Translations, medical choice and inequalities in their published shapes."""

from __future__ import annotations

import json

import pytest

from ponder.core.errors import BadInput
from ponder.tasks.loaders.inequality_sets import ineqmath
from ponder.tasks.loaders.load import load_problems
from ponder.tasks.loaders.medical import medmcqa, medqa, pubmedqa
from ponder.tasks.loaders.rows import SourceRow
from ponder.tasks.loaders.translations import translation


def row(**values: object) -> SourceRow:
    return SourceRow(where="set.jsonl:1", number=0, values=values)


@pytest.mark.parametrize(
    "values",
    [
        {"source": "A day.", "reference": "Ein Tag.", "source_language": "English", "target_language": "German"},
        {"src": "A day.", "ref": "Ein Tag.", "source_lang": "en", "target_lang": "DE"},
        {"src": "A day.", "tgt": "Ein Tag.", "lp": "en-de"},
    ],
)
def test_shapes_of_translations_agree(values: dict) -> None:
    problem = translation(row(**values))
    assert problem.reference == "Ein Tag."
    assert problem.task.prompt.endswith("English: A day.\nGerman:")
    assert problem.task.metadata["target_language"] == "German"


@pytest.mark.parametrize(
    "values",
    [
        {"source": " ", "reference": "x", "lp": "en-de"},
        {"source": "x", "reference": "", "lp": "en-de"},
        {"source": "x", "reference": "x", "lp": "en"},
        {"source": "x", "reference": "x"},
        {"reference": "x", "lp": "en-de"},
    ],
)
def test_translations_without_a_text_or_language_are_refused(values: dict) -> None:
    with pytest.raises(BadInput, match=r"set\.jsonl:1"):
        translation(row(**values))


def test_medical_shapes_agree_on_what_is_right() -> None:
    found = [
        medqa(row(question="Which?", options={"A": "red", "B": "blue"}, answer_idx="B")),
        medmcqa(row(question="Which?", opa="red", opb="blue", opc="green", opd="grey", cop=1)),
        medmcqa(row(question="Which?", opa="red", opb="blue", opc="green", opd="grey", cop="b")),
        pubmedqa(row(question="Does it?", context={"contexts": ["It may."]}, final_decision="no", pubid=7)),
    ]
    assert [problem.reference for problem in found] == ["B"] * 4
    assert found[3].task.prompt.startswith("It may.\n\nDoes it?\nA. yes\nB. no\nC. maybe\n")
    assert found[3].task.id == "7"


@pytest.mark.parametrize(
    ("read", "values"),
    [
        (medqa, {"question": "?", "options": {"A": "x", "B": "y"}, "answer_idx": "C"}),
        (medqa, {"question": "?", "options": ["x", "y"], "answer_idx": "A"}),
        (medqa, {"question": "?", "options": {"A": "x"}, "answer_idx": "A"}),
        (medmcqa, {"question": "?", "opa": "1", "opb": "2", "opc": "3", "opd": "4", "cop": 7}),
        (pubmedqa, {"question": "?", "final_decision": "perhaps"}),
    ],
)
def test_medical_rows_without_a_right_option_are_refused(read, values: dict) -> None:
    with pytest.raises(BadInput, match=r"set\.jsonl:1"):
        read(row(**values))


@pytest.mark.math
def test_inequalities_keep_their_kind() -> None:
    bound = ineqmath(row(problem="Find C.", type="bound", answer="$C = \\frac{1}{2}$", data_id=3))
    assert (bound.task.answer, bound.task.id) == ("bound", "ineqmath-3")
    relation = ineqmath(row(problem="Which?", type="relation", answer="(B) $\\geq$"))
    assert relation.task.answer == "relation"
    assert "(F) None of the above" in relation.task.prompt
    for wrong in ({"type": "proof", "answer": "x"}, {"type": "relation", "answer": "no idea"}):
        with pytest.raises(BadInput):
            ineqmath(row(problem="Which?", **wrong))


def test_a_users_file_is_read_by_its_format(tmp_path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(json.dumps({"id": "a", "source": "A day.", "reference": "Ein Tag.", "lp": "en-de"}), "utf-8")
    (problem,) = load_problems(f"translation:{file}")
    assert problem.task.id == "a"
