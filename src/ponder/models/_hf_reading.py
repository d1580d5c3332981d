"""Read given texts with a model: log-probabilities and hidden states of many in one batch, attention of one.

Source: our own. Cost: one pass over the new tokens; prompts that were read before are not read again.
Needs: the extra `torch`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from ponder.models._hf_engine import Engine, Prompt
from ponder.models._hf_measures import Top, measure
from ponder.models._hf_slots import Network

__all__ = ["Insides", "Reading", "Text", "look", "read_texts"]

# Whole-vocabulary logits of so many tokens are held at once: 100 MB for 50,000 words.
_TOKENS = 512


class Text(NamedTuple):
    """What is to be read: `text` ids after `prompt` ids, with the `top` likeliest tokens at each step.

    `layers` are hidden states that are kept: 0 are the embeddings, then each layer's output.
    """

    prompt: tuple[int, ...]
    text: tuple[int, ...]
    top: int
    layers: tuple[int, ...] = ()


class Reading(NamedTuple):
    """What was read: one entry per text token, and how many prompt tokens came from a cache.

    `hidden` are the states after each text token, float32 [layers asked for, tokens, width]; None unless asked for.
    """

    logprobs: tuple[float, ...]
    certainty: tuple[float, ...]
    top: tuple[Top, ...]
    reused: int
    hidden: torch.Tensor | None = None


class Insides(NamedTuple):
    """What a model computes on one text of T tokens.

    Attributes:
        ids: the tokens.
        start: index of the first token after the prompt.
        logits: [T, vocabulary], raw.
        hidden: [layers + 1, T, width]: the embeddings, then each layer's output; None unless asked for.
        attention: [layers, heads, T, T], rows are queries; None unless asked for.
    """

    ids: tuple[int, ...]
    start: int
    logits: torch.Tensor
    hidden: torch.Tensor | None
    attention: torch.Tensor | None


def read_texts(engine: Engine, texts: Sequence[Text]) -> list[Reading]:
    """Return the reading of each text; texts of like length share passes. Runs in the engine's thread."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i].text))
    readings: dict[int, Reading] = {}
    for start in range(0, len(order), engine.batch):
        group = order[start : start + engine.batch]
        for i, reading in zip(group, _read_group(engine, [texts[i] for i in group]), strict=True):
            readings[i] = reading
    return [readings[i] for i in range(len(texts))]


def _read_group(engine: Engine, texts: Sequence[Text]) -> list[Reading]:
    slots = engine.network.slots(len(texts))
    prompts: dict[tuple[int, ...], Prompt] = {}
    reused: list[int] = []
    records = [_Record(text) for text in texts]
    for text, record in zip(texts, records, strict=True):
        prompt = prompts.get(text.prompt) or engine.read(text.prompt)
        assert prompt is not None
        reused.append(prompt.reused)
        prompts[text.prompt] = prompt._replace(reused=len(text.prompt))
        slots.put(prompt.slots)
        record.add(prompt.logits[None])
    deep = any(text.layers for text in texts)
    # The last token of a text predicts nothing that is asked for, but it has states.
    bodies = [text.text if text.layers else text.text[:-1] for text in texts]
    step = max(1, _TOKENS // len(texts))
    for start in range(0, max(map(len, bodies)), step):
        pieces = [body[start : start + step] for body in bodies]
        if deep:
            logits, hidden = engine.network.advance_deep(slots, pieces)
        else:
            logits, hidden = engine.network.advance(slots, pieces, last=False), ()
        for row, (piece, record) in enumerate(zip(pieces, records, strict=True)):
            record.add(logits[row, : len(piece)])
            if record.text.layers and piece:
                record.hidden.append(
                    torch.stack([hidden[layer][row, : len(piece)] for layer in record.text.layers]).float().cpu()
                )
    return [record.reading(tokens) for record, tokens in zip(records, reused, strict=True)]


class _Record:
    """Collects the numbers of one text from logits that come piece by piece."""

    def __init__(self, text: Text) -> None:
        self.text = text
        self.logprobs: list[float] = []
        self.certainty: list[float] = []
        self.top: list[Top] = []
        self.hidden: list[torch.Tensor] = []

    def add(self, logits: torch.Tensor) -> None:
        """Add the laws [new, vocabulary] of the next tokens."""
        first = len(self.logprobs)
        ids = self.text.text[first : first + len(logits)]
        if ids:
            new = measure(logits[: len(ids)], ids, top=self.text.top)
            self.logprobs += new.logprobs
            self.certainty += new.certainty
            self.top += new.top

    def reading(self, reused: int) -> Reading:
        """Return what was collected."""
        hidden = torch.cat(self.hidden, 1) if self.hidden else None
        return Reading(tuple(self.logprobs), tuple(self.certainty), tuple(self.top), reused, hidden)


def look(network: Network, ids: tuple[int, ...], start: int, *, hidden: bool, attention: bool) -> Insides:
    """Run the model once on `ids` and return what it computed. Runs in the engine's thread."""
    module: Any = network.module
    usual = module.config._attn_implementation
    if attention:  # the fused kernels never form the attention map
        module.set_attn_implementation("eager")
    try:
        out = module(
            input_ids=torch.tensor([ids], device=network.device),
            use_cache=False,
            output_hidden_states=hidden,
            output_attentions=attention,
        )
    finally:
        if attention:
            module.set_attn_implementation(usual)
    return Insides(
        ids,
        start,
        out.logits[0],
        torch.cat(out.hidden_states) if hidden else None,
        torch.cat(out.attentions) if attention else None,
    )
