from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ponder.core.errors import BadInput
from ponder.models import convert
from ponder.models.convert import cache_directory, converted, sha256


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PONDER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    file = tmp_path / "small.gguf"
    file.write_bytes(b"GGUF, more or less")
    return file


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Stand in for transformers, which takes seconds; the embedded tests convert a real file."""
    seen: list[Path] = []

    def write(source: Path, target: Path) -> None:
        seen.append(source)
        (target / "config.json").write_text("{}")
        (target / "model.safetensors").write_bytes(source.read_bytes())

    monkeypatch.setattr(convert, "_convert", write)
    return seen


def test_cache_directory_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_directory() == tmp_path / "cache"
    monkeypatch.delenv("PONDER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory() == tmp_path / "xdg" / "ponder"


def test_file_is_converted_once(gguf: Path, conversions: list[Path]) -> None:
    first = converted(gguf)
    assert converted(gguf) == first
    assert conversions == [gguf]
    manifest = json.loads((first / "manifest.json").read_text())
    assert manifest["source"]["sha256"] == sha256(gguf)
    assert manifest["files"] == {name: sha256(first / name) for name in ("config.json", "model.safetensors")}


@pytest.mark.parametrize("damage", ["change", "remove", "manifest", "add"])
def test_damaged_conversion_is_made_again(gguf: Path, conversions: list[Path], damage: str) -> None:
    target = converted(gguf)
    if damage == "change":
        (target / "model.safetensors").write_bytes(b"other weights")
    elif damage == "remove":
        (target / "config.json").unlink()
    elif damage == "add":
        (target / "adapter.safetensors").touch()
    else:
        (target / "manifest.json").write_text("{")
    assert converted(gguf) == target
    assert len(conversions) == 2
    assert (target / "model.safetensors").read_bytes() == gguf.read_bytes()
    assert sorted(file.name for file in target.iterdir()) == ["config.json", "manifest.json", "model.safetensors"]


def test_changed_source_is_another_conversion(gguf: Path, conversions: list[Path]) -> None:
    first = converted(gguf)
    gguf.write_bytes(b"GGUF of another model")
    assert converted(gguf) != first
    assert len(conversions) == 2


def test_broken_off_conversion_leaves_nothing(gguf: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(source: Path, target: Path) -> None:
        (target / "config.json").write_text("{}")
        raise BadInput("no such architecture")

    monkeypatch.setattr(convert, "_convert", fail)
    with pytest.raises(BadInput, match="architecture"):
        converted(gguf)
    assert list((cache / "converted").iterdir()) == []


def test_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no file"):
        converted(tmp_path / "absent.gguf")


def test_digest_is_read_again_when_the_file_changes(gguf: Path, cache: Path) -> None:
    before = sha256(gguf)
    stat = gguf.stat()
    gguf.write_bytes(gguf.read_bytes()[::-1])
    os.utime(gguf, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert sha256(gguf) != before


def test_digest_survives_a_cache_that_cannot_be_used(gguf: Path, cache: Path) -> None:
    expected = sha256(gguf)
    (memo,) = (cache / "digests").iterdir()
    memo.write_text("not json")
    assert sha256(gguf) == expected
    for file in (cache / "digests").iterdir():
        file.unlink()
    (cache / "digests").rmdir()
    (cache / "digests").touch()  # a file where the directory should be
    assert sha256(gguf) == expected
