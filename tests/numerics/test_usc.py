from __future__ import annotations

import pytest

from ponder.numerics.usc import last_response


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("I compare Response 1 and Response 12.", 12),
        ("Response\n 4", 4),
        ("response 2", None),
        ("Response2", None),
        ("Responses 3", None),
        ("", None),
    ],
)
def test_last_response_is_read(text: str, index: int | None) -> None:
    assert last_response(text) == index


def test_number_of_any_length_is_out_of_range_and_no_error() -> None:
    assert (last_response("Response " + "9" * 10_000) or 0) > 10**9
