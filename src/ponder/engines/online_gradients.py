"""What adapters by gradients share: chosen parameters, an optimiser, losses on logits.

Source: Tent (Wang et al. 2021, arXiv:2006.10726) and its successors, card 00.
Differs: an update whose loss is not finite is not made (one bad sample would spoil the model for good) and is counted
as skipped.
Cost: one forward and one backward a step, unless the method says otherwise. Needs: the extra `torch`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ponder.core.errors import BadInput, ConfigError
from ponder.engines.online import AccessLevel, Adapter
from ponder.engines.online_calls import rows_of
from ponder.engines.online_parameters import (
    Select,
    batch_norms,
    freeze_except,
    select_parameters,
    use_batch_statistics,
)

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["GradientAdapter", "entropies", "graph_on", "log_shares"]


@dataclass(eq=False, repr=False, kw_only=True)
class GradientAdapter(Adapter):
    """Adapts chosen parameters by gradient steps on unlabelled batches.

    Attributes:
        lr: learning rate, >= 0.
        momentum: of SGD, in [0, 1).
        optimizer: "sgd", "adam", or a function from the list of parameters to an optimiser of torch.
        steps: updates a batch, >= 0; the logits are those before the last.
        select, exclude: which parameters (see `select_parameters`).
        batch_statistics: whether batch norms normalise by the batch; without it by their running statistics.
    """

    lr: float = 2.5e-4
    momentum: float = 0.9
    optimizer: str | Callable[[list[Any]], Any] = "sgd"
    steps: int = 1
    select: Select = "norm"
    exclude: str | Sequence[str] | Callable[[str], bool] = ()
    batch_statistics: bool = True

    access: ClassVar[frozenset[AccessLevel]] = frozenset({"logits", "weights", "gradients"})

    def __post_init__(self) -> None:
        if self.lr < 0 or not 0 <= self.momentum < 1 or self.steps < 0:
            raise ConfigError(
                "need lr >= 0, momentum in [0, 1) and steps >= 0, "
                f"got {self.lr!r}, {self.momentum!r} and {self.steps!r}"
            )
        if not callable(self.optimizer) and self.optimizer not in ("sgd", "adam"):
            raise ConfigError(f"optimizer must be sgd, adam or a function of parameters, got {self.optimizer!r}")
        super().__post_init__()

    def _configure(self) -> None:
        import torch

        if any(isinstance(part, torch.nn.parallel.DistributedDataParallel) for part in self._module.modules()):
            raise ConfigError(
                "DistributedDataParallel waits for gradients of every parameter, and here a few have any: give its "
                ".module; each process then adapts to its own stream"
            )
        self._evaluate()
        self.parameters = select_parameters(self._module, select=self.select, exclude=self.exclude)
        freeze_except(self._module, self.parameters, self._undo)
        if self.batch_statistics:
            use_batch_statistics(self._module, self._undo)
        bound = [(name, type(norm).__name__) for name, norm in batch_norms(self._module) if norm.running_mean is None]
        self._batch_bound = bool(bound)  # also by norms that came without running statistics
        self._flat_norms = [name for name, kind in bound if kind == "BatchNorm1d"]
        self._optimizer = self._make_optimizer(list(self.parameters.values()))

    def _make_optimizer(self, parameters: list[Any]) -> Any:
        import torch

        if callable(self.optimizer):
            return self.optimizer(parameters)
        if self.optimizer == "adam":
            return torch.optim.Adam(parameters, lr=self.lr)
        return torch.optim.SGD(parameters, lr=self.lr, momentum=self.momentum)

    def _tensors(self) -> dict[str, Tensor]:
        return {**super()._tensors(), **{name: p.detach() for name, p in self.parameters.items()}}

    def _memory(self) -> dict[str, Any]:
        return {"optimizer": self._optimizer.state_dict()}

    def _remember(self, memory: dict[str, Any]) -> None:
        self._optimizer.load_state_dict(memory["optimizer"])

    def _adapt(self, x: Any) -> Tensor:
        logits = None
        self._refuse_single(x)
        with graph_on():
            x = _plain(x)
            for _ in range(self.steps):
                logits = self._step(x)
        return self._predict(x) if logits is None else logits

    def _predict(self, x: Any) -> Tensor:
        self._refuse_single(x)
        return super()._predict(x)

    def _refuse_single(self, x: Any) -> None:
        if self._flat_norms and rows_of(x) == 1:
            raise BadInput(
                f"{self._flat_norms[0]} normalises by its batch and this batch has one sample: give larger batches, "
                "or batch_statistics=False"
            )

    def _step(self, x: Any) -> Tensor:
        """Predict a batch, with a graph, and make one update; return its logits."""
        logits = self._forward(x)
        self._descend(self._loss(logits), rows_of(x))
        return logits.detach()

    def _loss(self, logits: Tensor) -> Tensor:
        """Return the loss of a batch: by default the mean entropy of its predictions (nats)."""
        return entropies(logits).mean()

    def _descend(self, loss: Tensor, rows: int) -> bool:
        """Make an optimiser step down `loss`, a scalar with `rows` samples in its graph; return whether it was made."""
        if not self._backward(loss, rows):
            return False
        self._advance()
        return True

    def _backward(self, loss: Tensor, rows: int) -> bool:
        """Compute gradients, count and time; refuse a loss that is not finite."""
        import torch

        if not torch.isfinite(loss):
            self.cost.skipped += 1
            return False
        self._differentiate(loss, rows)
        return True

    def _differentiate(self, loss: Tensor, rows: int) -> None:
        began = time.perf_counter()
        loss.backward()
        self.cost.pass_seconds += time.perf_counter() - began
        self.cost.backwards += 1
        self.cost.backward_samples += rows

    def _advance(self) -> None:
        """Step the optimiser on the gradients that are there, and clear them."""
        began = time.perf_counter()
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.cost.updates += 1
        self.cost.step_seconds += time.perf_counter() - began


@contextmanager
def graph_on() -> Iterator[None]:
    """Build graphs inside, even under `torch.no_grad` or `torch.inference_mode`."""
    import torch

    with torch.inference_mode(mode=False), torch.enable_grad():
        yield


def entropies(logits: Tensor) -> Tensor:
    """Return the entropy of each row of logits (B, C), in nats: (B,), differentiable; -inf shuts a class out."""
    logs = log_shares(logits)
    return -(logs.exp() * logs).sum(1)


def log_shares(logits: Tensor) -> Tensor:
    """Return the logarithm of the softmax of each row (B, C), a share of 0 as the least finite number.

    So 0 times its logarithm is 0, and so is its gradient.
    """
    import torch

    return logits.log_softmax(1).clamp_min(torch.finfo(logits.dtype).min)


def _plain(x: Any) -> Any:
    """Copy tensors that were made in inference mode: a graph cannot hold them."""
    if isinstance(x, Mapping):
        return {name: _plain(part) for name, part in x.items()}
    return x.clone() if x.is_inference() else x
