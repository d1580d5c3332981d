"""The whole way of a PRM on the embedded model: at most 400 generated tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

import ponder
from ponder import Budget, Sampling, solve
from ponder.tasks.arithmetic_chains import ArithmeticChains
from ponder.training.prm import train_prm
from ponder.training.rollouts import Rollouts
from ponder.verifiers.prm_features import STEP_FEATURES
from ponder.verifiers.trained_prm import TrainedPrm

pytestmark = [pytest.mark.torch, pytest.mark.embedded, pytest.mark.slow]


async def test_prm_is_trained_on_smollm2_and_guides_its_search(tmp_path: Path) -> None:
    *learnt, fresh = ArithmeticChains(steps=1).generate(5, seed=5)
    model = ponder.load("hf:smollm2", dtype="float32")
    law = Sampling(max_tokens=16)
    try:
        head = await train_prm(model, learnt, rollouts=Rollouts(solutions=4, layers=(10, 20)), sampling=law)
        head.save(tmp_path)
        result = await solve(
            fresh.task,
            model=model,
            method="beam_search",
            verifier=TrainedPrm(directory=str(tmp_path)),
            sampling=law,
            budget=Budget(completion_tokens=100),
            n=2,
            branch=2,
            depth=2,
            step_tokens=16,
        )
    finally:
        await model.close()
    report = head.report
    assert report["usage"]["policy"]["calls"] == 4 * 4
    assert report["usage"]["policy"]["completion_tokens"] <= 4 * 4 * 16
    assert report["paid"]["prm"]["cached_tokens"] > 0.5 * report["paid"]["prm"]["prompt_tokens"]
    assert list(report["tried"]) == ["certainty", "hidden 10", "hidden 20"]
    width = model.info.hidden if head.features == "hidden" else 0
    assert width is not None
    assert len(head.law.weights) == STEP_FEATURES + width
    assert result.usage["prm"].prompt_tokens > 0
    assert result.paid["prm"].cached_tokens > 0
    assert result.chosen is not None
    value = result.candidates[result.chosen].scores["trained_prm"].value
    assert value is not None
    assert 0 < value < 1
