from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ponder.core.errors import BadInput
from ponder.models.gguf import read


def string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def pair(key: str, kind: int, value: bytes) -> bytes:
    return string(key) + struct.pack("<I", kind) + value


def tensor(name: str, shape: tuple[int, ...], offset: int) -> bytes:
    return string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, offset)


PAIRS = [
    pair("general.architecture", 8, string("toy")),
    pair("toy.block_count", 4, struct.pack("<I", 3)),
    pair("toy.is_small", 7, b"\x01"),
    pair("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 2) + string("a") + string("bé")),
    pair("toy.rates", 9, struct.pack("<IQ2f", 6, 2, 0.5, 0.25)),
]
TENSORS = [tensor("token_embd.weight", (4, 2), 0), tensor("output.weight", (4, 2), 32), tensor("blk.0", (5,), 64)]
HEADER = b"GGUF" + struct.pack("<IQQ", 3, len(TENSORS), len(PAIRS)) + b"".join(PAIRS + TENSORS)
WHOLE = HEADER + bytes(120)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "toy.gguf"


def test_read_returns_values_lengths_and_shapes(file: Path) -> None:
    file.write_bytes(WHOLE)
    header = read(file)
    assert header.whole("block_count") == 3
    assert header.whole("is_small") is None  # no integer
    assert header.whole("head_count") is None
    assert header.vocabulary == 2
    assert header.lengths["toy.rates"] == 2
    assert header.shapes["blk.0"] == (5,)


def test_an_untied_input_embedding_is_not_multiplied(file: Path) -> None:
    file.write_bytes(WHOLE)
    assert (read(file).parameters, read(file).multiplied) == (21, 13)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, len(HEADER) + 63))
def test_a_cut_file_is_refused_in_one_line(file: Path, cut: int) -> None:
    file.write_bytes(WHOLE[:cut])
    with pytest.raises(BadInput, match=r"cut short|not a GGUF") as caught:
        read(file)
    assert "\n" not in str(caught.value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, len(HEADER) - 1), byte=st.integers(0, 255))
def test_a_flipped_byte_never_raises_anything_else(file: Path, at: int, byte: int) -> None:
    file.write_bytes(WHOLE[:at] + bytes([byte]) + WHOLE[at + 1 :])
    with contextlib.suppress(BadInput):
        read(file)


def test_other_files_and_versions_are_refused(file: Path) -> None:
    file.write_bytes(b"PK\x03\x04 and so on")
    with pytest.raises(BadInput, match="not a GGUF file"):
        read(file)
    file.write_bytes(b"GGUF" + struct.pack("<IQQ", 1, 0, 0))
    with pytest.raises(BadInput, match="version 1"):
        read(file)


def test_a_missing_file_says_how_to_get_one(file: Path) -> None:
    with pytest.raises(BadInput, match="ponder models get smollm2"):
        read(file)


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot read"):
        read(tmp_path)
