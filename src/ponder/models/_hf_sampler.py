"""Draw tokens from the law that a request names, one stream of uniform numbers per row.

Order: penalties, temperature, top-k, top-p, min-p (each on what the one before left). The nucleus needs no sort: a
token drawn from the whole law belongs to the nucleus if the tokens more likely than it weigh less than top_p; if not,
it and all tokens at most as likely are outside, and the draw is repeated without them. This gives exactly the law of
the sorted method (tokens tied at the border all belong), at about a tenth of its cost on large vocabularies.
The repeat penalty reads prompt and answer, the other two the answer only.

Source: our own; nucleus sampling is Holtzman et al. 2019, arXiv:1904.09751. Needs: the extra `torch`.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch

from ponder.core.model import Sampling

__all__ = ["Row", "choose"]

_BLOCK = 256


class Row(NamedTuple):
    """What the draw of one row depends on besides its logits.

    Attributes:
        law: the law asked for.
        uniform: the row's own stream.
        prompt: the ids of the prompt.
        drawn: how often each id was drawn so far.
    """

    law: Sampling
    uniform: random.Random
    prompt: frozenset[int]
    drawn: Mapping[int, int]


def choose(logits: torch.Tensor, rows: Sequence[Row]) -> list[int]:
    """Draw one token for each row.

    Args:
        logits: raw logits [rows, vocabulary]; not changed.
        rows: one per row; each takes the numbers it needs from its own stream, whatever the other rows are.

    Returns:
        Token ids.
    """
    logits = logits.float()
    tokens = [0] * len(rows)
    for law, members in _by_law(rows):
        group = logits if len(members) == len(rows) else logits[members]
        chosen = [rows[i] for i in members]
        if law.repeat_penalty != 1 or law.presence_penalty or law.frequency_penalty:
            group = torch.stack([_penalised(line, row) for line, row in zip(group, chosen, strict=True)])
        for i, token in zip(members, _draw(group, law, [row.uniform for row in chosen]), strict=True):
            tokens[i] = token
    return tokens


def _by_law(rows: Sequence[Row]) -> Iterable[tuple[Sampling, list[int]]]:
    groups: dict[Sampling, list[int]] = {}
    for i, row in enumerate(rows):
        groups.setdefault(row.law, []).append(i)
    return groups.items()


def _penalised(logits: torch.Tensor, row: Row) -> torch.Tensor:
    """Return one row's logits [vocabulary] with the penalties of its law."""
    law, out = row.law, logits.clone()
    if law.repeat_penalty != 1:
        seen = torch.tensor(sorted(row.prompt | row.drawn.keys()), device=logits.device)
        at = out[seen]
        out[seen] = torch.where(at > 0, at / law.repeat_penalty, at * law.repeat_penalty)
    if row.drawn and (law.presence_penalty or law.frequency_penalty):
        ids = torch.tensor(list(row.drawn), device=logits.device)
        counts = torch.tensor(list(row.drawn.values()), device=logits.device)
        out[ids] -= law.presence_penalty + law.frequency_penalty * counts
    return out


def _draw(logits: torch.Tensor, law: Sampling, streams: Sequence[random.Random]) -> list[int]:
    if law.temperature == 0:
        return [int(token) for token in logits.argmax(-1).tolist()]
    scaled = logits / law.temperature
    if not 0 < law.top_k < logits.shape[-1]:
        return _nucleus(scaled, law, streams).tolist()  # type: ignore[no-any-return]  # torch is untyped here
    values, ids = scaled.topk(law.top_k)
    place = _nucleus(values, law, streams)
    return ids.gather(1, place[:, None])[:, 0].tolist()  # type: ignore[no-any-return]  # as above


def _nucleus(scaled: torch.Tensor, law: Sampling, streams: Sequence[random.Random]) -> torch.Tensor:
    """Return one index per row, drawn from softmax(scaled) cut to top_p and min_p."""
    p = torch.softmax(scaled, -1)
    if law.min_p:
        p = torch.where(p < law.min_p * p.amax(-1, keepdim=True), 0.0, p)
    drawn = torch.empty(len(p), dtype=torch.long, device=p.device)
    waiting = list(range(len(p)))
    while waiting:
        token = _invert(p, [streams[i].random() for i in waiting])
        weight = p.gather(1, token[:, None])
        likelier = p > weight
        # Rounding at a block's end can point at a token of weight 0: never accepted.
        good = (weight[:, 0] > 0) & ((p * likelier).sum(-1) < law.top_p)
        accepted = good.tolist()
        drawn[torch.tensor(waiting, device=p.device)[good]] = token[good]
        waiting = [i for i, fine in zip(waiting, accepted, strict=True) if not fine]
        if waiting:
            rest = ~good
            p = p[rest] * likelier[rest]
    return drawn


def _invert(p: torch.Tensor, uniform: Sequence[float]) -> torch.Tensor:
    """Return, for weights [rows, K] and numbers [rows] in [0, 1), the index where the cumulated weight passes them.

    In two steps, over blocks and within one: a running sum over a whole vocabulary is the slowest part otherwise.
    """
    rows, width = p.shape
    wide = torch.float32 if p.device.type == "mps" else torch.float64  # Apple's GPUs have no float64
    spare = -width % _BLOCK
    blocks = (torch.nn.functional.pad(p, (0, spare)) if spare else p).view(rows, -1, _BLOCK)
    outer = blocks.sum(-1).cumsum(-1, dtype=wide)
    target = torch.tensor(uniform, dtype=wide, device=p.device)[:, None] * outer[:, -1:]
    block = torch.searchsorted(outer, target, right=True).clamp(max=outer.shape[1] - 1)
    within = target - torch.nn.functional.pad(outer, (1, 0)).gather(1, block)
    inner = blocks[torch.arange(rows, device=p.device), block[:, 0]].cumsum(-1, dtype=wide)
    place = torch.searchsorted(inner, within, right=True).clamp(max=_BLOCK - 1)
    return (block * _BLOCK + place)[:, 0].clamp(max=width - 1)
