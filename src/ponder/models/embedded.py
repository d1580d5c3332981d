"""The embedded model by its bare name: `load("smollm2")` picks the back-end that is faster for so many siblings.

Source: our own measurement, `benchmarks/embedded_backends.py`: on two cores llama.cpp is faster for few siblings and
transformers, which fills one large batch, for many. Where only one of the two is installed, that one is taken.
Needs: the extra `local` or `torch`.
"""

from __future__ import annotations

import importlib.util
from typing import Any, Literal

from ponder.core.access import Access
from ponder.core.errors import MissingExtra, UnknownName
from ponder.core.model import Model
from ponder.core.registry import models
from ponder.models import fetch

__all__ = ["MANY", "Embedded", "choose"]

MANY = 16  # siblings from which transformers is the faster way
Backend = Literal["llamacpp", "hf"]


def choose(n: int) -> Backend:
    """Return the back-end for `n` siblings at a time (>= 1).

    Raises:
        MissingExtra: neither is installed.
    """
    there = [
        name
        for name, modules in (("llamacpp", ("xllamacpp",)), ("hf", ("torch", "transformers")))
        if all(importlib.util.find_spec(module) for module in modules)
    ]
    if not there:
        raise MissingExtra("the embedded model needs a back-end: pip install 'ponder[local]'")
    wanted: Backend = "hf" if n >= MANY else "llamacpp"
    return wanted if wanted in there else "hf" if "hf" in there else "llamacpp"


@models("embedded", access=(Access.TEXT, Access.PREFIX, Access.LOGPROBS, Access.TOP_LOGPROBS, Access.SEED, Access.N))
class Embedded:
    """Opens the embedded model; what comes back is a model of the back-end that was chosen."""

    @classmethod
    def from_spec(cls, rest: str, *, n: int = 1, **options: Any) -> Model:
        """Open "smollm2" for about `n` siblings at a time.

        Raises:
            UnknownName: no embedded model of that name.
            MissingExtra: no back-end is installed.
        """
        if rest not in fetch.SOURCES:
            raise UnknownName(f"no embedded model is called {rest!r}. There are: {', '.join(fetch.SOURCES)}")
        opened: Model = models.get(choose(n)).cls.from_spec(rest, **options)  # type: ignore[attr-defined]
        return opened
