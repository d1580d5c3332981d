"""Training two towers: it learns, repeats, leaves evaluation mode behind, and refuses what does not pair up."""

from __future__ import annotations

from typing import Any

import pytest

from ponder.core.errors import BadInput, ConfigError
from ponder.training.merl import MERLTraining, build_towers, train_merl

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

WORDS = ("high wave", "low wave", "flat line")


def pairs(count: int = 48) -> tuple[Any, list[str]]:
    kinds = [at % 3 for at in range(count)]
    draw = torch.Generator().manual_seed(0)
    time = torch.arange(64) / 8
    shapes = [torch.sin(8 * time), torch.sin(2 * time), torch.zeros(64)]
    rows = [torch.stack([shapes[k], -shapes[k]]) + 0.05 * torch.randn(2, 64, generator=draw) for k in kinds]
    return torch.stack(rows), [WORDS[k] for k in kinds]


def small(seed: int = 0) -> Any:
    return build_towers(leads=2, width=16, signal_width=16, seed=seed)


def test_towers_learn_which_text_belongs_to_which_signal() -> None:
    from ponder.adapt.merl import MERL, class_embeddings

    signals, reports = pairs()
    towers = small()
    done = train_merl(towers, signals, reports, MERLTraining(epochs=12, batch=16, lr=3e-3, held_out=0.0))
    assert done.losses[-1] < done.losses[0]
    assert (done.held_out, done.accuracy) == (0, None)
    classes = class_embeddings({word: word for word in WORDS}, towers.encode)
    found = MERL(towers, classes=classes)(signals).argmax(1).tolist()
    assert sum(f == at % 3 for at, f in enumerate(found)) / len(found) > 0.9


def test_same_seed_same_towers() -> None:
    signals, reports = pairs(24)
    settings = MERLTraining(epochs=2, batch=8, held_out=0.25)
    one, two = small(), small()
    first, second = (train_merl(towers, signals, reports, settings) for towers in (one, two))
    assert first == second
    assert first.held_out == 6
    assert first.accuracy is not None
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not one.training


def test_the_last_single_pair_is_left_out() -> None:
    signals, reports = pairs(9)
    assert len(train_merl(small(), signals, reports, MERLTraining(epochs=1, batch=4, held_out=0.0)).losses) == 1


def test_progress_is_told() -> None:
    seen: list[tuple[int, int]] = []
    signals, reports = pairs(8)
    train_merl(small(), signals, reports, MERLTraining(epochs=2, batch=4), progress=lambda *at: seen.append(at))
    assert seen == [(0, 2), (1, 2)]


def test_a_text_encoder_of_transformers_can_take_part(tmp_path: Any) -> None:
    import transformers

    from ponder.training._signal_towers import CheckpointText

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "high", "low", "flat", "wave", "line"]
    (tmp_path / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    transformers.BertTokenizer(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    transformers.BertModel(config).save_pretrained(tmp_path)
    text = CheckpointText(tmp_path, frozen=1)
    towers = build_towers(leads=2, width=8, signal_width=8, text=text)
    before = text.body.embeddings.word_embeddings.weight.detach().clone()
    signals, reports = pairs(8)
    train_merl(towers, signals, reports, MERLTraining(epochs=1, batch=4, held_out=0.0))
    assert torch.equal(text.body.embeddings.word_embeddings.weight, before)
    assert towers.encode(["High wave"]).shape == (1, 8)


@pytest.mark.parametrize(
    "settings", [{"epochs": 0}, {"batch": 1}, {"temperature": 0.0}, {"dropout": 1.0}, {"held_out": 1.0}, {"restart": 0}]
)
def test_settings_out_of_range(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        MERLTraining(**settings)


def test_what_does_not_pair_up() -> None:
    signals, reports = pairs(4)
    with pytest.raises(BadInput, match="pair up"):
        train_merl(small(), signals, reports[:3])
    with pytest.raises(BadInput, match="at least two"):
        train_merl(small(), signals[:1], reports[:1])
