"""Size of the base install: the wheel and its dependencies in a fresh environment. Goal: under 60 MB.

Prints megabytes by package, and the total against the limit. Needs pip's index; takes about a minute.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from importlib.metadata import PathDistribution, distributions
from pathlib import Path

LIMIT_MB = 60
ROOT = Path(__file__).parent.parent
HERE_FIRST = {"pip", "setuptools"}  # come with the environment, not with ponder


def run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)


def size(distribution: PathDistribution) -> int:
    """Bytes of the files that a distribution installed, compiled ones included."""
    paths = [Path(str(distribution.locate_file(file))) for file in distribution.files or ()]
    return sum(path.stat().st_size for path in paths if path.is_file())


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        venv, wheels = Path(folder) / "venv", Path(folder) / "wheels"
        run(sys.executable, "-m", "venv", venv)
        run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", wheels, ROOT)
        run(venv / "bin" / "python", "-m", "pip", "install", "--quiet", *wheels.glob("*.whl"))
        site = next((venv / "lib").glob("python3*/site-packages"))
        bytes_by_name: Counter[str] = Counter()
        for distribution in distributions(path=[str(site)]):
            assert isinstance(distribution, PathDistribution)
            if distribution.name not in HERE_FIRST:
                bytes_by_name[distribution.name] = size(distribution)
    for name, count in bytes_by_name.most_common():
        print(f"{name:24} {count / 1e6:7.2f} MB")
    total = bytes_by_name.total() / 1e6
    print(f"{'total':24} {total:7.2f} MB: {total / LIMIT_MB:.2f} of the limit of {LIMIT_MB} MB")


if __name__ == "__main__":
    main()
