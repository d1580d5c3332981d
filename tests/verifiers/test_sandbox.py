"""The sandbox: what a program may do, what each limit says, and the ways out that are shut."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import time
from functools import partial
from pathlib import Path

import pytest

from ponder.core.errors import ConfigError, MissingExtra
from ponder.core.tasks import gather_all
from ponder.verifiers import sandbox
from ponder.verifiers.sandbox import Limits, Outcome, installed_packages, require, run

bubblewrap = pytest.mark.system("bubblewrap")
SHORT = Limits(seconds=20.0, cpu_seconds=1)
MARK = f"ponder-{os.getpid()}"


def processes_with(mark: str) -> list[str]:
    """Command lines, anywhere on this machine, that hold `mark`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if mark in line and path.parent.name != str(os.getpid()):
            found.append(line)
    return found


async def gone(mark: str) -> bool:
    """Whether all of them end within some seconds: the kernel takes a namespace down behind our back."""
    for _ in range(100):
        if not processes_with(mark):
            return True
        await asyncio.sleep(0.05)
    return False


# -- what a program may do -------------------------------------------------------------------------------------------


@bubblewrap
async def test_program_reads_its_input_and_writes() -> None:
    outcome = await run(
        "import json, math, sys\nprint(json.dumps([math.pi > 3, input()]), file=sys.stderr)", stdin="hé\n"
    )
    assert (outcome.status, outcome.stdout, outcome.stderr) == ("ok", "", '[true, "h\\u00e9"]\n')
    assert outcome.problem == ""


@bubblewrap
async def test_program_is_main_and_has_a_folder_of_its_own() -> None:
    code = """
import os, pathlib, sys
assert __name__ == "__main__" and sys.argv == ["program.py"]
assert sys.modules["__main__"].__dict__ is globals()
path = pathlib.Path("notes.txt")
assert not path.exists()
path.write_text("x")
print(path.resolve(), sorted(os.listdir("/tmp")), dict(os.environ).get("HOME"), len(os.listdir("/proc/self/fd")))
"""
    for _ in range(2):  # nothing is left for the second run; the fourth descriptor is that of listdir
        outcome = await run(code)
        assert outcome.stdout == "/tmp/notes.txt ['notes.txt'] /tmp 4\n", outcome.stderr


@bubblewrap
async def test_program_gives_the_same_output_each_time() -> None:
    code = "print({'a', 'b', 'c', 'd', 'e', 'f', 'g'}, hash('x'))"
    assert len({(await run(code)).stdout for _ in range(3)}) == 1


@bubblewrap
async def test_packages_are_there_only_when_asked_for() -> None:
    code = "import pytest; print(pytest.__name__)"
    assert (await run(code)).problem == "ModuleNotFoundError: No module named 'pytest'"
    assert (await run(code, packages=installed_packages())).stdout == "pytest\n"


@bubblewrap
async def test_odd_texts_run_or_fail_as_programs() -> None:
    assert (await run("")).status == "ok"
    assert (await run("print('\\ud800'.isalpha())  # \ud800")).status in ("ok", "error")
    assert (await run("\x00")).status == "error"
    assert (await run("print('é' * 3)")).stdout == "ééé\n"
    long = await run("x = 0\n" * 100_000 + "print(x)", limits=Limits(seconds=60, cpu_seconds=30))
    assert long.stdout == "0\n"


@bubblewrap
async def test_programs_run_side_by_side_keep_apart() -> None:
    outcomes = await gather_all([partial(run, f"print({i})") for i in range(20)])
    assert [outcome.stdout for outcome in outcomes] == [f"{i}\n" for i in range(20)]


# -- limits ----------------------------------------------------------------------------------------------------------


