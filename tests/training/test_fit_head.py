from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from ponder.core.errors import BadInput
from ponder.training.fit_head import Example, fit_head
from ponder.verifiers.prm_features import STEP_FEATURES

pytest.importorskip("numpy")


def made(*, states: tuple[int, ...], tasks: int = 40, seed: int = 0) -> list[Example]:
    """Examples whose value is told by the first number of the state of layer 2; all else is noise."""
    stream = random.Random(seed)
    found = []
    for task in range(tasks):
        for at in range(3):
            value = stream.gauss(0, 1)
            noise = [stream.gauss(0, 1) for _ in range(STEP_FEATURES)]
            hidden = [[value if layer == 2 else stream.gauss(0, 1), stream.gauss(0, 1)] for layer in states]
            right = sum(stream.random() < 1 / (1 + math.exp(-2 * value)) for _ in range(6))
            vector = (*noise, *(number for state in hidden for number in state))
            found.append(Example(task=str(task), prefix=str(at), vector=vector, right=right, rollouts=6))
    return found


def test_layer_that_tells_is_chosen_and_none_where_none_tells() -> None:
    examples = made(states=(5, 2, 7))
    fit = fit_head(examples, (5, 2, 7))
    assert (fit.features, fit.layer) == ("hidden", 2)
    assert list(fit.tried) == ["certainty", "hidden 5", "hidden 2", "hidden 7"]
    assert fit.tried["hidden 2"] == min(fit.tried.values())
    assert len(fit.law.weights) == STEP_FEATURES + 2
    for example in examples[:5]:
        own = (*example.vector[:STEP_FEATURES], *example.vector[STEP_FEATURES + 2 : STEP_FEATURES + 4])
        assert fit.predict(example, (5, 2, 7)) == fit.law.predict(own)
    blind = fit_head(made(states=(5, 7)), (5, 7))
    assert max(abs(loss - math.log(2)) for loss in blind.tried.values()) < 0.2
    assert min(blind.tried.values()) > fit.tried["hidden 2"] + 0.1


def test_what_cannot_be_learnt_from_is_refused() -> None:
    example = Example(task="a", prefix="x", vector=(1.0,), right=1, rollouts=2)
    with pytest.raises(BadInput, match="nothing to learn"):
        fit_head([example, replace(example, prefix="y")])
    with pytest.raises(BadInput, match="two tasks"):
        fit_head([example, replace(example, right=2)])
