"""MERL's zero-shot scores; what enriched prompts gain is in tests/bench/test_adapt_signals.py."""

from __future__ import annotations

from typing import Any

import pytest

from ponder.core.errors import BadInput

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def scorer(classes: Any) -> Any:
    from ponder.adapt.merl import MERL

    return MERL(torch.nn.Identity(), classes=classes)


def test_scores_are_cosines_and_scale_does_not_matter() -> None:
    from ponder.adapt.merl import class_embeddings

    table = {"first": [1.0, 0.0], "second": [0.0, 1.0]}
    classes = class_embeddings({"both": ["First", "SECOND"]}, lambda texts: torch.tensor([table[t] for t in texts]))
    assert scorer(classes)(torch.tensor([[1.0, 0.0]])).tolist() == [[pytest.approx(0.707107, abs=1e-6)]]
    x = torch.randn(4, 2)
    torch.testing.assert_close(scorer(classes)(3 * x), scorer(classes)(x))


def test_a_prompt_said_twice_is_the_same_class() -> None:
    from ponder.adapt.merl import class_embeddings

    def encode(texts: list[str]) -> Any:
        return torch.tensor([[float(len(t)), 1.0] for t in texts])

    once, twice = (class_embeddings({"a": prompts}, encode) for prompts in ("word", ["word", "word"]))
    torch.testing.assert_close(once, twice)


def test_nothing_is_learnt_from_a_stream() -> None:
    adapter, x = scorer(torch.eye(3)), torch.randn(5, 3)
    first = adapter(x)
    assert torch.equal(adapter(x), first)
    assert adapter.cost.forwards == 2


def test_what_does_not_fit() -> None:
    from ponder.adapt.merl import class_embeddings

    with pytest.raises(BadInput, match="dimensions"):
        scorer(torch.eye(3))(torch.ones(1, 2))
    with pytest.raises(BadInput, match="classes"):
        scorer(torch.ones(3))
    with pytest.raises(BadInput, match="no prompt"):
        class_embeddings({"a": []}, lambda texts: torch.ones(len(texts), 2))
    with pytest.raises(BadInput, match="no classes"):
        class_embeddings({}, lambda texts: torch.ones(len(texts), 2))


def test_the_encoder_may_be_a_part_of_the_model() -> None:
    from torch import nn

    class Holder(nn.Module):  # type: ignore[misc]  # torch is not typed here
        def __init__(self) -> None:
            super().__init__()
            self.tower = nn.Linear(3, 2)

        def forward(self, x: Any) -> Any:
            raise AssertionError("the whole is not asked")

    from ponder.adapt.merl import MERL

    held, x = Holder(), torch.randn(4, 3)
    adapter = MERL(held, classes=torch.eye(2), encoder="tower")
    assert adapter(x).equal(MERL(held.tower, classes=torch.eye(2))(x))
    assert adapter.model is held
    assert adapter.cost.forward_samples == 4
    with pytest.raises(BadInput, match="no part"):
        MERL(held, classes=torch.eye(2), encoder="nothing")
