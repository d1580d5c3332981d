"""MERL: classify signals without labels, by the cosine of their embedding to embeddings of class prompts.

Paper: Liu et al. 2024, arXiv:2403.06659 (card 56), zero-shot part. `ponder.adapt.ckepe` writes the prompts,
`ponder.training.merl` trains both towers, `ponder.numerics.ecg` prepares the signals.
Differs: nothing. Scores are plain cosines (no temperature, no softmax): each class is judged alone.
Cost: one forward a batch of the signal encoder; text is embedded once for each class.
Needs: a signal encoder that returns embeddings (B, d), and text embeddings of the classes.
When: classes come without labelled examples and two towers were trained on pairs of signals and reports.
When not: a few labels for each class can be had: a linear probe may do better. Never for care of patients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ponder.core.access import Access
from ponder.core.errors import BadInput
from ponder.core.registry import adapters
from ponder.engines.online import AccessLevel, Adapter
from ponder.numerics.contrastive import class_weight, cosines

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MERL", "class_embeddings"]


@adapters(
    "merl",
    card=56,
    paper="arXiv:2403.06659",
    fidelity="code",
    access=(Access.EMBED,),
    needs=("torch",),
    tags={"what": ("adaptation",), "how": ("prompting",), "where": ("medical",), "how_well": ("accuracy",)},
)
@dataclass(eq=False, repr=False, kw_only=True)
class MERL(Adapter):
    """Cosines of signals to classes. `model` is the signal encoder with its projection, or holds it.

    Attributes:
        classes: text embedding of each class, (C, d), as `class_embeddings` makes them.
        encoder: name of the part of the model that embeds signals; "" for the model itself.
    """

    classes: Any
    encoder: str = ""

    access: ClassVar[frozenset[AccessLevel]] = frozenset({"features"})

    def __post_init__(self) -> None:
        if getattr(self.classes, "ndim", 0) != 2 or not len(self.classes):
            raise BadInput("classes are the text embeddings (C, d), one row for each class")
        super().__post_init__()

    def _configure(self) -> None:
        super()._configure()
        if self.encoder and self.encoder not in dict(self._module.named_modules()):
            raise BadInput(f"the model has no part called {self.encoder!r} that could embed signals")
        self._embed = self._module.get_submodule(self.encoder) if self.encoder else self.model

    def _forward(self, x: Any) -> Tensor:
        """Embed signals (B, d); count and time it."""
        whole, self.model = self.model, self._embed
        try:
            return super()._forward(x)
        finally:
            self.model = whole

    def _predict(self, x: Any) -> Tensor:
        import torch

        with torch.no_grad():
            embedded = self._forward(x)
            if embedded.shape[1] != self.classes.shape[1]:
                raise BadInput(f"signals have {embedded.shape[1]} dimensions and classes {self.classes.shape[1]}")
            return cosines(embedded, self.classes.to(embedded))


def class_embeddings(prompts: Mapping[str, str | Sequence[str]], encode: Callable[[list[str]], Tensor]) -> Tensor:
    """Return one unit row for each class, (C, d), in the order of `prompts`: lower-cased, embedded, averaged.

    Args:
        prompts: one text or several for each class.
        encode: texts -> embeddings (n, d), the projected text tower.

    Raises:
        BadInput: a class without a prompt.
    """
    import torch

    rows = []
    for name, texts in prompts.items():
        several = [texts] if isinstance(texts, str) else list(texts)
        if not several or not all(text.strip() for text in several):
            raise BadInput(f"class {name!r} has no prompt")
        with torch.no_grad():
            rows.append(class_weight(encode([text.lower() for text in several])))
    if not rows:
        raise BadInput("no classes: give at least one prompt")
    return torch.stack(rows)
