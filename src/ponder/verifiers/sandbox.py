"""Sandbox: run a generated Python program where it can reach nothing and use little.

Source: our own, on bubblewrap (the confinement below Flatpak). A program gets a fresh interpreter, its own process,
IPC, host-name and network namespace (no interface but a dead loopback), a read-only `/usr`, interpreter and
packages, a private `/tmp` of bounded size, and nothing else of the file system: no home, no `/etc`, no environment.
It dies with us. Run by a user, it gets a user namespace without the right to make others; run by root, it becomes a
throwaway user that exists nowhere else, because the kernel counts no processes of root.
CPU time, wall time, memory, processes, file size and output are limited always. Without bubblewrap a program is run
only where `confinement="unconfined"` is asked for by name; the limits hold then too, but it can read, write and send
what you can.
Does not protect against: faults of the kernel, guessing from timing, sockets that no network namespace holds (vsock).
Cost: no model call; 10 to 15 ms a program on top of its own time, as many at once as there are cores.
Needs: Linux and the Debian package `bubblewrap`, 0.8 or newer.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import math
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args
from weakref import WeakKeyDictionary

from ponder.core.errors import ConfigError, MissingExtra

__all__ = ["Confinement", "Limits", "Outcome", "Status", "installed_packages", "require", "run"]

Confinement = Literal["bubblewrap", "unconfined"]
Status = Literal["ok", "error", "timeout", "memory", "output", "killed"]

# As isolated as `-I`, whose one drawback is that it ignores PYTHONHASHSEED: the order of a set must not be random.
_FLAGS = ("-P", "-s", "-S", "-B", "-X", "utf8", "-c")
_ENVIRONMENT = {"HOME": "/tmp", "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "0"}
_SLOTS: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()
_RUNS = itertools.count()
_MEMORY_ERROR = re.compile(r"(?:\w+\.)*_?\w*MemoryError\b")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one program may use.

    Attributes:
        seconds: wall time, > 0.
        cpu_seconds: CPU time of each process, >= 1 (whole seconds).
        memory: bytes of address space of each process.
        processes: processes and threads at once, the program itself included, >= 1.
        file_bytes: largest file, and all of `/tmp` together.
        output_bytes: most of standard output, and of standard error.
    """

    seconds: float = 10.0
    cpu_seconds: int = 5
    memory: int = 512 * 2**20
    processes: int = 8
    file_bytes: int = 16 * 2**20
    output_bytes: int = 2**20

    def __post_init__(self) -> None:
        sizes = (self.cpu_seconds, self.memory, self.processes, self.file_bytes, self.output_bytes)
        if not 0 < self.seconds < math.inf or min(sizes) < 1:
            raise ConfigError(f"every limit of a sandbox must be positive and finite, got {self!r}")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a program.

    Attributes:
        stdout, stderr: what it wrote, cut at the limit; bytes that are no UTF-8 are replaced.
        status: "ok" (exit 0), "error" (another exit, an uncaught exception), "timeout" (wall or CPU time), "memory"
            (an uncaught MemoryError), "output" (too much of it), "killed" (by a signal).
        seconds: wall time.
    """

    stdout: str
    stderr: str
    status: Status
    seconds: float

    @property
    def problem(self) -> str:
        """What went wrong in one line: the exception's last line, else the status; empty if nothing did."""
        if self.status == "ok":
            return ""
        lines = self.stderr.strip().splitlines()
        return lines[-1][:500] if self.status in ("error", "memory") and lines else self.status


async def run(
    code: str,
    *,
    stdin: str = "",
    limits: Limits | None = None,
    packages: Sequence[str] = (),
    confinement: Confinement = "bubblewrap",
) -> Outcome:
    """Run a Python program to its end or to the first limit that it reaches.

    Args:
        code: the program's text; it runs as `__main__` in a fresh interpreter of the version that runs ponder.
        stdin: what it can read from standard input.
        limits: what it may use; by default `Limits()`.
        packages: folders from which it can import besides the standard library, see `installed_packages`.
        confinement: "unconfined" runs it without any sandbox: only for code that you would run yourself.

    Raises:
        MissingExtra: no sandbox can be had here; the message says what to do.
        ConfigError: `confinement` is no such word.
    """
    require(confinement)
    async with _slots():
        return await _Program(limits or Limits(), packages, confinement).run(code, stdin)


