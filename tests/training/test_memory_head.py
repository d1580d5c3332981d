"""The training queue: first in first out, a loss that falls, and what it refuses."""

from __future__ import annotations

import pytest

from ponder.core.errors import BadInput, ConfigError
from ponder.training.memory_head import MemoryQueue, train_memory_head

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def test_the_queue_is_a_ring_and_the_loss_comes_first() -> None:
    queue = MemoryQueue(torch.eye(3), classes=2, k=3)
    loss = queue.loss(torch.eye(3)[:2], torch.tensor([1, 1]), temperature=0.5)
    assert float(loss) == pytest.approx(-torch.tensor(1e-5).log().item(), rel=1e-4)  # nothing of class 1 yet
    assert (queue.at, queue.labels.tolist()) == (2, [1, 1, 0])
    queue.loss(2 * torch.eye(3)[1:], torch.tensor([0, 1]), temperature=0.5)
    assert (queue.at, queue.labels.tolist()) == (1, [1, 1, 0])
    assert queue.keys[0].tolist() == [0, 0, 1]


def test_training_makes_features_that_vote_better() -> None:
    draw = torch.Generator().manual_seed(0)
    y = torch.randint(3, (120,), generator=draw)
    x = torch.cat([torch.nn.functional.one_hot(y, 3) * 1.5, 2 * torch.randn(120, 5, generator=draw)], 1).float()
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    batches = list(zip(x.split(30), y.split(30), strict=True))
    losses = train_memory_head(net, batches, classes=3, queue=90, k=10, steps=120, lr=0.01, hot=0.5)
    assert len(losses) == 120
    assert sum(losses[-10:]) < 0.7 * sum(losses[4:14])
    assert not net.training


def test_an_iterator_is_gone_through_once() -> None:
    net = torch.nn.Linear(3, 2)
    assert len(train_memory_head(net, iter([(torch.rand(4, 3), torch.tensor([0, 1, 0, 1]))]), classes=2, queue=8)) == 1


def test_what_a_queue_refuses() -> None:
    with pytest.raises(ConfigError):
        MemoryQueue(torch.ones(0, 2), classes=2, k=1)
    with pytest.raises(BadInput):
        MemoryQueue(torch.eye(2), classes=2, k=1).loss(torch.rand(3, 2), torch.zeros(3).long(), temperature=1)
