"""Rows of files, with places that messages can name."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ponder.core.errors import BadInput, ConfigError, MissingExtra
from ponder.tasks.loaders.rows import SourceRow, read_source


def written(folder: Path, name: str, text: str) -> str:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return str(file)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", '{"q": "one", "n": "1"}\n\n{"q": "two, or 2", "n": "2"}\n'),
        ("a.json", '[{"q": "one", "n": "1"}, {"q": "two, or 2", "n": "2"}]'),
        ("a.json", '{"rows": [{"q": "one", "n": "1"}, {"q": "two, or 2", "n": "2"}]}'),
        ("a.csv", '\ufeffq,n\none,1\n"two, or 2",2\n'),
        ("a.tsv", "q\tn\none\t1\n\ntwo, or 2\t2\n"),
    ],
)
def test_kinds_of_files_give_the_same_rows(name: str, text: str, tmp_path: Path) -> None:
    rows = list(read_source(written(tmp_path, name, text)))
    assert [dict(row.values) for row in rows] == [{"q": "one", "n": "1"}, {"q": "two, or 2", "n": "2"}]
    assert [row.number for row in rows] == [0, 1]


def test_gzipped_files_and_parquet_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"q": "one"}\n'))
    assert [dict(row.values) for row in read_source(str(tmp_path / "a.jsonl.gz"))] == [{"q": "one"}]
    polars = pytest.importorskip("polars")
    polars.DataFrame({"q": ["one", None], "n": [1, 2], "l": [["a"], []]}).write_parquet(tmp_path / "a.parquet")
    first, second = read_source(str(tmp_path / "a.parquet"))
    assert dict(first.values) == {"q": "one", "n": 1, "l": ["a"]}
    with pytest.raises(BadInput, match=r"a\.parquet row 1: column 'q': is missing"):
        second.text("q")


def test_one_object_is_one_row_and_a_csv_may_lack_its_header(tmp_path: Path) -> None:
    (row,) = read_source(written(tmp_path, "1.json", '{"problem": "x", "level": "Level 1"}'))
    assert row.text("problem") == "x"
    (row,) = read_source(written(tmp_path, "m.csv", "Which?,red,blue\n"), names=("question", "A", "B"))
    assert row.text("B") == "blue"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", '{"q": 1}\n{"q": \n', r"a\.jsonl:2: not a line of JSON"),
        ("a.jsonl", "[" * 100_000, r"a\.jsonl:1: not a line of JSON"),
        ("a.jsonl", '{"q": 1}\n[1]\n', r"a\.jsonl:2: a row must be an object"),
        ("a.json", "{", r"a\.json: not JSON"),
        ("a.json", "3", r"a\.json: needs a list of rows"),
        ("a.json", "[1]", r"a\.json row 0: a row must be an object"),
        ("a.csv", "q,n\n1\n", r"a\.csv:2: 1 cells for the 2 columns"),
        ("a.csv", "q,q\n1,2\n", r"a\.csv:1: two columns have the same name"),
        ("a.csv", 'q\n"a"b\n', r"a\.csv:2: not CSV"),
        ("a.parquet", "no", r"cannot read .*a\.parquet"),
    ],
)
def test_bad_rows_are_refused_with_their_place(name: str, text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=message):
        list(read_source(written(tmp_path, name, text)))


def test_unknown_kinds_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot tell the kind"):
        list(read_source(written(tmp_path, "a.xlsx", "")))
    with pytest.raises(BadInput, match="cannot read"):
        list(read_source(str(tmp_path / "none.jsonl")))
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="cannot read"):
        list(read_source(str(tmp_path / "bytes.csv")))


def test_values_are_read_as_text_or_refused() -> None:
    row = SourceRow(where="f:3", number=2, values={"a": 145.0, "b": 2.5, "c": True, "d": None, "e": " x "})
    assert [row.text(name) for name in ("a", "b", "e")] == ["145", "2.5", " x "]
    assert row.text("none", "a") == "145"
    with pytest.raises(BadInput, match="f:3: column 'c': needs text or a number, got True"):
        row.text("none", "c")
    with pytest.raises(BadInput, match="f:3: no column 'y' or 'z'; there are 'a', 'b'"):
        row.text("y", "z")


def test_hub_goes_through_datasets(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load_dataset(*path: str, split: str) -> list[dict[str, str]]:
        asked.append((path, split))
        if path[0] == "no/such":
            raise ValueError("there is none")
        return [{"question": "one"}]

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    (row,) = read_source("hub:openai/gsm8k/main", split="train")
    assert (row.where, dict(row.values)) == ("openai/gsm8k/main row 0", {"question": "one"})
    assert asked == [(("openai/gsm8k", "main"), "train")]
    with pytest.raises(BadInput, match="there is none"):
        list(read_source("hub:no/such"))
    with pytest.raises(ConfigError, match="owner/name"):
        list(read_source("hub:gsm8k"))


def test_hub_is_refused_offline_and_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ConfigError, match="HF_HUB_OFFLINE"):
        list(read_source("hub:openai/gsm8k"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"ponder\[hub\]"):
        list(read_source("hub:openai/gsm8k"))


def test_json_lines_keep_line_separators_inside_of_values(tmp_path: Path) -> None:
    (row,) = read_source(written(tmp_path, "a.jsonl", json.dumps({"q": "a\u2028b"}, ensure_ascii=False) + "\n"))
    assert row.text("q") == "a\u2028b"
