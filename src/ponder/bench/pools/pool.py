"""A recorded pool as flat arrays: what every sample answered, scored and cost, without its text.

Source: our own. `ponder.bench.pools.reading` makes it.
Shapes: T problems in the pool's order, N the most samples of one of them; places without a sample have no answer (-1),
no grade (-1) and NaN for numbers.
Cost: no model call; about 120 bytes a sample. Needs: numpy (extra `bench`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ponder.core.registry import need
from ponder.core.usage import Usage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["FINISHES", "PLAIN", "Block", "Costs", "Pool"]

FINISHES = ("stop", "length", "tool_calls", "content_filter", "cancelled")
_COUNTS = ("calls", "prompt_tokens", "cached_tokens", "completion_tokens", "thinking_tokens")
_MONEY = ("usd", "flops")


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Usage of each sample, [T, N]: counts are whole, `usd` and `flops` NaN where unknown, `exact` 1 where counted."""

    calls: NDArray[np.int64]
    prompt_tokens: NDArray[np.int64]
    cached_tokens: NDArray[np.int64]
    completion_tokens: NDArray[np.int64]
    thinking_tokens: NDArray[np.int64]
    usd: NDArray[np.float64]
    flops: NDArray[np.float64]
    exact: NDArray[np.int64]

    @classmethod
    def empty(cls, tasks: int, width: int) -> Costs:
        """Return costs of no calls."""
        np = _numpy()
        counts = {name: np.zeros((tasks, width), dtype=np.int64) for name in _COUNTS}
        return cls(
            **counts,
            usd=np.full((tasks, width), math.nan),
            flops=np.full((tasks, width), math.nan),
            exact=np.ones((tasks, width), dtype=np.int64),
        )

    def put(self, task: int, at: int, usage: Mapping[str, Any]) -> None:
        """Take in the usage of one sample."""
        for name in _COUNTS:
            getattr(self, name)[task, at] = usage.get(name, 0)
        for name in _MONEY:
            value = usage.get(name)
            getattr(self, name)[task, at] = math.nan if value is None else value
        self.exact[task, at] = int(usage.get("exact", True))

    def each(self, task: int) -> list[Usage]:
        """Return the usage of every sample of a task."""
        counts = [getattr(self, name)[task].tolist() for name in _COUNTS]
        usd, flops = ([None if math.isnan(v) else v for v in getattr(self, name)[task].tolist()] for name in _MONEY)
        exact = self.exact[task].tolist()
        return [
            Usage(
                calls=calls,
                prompt_tokens=prompt,
                cached_tokens=cached,
                completion_tokens=completion,
                thinking_tokens=thinking,
                usd=usd[at],
                flops=flops[at],
                exact=bool(exact[at]),
            )
            for at, (calls, prompt, cached, completion, thinking) in enumerate(zip(*counts, strict=True))
        ]


@dataclass(frozen=True, kw_only=True)
class Block:
    """The samples of all problems, or their greedy answers (N = 1).

    Attributes:
        present: [T] how many there are.
        codes: [T, N] place of the answer in `Pool.answers`, -1 where none could be read.
        groups: [T, N] place of the first sample with an equal answer, or -1.
        grades: [T, N] 1 right, 0 wrong, -1 not graded.
        certainty: [T, N] self-certainty in nats, NaN where the back-end gave none.
        logprob: [T, N] mean log-probability of the sampled tokens in nats, NaN where unknown.
        finishes: [T, N] place in `FINISHES`, -1 without a sample.
        costs: of the samples.
        scores: [T, N] by label of the verifier, NaN where missing.
        judging: what the scores cost, by label and role.
    """

    present: NDArray[np.int64]
    codes: NDArray[np.int32]
    groups: NDArray[np.int32]
    grades: NDArray[np.int8]
    certainty: NDArray[np.float64]
    logprob: NDArray[np.float64]
    finishes: NDArray[np.int8]
    costs: Costs
    scores: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    judging: Mapping[str, Mapping[str, Costs]] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """N."""
        return int(self.groups.shape[1])


PLAIN = ("present", "codes", "groups", "grades", "certainty", "logprob", "finishes")


@dataclass(frozen=True, kw_only=True)
class Pool:
    """A pool.

    Attributes:
        name: its path.
        facts: how it was made (`pool.json`); empty for a pool that is a file.
        ids: of the problems.
        families, graders, levels: of each problem.
        answers: canonical answers, by code.
        samples: drawn from the law.
        greedy: answers at temperature 0.
    """

    name: str
    facts: Mapping[str, Any]
    ids: tuple[str, ...]
    families: tuple[str, ...]
    graders: tuple[str, ...]
    levels: tuple[float | None, ...]
    answers: tuple[str, ...]
    samples: Block
    greedy: Block

    def answer(self, block: Block, task: int, at: int) -> str | None:
        """Return what a sample answered."""
        code = int(block.codes[task, at])
        return None if code < 0 else self.answers[code]


def _numpy() -> Any:
    return need("numpy", extra="bench", feature="studying a pool")
