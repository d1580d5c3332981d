"""Time to `import ponder` and to `ponder --help`, against a bare interpreter. Goals: under 150 ms and 300 ms.

The three commands take turns, so that a busy machine slows all of them alike; medians over the rounds.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 21
COMMANDS = {
    "bare interpreter": ([sys.executable, "-c", "pass"], None),
    "import ponder": ([sys.executable, "-c", "import ponder"], 150),
    "ponder --help": ([str(Path(sys.executable).with_name("ponder")), "--help"], 300),
}


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    for command, _ in COMMANDS.values():
        seconds(command)  # compiled files and disk caches
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, (command, _) in COMMANDS.items():
            times[name].append(1000 * seconds(command))
    bare = statistics.median(times["bare interpreter"])
    for name, (_, limit) in COMMANDS.items():
        median = statistics.median(times[name])
        goal = f", limit {limit} ms: {median / limit:.2f} of it" if limit else ""
        print(f"{name:18} {median:6.0f} ms, {median / bare:5.2f} x the bare interpreter{goal}")


if __name__ == "__main__":
    main()
