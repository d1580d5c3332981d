"""The math worker: reads [reference, answer] as JSON lines, writes "start" and then the verdict for each.

Run as a script by `_math_client`, which holds the clock; the time limits of math-verify itself are off.
"""

from __future__ import annotations

import json
import sys

_MEMORY = 2 * 1024**3  # bytes of address space


def main() -> None:
    """Serve until standard input ends."""
    if sys.platform != "win32":
        import resource

        # One hostile power can ask for all memory well within the time limit.
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    # Late, so that walking the package for components never imports sympy.
    from math_verify import parse, verify

    verdicts = sys.stdout
    sys.stdout = sys.stderr  # whatever a library prints must not be taken for a verdict
    for line in sys.stdin:
        verdicts.write("start\n")
        verdicts.flush()
        reference, answer = (parse(f"${text}$", parsing_timeout=None) for text in json.loads(line))
        equal = bool(reference and answer) and verify(reference, answer, timeout_seconds=None)
        verdicts.write(json.dumps(bool(equal)) + "\n")
        verdicts.flush()


if __name__ == "__main__":
    main()