def require(confinement: Confinement) -> None:
    """Refuse what cannot be had here, before anything is spent.

    Raises:
        MissingExtra: bubblewrap is not installed, or this is not Linux.
        ConfigError: `confinement` is no such word.
    """
    if confinement not in get_args(Confinement):
        raise ConfigError(f"confinement must be one of {', '.join(get_args(Confinement))}, got {confinement!r}")
    if sys.platform != "linux":
        raise MissingExtra("running generated code needs Linux")
    if confinement == "bubblewrap" and shutil.which("bwrap") is None:
        raise MissingExtra(
            "running generated code needs bubblewrap: apt-get install bubblewrap"
            " (to run it without any protection, ask for confinement='unconfined')"
        )


def installed_packages() -> tuple[str, ...]:
    """Return the folders of the packages installed beside ponder, for `run(packages=...)`."""
    import sysconfig

    return tuple(dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib")))


class _Program:
    """One run: its descriptors, its process, its end."""

    def __init__(self, limits: Limits, packages: Sequence[str], confinement: Confinement) -> None:
        self.limits, self.packages, self.confined = limits, packages, confinement == "bubblewrap"
        self.process: asyncio.subprocess.Process | None = None

    async def run(self, code: str, stdin: str) -> Outcome:
        with contextlib.ExitStack() as stack:
            program, given = stack.enter_context(_sealed(code)), stack.enter_context(_sealed(stdin))
            most = self.limits.output_bytes
            report, out, err = (stack.enter_context(_Capture(n, self.kill)) for n in (16, most, most))
            started = time.monotonic()
            self.process = await asyncio.create_subprocess_exec(
                *self._command(program, report.inner),
                stdin=given,
                stdout=out.inner,
                stderr=err.inner,
                pass_fds=(program, report.inner),
                env=_ENVIRONMENT,
                cwd="/",
                process_group=None if self.confined else 0,
            )
            if out.over or err.over:  # before there was anything to kill
                self.kill()
            expired = await self._wait()
            seconds = time.monotonic() - started
            up, stdout, stderr = report.finish(), out.finish(), err.finish()
        if not up and not expired:
            raise MissingExtra(f"generated code cannot be run here: {stderr.strip() or 'no reason given'}")
        status = self._status(stderr, expired=expired, over=out.over or err.over)
        return Outcome(stdout=stdout, stderr=stderr, status=status, seconds=seconds)

    async def _wait(self) -> bool:
        """Wait for the end and see to it that nothing is left; True if the time was over first."""
        assert self.process is not None
        try:
            async with asyncio.timeout(self.limits.seconds):
                await self.process.wait()
        except TimeoutError:
            return True
        finally:
            self.kill()
            await self.process.wait()
        return False

    def kill(self) -> None:
        """End the program: all of its namespace, or (unconfined) all of its process group, late children included."""
        with contextlib.suppress(ProcessLookupError):
            if self.process is None:
                return
            if not self.confined:
                os.killpg(self.process.pid, signal.SIGKILL)
            elif self.process.returncode is None:
                self.process.kill()

    def _status(self, stderr: str, *, expired: bool, over: bool) -> Status:
        assert self.process is not None
        assert self.process.returncode is not None
        code = self.process.returncode
        died_of = -code if code < 0 else code - 128  # bubblewrap reports a signal as a shell does
        if over:
            return "output"
        if expired or died_of == signal.SIGXCPU:
            return "timeout"
        if died_of > 0:
            return "killed"
        lines = stderr.strip().splitlines()
        if code and lines and _MEMORY_ERROR.match(lines[-1]):
            return "memory"
        return "error" if code else "ok"

    def _command(self, program: int, report: int) -> list[str]:
        limits, user = self.limits, -1
        processes, wrapper = limits.processes, list[str]()
        if self.confined:
            if _is_root():
                user = _throwaway_user()
            else:
                processes += 1  # the first process of the namespace is bubblewrap's
            wrapper = _bubblewrap(tuple(self.packages), limits.file_bytes, user >= 0)
        numbers = (program, report, user, limits.memory, limits.cpu_seconds, processes, limits.file_bytes)
        return [*wrapper, _interpreter(), *_FLAGS, _entry(), *map(str, numbers), *self.packages]


class _Capture:
    """A pipe that is read as it fills; beyond `most` bytes the rest is dropped and `full` is called.

    Ours rather than asyncio's, whose wait would last until a process left behind had closed its end.
    """

    def __init__(self, most: int, full: Callable[[], None]) -> None:
        self.most, self.full = most, full
        self.kept, self.over = bytearray(), False

    def __enter__(self) -> _Capture:
        self.outer, self.inner = os.pipe()
        os.set_blocking(self.outer, False)
        self.loop = asyncio.get_running_loop()
        self.loop.add_reader(self.outer, self._read)
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.remove_reader(self.outer)
        os.close(self.outer)
        os.close(self.inner)

    def _read(self) -> bool:
        """Read what is there; whether there may be more."""
        try:
            chunk = os.read(self.outer, 2**16)
        except BlockingIOError:
            return False
        room = self.most - len(self.kept)
        self.kept += chunk[:room]
        if len(chunk) > room and not self.over:
            self.over = True
            self.full()
        return bool(chunk) and not self.over

    def finish(self) -> str:
        """Return everything that was written before now."""
        while self._read():
            pass
        return self.kept.decode("utf-8", "replace")


@contextlib.contextmanager
def _sealed(text: str) -> Iterator[int]:
    """A read-only file without a name, kept in memory."""
    import fcntl

    file = os.memfd_create("ponder", os.MFD_ALLOW_SEALING)
    try:
        with os.fdopen(os.dup(file), "wb") as writer:
            writer.write(text.encode("utf-8", "surrogatepass"))
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
        os.lseek(file, 0, os.SEEK_SET)
        yield file
    finally:
        os.close(file)


def _slots() -> asyncio.Semaphore:
    """One slot a core, shared by everything that runs in this event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _SLOTS:
        _SLOTS[loop] = asyncio.Semaphore(len(os.sched_getaffinity(0)))
    return _SLOTS[loop]


@functools.cache
def _entry() -> str:
    return Path(__file__).with_name("_sandbox_entry.py").read_text(encoding="utf-8")


@functools.cache
def _interpreter() -> str:
    """The real binary: a virtual environment's link, or a version manager's shim, starts slower or not at all."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


@functools.cache
def _is_root() -> bool:
    """Whether we are the machine's root, and not one that a user namespace makes up."""
    return os.geteuid() == 0 and Path("/proc/self/uid_map").read_text().split() == ["0", "0", str(2**32 - 1)]


def _throwaway_user() -> int:
    """A user id that no account has and no other sandbox uses now: its processes are counted by it."""
    return 2**30 + (os.getpid() % 2**22) * 2**8 + next(_RUNS) % 2**8


@functools.lru_cache(maxsize=64)
def _bubblewrap(packages: tuple[str, ...], file_bytes: int, drops_root: bool) -> list[str]:
    """Return the part of the command that confines the rest of it."""
    bwrap = shutil.which("bwrap")
    assert bwrap is not None
    words = [bwrap, "--die-with-parent", "--new-session", "--hostname", "sandbox", "--chdir", "/tmp"]
    words += ["--unshare-pid", "--unshare-ipc", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    if drops_root:
        words += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        words += ["--unshare-user", "--disable-userns"]
    words += ["--proc", "/proc", "--perms", "1777", "--size", str(file_bytes), "--tmpfs", "/tmp"]
    for device in ("/dev/null", "/dev/urandom"):
        words += ["--dev-bind", device, device]
    for at, name in enumerate(("stdin", "stdout", "stderr")):
        words += ["--symlink", f"/proc/self/fd/{at}", f"/dev/{name}"]
    words += ["--ro-bind", "/usr", "/usr", "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    for folder in ("/bin", "/lib", "/lib32", "/lib64", "/sbin"):
        if os.path.islink(folder):
            words += ["--symlink", os.readlink(folder), folder]
        elif os.path.isdir(folder):
            words += ["--ro-bind", folder, folder]
    needed = {sys.base_prefix, sys.base_exec_prefix, os.path.dirname(_interpreter()), *packages}
    outside = sorted(folder for folder in needed if not folder.startswith("/usr/"))
    above = {str(parent) for folder in outside for parent in Path(folder).parents}
    for folder in sorted(above - {"/", "/tmp", "/usr"}):
        words += ["--perms", "0755", "--dir", folder]  # bubblewrap would close them to all but their owner
    for folder in outside:
        words += ["--ro-bind", folder, folder]
    # Last, since the binds above make their mount points; it is in memory and could grow to any size.
    return [*words, "--remount-ro", "/", "--"]
