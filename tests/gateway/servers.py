"""Real servers for tests of counters: started on a free port of this machine, stopped and deleted after."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["postgres", "redis"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    pytest.fail(f"the server does not listen: {log.read_text()}")


@contextlib.contextmanager
def redis() -> Iterator[str]:
    """Run a Redis server and yield its URL."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server here: apt-get install redis-server")
    port = _free_port()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        with log.open("wb") as out, subprocess.Popen([program, *options], stdout=out, stderr=out) as process:
            try:
                _wait(port, process, log)
                yield f"redis://127.0.0.1:{port}/0"
            finally:
                process.terminate()


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Run a PostgreSQL server and yield its URL. It refuses to run as root, so then it runs as its own user."""
    folders = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    initdb = shutil.which("initdb") or next((str(f / "initdb") for f in folders if (f / "initdb").exists()), None)
    server = shutil.which("postgres") or next((str(f / "postgres") for f in folders if (f / "postgres").exists()), None)
    if initdb is None or server is None:
        pytest.skip("no postgres here: apt-get install postgresql")
    server = os.path.realpath(server)
    user = "postgres" if os.geteuid() == 0 else None
    port = _free_port()
    with tempfile.TemporaryDirectory() as folder:
        data, log = Path(folder, "data"), Path(folder, "log")
        if user is not None:
            os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
        settings: dict[str, object] = {"user": user, "cwd": folder, "env": {**os.environ, "HOME": folder}}
        made = subprocess.run(  # type: ignore[call-overload]  # one dict for several options
            [initdb, "-D", str(data), "-U", "ponder", "--auth=trust", "--no-sync"], capture_output=True, **settings
        )
        assert made.returncode == 0, made.stderr.decode()
        options = ["-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", folder, "-c", "fsync=off"]
        with log.open("wb") as out:
            process = subprocess.Popen([server, *options], stdout=out, stderr=out, **settings)  # type: ignore[call-overload]
            try:
                _wait(port, process, log)
                _ready(server, port, settings)
                yield f"postgresql://ponder@127.0.0.1:{port}/postgres"
            finally:
                process.send_signal(signal.SIGINT)  # does not wait for clients, unlike SIGTERM
                process.wait()


def _ready(server: str, port: int, settings: dict[str, object]) -> None:
    """Wait until it takes connections, not only listens."""
    probe = [str(Path(server).with_name("pg_isready")), "-q", "-h", "127.0.0.1", "-p", str(port)]
    for _ in range(600):
        if subprocess.run(probe, **settings).returncode == 0:  # type: ignore[call-overload]
            return
        time.sleep(0.05)
    pytest.fail("PostgreSQL does not take connections")
