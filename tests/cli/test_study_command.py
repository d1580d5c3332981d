from __future__ import annotations

import json

import pytest

from ponder.bench.rows import read_rows

SMALL = ("--count", "6", "--seed", "1")


def test_compute_optimal_writes_rows_table_and_page_and_can_be_studied_again(ponder, tmp_path):
    out, again = tmp_path / "study", tmp_path / "again"
    live = ponder(
        "study", "compute-optimal", "-m", "scripted:12|18|45", *SMALL, "--sizes", "1,2", "--bins", "2", "--probe", "2",
        "--out", str(out),
    )  # fmt: skip
    assert live.code == 0, live.err
    assert "compute-optimal" in live.out
    assert "6 of 6 problems" in live.err
    assert len(read_rows(out / "rows.jsonl")) == 6 * (1 + 1 + 2 + 2)
    table = json.loads((out / "table.json").read_text(encoding="utf-8"))
    assert table["difficulty"] == {"estimator": "agreement", "oracle": False, "bins": ["1", "2"]}
    assert (out / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")

    rows = str(out / "rows.jsonl")
    recorded = ponder("study", "compute-optimal", "--rows", rows, "--bins", "2", "--seed", "1", "--out", str(again))
    assert recorded.code == 0, recorded.err
    known = json.loads((again / "table.json").read_text(encoding="utf-8"))
    assert {key: known[key] for key in known if key != "facts"} == {key: table[key] for key in table if key != "facts"}
    assert not (again / "rows.jsonl").exists()


def test_verification_dynamics_takes_generators_judges_and_verifier_settings(ponder, tmp_path):
    done = ponder(
        "study", "verification-dynamics", "--generator", "scripted:12|18|Verdict: Correct", *SMALL,
        "--verifier", "generative:max_tokens=9", "--verifier", "arithmetic", "--samples", "2", "--out", str(tmp_path),
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "Verifier generative@scripted" in done.out
    assert "Verifier arithmetic" in done.out
    assert {row.curve for row in read_rows(tmp_path / "rows.jsonl")} == {"generative@scripted", "arithmetic"}


def test_weights_and_families_of_recorded_rows(ponder, tmp_path):
    rows = tmp_path / "study" / "rows.jsonl"
    for family in ("multiplication_stories", "writing"):
        out = tmp_path / family
        assert ponder(
            "study", "compute-optimal", "-m", "scripted:12|18", *SMALL, "--family", family, "--method", "best_of_n",
            "--verifier", "constraints" if family == "writing" else "judge", "--sizes", "1,2", "--probe", "2",
            "--out", str(out),
        ).code == 0  # fmt: skip
        rows.parent.mkdir(exist_ok=True)
        with rows.open("a", encoding="utf-8") as file:
            file.write((out / "rows.jsonl").read_text(encoding="utf-8"))
    tokens = {}
    for weight in ("1", "0.5"):
        done = ponder(
            "study", "compute-optimal", "--rows", str(rows), "--weight", f"judge={weight}", "--out", str(rows.parent)
        )
        assert done.code == 0, done.err
        assert "multiplication_stories · 6 questions" in done.out
        points = json.loads((rows.parent / "table.json").read_text(encoding="utf-8"))["points"]
        tokens[weight] = points[0]["tokens"]
    assert tokens["0.5"] < tokens["1"]


def test_problems_from_a_file_and_absolute_bins(ponder, tmp_path):
    file = tmp_path / "mine.jsonl"
    lines = [{"prompt": f"{k} + 1?", "reference": str(k + 1), "answer": "number"} for k in range(5)]
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    done = ponder(
        "study", "compute-optimal", "-m", "scripted:1|2|3", "--problems", str(file), "--method", "self_consistency",
        "--sizes", "4", "--bins", "0.9,0.6", "--out", str(tmp_path),
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "bins easy, medium, hard at 0.9, 0.6" in done.out
    assert {row.family for row in read_rows(tmp_path / "rows.jsonl")} == {"mine"}


def test_an_exchange_needs_the_scale_where_parameters_are_unknown(ponder, tmp_path):
    asked = (
        "study", "compute-optimal", "-m", "scripted:1|2", "--larger", "scripted:12|18", *SMALL,
        "--sizes", "1", "--probe", "1", "--out",
    )  # fmt: skip
    refused = ponder(*asked, str(tmp_path / "a"))
    assert (refused.code, "--scale" in refused.err) == (2, True)
    assert not (tmp_path / "a" / "rows.jsonl").exists()
    done = ponder(*asked, str(tmp_path / "b"), "--scale", "14")
    assert done.code == 0, done.err
    assert "Exchange with a larger model" in done.out


@pytest.mark.parametrize(
    "wrong",
    [
        ("--difficulty", "guess"),
        ("--bins", "many"),
        ("--sizes", "1,x"),
        ("--verifier", "no_such_verifier"),
        ("--method", "best_of_n:k=3"),
        ("--family", "no_such_family"),
    ],
)
def test_wrong_settings_are_said_in_one_line(ponder, tmp_path, wrong):
    done = ponder("study", "compute-optimal", "-m", "scripted:1", *wrong, "--out", str(tmp_path))
    assert done.code == 2
    assert done.err.startswith("ponder: ")


def test_rows_of_an_earlier_study_are_not_mixed_with_new_ones(ponder, tmp_path):
    (tmp_path / "rows.jsonl").write_text("", encoding="utf-8")
    done = ponder("study", "compute-optimal", "-m", "scripted:1", "--out", str(tmp_path))
    assert done.code == 2
    assert "--rows" in done.err


def test_a_dead_model_leaves_no_study(ponder, tmp_path, monkeypatch):
    from ponder.models.scripted import ScriptedModel

    monkeypatch.setattr(ScriptedModel, "from_spec", classmethod(lambda cls, rest: cls(dies_after=0)))
    done = ponder("study", "verification-dynamics", "--generator", "scripted:1", *SMALL, "--out", str(tmp_path))
    assert done.code == 4
    assert "died" in done.err
    assert not (tmp_path / "page.html").exists()
