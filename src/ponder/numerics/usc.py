"""Reading the reply of universal self-consistency: which of the numbered responses it names.

Source: Chen et al. 2023, arXiv:2311.17311, as the baseline of Kang et al. 2025, arXiv:2502.18581 (card 26, step 5).
"""

from __future__ import annotations

import re

__all__ = ["last_response"]

_RESPONSE = re.compile(r"Response\s+(\d+)")


def last_response(text: str) -> int | None:
    """Return k of the last "Response k" (capital R, white space between) in `text`; None where there is none."""
    found = _RESPONSE.findall(text)
    # More digits than an index has are out of range however many there are; `int` refuses some thousands.
    return int(found[-1][:19]) if found else None
