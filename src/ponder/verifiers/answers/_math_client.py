"""The math workers of this process: started when first needed, killed when they overstay, started again."""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
import threading
from pathlib import Path

__all__ = ["compare", "compare_exactly"]

_HERE = Path(__file__)


class _Worker:
    """A worker process that answers one line with one line. Verdicts are remembered."""

    def __init__(self, script: str) -> None:
        self._script = _HERE.with_name(script)
        self._lock = threading.Lock()  # one question at a time; also guards start and stop
        self._process: subprocess.Popen[str] | None = None
        self._verdicts: dict[tuple[str, str], bool | None] = {}

    def compare(self, a: str, b: str, seconds: float) -> bool | None:
        with self._lock:
            if (a, b) not in self._verdicts:
                if len(self._verdicts) >= 10_000:
                    self._verdicts.clear()
                self._verdicts[a, b] = self._ask(a, b, seconds)
            return self._verdicts[a, b]

    def close(self) -> None:
        with self._lock:
            self._stop()

    def _ask(self, a: str, b: str, seconds: float) -> bool | None:
        process = self._process
        if process is None or process.poll() is not None:
            process = self._start()
        reply = _exchange(process, json.dumps([a, b]), seconds)
        if not reply:  # killed by the timer, or by the system for its memory
            self._stop()
            return None
        return bool(json.loads(reply))

    def _start(self) -> subprocess.Popen[str]:
        self._stop()
        # -P keeps this folder off the worker's path, where json.py and math.py would hide the standard library's.
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(self._script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )
        return self._process

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _exchange(process: subprocess.Popen[str], line: str, seconds: float) -> str:
    """Send a line and read the verdict; the clock starts once the worker has read the line. Empty if it died."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(line + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        return ""
    # The worker says "start" when it is ready, so that importing sympy on a busy machine is not held against it.
    for limit in (120.0, seconds):
        timer = threading.Timer(limit, process.kill)
        timer.start()
        try:
            reply = process.stdout.readline()
        finally:
            timer.cancel()
        if not reply:
            break
    return reply


_WORKER = _Worker("_math_worker.py")
_EXACT = _Worker("_exact_worker.py")
atexit.register(_WORKER.close)
atexit.register(_EXACT.close)


def compare(a: str, b: str, seconds: float) -> bool | None:
    """Return whether math-verify finds `b` equal to `a`, or None if that took over `seconds`. Blocks."""
    return _WORKER.compare(a, b, seconds)


def compare_exactly(a: str, b: str, seconds: float) -> bool | None:
    """Return whether sympy proves two formulas to have one value, or None if that took over `seconds`. Blocks."""
    return _EXACT.compare(a, b, seconds)
