"""EATA: Tent on reliable and non-redundant samples only, held near the source where its Fisher information is large.

Paper: Niu et al. 2022, arXiv:2204.02610 (card 48); `ETA` is the same without the Fisher penalty.
Differs: group and layer norms too; the similarity margin scales with the number of classes; a reset clears the average
prediction and the counts (`parity="released"` keeps both, as the released code). On models whose rows do not depend on
each other, the graph is built for the selected samples alone, which gives the same numbers for less; the released code
masks, which saves nothing. On batch norms that needs backward="selected", whose statistics are then those of the
selected samples: another result than the paper's, and cheaper.
Cost: one forward a batch, and of the selected samples (about half) one backward. With "selected" they pass forward
twice, the first time without a graph; where rows are independent, through large frozen convolutions and linear layers
only once (`engines/_kept_layers`, which holds the outputs of these for as long). Before deployment: a backward for each
source batch, or sample. Needs: norm layers, gradients, the whole logits; EATA also unlabelled batches like those of
training.
When: as Tent, where compute or clean accuracy matters; long streams.
When not: sorted labels: it may freeze or collapse, and does not help; few classes with a margin made for many. At ten
classes a similarity of 0.33 selects some two fifths of the samples, the default 0.4 more.
Seen here (small group-norm net, fifteen corruptions mixed, lr 0.01, similarity 0.33): error .304 where Tent has .359
and the source .302, with 0.39 of Tent's back-propagated samples.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ponder.core.access import Access
from ponder.core.errors import BadInput, ConfigError
from ponder.core.registry import adapters
from ponder.engines.online import AccessLevel
from ponder.engines.online_calls import predict_with, rows_of, take
from ponder.engines.online_gradients import GradientAdapter, entropies, graph_on, log_shares
from ponder.numerics.adaptation import entropy_margin, similarity_margin

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["EATA", "ETA", "fisher_information"]

logger = logging.getLogger(__name__)
_TAGS = {"what": ("adaptation",), "how": ("certainty",), "where": ("general",), "how_well": ("accuracy", "efficiency")}
_WATCHED = 50  # batches after which a filter that lets all or nothing through is reported


@adapters(
    "eta",
    card=48,
    paper="arXiv:2204.02610",
    fidelity="code",
    access=(Access.LOGITS, Access.GRADIENTS, Access.WEIGHTS),
    needs=("torch",),
    tags=_TAGS,
    since="0.1",
)
@dataclass(eq=False, repr=False, kw_only=True)
class ETA(GradientAdapter):
    """Filtered and weighted entropy minimisation.

    Attributes:
        margin: entropy (nats) below which a sample is reliable; by default 0.4 ln C.
        similarity: cosine to the average prediction from which on a sample is redundant; by default 0.05 at 1000
            classes and up to 0.4 at 10 and fewer. 1 and more turn the filter off.
        weighted: weigh samples by exp(margin - entropy).
        backward: "masked" builds the graph of the whole batch; "selected" runs the selected samples again, with a
            graph; "auto" takes "selected" unless batch norms tie the rows together or parity is "released".
        parity: "released" keeps the average and the counts at a reset, and masks.
        reliable: samples that were reliable so far (n1 of the paper).
        selected: samples that were also not redundant (n2: what the paper counts as backward passes).
    """

    margin: float | None = None
    similarity: float | None = None
    weighted: bool = True
    backward: Literal["auto", "masked", "selected"] = "auto"
    parity: Literal["paper", "released"] = "paper"
    reliable: int = field(init=False, default=0)
    selected: int = field(init=False, default=0)
    _average: Any = field(init=False, default=None)
    _since: list[int] = field(init=False, default_factory=lambda: [0, 0, 0])

    def __post_init__(self) -> None:
        if self.backward not in ("auto", "masked", "selected") or self.parity not in ("paper", "released"):
            raise ConfigError(
                "backward is auto, masked or selected, parity paper or released: "
                f"got {self.backward!r} and {self.parity!r}"
            )
        super().__post_init__()

    def reset(self) -> None:
        """Bring everything back to the start; under released parity all but the average and the counts."""
        kept = (self._average, self.reliable, self.selected)
        super().reset()
        if self.parity == "released":
            self._average, self.reliable, self.selected = kept

    def _memory(self) -> dict[str, Any]:
        own = {"average": self._average, "reliable": self.reliable, "selected": self.selected}
        return {**super()._memory(), **own}

    def _remember(self, memory: dict[str, Any]) -> None:
        super()._remember(memory)
        self._average, self.reliable, self.selected = memory["average"], memory["reliable"], memory["selected"]

    def _configure(self) -> None:
        super()._configure()
        free = self.parity == "paper" and not self._batch_bound
        self._alone = self.backward == "selected" or (self.backward == "auto" and free)
        self._kept = None
        if self._alone and not self._batch_bound:
            from ponder.engines._kept_layers import KeptLayers

            self._kept = KeptLayers(self._module)

    def _step(self, x: Any) -> Tensor:
        whole = rows_of(x)
        with self._kept.first() if self._kept else nullcontext():
            logits = self._predict(x) if self._alone else self._forward(x)
        chosen = self._filter(logits.detach())
        rows = len(chosen)
        self._watch(rows, whole)
        if rows == 0 or (self._alone and rows == 1 and self._flat_norms):
            self.cost.skipped += rows
            if self._kept:
                self._kept.forget()
            return logits.detach()
        if self._alone:
            with self._kept.again(chosen, whole) if self._kept else nullcontext():
                part = entropies(self._forward(take(x, chosen) if rows < whole else x))
            loss = self._weigh(part)
        else:
            loss, rows = self._weigh(entropies(logits)[chosen]), whole
        self.evidence["loss"] = loss.detach()
        if self._backward(loss, rows):
            self._hold()
            self._advance()
        return logits.detach()

    def _filter(self, logits: Tensor) -> Tensor:
        """Return the rows (K,) to learn from; update average and counts."""
        import torch

        classes = logits.shape[1]
        margin = entropy_margin(classes) if self.margin is None else self.margin
        limit = similarity_margin(classes) if self.similarity is None else self.similarity
        self._margin = margin
        logs = log_shares(logits)
        probabilities = logs.exp()
        found = -(probabilities * logs).sum(1)
        reliable = found < margin
        chosen, cosines = reliable, None
        if self._average is not None:
            cosines = torch.nn.functional.cosine_similarity(probabilities, self._average[None])
            chosen = reliable & (cosines.abs() < limit)
        self.reliable += int(reliable.sum())
        rows = chosen.nonzero().squeeze(1)
        if count := len(rows):
            mean = probabilities[rows].mean(0)
            self._average = mean if self._average is None else self._average.lerp(mean, 0.1)
            self.selected += count
        self.evidence = {"entropy": found, "reliable": reliable, "cosine": cosines, "selected": chosen, "loss": None}
        return rows

    def _weigh(self, found: Tensor) -> Tensor:
        """Return the mean of weighted entropies of selected samples."""
        return ((self._margin - found.detach()).exp() * found if self.weighted else found).mean()

    def _hold(self) -> None:
        """Add to the gradients what holds the parameters."""

    def _watch(self, rows: int, whole: int) -> None:
        """Say once when the filter has let all or nothing through for long: its margins do not fit this model."""
        seen = self._since
        seen[0], seen[1], seen[2] = seen[0] + 1, seen[1] + rows, seen[2] + whole
        if seen[0] == _WATCHED and seen[1] in (0, seen[2]):
            logger.warning(
                "the filter let %s of %d samples through: margin or similarity do not fit this model",
                "none" if seen[1] == 0 else "all",
                seen[2],
            )


@adapters(
    "eata",
    card=48,
    paper="arXiv:2204.02610",
    fidelity="code",
    access=(Access.LOGITS, Access.GRADIENTS, Access.WEIGHTS),
    needs=("torch", "source_data"),
    tags=_TAGS,
    since="0.1",
)
@dataclass(eq=False, repr=False, kw_only=True)
class EATA(ETA):
    """ETA with a penalty on leaving the source where parameters matter.

    Attributes:
        source: unlabelled batches like those of training (2000 samples in the paper), read once; pairs of inputs and
            labels will do, labels are not looked at.
        fisher_weight: of the penalty, >= 0. 2000 is the paper's for 1000 classes, 1 for 10 and 100.
        fisher: "batch" squares the gradient of a batch's mean loss (released; 2000 is tuned for it and batches of 64);
            "sample" that of each sample (the paper's equation; larger).
        importance: of each parameter, by name, after construction.
    """

    source: Iterable[Any] | None = None
    fisher_weight: float = 2000.0
    fisher: Literal["batch", "sample"] = "batch"
    importance: dict[str, Any] = field(init=False, default_factory=dict)

    access: ClassVar[frozenset[AccessLevel]] = frozenset({"logits", "weights", "gradients", "source_data"})

    def __post_init__(self) -> None:
        if self.fisher_weight < 0 or self.fisher not in ("batch", "sample"):
            raise ConfigError(
                f"need fisher_weight >= 0 and fisher batch or sample, got {self.fisher_weight!r} and {self.fisher!r}"
            )
        if self.source is None:
            raise ConfigError("EATA needs source=: unlabelled batches like those of training; ETA does without")
        super().__post_init__()

    def _configure(self) -> None:
        super()._configure()
        self.importance = fisher_information(self._module, self.parameters, self.source or (), each=self.fisher)
        self.source = None  # read once; nothing of it is kept
        # By parameter: where it was, and 2 b w.
        self._springs = {
            name: (point.detach().clone(), 2 * self.fisher_weight * self.importance[name])
            for name, point in self.parameters.items()
        }

    def _hold(self) -> None:
        """Add the penalty's gradient, 2 b w (p - p0): written out, it needs no graph over every parameter."""
        import torch

        if not self.fisher_weight:
            return
        with torch.no_grad():
            for name, point in self.parameters.items():
                origin, stiffness = self._springs[name]
                if point.grad is None:
                    point.grad = torch.zeros_like(point)
                point.grad.addcmul_(stiffness, point - origin)

    def penalty(self) -> float:
        """Return the penalty where the parameters are now, b sum(w (p - p0)^2), in nats (equation 8)."""
        import torch

        with torch.no_grad():
            return sum(
                float((stiffness * (self.parameters[name] - origin).square()).sum()) / 2
                for name, (origin, stiffness) in self._springs.items()
            )


def fisher_information(
    model: Any, parameters: dict[str, Any], source: Iterable[Any], *, each: Literal["batch", "sample"] = "batch"
) -> dict[str, Tensor]:
    """Return the mean squared gradient of the cross-entropy against the model's own answer, by parameter (equation 9).

    Args:
        model: in the mode in which it will adapt.
        parameters: with gradients on.
        source: batches, or pairs of batch and labels.
        each: square the gradient of a batch's mean loss, or of each sample in its batch.

    Raises:
        BadInput: no batch.
    """
    import torch

    sums = {name: torch.zeros_like(parameter, requires_grad=False) for name, parameter in parameters.items()}
    wanted, count = list(parameters.values()), 0
    with graph_on():
        for item in source:
            logits = predict_with(model, item[0] if isinstance(item, tuple | list) else item)
            losses = torch.nn.functional.cross_entropy(logits, logits.argmax(1), reduction="none")
            parts = [losses.mean()] if each == "batch" else list(losses)
            count += len(parts)
            for at, part in enumerate(parts):
                gradients = torch.autograd.grad(part, wanted, retain_graph=at < len(parts) - 1, allow_unused=True)
                for total, gradient in zip(sums.values(), gradients, strict=True):
                    if gradient is not None:
                        total += gradient.detach().square()
    if not count:
        raise BadInput("source= holds no batch: the Fisher information needs some (the paper takes 2000 samples)")
    return {name: total / count for name, total in sums.items()}
