"""Tent: after predicting a batch, one gradient step that lowers the mean entropy of its predictions.

Paper: Wang et al. 2021, arXiv:2006.10726.
Differs: the model stays in evaluation mode (dropout off) and batch norms still use the batch; layer and group norms are
adapted too; a loss that is not finite makes no step.
Cost: one forward and one backward a batch. Needs: norm layers, gradients.
When: batches of dozens of samples, mixed labels, one mild shift at a time; a fresh start (`reset`) at each shift.
When not: batch size 1, sorted labels, mixed domains or very long streams: it then collapses to few classes. Wear a
`Guard`, or take `SAR`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ponder.core.access import Access
from ponder.core.registry import adapters
from ponder.engines.online_gradients import GradientAdapter

__all__ = ["Tent"]


@adapters(
    "tent",
    paper="arXiv:2006.10726",
    fidelity="paper",
    access=(Access.LOGITS, Access.GRADIENTS, Access.WEIGHTS),
    needs=("torch",),
    tags={"what": ("adaptation",), "how": ("certainty",), "where": ("general",), "how_well": ("accuracy",)},
    since="0.1",
)
@dataclass(eq=False, repr=False, kw_only=True)
class Tent(GradientAdapter):
    """Entropy minimisation; the settings are those of `GradientAdapter`.

    The paper's: Adam with lr 1e-3 and batches of 200 on CIFAR-10-C, SGD with lr 2.5e-4 and batches of 64 on ImageNet-C.
    """
