"""Read what a GGUF file says about itself: its key-values and the shapes of its tensors, never the weights.

Source: the public GGUF specification, versions 2 and 3, little-endian. Arrays are skipped and only their lengths are
kept, so that a vocabulary costs no memory. Every length is checked against the file before it is believed.
Cost: some 0.1 s for a vocabulary of 50,000 words.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ponder.core.errors import BadInput

__all__ = ["Gguf", "read"]

# Value types by their number in the file: struct code of the scalars; 8 is a string, 9 an array.
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_MOST = 2**20  # no real file has more key-values, tensors or dimensions


@dataclass(frozen=True, kw_only=True)
class Gguf:
    """The header of a GGUF file.

    Attributes:
        values: scalar and string key-values.
        lengths: number of elements of each array key-value.
        shapes: dimensions of each tensor.
    """

    values: Mapping[str, str | int | float | bool]
    lengths: Mapping[str, int]
    shapes: Mapping[str, tuple[int, ...]]

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(map(math.prod, self.shapes.values()))

    @property
    def multiplied(self) -> int:
        """Number of weights that each token is multiplied with.

        An untied input embedding is only looked up, and of a mixture's experts only those used count.
        """
        looked_up = self.shapes.get("token_embd.weight", (0,)) if "output.weight" in self.shapes else (0,)
        experts = sum(math.prod(shape) for name, shape in self.shapes.items() if "_exps." in name)
        count, used = self.whole("expert_count"), self.whole("expert_used_count")
        idle = experts * (count - used) // count if count and used else 0
        return self.parameters - math.prod(looked_up) - idle

    @property
    def vocabulary(self) -> int | None:
        """Number of tokens in the vocabulary, where there is one."""
        return self.lengths.get("tokenizer.ggml.tokens")

    def whole(self, key: str) -> int | None:
        """Return an integer key-value of the model's architecture ("block_count"), or None where it has none."""
        value = self.values.get(f"{self.values.get('general.architecture')}.{key}")
        return value if isinstance(value, int) and not isinstance(value, bool) else None


def read(file: Path) -> Gguf:
    """Read the header of `file`.

    Raises:
        BadInput: there is no such file, it is no GGUF file, or it is cut short.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            return _Reader(stream, size, str(file)).header()
    except FileNotFoundError as err:
        raise BadInput(f"there is no model file {str(file)!r}; `ponder models get smollm2` fetches one") from err
    except OSError as err:
        raise BadInput(f"cannot read the model file {str(file)!r}: {err.strerror or err}") from err


class _Reader:
    """Reads one header front to back."""

    def __init__(self, stream: BinaryIO, size: int, name: str) -> None:
        self.stream, self.left, self.size, self.name = stream, size, size, name

    def header(self) -> Gguf:
        if self.bytes(4) != b"GGUF":
            raise BadInput(f"{self.name!r} is not a GGUF file")
        version = self.unpack("I")
        if version not in (2, 3):
            raise BadInput(f"{self.name!r} is a GGUF file of version {version}; versions 2 and 3 can be read")
        tensors, pairs = self.bounded(self.unpack("Q")), self.bounded(self.unpack("Q"))
        values: dict[str, str | int | float | bool] = {}
        lengths: dict[str, int] = {}
        for _ in range(pairs):
            key, kind = self.string(), self.unpack("I")
            if kind == _ARRAY:
                lengths[key] = self.skip_array()
            else:
                values[key] = self.string() if kind == _STRING else self.unpack(self.scalar(kind))
        shapes: dict[str, tuple[int, ...]] = {}
        last = 0
        for _ in range(tensors):
            name, dimensions = self.string(), self.bounded(self.unpack("I"))
            shapes[name] = tuple(self.unpack("Q") for _ in range(dimensions))
            self.unpack("I")  # how the numbers are packed
            last = max(last, self.unpack("Q"))
        # Sizes depend on the packing; that the last tensor begins inside the file catches nearly every cut download.
        if tensors and last >= self.left:
            raise self.cut()
        return Gguf(values=values, lengths=lengths, shapes=shapes)

    def bytes(self, count: int) -> bytes:
        if count > self.left:
            raise self.cut()
        self.left -= count
        data = self.stream.read(count)
        if len(data) != count:
            raise self.cut()
        return data

    def unpack(self, code: str) -> int:
        value: int = struct.unpack(f"<{code}", self.bytes(struct.calcsize(f"<{code}")))[0]
        return value

    def string(self) -> str:
        return self.bytes(self.unpack("Q")).decode("utf-8", "replace")

    def scalar(self, kind: int) -> str:
        if kind not in _SCALARS:
            raise BadInput(f"{self.name!r} is a broken GGUF file: there is no value type {kind}")
        return _SCALARS[kind]

    def skip_array(self) -> int:
        kind, length = self.unpack("I"), self.unpack("Q")
        if kind == _STRING:
            for _ in range(length):
                self.skip(self.unpack("Q"))
        else:
            self.skip(length * struct.calcsize(self.scalar(kind)))
        return length

    def skip(self, count: int) -> None:
        if count > self.left:
            raise self.cut()
        self.left -= count
        self.stream.seek(count, 1)

    def bounded(self, count: int) -> int:
        if count > _MOST:
            raise BadInput(f"{self.name!r} is a broken GGUF file: it claims {count} entries")
        return count

    def cut(self) -> BadInput:
        return BadInput(f"the model file {self.name!r} is cut short ({self.size} bytes); fetch it again")
