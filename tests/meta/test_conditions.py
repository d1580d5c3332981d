"""The conditions that tests/conftest.py sets: no network, and no silent skip where everything is meant to be there."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SKIPS = """
import pytest

@pytest.mark.system("no-such-package")
def test_needs_a_package() -> None: ...

def test_is_exempt() -> None:
    pytest.skip("exempt: stated in the metadata")

@pytest.mark.xfail(strict=True)
def test_is_known_to_fail() -> None:
    assert False
"""


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("2001:db8::1", 80), ("example.invalid", 80)])
def test_network_is_closed(address: tuple[str, int]) -> None:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family) as probe, pytest.raises(pytest.fail.Exception, match="reached for the network"):
        probe.connect(address)


def test_loopback_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass


@pytest.mark.parametrize(("strict", "line"), [("0", "2 skipped, 1 xfailed"), ("1", "1 failed, 1 skipped, 1 xfailed")])
def test_strict_fails_what_is_skipped_for_want_of_something(strict: str, line: str, tmp_path: Path) -> None:
    file = tmp_path / "test_skips.py"
    file.write_text(SKIPS, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-p", "tests.conftest", str(file)]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider"],
        cwd=ROOT,
        env={**os.environ, "PONDER_STRICT": strict},
        capture_output=True,
        text=True,
        check=False,
    )
    assert line in done.stdout
    assert "apt-get install no-such-package" in done.stdout
