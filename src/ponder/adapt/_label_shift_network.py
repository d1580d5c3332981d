"""The small network of the Label Shift Adapter: from a description of the label distribution to a change of the head.

Source: card 58, step A (arXiv:2308.08810, reconstructed); low rank of the weights' change is ours.
Cost: C (D + 1) + 2 D outputs for each description, or r (C + D) + 2 D + C with rank r. Needs: the extra `torch`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ponder.core.errors import BadInput
from ponder.core.seeds import derive, derive_seed
from ponder.numerics.label_shift import imbalance_degree, power_prior

__all__ = ["HeadNetwork", "adjusted_cross_entropy", "describe", "train_network"]


class HeadNetwork(nn.Module):  # type: ignore[misc]  # torch is not typed here
    """Linear, ReLU, linear: description (1,) or (C,) to scale (D), shift (D), weight change (C, D), bias change (C).

    The last layer starts at 0, so that an untrained network changes nothing.
    """

    def __init__(self, inputs: int, features: int, classes: int, *, hidden: int = 64, rank: int | None = None) -> None:
        super().__init__()
        self.features, self.classes, self.rank = features, classes, rank
        inner = classes * features if rank is None else rank * (classes + features)
        self.l1 = nn.Linear(inputs, hidden)
        self.l2 = nn.Linear(hidden, 2 * features + inner + classes)
        nn.init.zeros_(self.l2.weight)
        nn.init.zeros_(self.l2.bias)
        if rank is not None:  # a product of two zeros has no gradient: one factor starts at random
            with torch.no_grad():
                self.l2.bias[2 * features + rank * classes : -classes].normal_(std=1 / math.sqrt(features))

    def forward(self, description: Tensor) -> Tensor:
        """Return the flat outputs."""
        out: Tensor = self.l2(torch.relu(self.l1(description)))
        return out

    def head(self, description: Tensor, h: Tensor, weight: Tensor, bias: Tensor | None, keep: Sequence[str]) -> Tensor:
        """Return logits (B, C) of features h (B, D) under the changed head (C, D), (C,).

        Args:
            description: of the label distribution.
            h: features.
            weight: of the source head.
            bias: of the source head.
            keep: which changes to apply, of scale, shift, weight, bias.
        """
        d, c = self.features, self.classes
        out = self(description).to(h.dtype)
        scale, shift, inner, offset = out[:d], out[d : 2 * d], out[2 * d : -c], out[-c:]
        if "scale" in keep:
            h = (1 + scale) * h
        if "shift" in keep:
            h = h + shift
        logits = nn.functional.linear(h, weight, bias)
        if "weight" in keep:
            if self.rank is None:
                logits = logits + h @ inner.view(c, d).T
            else:
                left, right = inner[: self.rank * c].view(c, self.rank), inner[self.rank * c :].view(self.rank, d)
                logits = logits + (h @ right.T) @ left.T
        return logits + offset if "bias" in keep else logits


def describe(prior: Sequence[float], source: Sequence[float], *, vector: bool, like: Tensor) -> Tensor:
    """Return what the network reads of a prior: its degree of imbalance (1,), or C x prior - 1 (C,)."""
    degree = None if vector else imbalance_degree(prior, source)
    values = [len(prior) * p - 1 for p in prior] if degree is None else [degree]
    return torch.tensor(values, dtype=like.dtype, device=like.device)


def adjusted_cross_entropy(logits: Tensor, labels: Tensor, source: Tensor, target: Tensor, tau: float) -> Tensor:
    """Return the mean cross-entropy of logits + tau (ln source - ln target) (card 58, step A3)."""
    return nn.functional.cross_entropy(logits + tau * (source.log() - target.log()), labels)


def train_network(
    network: HeadNetwork,
    h: Tensor,
    labels: Tensor,
    head: Any,
    source: Sequence[float],
    *,
    steps: int,
    batch: int,
    lr: float,
    tau: float,
    powers: Sequence[float] | None,
    vector: bool,
    keep: Sequence[str],
    seed: int,
) -> list[float]:
    """Fit the network on features of labelled source data; return the loss of each step.

    Args:
        network: to be trained.
        h: features (N, D).
        labels: (N,) classes.
        head: the linear layer (frozen).
        source: prior of the labels.
        steps: of Adam.
        batch: samples a step.
        lr: learning rate.
        tau: strength of the adjustment.
        powers: target priors are source^u, u drawn from these; None draws u from [-1, 1].
        vector: as in `describe`.
        keep: as in `HeadNetwork.head`.
        seed: of batches and priors.

    Raises:
        BadInput: no samples.
    """
    if not len(h):
        raise BadInput("the label shift network needs labelled source samples")
    generator = torch.Generator().manual_seed(derive_seed(seed, "label_shift", "batches"))
    rng = derive(seed, "label_shift", "priors")
    optimizer = torch.optim.Adam(network.parameters(), lr=lr)
    pi_s = torch.tensor(source, dtype=h.dtype, device=h.device)
    weight, bias = head.weight.detach(), None if head.bias is None else head.bias.detach()
    losses = []
    for _ in range(steps):
        target = power_prior(source, rng.uniform(-1, 1) if powers is None else rng.choice(list(powers)))
        rows = torch.randint(len(h), (min(batch, len(h)),), generator=generator).to(h.device)
        logits = network.head(describe(target, source, vector=vector, like=h), h[rows], weight, bias, keep)
        loss = adjusted_cross_entropy(logits, labels[rows], pi_s, pi_s.new_tensor(target), tau)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses
