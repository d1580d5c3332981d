"""Compares our numbers with the papers' fixtures; `tests/parity/table.py` prints how far they were apart."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.parity.cases import Case, Kinds, measure
from tests.parity.table import PROPERTY, to_property


@pytest.fixture
def agree(record_property: Callable[[str, object], None]) -> Callable[[Case, Kinds], None]:
    """Compare a case with its fixture, keep by how much it differs, and fail beyond the tolerance."""

    def check(case: Case, kinds: Kinds) -> None:
        measured = measure(case, kinds)
        record_property(PROPERTY, to_property(measured))
        assert not measured.wrong, f"beyond {measured.tolerance:g}: {dict(measured.wrong)}"

    return check
