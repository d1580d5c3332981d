"""Attention of two `torch.nn.MultiheadAttention` layers, mixed with another weight for each sample.

The projections are affine in their parameters, so that the merged layer's queries, keys, values and outputs are the
mixtures of both layers' own on the same input; what lies between holds no parameters.
Source: our own; merged weights as in card 49. Cost: both layers' projections, one attention.
Needs: the extra `torch`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ponder.core.errors import BadInput

__all__ = ["attention_is_known", "mixed_attention"]

linear = torch.nn.functional.linear


def attention_is_known(part: nn.Module) -> bool:
    """Return whether a module is attention of the kind that can be mixed: one width, no learnt extra keys."""
    return type(part) is nn.MultiheadAttention and part._qkv_same_embed_dim and part.bias_k is None


def mixed_attention(first: Any, second: Any, mix: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Any]:
    """Return a forward for the first layer that answers with the mixture.

    Args:
        first: a layer that `attention_is_known`; the forward is to take the place of its own.
        second: another of its shape.
        mix: from both layers' outputs (B, T, d) to their mixture.

    Raises:
        BadInput: (by the forward) inputs without a batch, or masks that differ between samples.
    """

    def project(rows: Tensor, begin: int, end: int) -> Tensor:
        """Run rows of the packed projection in both layers."""
        both = []
        for part in (first, second):
            bias = None if part.in_proj_bias is None else part.in_proj_bias[begin:end]
            both.append(linear(rows, part.in_proj_weight[begin:end], bias))
        return mix(*both)

    def forward(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        if query.dim() != 3 or key_padding_mask is not None or first.add_zero_attn:
            raise BadInput("attention over padded, zero-extended or single inputs cannot be mixed: use 'vmap'")
        if (attn_mask is not None and attn_mask.dim() != 2) or (is_causal and attn_mask is None):
            raise BadInput("attention with a mask for each sample cannot be mixed: use 'vmap'")
        width, own = first.embed_dim, query is key and key is value
        if not first.batch_first:
            query, key, value = query.transpose(0, 1), key.transpose(0, 1), value.transpose(0, 1)
        if own:
            parts = project(query, 0, 3 * width).chunk(3, dim=-1)
        else:
            parts = tuple(project(rows, at * width, (at + 1) * width) for at, rows in enumerate((query, key, value)))
        q, k, v = (part.unflatten(-1, (first.num_heads, -1)).transpose(1, 2) for part in parts)
        if attn_mask is not None and attn_mask.dtype == torch.bool:  # true forbids here, and allows in torch's kernel
            attn_mask = torch.zeros_like(attn_mask, dtype=q.dtype).masked_fill(attn_mask, -torch.inf)
        shares = None
        if need_weights:
            scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
            shares = (scores if attn_mask is None else scores + attn_mask).softmax(-1)
            found = shares @ v
            shares = shares.mean(1) if average_attn_weights else shares
        else:
            found = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask)
        rows = found.transpose(1, 2).flatten(-2)
        out = mix(*(linear(rows, part.out_proj.weight, part.out_proj.bias) for part in (first, second)))
        return (out if first.batch_first else out.transpose(0, 1)), shares

    return forward
