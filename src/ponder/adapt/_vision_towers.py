"""Look inside transformers' CLIP and SigLIP image encoders: embed, run one block at a time, pool.

Source: our own; the blocks are those of `transformers` (CLIPEncoderLayer, SiglipEncoderLayer, Siglip2EncoderLayer),
pre-norm with separate query, key and value maps. Token condensation changes the sequence inside, for which hooks are
not enough.
Cost: attention of one block is computed in the open (N x N x H numbers) where it is asked for.
Needs: the extra `torch`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ponder.core.errors import BadInput

__all__ = ["Tower", "attend", "open_tower", "run_block"]

_PARTS = ("layer_norm1", "self_attn", "layer_norm2", "mlp")
_MAPS = ("q_proj", "k_proj", "v_proj", "out_proj", "num_heads", "scale")


@dataclass(frozen=True, kw_only=True, eq=False)
class Tower:
    """An image encoder in its parts, which are those of the model itself: copied and pickled with it, they stay so.

    Attributes:
        vision: transformers' image encoder: embeddings, encoder, norms.
        project: from its width to that of the text's features; None where they are of one width.
        has_class: row 0 is a class token (CLIP); SigLIP has none, and pools by attention.
        scale, bias: logits are scale x cosine + bias; None and 0 where the model does not say.
    """

    vision: Any
    project: Any
    has_class: bool
    scale: float | None
    bias: float

    @property
    def blocks(self) -> Sequence[Any]:
        """Encoder layers."""
        layers: Sequence[Any] = self.vision.encoder.layers
        return layers

    @property
    def width(self) -> int:
        """Numbers d of an image's features."""
        own = self.vision.post_layernorm.normalized_shape[0]
        return int(own if self.project is None else self.project.out_features)

    def embed(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the tokens (N, D) that enter the first block, of one image: inputs by name, with a first axis of 1."""
        tokens = _embed(self.vision.embeddings, inputs)
        before = getattr(self.vision, "pre_layrnorm", None)
        return tokens if before is None else before(tokens)

    def pool(self, tokens: Tensor) -> Tensor:
        """Return the features (d,) of tokens (N, D)."""
        normed = self.vision.post_layernorm(tokens[None, 0] if self.has_class else tokens[None])
        pooled: Tensor = normed if self.has_class else self.vision.head(normed)
        return (pooled if self.project is None else self.project(pooled))[0]


def open_tower(model: Any) -> Tower:
    """Find the image encoder of a CLIP or SigLIP model (with or without its text tower).

    Raises:
        BadInput: it is none that we can look into, or one without features that a text could be compared with.
    """
    vision = getattr(model, "vision_model", model)
    blocks = getattr(getattr(vision, "encoder", None), "layers", None)
    if not blocks or not _known(blocks[0]) or not hasattr(getattr(vision, "embeddings", None), "patch_embedding"):
        raise BadInput(
            f"no CLIP or SigLIP image encoder inside {type(model).__name__}: give transformers' CLIPModel, "
            "CLIPVisionModelWithProjection, SiglipModel, SiglipVisionModel, Siglip2Model or Siglip2VisionModel"
        )
    has_class = hasattr(vision.embeddings, "class_embedding")
    if hasattr(model, "classifier") or not (has_class or hasattr(vision, "head")):
        raise BadInput(
            f"{type(model).__name__} has no image features to compare with text: give the image-text model itself"
        )
    return Tower(
        vision=vision,
        project=getattr(model, "visual_projection", None),
        has_class=has_class,
        scale=None if not hasattr(model, "logit_scale") else float(model.logit_scale.detach().exp()),
        bias=0.0 if not hasattr(model, "logit_bias") else float(model.logit_bias.detach()),
    )


def _known(block: Any) -> bool:
    """Return whether a block is one that `attend` and `run_block` can run."""
    return all(hasattr(block, part) for part in _PARTS) and all(hasattr(block.self_attn, part) for part in _MAPS)


def _embed(embeddings: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    """Return the tokens (N, D) of one image, without those that only pad it.

    Raises:
        BadInput: what is not of the model's shape.
    """
    pixels = inputs["pixel_values"]
    if not isinstance(embeddings.patch_embedding, torch.nn.Conv2d):  # Siglip2: patches that are cut already
        shapes = inputs.get("spatial_shapes")
        if shapes is None or pixels.dim() != 3:
            raise BadInput(
                "this model takes patches (B, N, numbers of a patch) with their rows and columns (B, 2): give what its "
                "processor returns, `pixel_values` and `spatial_shapes`"
            )
        found: Tensor = embeddings(pixels, shapes)[0]
        return found[: int(shapes.prod())]
    size, channels = embeddings.image_size, embeddings.patch_embedding.in_channels
    if tuple(pixels.shape[1:]) != (channels, size, size):
        raise BadInput(
            f"this model takes images (B, {channels}, {size}, {size}), got (B, {', '.join(map(str, pixels.shape[1:]))})"
            ": resize them, as its processor does"
        )
    whole: Tensor = embeddings(pixels)[0]
    return whole


def attend(block: Any, tokens: Tensor, anchor: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return what a block's attention adds to its tokens (N, D), and the attention (H, N, N) in at least 32 bits.

    An anchor (D,) is one more token to attend to; its own row and column are cut off, and nothing is normalised again.
    """
    rows = tokens if anchor is None else torch.cat([anchor[None].to(tokens), tokens])
    normed = block.layer_norm1(rows)
    part = block.self_attn
    heads = part.num_heads
    query, key, value = (
        map_(normed).unflatten(-1, (heads, -1)).transpose(0, 1) for map_ in (part.q_proj, part.k_proj, part.v_proj)
    )
    scores = query @ key.transpose(1, 2) * part.scale
    attention = scores.softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32))
    out = part.out_proj((attention.to(value) @ value).transpose(0, 1).flatten(1))
    skipped = 0 if anchor is None else 1
    return out[skipped:], attention[:, skipped:, skipped:]


def run_block(block: Any, tokens: Tensor) -> Tensor:
    """Run a block as it is: (N, D) -> (N, D)."""
    out = block(tokens[None], None)
    return (out[0] if isinstance(out, tuple) else out)[0]
