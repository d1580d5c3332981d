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

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "high", "low", "flat", "wave", "line"]
    (tmp_path / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    transformers.BertTokenizer(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    transformers.BertModel(config).save_pretrained(tmp_path)
    towers = build_towers(leads=2, width=8, signal_width=8, text=tmp_path, frozen=1)
    text = towers.text_encoder
    before = {name: value.detach().clone() for name, value in text.body.named_parameters()}
    signals, reports = pairs(8)
    train_merl(towers, signals, reports, MERLTraining(epochs=1, batch=4, held_out=0.0))
    same = {name for name, value in text.body.named_parameters() if value.equal(before[name])}
    assert "embeddings.word_embeddings.weight" in same
    assert {name for name in before if name.startswith("encoder.layer.0.")} <= same
    assert not {name for name in before if name.startswith(("encoder.layer.1.attention.self.value", "pooler"))} & same
    assert towers.encode(["High wave"]).shape == (1, 8)
    # What embeds a text is the pooled first token, whatever it stands beside in the batch.
    with torch.no_grad():
        one, three = text(["High wave"]), text(["flat line line line", "HIGH WAVE", "low"])
        ids = text.tokenizer("high wave", return_tensors="pt")
        assert one.allclose(text.body(**ids).pooler_output, atol=1e-6)
        assert three[1:2].allclose(one, atol=1e-5)
    with pytest.raises(ConfigError, match="layers to freeze"):
        build_towers(leads=2, text=str(tmp_path), frozen=3)


def test_a_checkpoint_that_does_not_pool_is_refused(tmp_path: Any) -> None:
    import transformers

    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nwave", encoding="utf-8")
    transformers.BertTokenizer(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    config = transformers.DistilBertConfig(vocab_size=6, dim=8, n_layers=1, n_heads=2, hidden_dim=16)
    transformers.DistilBertModel(config).save_pretrained(tmp_path)
    with pytest.raises(BadInput, match="no pooled output"):
        build_towers(leads=2, text=tmp_path)


@pytest.mark.parametrize(
    ("encoder", "width", "weights"), [("resnet18", 512, (4e6, 6e6)), ("vit_tiny", 192, (5e6, 6.5e6))]
)
def test_encoders_of_the_published_sizes(encoder: Any, width: int, weights: tuple[float, float]) -> None:
    towers = build_towers(encoder=encoder)
    signal = towers.signal_encoder
    assert weights[0] < sum(p.numel() for p in signal.parameters()) < weights[1]
    if encoder == "vit_tiny":
        assert (len(signal.blocks), signal.blocks[0].self_attn.num_heads) == (12, 3)
        assert signal.patches.kernel_size == signal.patches.stride == (50,)
        assert signal.places.shape == (1, 100, 192)
    else:
        convolutions = [m for m in signal.modules() if isinstance(m, torch.nn.Conv1d) and m.kernel_size != (1,)]
        assert len(convolutions) == 17
    for length in (5000, 1000):
        x = torch.rand(2, 12, length)
        pooled = signal.eval()(x)
        assert pooled.shape == (2, width)
        assert towers(x).shape == (2, 256)
    (towers(torch.rand(2, 12, 1000)) ** 2).sum().backward()
    idle = [name for name, p in signal.named_parameters() if p.grad is None]
    assert idle == []
    twin = build_towers(encoder=encoder)
    assert all(torch.equal(a, b) for a, b in zip(towers.parameters(), twin.parameters(), strict=True))


def test_a_signal_longer_than_the_vit_has_places_for_is_refused() -> None:
    towers = build_towers(encoder="vit_tiny")
    assert towers(torch.rand(1, 12, 5049)).shape == (1, 256), "what does not fill a patch is left out"
    with pytest.raises(BadInput, match="longer than the 5000"):
        towers(torch.rand(1, 12, 5050))


def test_default_settings_are_the_released_ones() -> None:
    found = MERLTraining()
    assert (found.epochs, found.batch, found.lr, found.weight_decay) == (20, 128, 1e-3, 1e-8)
    assert (found.restart, found.temperature, found.dropout, found.held_out) == (5000, 0.07, 0.1, 0.02)
    assert build_towers().signal_map.out_features == 256


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
    with pytest.raises(ConfigError, match="encoder"):
        build_towers(encoder="lstm")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="at least two"):
        train_merl(small(), signals[:1], reports[:1])
