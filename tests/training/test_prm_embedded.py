"""The whole way of a PRM on the embedded model: at most 300 generated tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

import ponder
from ponder import Budget, Sampling, solve
from ponder.numerics.logistic import Logistic
from ponder.tasks.arithmetic_chains import ArithmeticChains
from ponder.training.prm import label
from ponder.training.rollouts import Rollouts
from ponder.verifiers.prm_features import STEP_FEATURES
from ponder.verifiers.trained_prm import Head, TrainedPrm

pytestmark = [pytest.mark.torch, pytest.mark.embedded, pytest.mark.slow]


async def test_prefixes_of_smollm2_are_labelled_and_a_head_guides_its_search(tmp_path: Path) -> None:
    (problem,) = ArithmeticChains().generate(1, seed=5)
    model = ponder.load("hf:smollm2", dtype="float32")
    law = Sampling(max_tokens=40)
    try:
        labelled = await label(model, [problem], Rollouts(solutions=1, k=2), sampling=law)
        assert labelled.examples
        assert all(len(example.vector) == STEP_FEATURES for example in labelled.examples)
        surest = Logistic(tuple(float(at == 1) for at in range(STEP_FEATURES)), 0.0)
        Head(fingerprint=model.info.fingerprint, features="certainty", layer=0, delimiter="\n", law=surest).save(
            tmp_path
        )
        result = await solve(
            problem.task,
            model=model,
            method="beam_search",
            verifier=TrainedPrm(directory=str(tmp_path)),
            sampling=law,
            budget=Budget(completion_tokens=150),
            n=2,
            branch=2,
            depth=4,
            step_tokens=20,
        )
    finally:
        await model.close()
    assert result.usage["prm"].prompt_tokens > 0
    assert result.paid["prm"].cached_tokens > 0
    assert result.chosen is not None
    assert 0 < result.candidates[result.chosen].scores["trained_prm"].value < 1  # type: ignore[operator]
