"""Run a reward checkpoint of transformers on questions with steps and read its scores.

Only safetensors and JSON are read, never pickles, and no code that comes with a checkpoint is run.

Source: readers of Liu et al. 2025, arXiv:2502.06703 (card 13, step 11): class 1 of a two-class head, sigmoid of a value
head, or the softmax of two tag tokens, at the separator that follows each step.
Cost: one pass over each text. Needs: the extra `torch`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
import transformers

from ponder.core.errors import BadInput
from ponder.core.model import ModelInfo
from ponder.core.task import Message
from ponder.numerics.aggregation import two_token_score

__all__ = ["Encoded", "Network", "open_network"]

Kind = Literal["tokens", "sequence", "tags"]
_CLASSES: dict[Kind, str] = {
    "tokens": "AutoModelForTokenClassification",
    "sequence": "AutoModelForSequenceClassification",
    "tags": "AutoModelForCausalLM",
}


class Encoded(NamedTuple):
    """A text to score: its tokens, and where the scores stand (one place for each step; the end for a whole text)."""

    ids: tuple[int, ...]
    places: tuple[int, ...]


class Network:
    """A loaded checkpoint.

    Attributes:
        kind: "tokens" and "sequence" by its head; a language model has "tags".
        info: what its passes cost.
    """

    def __init__(self, module: Any, tokenizer: Any, kind: Kind, fingerprint: str) -> None:
        self.kind, self._module, self._tokenizer = kind, module, tokenizer
        parameters: int = sum(p.numel() for p in module.parameters())
        self.info = ModelInfo(
            fingerprint=fingerprint,
            context=getattr(module.config, "max_position_embeddings", None),
            parameters=parameters,
            flops=lambda prompt, completion: 2.0 * parameters * (prompt + completion),
        )
        self._pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id or 0
        module.config.pad_token_id = self._pad  # a sequence head looks for the last token before it

    def encode(self, messages: Sequence[Message], steps: Sequence[str], separator: str) -> Encoded:
        """Return the tokens of a question and its steps, each followed by the separator (in whole texts: none)."""
        ids = list(self._question(messages))
        if self.kind == "sequence":
            ids += self._ids("".join(steps).strip())
            return Encoded(tuple(ids), (len(ids) - 1,))
        mark, places = self._ids(separator), []
        if not mark:
            raise BadInput(f"the separator {separator!r} has no token in this checkpoint")
        for step in steps:
            # A line break inside a step would look like the end of one.
            ids += [*self._ids(" ".join(step.split())), *mark]
            places.append(len(ids) - 1)
        return Encoded(tuple(ids), tuple(places))

    def tag(self, text: str) -> int:
        """Return the token of a tag.

        Raises:
            BadInput: it has none, or several.
        """
        ids = self._ids(text)
        if len(ids) != 1:
            raise BadInput(f"the tag {text!r} is {len(ids)} tokens of this checkpoint, not one")
        return ids[0]

    def scores(self, texts: Sequence[Encoded], tags: tuple[int, int] | None) -> list[list[float]]:
        """Return the scores of one batch, in [0, 1], one for each place.

        Args:
            texts: at least one.
            tags: tokens of the good and the bad tag, for kind "tags".
        """
        longest = max(len(text.ids) for text in texts)
        device = self._module.device
        ids = torch.tensor([[*text.ids, *[self._pad] * (longest - len(text.ids))] for text in texts], device=device)
        lengths = torch.tensor([len(text.ids) for text in texts], device=device)
        mask = (torch.arange(longest, device=device)[None] < lengths[:, None]).long()
        with torch.inference_mode():
            logits = self._module(input_ids=ids, attention_mask=mask).logits.float()
        if self.kind == "sequence":
            return [[_read(row)] for row in logits.tolist()]
        if tags is not None:
            logits = logits[..., list(tags[::-1])]
        return [[_read(logits[at, place].tolist()) for place in text.places] for at, text in enumerate(texts)]

    def _question(self, messages: Sequence[Message]) -> list[int]:
        if self._tokenizer.chat_template:
            chat = [{"role": message.role, "content": message.text} for message in messages]
            return self._ids(self._tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False))
        text = "\n".join(message.text for message in messages) + "\n"
        return list(self._tokenizer(text).input_ids)  # with the special tokens that begin a text

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False).input_ids)


@lru_cache(maxsize=2)
def open_network(checkpoint: str, device: str, dtype: str) -> Network:
    """Load a checkpoint directory; the two used last stay loaded.

    Raises:
        BadInput: it cannot be read, or its head has no one or two classes.
    """
    path = Path(checkpoint).expanduser()
    where = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = transformers.AutoConfig.from_pretrained(path, **options)
        kind = _kind(config.architectures or ())
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, **options)
        module = getattr(transformers, _CLASSES[kind]).from_pretrained(
            path, dtype=getattr(torch, dtype), use_safetensors=True, **options
        )
    except (OSError, ValueError, KeyError) as err:
        raise BadInput(f"transformers cannot read the checkpoint {checkpoint!r}: {err}") from err
    if kind != "tags" and module.config.num_labels not in (1, 2):
        raise BadInput(f"the head of {checkpoint!r} has {module.config.num_labels} classes, not one or two")
    return Network(module.to(where).eval(), tokenizer, kind, f"prm:{path.resolve()}:{dtype}")


def _kind(architectures: Sequence[str]) -> Kind:
    for name in architectures:
        if name.endswith("ForTokenClassification"):
            return "tokens"
        if name.endswith("ForSequenceClassification"):
            return "sequence"
    return "tags"


def _read(logits: Sequence[float]) -> float:
    """Return the sigmoid of one value, or the probability of class 1 of two."""
    bad, good = (0.0, *logits) if len(logits) == 1 else logits
    return two_token_score(good, bad)
