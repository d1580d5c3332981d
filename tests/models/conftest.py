from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest

from ponder.core.errors import BadInput, MissingExtra
from ponder.models.llamacpp import LlamaCpp


@pytest.fixture(scope="session")
def embedded_model() -> Iterator[LlamaCpp]:
    """SmolLM2 in four slots, loaded once for all tests of this room."""
    try:
        model = LlamaCpp.from_spec("smollm2", slots=4, context=512)
    except (BadInput, MissingExtra) as err:
        if os.environ.get("PONDER_STRICT", "") not in ("", "0"):
            raise
        pytest.skip(f"ponder models get smollm2 ({err})")
    yield model
    asyncio.run(model.close())
