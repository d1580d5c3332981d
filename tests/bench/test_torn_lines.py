"""What a killed process left of a last line goes, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from ponder.bench import torn_lines
from ponder.bench.torn_lines import repaired


@pytest.mark.parametrize("block", [1, 3, 1 << 20])
@pytest.mark.parametrize(
    ("before", "after"),
    [(b"", b""), (b"torn", b""), (b"one\n", b"one\n"), (b"one\ntwo\nto", b"one\ntwo\n"), (b"\n\nx", b"\n\n")],
)
def test_the_torn_line_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bytes, after: bytes, block: int
) -> None:
    monkeypatch.setattr(torn_lines, "_BLOCK", block)
    path = tmp_path / "rows.jsonl"
    path.write_bytes(before)
    assert repaired(path) == path
    assert path.read_bytes() == after


def test_a_file_that_is_not_there_is_made(tmp_path: Path) -> None:
    assert repaired(tmp_path / "rows.jsonl").read_bytes() == b""