@bubblewrap
@pytest.mark.parametrize(
    ("code", "limits", "status"),
    [
        ("1 / 0", SHORT, "error"),
        ("import sys; sys.exit(3)", SHORT, "error"),
        ("while True: pass", SHORT, "timeout"),
        ("import time; time.sleep(60)", Limits(seconds=0.5), "timeout"),
        ("import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass", SHORT, "killed"),
        ("x = bytearray(10**10)", SHORT, "memory"),
        ("x = []\nwhile True: x.append(bytearray(10**6))", Limits(seconds=60), "memory"),
        ("import ctypes; ctypes.string_at(0)", SHORT, "killed"),
        ("import os; os.kill(os.getpid(), 9)", SHORT, "killed"),
        ("open('/tmp/big', 'wb').write(bytes(2 * 2**20))", Limits(file_bytes=2**20), "error"),
        (
            "for i in range(9): open(f'/tmp/{i}', 'wb').write(bytes(2**19))",
            Limits(file_bytes=2**20),
            "error",
        ),
    ],
)
async def test_each_limit_says_what_it_was(code: str, limits: Limits, status: str) -> None:
    outcome = await run(code, limits=limits)
    assert outcome.status == status, outcome
    assert outcome.problem


@bubblewrap
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_gigabyte_of_output_ends_the_program_early(stream: str) -> None:
    code = f"import sys\nfor _ in range(1024): sys.{stream}.write('a' * 2**20)"
    outcome = await run(code, limits=Limits(output_bytes=10_000))
    assert outcome.status == "output"
    assert getattr(outcome, stream) == "a" * 10_000


@bubblewrap
async def test_output_up_to_the_limit_is_whole() -> None:
    outcome = await run("print('a' * 9_999)", limits=Limits(output_bytes=10_000))
    assert (outcome.status, len(outcome.stdout)) == ("ok", 10_000)


# -- ways out --------------------------------------------------------------------------------------------------------


@bubblewrap
async def test_fork_bomb_is_held_and_swept_up() -> None:
    code = f"""
import os, time
mark = {MARK!r}
pids, refused = [], 0
for _ in range(300):
    try:
        pid = os.fork()
    except OSError:
        refused += 1
        continue
    if not pid:
        time.sleep(60)
    pids.append(pid)
print(len(pids), refused)
"""
    outcome = await run(code, limits=Limits(processes=6))
    assert outcome.stdout == "5 295\n"
    endless = await run(
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", limits=Limits(seconds=1)
    )
    assert endless.status in ("timeout", "ok", "killed")
    assert (await run("print(1)")).stdout == "1\n"


@bubblewrap
@pytest.mark.parametrize(
    "path",
    [
        "/etc/shadow",
        "/etc/passwd",
        str(Path.home()),
        str(Path.home() / ".bashrc"),
        str(Path(__file__)),
        "/proc/1/root/etc/shadow",
        "/proc/self/root/etc/passwd",
        "/proc/self/cwd/../etc/passwd",
        "/var/log",
        "/sys/kernel",
        "/proc/kcore",
        "/dev/mem",
        "/dev/sda",
    ],
)
async def test_no_file_of_ours_can_be_read(path: str) -> None:
    code = f"""
import os, sys
path = {path!r}
if os.path.isdir(path):
    print([name for name in os.listdir(path) if not sys.prefix.startswith(os.path.join(path, name))])
else:
    print(open(path).read(1))
"""
    outcome = await run(code)
    # The home may be there as the empty folder above an interpreter that lives in it.
    assert outcome.status == "error" or outcome.stdout == "[]\n", outcome


