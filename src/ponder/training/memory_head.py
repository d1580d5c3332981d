"""Learn features for a vote of neighbours: a queue of labelled features, and the loss of the vote on it.

Source: Zhang et al. 2023, arXiv:2304.12566 (card 61), the training part: loss -log of the vote for the right label by
the queue as it is, then the batch goes into the queue, first in first out; the vote's temperature falls on a line.
Differs: the queue may begin with features of the model instead of random rows of class 0.
Cost: one forward and one backward of the model a batch, and B Q d for the vote. Needs: labelled source data; torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.memory_vote import unit_rows, vote_of_nearest

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MemoryQueue", "train_memory_head"]


class MemoryQueue:
    """The last Q labelled features.

    Attributes:
        keys: (Q, d), in the order of their places.
        labels: (Q,), 0 until a place is filled.
        at: place that is written next.
    """

    def __init__(self, keys: Tensor, *, classes: int, k: int) -> None:
        if keys.ndim != 2 or not len(keys) or k < 1 or classes < 1:
            raise ConfigError("a queue needs rows (Q, d), classes >= 1 and k >= 1")
        self.keys = keys.detach().clone()
        self.labels = keys.new_zeros(len(keys)).long()
        self.at, self._classes, self._k = 0, classes, k

    def loss(self, features: Tensor, labels: Tensor, *, temperature: float) -> Tensor:
        """Return the mean of -log(vote for the right label), with its graph, and enqueue the batch.

        Args:
            features: (B, d), B <= Q, before division by their length.
            labels: (B,).
            temperature: of the vote, > 0.

        Raises:
            BadInput: a batch larger than the queue, or labels that do not fit.
        """
        if len(features) > len(self.keys) or len(labels) != len(features):
            raise BadInput(f"a queue of {len(self.keys)} takes no batch of {len(features)} with {len(labels)} labels")
        unit = unit_rows(features)
        # The queue changes below, while this graph still reads it.
        cosine = unit @ self.keys.clone().T
        scores = vote_of_nearest(cosine, self.labels, self._classes, k=self._k, temperature=temperature)
        loss = -scores.gather(1, labels[:, None]).log().mean()
        for key, label in zip(unit.detach(), labels, strict=True):
            self.keys[self.at], self.labels[self.at] = key, label
            self.at = (self.at + 1) % len(self.keys)
        return loss


def train_memory_head(
    featuriser: Any,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    classes: int,
    queue: int = 3500,
    k: int = 150,
    steps: int = 5000,
    lr: float = 1e-4,
    hot: float = 1.0,
    cold: float = 0.1,
    seed: int = 0,
) -> list[float]:
    """Train a module (B, ...) -> (B, d) in place by Adam and return the loss of each step.

    Args:
        featuriser: a `torch.nn.Module`; it is left in evaluation mode.
        batches: labelled batches; gone through again and again if they can be.
        classes: C.
        queue: places, >= the batch size.
        k: neighbours that vote.
        steps: at most.
        lr: of Adam.
        hot: temperature of the first vote.
        cold: of the last one.
        seed: of the random rows that the queue begins with.
    """
    import torch

    optimizer = torch.optim.Adam(featuriser.parameters(), lr=lr)
    held: MemoryQueue | None = None
    losses: list[float] = []
    featuriser.train()
    while len(losses) < steps:
        before = len(losses)
        for x, y in batches:
            features = featuriser(x)
            if held is None:
                rows = torch.randn(queue, features.shape[1], generator=torch.Generator().manual_seed(seed))
                held = MemoryQueue(unit_rows(rows).to(features), classes=classes, k=k)
            share = len(losses) / max(1, steps - 1)
            loss = held.loss(features, y, temperature=hot + (cold - hot) * share)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
            if len(losses) == steps:
                break
        if len(losses) == before:
            break  # nothing to go through (again)
    featuriser.eval()
    return losses
