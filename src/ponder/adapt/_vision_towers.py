"""Look inside transformers' CLIP and SigLIP image encoders: embed, run one block at a time, pool.

Source: our own; the blocks are those of `transformers` (CLIPEncoderLayer, SiglipEncoderLayer), pre-norm with separate
query, key and value maps. Token condensation changes the sequence inside, for which hooks are not enough.
Cost: attention of one block is computed in the open (N x N x H numbers) where it is asked for.
Needs: the extra `torch`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ponder.core.errors import BadInput

__all__ = ["Tower", "attend", "open_tower", "run_block"]


@dataclass(frozen=True, kw_only=True)
class Tower:
    """An image encoder in its parts.

    Attributes:
        embed: images (B, 3, h, w) -> tokens (B, N, D), as they enter the first block.
        blocks: encoder layers.
        pool: tokens (B, N, D) -> features (B, d).
        has_class: row 0 is a class token (CLIP); SigLIP has none, and pools by attention.
        scale: what cosines are multiplied by to be logits, or None where the model does not say.
    """

    embed: Callable[[Tensor], Tensor]
    blocks: Sequence[Any]
    pool: Callable[[Tensor], Tensor]
    has_class: bool
    scale: float | None


def open_tower(model: Any) -> Tower:
    """Find the image encoder of a CLIP or SigLIP model (with or without its text tower).

    Raises:
        BadInput: it is none that we can look into.
    """
    vision = getattr(model, "vision_model", model)
    blocks = getattr(getattr(vision, "encoder", None), "layers", None)
    if blocks is None or not len(blocks) or not all(hasattr(blocks[0], part) for part in _PARTS):
        raise BadInput(
            f"no CLIP or SigLIP image encoder inside {type(model).__name__}: "
            "give transformers' CLIPModel, CLIPVisionModelWithProjection, SiglipModel or SiglipVisionModel"
        )
    has_class = hasattr(vision.embeddings, "class_embedding")
    before = getattr(vision, "pre_layrnorm", None)
    project = getattr(model, "visual_projection", None)

    def embed(pixels: Tensor) -> Tensor:
        tokens = vision.embeddings(pixels)
        return tokens if before is None else before(tokens)

    def pool(tokens: Tensor) -> Tensor:
        if has_class:
            pooled = vision.post_layernorm(tokens[:, 0])
        else:
            whole = vision.post_layernorm(tokens)
            pooled = vision.head(whole) if hasattr(vision, "head") else whole.mean(1)
        return pooled if project is None else project(pooled)

    log_scale = getattr(model, "logit_scale", None)
    scale = None if log_scale is None else float(log_scale.detach().exp())
    return Tower(embed=embed, blocks=list(blocks), pool=pool, has_class=has_class, scale=scale)


def attend(block: Any, tokens: Tensor, anchor: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return what a block's attention adds to its tokens (N, D), and the attention (H, N, N).

    An anchor (D,) is one more token to attend to; its own row and column are cut off, and nothing is normalised again.
    """
    rows = tokens if anchor is None else torch.cat([anchor[None].to(tokens), tokens])
    normed = block.layer_norm1(rows)
    part = block.self_attn
    heads = part.num_heads
    query, key, value = (
        map_(normed).unflatten(-1, (heads, -1)).transpose(0, 1) for map_ in (part.q_proj, part.k_proj, part.v_proj)
    )
    attention = (query @ key.transpose(1, 2) * part.scale).softmax(-1)
    out = part.out_proj((attention @ value).transpose(0, 1).flatten(1))
    skipped = 0 if anchor is None else 1
    return out[skipped:], attention[:, skipped:, skipped:]


def run_block(block: Any, tokens: Tensor) -> Tensor:
    """Run a block as it is: (N, D) -> (N, D)."""
    out = block(tokens[None], None)
    return (out[0] if isinstance(out, tuple) else out)[0]


_PARTS = ("layer_norm1", "self_attn", "layer_norm2", "mlp")
