from __future__ import annotations

import json
from pathlib import Path

import pytest

from ponder.core.errors import BadInput
from ponder.models.shapes import experts_used, plain_config, read_shape, shape_of_config

CONFIG = {"num_attention_heads": 8, "hidden_size": 64, "num_hidden_layers": 4, "vocab_size": 100}


def test_a_config_gives_its_shape() -> None:
    shape = shape_of_config({**CONFIG, "num_key_value_heads": 2}, parameters=1000, active=900)
    assert (shape.heads, shape.kv_heads, shape.layers, shape.head_size) == (8, 2, 4, 8)
    assert shape_of_config(CONFIG, parameters=1000, active=900).kv_heads == 8
    assert shape_of_config({**CONFIG, "head_dim": 16}, parameters=1000, active=900).head_size == 16


def test_older_names_are_understood() -> None:
    old = {"n_head": 8, "n_embd": 64, "n_layer": 4, "vocab_size": 100}
    assert shape_of_config(plain_config(old), parameters=1, active=1) == shape_of_config(CONFIG, parameters=1, active=1)


def test_a_mixture_uses_some_of_its_experts() -> None:
    assert experts_used({"num_local_experts": 8, "num_experts_per_tok": 2}) == 0.25
    assert experts_used(CONFIG) == 1.0


@pytest.mark.parametrize("lacking", ["num_attention_heads", "hidden_size", "vocab_size"])
def test_a_config_that_lacks_its_sizes_is_refused(lacking: str) -> None:
    config = {name: value for name, value in CONFIG.items() if name != lacking}
    with pytest.raises(BadInput, match=lacking):
        shape_of_config(config, parameters=1, active=1)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        read_shape(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "unheard-of"}))
    with pytest.raises(BadInput):
        read_shape(tmp_path)
