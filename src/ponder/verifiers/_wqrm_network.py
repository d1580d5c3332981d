"""An encoder with the two heads of WQRM: a reward of one text, and a similarity that compares two.

Only safetensors and JSON are written. The released heads are a pickle ("heads.pth"); it is read as plain tensors only,
by their shapes, and no code that comes with a checkpoint is run.

Source: the released WQRM, Chakrabarty et al. 2025, arXiv:2504.07532 (card 01 B): no special tokens, one separator
between the texts, the word None in place of a second one, means over each text's hidden states.
Differs: the similarity is kept below 1 - 1e-7 in training, where the released one may be 1 and its loss infinite.
Cost: one pass over each text. Needs: the extra `torch`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ponder.core.errors import BadInput
from ponder.core.model import ModelInfo

__all__ = ["HEADS", "NOTHING", "Encoded", "Heads", "Network", "Read", "load_network", "open_network"]

HEADS = "heads.safetensors"
RELEASED = "heads.pth"
REPORT = "wqrm.json"
NOTHING = "None"  # the second text of a single one
SCALE = 10.0
_LEAST = 1e-7


class Encoded(NamedTuple):
    """Two texts in one row: token ids, and how many of them belong to each (one separator stands between)."""

    ids: tuple[int, ...]
    first: int
    second: int


class Read(NamedTuple):
    """What the heads say of a batch: rewards in (0, 10), similarities in [1e-7, 1]; both [rows]."""

    rewards: torch.Tensor
    similarities: torch.Tensor


class Heads(torch.nn.Module):  # type: ignore[misc]  # torch is untyped here
    """The heads over hidden states of width `hidden`.

    Attributes:
        reward: from a text's mean hidden state to a number that is squashed to (0, 10).
    """

    def __init__(self, hidden: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.reward = torch.nn.Sequential(
            torch.nn.Dropout(dropout),
            torch.nn.Linear(hidden, hidden // 2),
            torch.nn.GELU(),
            torch.nn.Linear(hidden // 2, 1),
        )

    def forward(self, states: torch.Tensor, lengths: Sequence[tuple[int, int]]) -> Read:
        """Read hidden states [rows, tokens, hidden] whose texts have these lengths, padding behind them."""
        first = torch.stack([states[row, :one].mean(0) for row, (one, _) in enumerate(lengths)])
        second = torch.stack([states[row, one + 1 : one + 1 + two].mean(0) for row, (one, two) in enumerate(lengths)])
        rewards = SCALE * torch.sigmoid(self.reward(first)[:, 0])
        similar = torch.nn.functional.cosine_similarity(first, second, dim=-1)
        return Read(rewards, similar.clamp(_LEAST, 1.0))


class Network:
    """An encoder, its tokenizer and the heads.

    Attributes:
        encoder, tokenizer: of transformers.
        heads: on top.
        info: what its passes cost.
        report: how it was trained; empty where nothing was kept.
    """

    def __init__(
        self, encoder: Any, tokenizer: Any, heads: Heads, *, fingerprint: str, report: Mapping[str, Any] | None = None
    ) -> None:
        self.encoder, self.tokenizer, self.heads = encoder, tokenizer, heads
        self.report = dict(report or {})
        parameters = sum(p.numel() for p in encoder.parameters()) + sum(p.numel() for p in heads.parameters())
        self.info = ModelInfo(
            fingerprint=fingerprint,
            context=getattr(encoder.config, "max_position_embeddings", None),
            parameters=parameters,
            flops=lambda prompt, completion: 2.0 * parameters * (prompt + completion),
        )
        mark = tokenizer.sep_token_id
        self._separator = tokenizer.eos_token_id if mark is None else mark
        if self._separator is None:
            raise BadInput("the encoder's tokenizer has no separator token")
        pad = tokenizer.pad_token_id
        self._pad = self._separator if pad is None else pad

    def encode(self, first: str, second: str = NOTHING) -> Encoded:
        """Return the row of two texts.

        Raises:
            BadInput: one of them has no token.
        """
        one, two = (self.tokenizer(text, add_special_tokens=False).input_ids for text in (first, second))
        if not one or not two:
            raise BadInput("a text without a token has no reward")
        return Encoded((*one, self._separator, *two), len(one), len(two))

    def forward(self, rows: Sequence[Encoded]) -> Read:
        """Read a batch, with gradients where they are on."""
        longest = max(len(row.ids) for row in rows)
        device = next(self.encoder.parameters()).device
        ids = torch.tensor([[*row.ids, *[self._pad] * (longest - len(row.ids))] for row in rows], device=device)
        lengths = torch.tensor([len(row.ids) for row in rows], device=device)
        mask = (torch.arange(longest, device=device)[None] < lengths[:, None]).long()
        states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        found: Read = self.heads(states.float(), [(row.first, row.second) for row in rows])
        return found

    def read(self, rows: Sequence[Encoded]) -> tuple[list[float], list[float]]:
        """Return the rewards and similarities of a batch."""
        self.encoder.eval()
        self.heads.eval()
        with torch.inference_mode():
            found = self.forward(rows)
        return found.rewards.tolist(), found.similarities.tolist()

    def rewards(self, rows: Sequence[Encoded]) -> list[float]:
        """Return the rewards of a batch, in (0, 10)."""
        return self.read(rows)[0]

    def fits(self, row: Encoded) -> bool:
        """Return whether a row is within the encoder's length."""
        return self.info.context is None or len(row.ids) <= self.info.context

    def save(self, directory: Path | str) -> Path:
        """Write encoder, tokenizer, heads and report into a directory, which is made if need be; return it.

        Raises:
            BadInput: it cannot be written.
        """
        path = Path(directory)
        try:
            path.mkdir(parents=True, exist_ok=True)
            self.encoder.save_pretrained(path, safe_serialization=True)
            self.tokenizer.save_pretrained(path)
            save_file({name: value.contiguous() for name, value in self.heads.state_dict().items()}, path / HEADS)
            (path / REPORT).write_text(json.dumps(self.report, indent=1) + "\n", encoding="utf-8")
        except OSError as err:
            raise BadInput(f"cannot write {str(path)!r}: {err.strerror or err}") from err
        return path


