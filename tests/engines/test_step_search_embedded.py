"""The searches on the embedded model: at most 400 generated tokens each."""

from __future__ import annotations

from typing import Any

import pytest

from ponder import Budget, Model, Sampling, Task, solve

STORY = Task.of("Ann has 3 bags with 4 apples in each. How many apples are there? Think step by step.", answer="number")
SMALL: dict[str, dict[str, Any]] = {
    "beam_search": {"n": 4, "branch": 2},
    "lookahead_search": {"n": 2, "branch": 2, "k": 1},
    "dvts": {"n": 4, "branch": 2},
    "retrieval_mcts": {"simulations": 2, "branch": 2, "references": [["Bob has 2 bags with 5 nuts?", "2 * 5 = 10"]]},
}


@pytest.mark.embedded
@pytest.mark.parametrize("method", SMALL)
async def test_search_runs_on_the_embedded_model(method: str, embedded: Model) -> None:
    result = await solve(
        STORY,
        model=embedded,
        method=method,
        verifier="arithmetic",
        budget=Budget(completion_tokens=400),
        sampling=Sampling(max_tokens=60),
        step_tokens=40,
        depth=3,
        retries=1,
        **SMALL[method],
    )
    assert result.chosen is not None
    assert result.cost.exact
    assert result.cost.completion_tokens <= 400
    assert result.text.strip()
