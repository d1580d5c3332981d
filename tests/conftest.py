"""What every test runs under: no network, skips that say what is missing.

PONDER_STRICT=1 (set by .ci/run) turns each skip into a failure, so that a green run means that all of it ran. A skip
whose reason starts with "exempt:" is a stated exemption and stays one.
"""

from __future__ import annotations

import asyncio
import importlib.util
import ipaddress
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest

import ponder
from ponder import Model
from ponder.core.errors import PonderError
from ponder.models import fetch

pytest_plugins = ["tests.catalogue", "tests.parity.table", "tests.quick_first"]

STRICT = os.environ.get("PONDER_STRICT", "") not in ("", "0")
PROGRAMS = {"bubblewrap": "bwrap", "coq": "coqc"}

hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("strict", deadline=None, derandomize=True)
hypothesis.settings.load_profile("strict" if STRICT else "local")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what cannot run here, with the line that would change it."""
    for mark in item.iter_markers():
        if mark.name in _MISSING and (reason := _MISSING[mark.name](*mark.args)):
            pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Turn skips into failures where everything is meant to be there."""
    report = yield
    if STRICT and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not reason.startswith("exempt:"):
            report.outcome, report.longrepr = "failed", f"skipped under PONDER_STRICT: {reason}"
            report.when = "call"  # so that it counts as a failed test, not as an error of pytest's set-up
    return report


def _without_embedded() -> str:
    try:
        fetch.path("smollm2")
    except PonderError as err:
        return str(err)
    return _without_extra("local", "xllamacpp")


def _without_extra(extra: str, *modules: str) -> str:
    absent = [name for name in modules if importlib.util.find_spec(name) is None]
    return f"{', '.join(absent)} not installed: pip install 'ponder[{extra}]'" if absent else ""


def _without_package(package: str) -> str:
    program = PROGRAMS.get(package, package)
    return "" if shutil.which(program) else f"no {program} here: apt-get install {package}"


_MISSING: dict[str, Callable[..., str]] = {
    "embedded": _without_embedded,
    "torch": lambda: _without_extra("torch", "torch", "transformers"),
    "math": lambda: _without_extra("math", "math_verify"),
    "system": _without_package,
}


@pytest.fixture(scope="session")
def embedded() -> Iterator[Model]:
    """Open the embedded model once for all tests that take it as it comes; mark them `embedded`."""
    model = ponder.load("llamacpp:smollm2")
    yield model
    asyncio.run(model.close())


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """Refuse sockets to anywhere but this machine; session-wide, so that wide fixtures are held to it too."""
    patch = pytest.MonkeyPatch()
    for name in ("connect", "connect_ex", "sendto"):
        patch.setattr(socket.socket, name, _at_home(getattr(socket.socket, name)))
    yield
    patch.undo()


def _at_home(real: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(self: socket.socket, *args: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(str(args[-1][0])):
            pytest.fail(f"a test reached for the network: {args[-1]!r}")
        return real(self, *args)

    return guarded


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"
