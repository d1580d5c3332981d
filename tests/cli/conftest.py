"""Fixtures of the command line's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from ponder.cli.main import main
from tests.cli.command import Command, Done


@pytest.fixture
def ponder(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Call the command line with arguments; the cache is an empty directory."""
    monkeypatch.setenv("PONDER_CACHE", str(tmp_path / "cache"))

    def run(*arguments: str) -> Done:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = capsys.readouterr()
        return Done(int(ended.value.code or 0), out, err)

    return run
