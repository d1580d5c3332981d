"""SAR: lower the entropy of reliable samples at a nearby worst point of the weights, and start anew before a collapse.

Paper: Niu et al. 2023, arXiv:2302.12400 (card 47); sharpness-aware step of Foret et al. 2021, arXiv:2010.01412.
Differs: evaluation mode; the reset threshold scales with the number of classes (0.2 is made for 1000); a batch that
leaves no sample makes no step; a reset clears the average loss and the momentum. `parity="released"` does as the code:
empty batches make a pure momentum step, momentum and average survive a reset. Layers are left out by whole parts of
their names, or by the code's substrings with exclude="released".
Cost: two forwards and two backwards a batch; where no batch norm ties rows together the second pair is of the reliable
samples only, which gives the same numbers for less. Needs: norm layers (best group or layer norms), gradients.
When: batch size 1, sorted labels, mixed shifts: where Tent collapses; inside a `Guard`.
When not: batch norms in such streams (the statistics are the problem then, not the step); where Tent's half price does;
a model that is sure of nearly all it sees, right or wrong: its filter then keeps everything.
Seen here, ten classes. A small layer-norm ViT trained with smoothed labels, three seeds pooled: label shift, lr 0.04,
error .301 where the source has .324 and Tent .502; batch size 1, lr 3e-3, .373 against .375 and .550 (behind the
source on one of the three). The same net trained on plain labels, sure of nine in ten: label shift, lr 0.07, .407 to
.531 where Tent has .619 to .844 and the source .327 to .336; with group norms it falls behind the source in both. It
collapses later than Tent, and does not take the place of a small rate or a `Guard`. docs/guides/adapt.md has the
intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ponder.core.access import Access
from ponder.core.errors import ConfigError
from ponder.core.registry import adapters
from ponder.engines.online_calls import rows_of, take
from ponder.engines.online_gradients import GradientAdapter, entropies
from ponder.engines.online_parameters import released_sar_rule
from ponder.numerics.adaptation import entropy_margin, reset_threshold

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SAR", "climb", "descend"]


@adapters(
    "sar",
    card=47,
    paper="arXiv:2302.12400",
    fidelity="code",
    access=(Access.LOGITS, Access.GRADIENTS, Access.WEIGHTS),
    needs=("torch",),
    tags={"what": ("adaptation",), "how": ("certainty",), "where": ("general",), "how_well": ("accuracy",)},
    since="0.1",
)
@dataclass(eq=False, repr=False, kw_only=True)
class SAR(GradientAdapter):
    """Sharpness-aware and reliable entropy minimisation.

    Attributes:
        margin: entropy (nats) below which a sample is reliable; by default 0.4 ln C.
        rho: how far to climb before the second gradient, L2 norm over all adapted parameters, >= 0.
        adaptive: climb in proportion to the squared weights.
        reset_below: average loss (nats) below which everything starts anew; "auto" is 0.2 ln C / ln 1000; None: never.
        exclude: by default the norm layers of the last quarter; "released" for the rule of the code (ResNet, ViT-B).
        second: samples of the second pass: "whole", "selected", or "auto" (selected unless batch norms tie rows).
        parity: "paper" or "released".
        resets: how often it has started anew.
    """

    margin: float | None = None
    rho: float = 0.05
    adaptive: bool = False
    reset_below: float | Literal["auto"] | None = "auto"
    exclude: str | Sequence[str] | Callable[[str], bool] = "top"
    second: Literal["auto", "whole", "selected"] = "auto"
    parity: Literal["paper", "released"] = "paper"
    resets: int = field(init=False, default=0)
    _loss_average: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.rho < 0 or self.second not in ("auto", "whole", "selected"):
            raise ConfigError(f"need rho >= 0 and second auto, whole or selected, got {self.rho!r} and {self.second!r}")
        if self.parity not in ("paper", "released"):
            raise ConfigError(f"parity must be paper or released, got {self.parity!r}")
        if isinstance(self.reset_below, str) and self.reset_below != "auto":
            raise ConfigError(f"reset_below is a number of nats, auto or None, got {self.reset_below!r}")
        if self.exclude == "released":
            self.exclude = released_sar_rule
        super().__post_init__()

    def _memory(self) -> dict[str, Any]:
        return {**super()._memory(), "loss_average": self._loss_average, "resets": self.resets}

    def _remember(self, memory: dict[str, Any]) -> None:
        super()._remember(memory)
        self._loss_average, self.resets = memory["loss_average"], memory["resets"]

    def _step(self, x: Any) -> Tensor:
        logits = self._forward(x)
        classes = logits.shape[1]
        margin = entropy_margin(classes) if self.margin is None else self.margin
        found = entropies(logits)
        first = found < margin
        kept = int(first.sum())
        released = self.parity == "released"
        self.evidence = {"entropy": found.detach(), "selected": first, "loss": None, "norm": 0.0, "reset": False}
        if kept == 0 and not released:
            return logits.detach()
        # The mean of nothing is nan with gradients 0, and the released code goes on with these.
        self._differentiate(found[first].mean(), rows_of(x))
        points = list(self.parameters.values())
        held, self.evidence["norm"] = climb(points, self.rho, adaptive=self.adaptive)
        self._optimizer.zero_grad(set_to_none=True)
        try:
            loss = self._second(x, first, kept, margin)
        finally:
            descend(points, held)
        if loss is None:
            self._optimizer.zero_grad(set_to_none=True)
        else:
            self._advance()
            self._recover(float(loss), classes)
        return logits.detach()

    def _second(self, x: Any, first: Tensor, kept: int, margin: float) -> Tensor | None:
        """Leave gradients at the climbed point; return the loss there, None if no sample is reliable there too."""
        whole = self.second == "whole" or (self.second == "auto" and self._batch_bound)
        part = whole or kept == rows_of(x) or kept == 0
        again = entropies(self._forward(x if part else take(x, first)))
        if part:
            self.evidence["second_entropy"] = again.detach()
            again = again[first]
        both = again < margin
        self.evidence["second_selected"] = first.clone().masked_scatter_(first, both)
        if not bool(both.any()) and self.parity != "released":
            return None
        loss = again[both].mean()
        self._differentiate(loss, rows_of(x) if part else kept)
        self.evidence["loss"] = loss.detach()
        return loss.detach()

    def _recover(self, loss: float, classes: int) -> None:
        """Follow the average loss; where it is suspiciously low, start anew."""
        if loss == loss:  # not nan
            old = self._loss_average
            self._loss_average = loss if old is None else 0.9 * old + 0.1 * loss
        self.evidence["loss_average"] = average = self._loss_average
        limit = reset_threshold(classes) if self.reset_below == "auto" else self.reset_below
        if average is None or limit is None or not average < float(limit):
            return
        self.evidence["reset"] = True
        if self.parity == "released":  # the weights alone; momentum and average stay
            self._write(self._start)
            self.resets += 1
            return
        count, evidence = self.resets + 1, self.evidence
        self.reset()
        self.resets, self.evidence = count, evidence


def climb(parameters: Sequence[Any], rho: float, *, adaptive: bool = False) -> tuple[list[Tensor], float]:
    """Move parameters up their gradient by rho in all, in place; return where they were and the gradient's norm.

    The move is rho g / (|g| + 1e-12), or with `adaptive` rho w^2 g / (||w| g| + 1e-12). A gradient of 0 moves nothing.
    """
    import torch

    with torch.no_grad():
        held = [p.detach().clone() for p in parameters]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        scaled = [p.abs() * g for p, g in zip(parameters, gradients, strict=True)] if adaptive else gradients
        norm = torch.stack([g.norm() for g in scaled]).norm()
        scale = rho / (norm + 1e-12)
        for p, g in zip(parameters, gradients, strict=True):
            p.add_((p.square() * g if adaptive else g) * scale)
    return held, float(norm)


def descend(parameters: Sequence[Any], held: Sequence[Tensor]) -> None:
    """Put parameters back where `climb` found them."""
    import torch

    with torch.no_grad():
        for p, old in zip(parameters, held, strict=True):
            p.copy_(old)