def load_network(
    directory: Path | str, *, device: str = "auto", dtype: str = "float32", fresh: bool = False
) -> Network:
    """Load an encoder directory with its heads.

    Args:
        directory: of transformers, with safetensors.
        device: "auto" (an accelerator if there is one), or a torch device.
        dtype: of the encoder's weights.
        fresh: make new heads where there are none, for training.

    Raises:
        BadInput: it cannot be read, is no encoder, or has no heads.
    """
    path = Path(directory).expanduser()
    where = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, **options)
        encoder = transformers.AutoModel.from_pretrained(
            path, dtype=getattr(torch, dtype), use_safetensors=True, **options
        )
    except (OSError, ValueError, KeyError, AttributeError) as err:
        raise BadInput(f"transformers cannot read the encoder in {str(path)!r}: {err}") from err
    heads = Heads(int(encoder.config.hidden_size))
    weights = _weights(path)
    if weights is not None:
        try:
            heads.load_state_dict(weights)
        except RuntimeError as err:
            raise BadInput(f"the heads in {str(path)!r} do not fit its encoder: {err}") from err
    elif not fresh:
        raise BadInput(f"there is no {HEADS} in {str(path)!r}: make one with `ponder train wqrm`")
    report: dict[str, Any] = {}
    if (path / REPORT).is_file():
        try:
            report = json.loads((path / REPORT).read_text(encoding="utf-8"))
        except (OSError, ValueError) as err:
            raise BadInput(f"cannot read {str(path / REPORT)!r}: {err}") from err
    return Network(
        encoder.to(where), tokenizer, heads.to(where), fingerprint=f"wqrm:{path.resolve()}:{dtype}", report=report
    )


@lru_cache(maxsize=2)
def open_network(directory: str, modified: int, device: str, dtype: str) -> Network:
    """Load a directory for use; the two used last stay loaded, and one that was written again is another one."""
    del modified
    return load_network(directory, device=device, dtype=dtype)


def _weights(path: Path) -> dict[str, torch.Tensor] | None:
    """Return the heads' weights by our names; None where there is no file."""
    try:
        if (path / HEADS).is_file():
            return dict(load_file(path / HEADS))
        if not (path / RELEASED).is_file():
            return None
        found = torch.load(path / RELEASED, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError) as err:
        raise BadInput(f"the heads in {str(path)!r} cannot be read: {err}") from err
    except Exception as err:  # torch raises pickle's own errors for what it refuses to unpickle
        raise BadInput(f"the heads in {str(path)!r} are not plain tensors: {err}") from err
    return _by_shape(found, path)


def _by_shape(found: Any, path: Path) -> dict[str, torch.Tensor]:
    """Sort the released tensors, whatever their names: wide matrix and bias, then the single row and its bias."""
    flat: list[torch.Tensor] = []

    def walk(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            flat.append(value)
        elif isinstance(value, Mapping):
            for part in value.values():
                walk(part)

    walk(found)
    last = [t for t in flat if t.ndim == 2 and t.shape[0] == 1]
    wide = [t for t in flat if t.ndim == 2 and t.shape[0] > 1]
    if len(last) != 1 or len(wide) != 1:
        raise BadInput(f"the heads in {str(path)!r} are not those of WQRM: {[tuple(t.shape) for t in flat]}")
    biases = {t.shape[0]: t for t in flat if t.ndim == 1}
    if wide[0].shape[0] not in biases or 1 not in biases:
        raise BadInput(f"the heads in {str(path)!r} lack a bias")
    return {
        "reward.1.weight": wide[0],
        "reward.1.bias": biases[wide[0].shape[0]],
        "reward.3.weight": last[0],
        "reward.3.bias": biases[1],
    }
