"""Choose what a light process reward model reads, and how strong its penalty is, on training tasks alone.

Source: soft-label cross-entropy as in Snell et al. 2024, arXiv:2408.03314, appendix D (card 04).
Differs: a logistic head; whether it sees only how sure the model was, or the hidden state of some layer too, and which
penalty it has, is what does best in a cross-validation whose folds are whole tasks.
Cost: folds x penalties x (1 + layers) fits: seconds without hidden states, half a minute with four layers of 576.
Needs: numpy (extra `torch`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ponder.core.errors import BadInput
from ponder.numerics.logistic import Logistic, cross_validate, fit_logistic
from ponder.verifiers.prm_features import STEP_FEATURES, Features

__all__ = ["Example", "Fit", "fit_head"]


@dataclass(frozen=True, kw_only=True)
class Example:
    """A prefix, what it looks like, and what became of it.

    Attributes:
        task: id of the task.
        prefix: the text.
        vector: features of its newest step, with one hidden state after the other where several layers were read.
        right: roll-outs that ended with the right answer, of
        rollouts: all of them, >= 1.
    """

    task: str
    prefix: str
    vector: tuple[float, ...]
    right: int
    rollouts: int

    @property
    def value(self) -> float:
        """The soft label."""
        return self.right / self.rollouts


class Fit(NamedTuple):
    """A law and how it was chosen.

    Attributes:
        features, layer: what it reads, as a `Head` says it.
        penalty: of the fit.
        law: from a vector of these features.
        tried: mean cross-entropy on unseen training tasks, in nats, of each kind of features at its best penalty.
    """

    features: Features
    layer: int
    penalty: float
    law: Logistic
    tried: Mapping[str, float]

    def predict(self, example: Example, layers: Sequence[int]) -> float:
        """Return the value of an example whose hidden states are those of `layers`."""
        return self.law.predict(_part(example.vector, layers, self.layer if self.features == "hidden" else None))


def fit_head(examples: Sequence[Example], layers: Sequence[int] = ()) -> Fit:
    """Return the law that does best in a cross-validation over the tasks, fitted to all of them.

    Args:
        examples: of at least two tasks.
        layers: whose hidden states follow in each vector, in this order; each is tried alone, and so is none.

    Raises:
        BadInput: no two examples that differ in value, or one task only.
    """
    values = [example.value for example in examples]
    if len(set(values)) < 2:
        raise BadInput(f"nothing to learn: the {len(values)} prefixes all have the same value")
    tasks, counts = [example.task for example in examples], [example.rollouts for example in examples]
    if len(set(tasks)) < 2:
        raise BadInput("nothing to choose by: a PRM learns from two tasks or more")
    best: tuple[float, int | None, float] | None = None
    tried = {}
    for layer in (None, *layers):
        vectors = [_part(example.vector, layers, layer) for example in examples]
        losses = cross_validate(vectors, values, tasks, weights=counts)
        penalty = min(sorted(losses, reverse=True), key=lambda one: losses[one])  # equal ones go to the strongest
        tried["certainty" if layer is None else f"hidden {layer}"] = losses[penalty]
        if best is None or losses[penalty] < best[0]:
            best = losses[penalty], layer, penalty
    assert best is not None
    _, layer, penalty = best
    law = fit_logistic(
        [_part(example.vector, layers, layer) for example in examples], values, penalty=penalty, weights=counts
    )
    return Fit("certainty" if layer is None else "hidden", layer or 0, penalty, law, tried)


def _part(vector: Sequence[float], layers: Sequence[int], layer: int | None) -> Sequence[float]:
    """Return the statistics of a vector and, of its hidden states, that of one layer or none."""
    if layer is None:
        return vector[:STEP_FEATURES]
    width = (len(vector) - STEP_FEATURES) // len(layers)
    start = STEP_FEATURES + width * list(layers).index(layer)
    return (*vector[:STEP_FEATURES], *vector[start : start + width])
