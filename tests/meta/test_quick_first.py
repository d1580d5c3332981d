"""The order of a run on several workers: quick tests on all of them, then the late ones on one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = """
import os
import pytest

@pytest.fixture(autouse=True)
def told(request):
    worker = os.environ.get("PYTEST_XDIST_WORKER", "here")
    with open(os.environ["TOLD"], "a") as file:
        file.write(f"{worker} {request.node.name}\\n")

@pytest.mark.slow
def test_late_NAME(): ...

@pytest.mark.parametrize("at", range(8))
def test_quick_NAME(at): ...
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_late_tests_come_last_and_stay_together(workers: str, tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / f"test_{name}.py").write_text(TESTS.replace("NAME", name), encoding="utf-8")
    told = tmp_path / "told"
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-p", "tests.quick_first"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", "-n", workers, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "TOLD": str(told)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "36 passed" in done.stdout, done.stdout
    lines = [line.split() for line in told.read_text(encoding="utf-8").splitlines()]
    late = [at for at, (_, name) in enumerate(lines) if "late" in name]
    assert [lines[at][1] for at in late] == [f"test_late_{name}" for name in "abcd"]
    (keeper,) = {lines[at][0] for at in late}
    of_keeper = [name for worker, name in lines if worker == keeper]
    assert of_keeper[-4:] == [f"test_late_{name}" for name in "abcd"]
    homes = [{worker for worker, test in lines if f"quick_{name}" in test} for name in "abcd"]
    assert [len(home) for home in homes] == [1, 1, 1, 1]  # a file is one piece of work: what it sets up is set up once