@bubblewrap
async def test_symbolic_links_lead_nowhere(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    code = f"""
import os
for at, target in enumerate([{str(secret)!r}, "/etc/shadow", "../../../../etc/shadow", "/proc/1/root{secret}"]):
    os.symlink(target, f"/tmp/link{{at}}")
    try:
        print(open(f"/tmp/link{{at}}").read())
    except OSError:
        pass
"""
    outcome = await run(code)
    assert (outcome.status, outcome.stdout) == ("ok", ""), outcome


@bubblewrap
async def test_nothing_is_written_outside_its_tmp(tmp_path: Path) -> None:
    code = f"""
import os, sys
for path in ["/x", "/usr/x", "/usr/bin/x", "/etc/x", "/dev/x", "/dev/shm/x", "/proc/x", "/root/x", "/home/x", "/var/x",
             sys.prefix + "/x", os.__file__, {str(tmp_path / "x")!r}, "/proc/sys/kernel/hostname"]:
    try:
        with open(path, "a") as file:
            file.write("x")
        print(path)
    except OSError:
        pass
"""
    outcome = await run(code)
    assert (outcome.status, outcome.stdout) == ("ok", ""), outcome
    assert not os.listdir(tmp_path)


@bubblewrap
async def test_no_socket_reaches_us() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as named:
        named.bind(f"\0{MARK}")  # abstract: it has no file
        named.listen()
        code = f"""
import socket
for family, address in [(socket.AF_INET, ("127.0.0.1", {server.getsockname()[1]})), (socket.AF_INET, ("1.1.1.1", 53)),
                        (socket.AF_INET6, ("::1", 80)), (socket.AF_UNIX, "\\0{MARK}")]:
    try:
        probe = socket.socket(family)
        probe.settimeout(1)
        probe.connect(address)
        print(address)
    except OSError:
        pass
print([name for _, name in socket.if_nameindex()])
"""
        outcome = await run(code)
    assert (outcome.status, outcome.stdout) == ("ok", "['lo']\n"), outcome


@bubblewrap
async def test_no_other_process_is_seen_signalled_or_traced() -> None:
    victim = await asyncio.create_subprocess_exec("sleep", "60")
    code = f"""
import ctypes, os
others = [int(name) for name in os.listdir("/proc") if name.isdigit()]
print(max(others) < 20)
for pid in ({os.getpid()}, {victim.pid}, os.getppid()):
    for signal in (15, 9):
        try:
            os.kill(pid, signal)
        except OSError:
            pass
libc = ctypes.CDLL(None, use_errno=True)
print([libc.ptrace(16, pid, 0, 0) for pid in ({os.getpid()}, {victim.pid})])  # PTRACE_ATTACH
try:
    open("/proc/{victim.pid}/environ").read()
    print("read")
except OSError:
    pass
"""
    try:
        outcome = await run(code)
        assert victim.returncode is None
    finally:
        victim.kill()
        await victim.wait()
    assert outcome.status in ("ok", "killed"), outcome
    if outcome.status == "ok":
        assert outcome.stdout == "True\n[-1, -1]\n", outcome


@bubblewrap
async def test_no_right_is_left_or_won_back() -> None:
    code = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
status = open("/proc/self/status").read()
print([line for line in status.splitlines() if line.startswith(("CapEff", "CapPrm", "NoNewPrivs"))])
for call in (lambda: os.setuid(0), lambda: os.chroot("/tmp"), lambda: os.mknod("/tmp/disk", 0o60666, os.makedev(8, 0))):
    try:
        call()
        print("done", os.getuid())
    except OSError:
        pass
print(libc.mount(b"none", b"/tmp", b"tmpfs", 0, None), libc.umount2(b"/usr", 2), libc.sethostname(b"x", 1))
"""
    outcome = await run(code)
    rights = "['CapPrm:\\t0000000000000000', 'CapEff:\\t0000000000000000', 'NoNewPrivs:\\t1']"
    assert outcome.stdout == f"{rights}\n-1 -1 -1\n", outcome


@bubblewrap
async def test_raised_limits_stay_down() -> None:
    code = """
import resource
for limit in (resource.RLIMIT_AS, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE):
    try:
        resource.setrlimit(limit, (-1, -1))
        print("raised")
    except (OSError, ValueError):
        pass
"""
    assert (await run(code)).stdout == ""


@bubblewrap
async def test_background_processes_die_with_the_program() -> None:
    sleep = f"['/bin/sleep', '61.{os.getpid()}']"
    code = f"import subprocess; subprocess.Popen({sleep}, start_new_session=True); print('left')"
    outcome = await run(code)
    assert (outcome.status, outcome.stdout) == ("ok", "left\n"), outcome
    assert await gone(f"61.{os.getpid()}")


@bubblewrap
async def test_cancelled_run_leaves_nothing() -> None:
    code = f"import subprocess; subprocess.run(['/bin/sleep', '62.{os.getpid()}'])"
    task = asyncio.get_running_loop().create_task(run(code))
    for _ in range(200):
        if processes_with(f"/bin/sleep 62.{os.getpid()}"):
            break
        await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await gone(f"62.{os.getpid()}")


@bubblewrap
async def test_no_descriptor_is_left_open() -> None:
    await run("print(1)")
    before = len(os.listdir("/proc/self/fd"))
    await gather_all([lambda: run("print('a' * 10**6)", limits=Limits(output_bytes=10)) for _ in range(5)])
    assert len(os.listdir("/proc/self/fd")) == before


# -- without a sandbox -----------------------------------------------------------------------------------------------


async def test_unconfined_only_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(MissingExtra, match="apt-get install bubblewrap"):
        await run("print(1)")
    with pytest.raises(ConfigError, match="confinement"):
        await run("print(1)", confinement="none")  # type: ignore[arg-type]  # what a caller may get wrong
    assert (await run("print(1)", confinement="unconfined")).stdout == "1\n"


async def test_sandbox_that_cannot_be_set_up_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/false")
    sandbox._bubblewrap.cache_clear()
    try:
        with pytest.raises(MissingExtra, match="cannot be run here"):
            await run("print(1)")
    finally:
        sandbox._bubblewrap.cache_clear()


def test_require_takes_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/bwrap")
    require("bubblewrap")
    require("unconfined")


@pytest.mark.parametrize(
    ("code", "limits", "status"),
    [
        ("print(1)", SHORT, "ok"),
        ("while True: pass", SHORT, "timeout"),
        ("import time; time.sleep(60)", Limits(seconds=0.5), "timeout"),
        ("x = bytearray(10**10)", SHORT, "memory"),
        ("while True: print('a' * 10**6)", SHORT, "output"),
        ("import os; os.kill(os.getpid(), 9)", SHORT, "killed"),
    ],
)
async def test_limits_hold_unconfined(code: str, limits: Limits, status: str) -> None:
    assert (await run(code, limits=limits, confinement="unconfined")).status == status


async def test_unconfined_run_takes_its_children_along_and_does_not_wait_for_them() -> None:
    code = f"import subprocess; subprocess.Popen(['/bin/sleep', '63.{os.getpid()}']); print('left')"
    limits = Limits(seconds=30, processes=100_000)
    started = time.monotonic()
    outcome = await run(code, limits=limits, confinement="unconfined")
    assert (outcome.status, outcome.stdout) == ("ok", "left\n"), outcome
    assert time.monotonic() - started < 30
    assert await gone(f"63.{os.getpid()}")


@pytest.mark.parametrize(
    "limits", [{"seconds": 0}, {"seconds": float("nan")}, {"seconds": float("inf")}, {"memory": 0}, {"processes": 0}]
)
def test_limits_are_positive(limits: dict) -> None:
    with pytest.raises(ConfigError):
        Limits(**limits)


@pytest.mark.parametrize(
    ("stderr", "status", "problem"),
    [
        ("Traceback\nNameError: x\n", "error", "NameError: x"),
        ("", "error", "error"),
        ("x", "timeout", "timeout"),
        ("warning", "ok", ""),
        ("\nMemoryError\n", "memory", "MemoryError"),
    ],
)
def test_problem_is_one_line(stderr: str, status: sandbox.Status, problem: str) -> None:
    assert Outcome(stdout="", stderr=stderr, status=status, seconds=0.1).problem == problem
