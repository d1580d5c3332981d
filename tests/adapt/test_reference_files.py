"""Files of what the project makes itself: one process makes them, and nothing else changes by it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.torch


def test_of_several_processes_one_makes_a_file_and_the_others_wait(tmp_path: Path) -> None:
    """Each waits for all to be started, so that they would all find nothing; each makes a number of its own."""
    code = """
import os, sys, time, torch
from pathlib import Path
from ponder.adapt._reference_files import kept

here = Path(sys.argv[1])
(here / f"{os.getpid()}.ready").touch()
while len(list(here.glob("*.ready"))) < 3:
    time.sleep(0.01)

def make():
    (here / f"{os.getpid()}.made").touch()
    time.sleep(0.5)
    return {"pid": torch.tensor([os.getpid()])}

print(int(kept("one", make)["pid"]))
"""
    env = {**os.environ, "PONDER_CACHE": str(tmp_path)}
    words = [sys.executable, "-c", code, str(tmp_path)]
    ran = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=env) for _ in range(3)]
    try:
        found = {one.communicate(timeout=120)[0] for one in ran}
    finally:
        for one in ran:
            one.kill()
    assert len(found) == len(list(tmp_path.glob("*.made"))) == 1


def test_making_a_file_leaves_random_numbers_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ponder.adapt._reference_files import kept

    monkeypatch.setenv("PONDER_CACHE", str(tmp_path))
    before = torch.random.get_rng_state()
    kept("one", lambda: {"x": torch.zeros(1)})
    assert torch.random.get_rng_state().equal(before), "a first run is followed by the same numbers as a later one"
