r"""The worker of exact equality: reads [reference, answer] as JSON lines, writes "start" and then the verdict for each.

Decimals are taken for the fractions that they spell, so that 1.5 is 3/2 and 6.28318 is not 2\pi; what sympy cannot
prove to be zero is not equal. Run as a script by `_math_client`, which holds the clock.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

_MEMORY = 2 * 1024**3  # bytes of address space
_DECIMAL = re.compile(r"(?<![\d.])(\d*)\.(\d+)(?![\d.])")


def exact_decimals(text: str) -> str:
    r"""Return a formula with each decimal as the fraction that it spells: 0.25 as \frac{25}{100}."""

    def fraction(found: re.Match[str]) -> str:
        whole, part = found[1], found[2]
        return rf"\frac{{{int(whole + part)}}}{{{10 ** len(part)}}}"

    return _DECIMAL.sub(fraction, text)


def equal(left: str, right: str) -> bool:
    """Return whether two formulas have, provably, the same value."""
    from sympy import simplify

    one, other = _parsed(left), _parsed(right)
    if one is None or other is None:
        return False
    difference = one - other
    if difference == 0:
        return True
    # Both tests prove zero or leave it open (None): only a proof counts.
    return bool(simplify(difference) == 0) or difference.equals(0) is True


def _parsed(text: str) -> Any | None:
    from latex2sympy2_extended import latex2sympy  # type: ignore[import-untyped]
    from sympy import Expr, Float

    try:
        found = latex2sympy(exact_decimals(text))
    except Exception:  # the parser raises errors of many kinds for text that is no formula
        return None
    return found if isinstance(found, Expr) and not found.has(Float) else None


def main() -> None:
    """Serve until standard input ends."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    import latex2sympy2_extended  # noqa: F401  # before the clock of a comparison runs
    import sympy  # noqa: F401

    verdicts = sys.stdout
    sys.stdout = sys.stderr  # whatever a library prints must not be taken for a verdict
    for line in sys.stdin:
        verdicts.write("start\n")
        verdicts.flush()
        verdicts.write(json.dumps(equal(*json.loads(line))) + "\n")
        verdicts.flush()


if __name__ == "__main__":
    main()
