"""The command itself: help, version, errors, pipes that close."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ponder._version import __version__
from ponder.cli import main as module
from ponder.cli.console import method_text, plural, printable
from tests.cli.command import Command
from tests.meta.test_base_install import loaded

RUN = [sys.executable, "-c", "from ponder.cli.main import main; main()"]


def test_help_lists_the_commands() -> None:
    done = subprocess.run([*RUN, "--help"], capture_output=True, text=True, check=True)
    listed = {line.split()[0] for line in done.stdout.partition("Commands:")[2].splitlines() if line.strip()}
    assert {"solve", "methods", "models", "doctor", "demo"} <= listed


def test_help_loads_nothing_heavy() -> None:
    assert not loaded("import ponder.cli.main") & {"rich", "aiohttp", "sqlite3", "torch", "xllamacpp"}


def test_version_is_printed(ponder: Command) -> None:
    assert ponder("--version") == (0, f"ponder {__version__}\n", "")


def test_without_a_command_help_is_shown(ponder: Command) -> None:
    assert "Commands:" in "".join(ponder()[1:])


def test_an_unexpected_error_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **options: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(module, "app", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        module.main(["solve"])


def test_a_reader_that_leaves_is_no_error() -> None:
    with subprocess.Popen([*RUN, "methods", "--papers", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
        assert p.stdout is not None
        assert p.stderr is not None
        p.stdout.close()
        assert p.stderr.read() == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="exempt: Linux has a device that is always full")
def test_a_full_disk_is_one_line() -> None:
    command = [*RUN, "solve", "Hi", "--model", "scripted:a", "--no-store", "--quiet"]
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "ponder: the output cannot be written: No space left on device\n")


@pytest.mark.parametrize(("count", "text"), [(1, "1 call"), (0, "0 calls"), (1200, "1,200 calls")])
def test_plural_counts(count: int, text: str) -> None:
    assert plural(count, "call") == text


def test_printable_shows_control_characters() -> None:
    assert printable("a\x1b[2J\tü\n\x00\udc80") == "a\\x1b[2J\tü\n\\x00\\udc80"


def test_method_text_leaves_defaults_out() -> None:
    assert (
        method_text("self_consistency", {"n": 16, "early_stop": "exact", "ahead": 2}) == "self_consistency n=16 ahead=2"
    )
    assert method_text("NotRegistered", {}) == "NotRegistered"
