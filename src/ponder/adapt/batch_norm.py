"""Batch-norm statistics: normalise by the test batch, or by a mixture of it and the source's statistics.

Paper: Schneider et al. 2020, arXiv:2006.16971 (with pseudo-samples `prior`); Nado et al. 2020, arXiv:2006.10963 (whole
batch).
Differs: nothing.
Cost: one forward a batch, no backward. Needs: a model with batch norms that have running statistics.
When: convolutional nets with batch norm under corruptions; batches of dozens of mixed labels.
When not: small batches or batches of one label: their statistics tell the label away. Models without batch norm.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from ponder.core.access import Access
from ponder.core.errors import BadInput, ConfigError
from ponder.core.registry import adapters
from ponder.engines.online import AccessLevel, Adapter
from ponder.engines.online_calls import rows_of
from ponder.engines.online_parameters import batch_norms, claim

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["BatchNorm"]


@adapters(
    "batch_norm",
    paper="arXiv:2006.16971",
    fidelity="paper",
    access=(Access.LOGITS, Access.WEIGHTS),
    needs=("torch",),
    tags={"what": ("adaptation",), "how": ("tuning",), "where": ("general",), "how_well": ("accuracy",)},
    since="0.1",
)
@dataclass(eq=False, repr=False, kw_only=True)
class BatchNorm(Adapter):
    """Statistics (1 - a) x source + a x batch in every batch norm.

    Attributes:
        alpha: a in [0, 1]: 0 is the source model, 1 the batch alone.
        prior: if given, a = B / (prior + B) for a batch of B instead: the source counts as so many samples, >= 0.
    """

    alpha: float = 1.0
    prior: float | None = None
    _rows: int = field(init=False, default=1)

    access: ClassVar[frozenset[AccessLevel]] = frozenset({"logits", "weights"})

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1 or (self.prior is not None and self.prior < 0):
            raise ConfigError(f"need alpha in [0, 1] and prior >= 0, got {self.alpha!r} and {self.prior!r}")
        super().__post_init__()

    def _configure(self) -> None:
        super()._configure()
        claim(self._module, self._undo)
        norms = list(batch_norms(self._module))
        if not norms:
            raise BadInput("the model has no batch norm: there are no statistics to adapt")
        if bare := [name for name, norm in norms if norm.running_mean is None]:
            raise BadInput(f"{bare[0]} has no running statistics to start from")
        self._source = {norm: (norm.running_mean.clone(), norm.running_var.clone()) for _, norm in norms}
        for _, norm in norms:
            for hook in (norm.register_forward_pre_hook(self._mix), norm.register_forward_hook(self._put_back)):
                self._undo.callback(hook.remove)

    def _mix(self, norm: Any, inputs: tuple[Any, ...]) -> None:
        """Write the mixed statistics where the norm will read them."""
        import torch

        x = inputs[0].detach()
        mean, var = self._source[norm]
        share = self.alpha if self.prior is None else self._rows / (self.prior + self._rows)
        if share == 0:
            return
        axes = [at for at in range(x.dim()) if at != 1]
        found_var, found = torch.var_mean(x.to(mean.dtype), dim=axes, correction=0)
        norm.running_mean.copy_((1 - share) * mean + share * found)
        norm.running_var.copy_((1 - share) * var + share * found_var)

    def _put_back(self, norm: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep nothing of the batch."""
        mean, var = self._source[norm]
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(var)

    def _forward(self, x: Any) -> Tensor:
        self._rows = rows_of(x)
        return super()._forward(x)
