"""T3: merge a generalist and an expert anew for each sample, by how much they disagree on it.

Paper: arXiv:2510.27265 (card 49); entropy weights and the beta mixture of Oh et al. 2024, arXiv:2410.03782 (DaWin).
Differs: reconstructed from the published formula; the authors' code could not be had. The sources contradict each
other on which model the weight belongs to: by default the generalist gains where the two disagree. The published gamma
0.5 moves the weight between 0.5 and 0.586 only, which is close to plain souping; 10 gives a range. Statistics of batch
norms, tensors that are no floats and `keep` stay the generalist's. Baselines: an ensemble of outputs, a constant or
random weight, paths on the sphere; task arithmetic is a constant weight, also below 0. TIES is not here: with a single
expert there are no signs to settle.
Cost: three forwards a batch and one merge; per sample without merged weights four ("mix"), where layers allow it. A
few more, of two samples, for each new shape of inputs, to see which way fits. The expert's weights are held beside it.
Needs: two models with the same parameters by name and shape, and logits of both.
When: an expert that is better at home and worse elsewhere, both of one ancestry, so that mixtures work at all.
When not: both wrong in the same way: they agree then. Outputs near one-hot (CLIP at scale 100): calibrate them first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ponder.core.access import Access
from ponder.core.errors import BadInput, ConfigError
from ponder.core.registry import adapters
from ponder.core.seeds import derive
from ponder.engines.online import AccessLevel, Adapter
from ponder.engines.online_calls import as_written, in_32_bits, predict_with, rows_of, take
from ponder.engines.online_parameters import parameters_by_name
from ponder.numerics.beta_mixture import fit_mixture
from ponder.numerics.model_merging import (
    Coefficient,
    EntropyOffset,
    entropies,
    entropy_offset,
    entropy_weight,
    js_divergence,
    merge,
    slerp,
)

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["T3Merging"]

_WAYS = ("mix", "vmap", "loop")
_REFUSED = (BadInput, RuntimeError, ValueError, IndexError, TypeError)
_NUMBERS = 2**26  # of merged weights that "vmap" holds at once


@adapters(
    "t3_merging",
    card=49,
    paper="arXiv:2510.27265",
    fidelity="reconstructed",
    access=(Access.LOGITS, Access.WEIGHTS),
    needs=("torch",),
    tags={"what": ("adaptation",), "how": ("fusion",), "where": ("general",), "how_well": ("accuracy",)},
)
@dataclass(eq=False, repr=False, kw_only=True)
class T3Merging(Adapter):
    """A merge for every sample, for every batch, or for every group of like samples. `model` is the generalist.

    Attributes:
        expert: a `torch.nn.Module` with the generalist's parameters, fine-tuned.
        per: a merge for each "sample", one for the "batch" with the mean weight, or one for each component of a beta
            "mixture" over the batch's weights (give the whole set as one batch).
        rule: weights by "js" divergence, by "entropy" (DaWin), by largest probability ("confidence"), "constant" (the
            middle of the bounds), or "random" (drawn once between the bounds, by `seed`); "ensemble" merges nothing
            and averages the two models' probabilities, whose logarithms are then the logits.
        path: between the models' weights: a "line", or the great circle of each tensor ("sphere", SLERP), on which
            each distinct weight is one merge and one run.
        direction: which model gains where the two disagree (rule "js").
        gamma, low, high, center, extrapolate: see `numerics.model_merging.Coefficient`.
        temperature, expert_temperature: logits are divided by them before anything is compared, > 0.
        offset: DaWin's offset, from the batch's entropies (rule "entropy", two samples or more).
        components: of the mixture, >= 1.
        keep: endings of parameter names that stay the generalist's.
        how: merges per sample by "mix", "vmap" or "loop" (see `_merged_forward`); "auto" takes the first that fits,
            found anew for inputs of other names, shapes or types, and goes on to the next where one fails.
        chunk: samples whose merged weights are held at once by "vmap", >= 1; None for as many as make 2**26 numbers.
        seed: of the mixture's starts and of the random weight.
    """

    expert: Any
    per: Literal["sample", "batch", "mixture"] = "sample"
    rule: Literal["js", "entropy", "confidence", "constant", "random", "ensemble"] = "js"
    path: Literal["line", "sphere"] = "line"
    direction: Literal["generalist_on_disagreement", "expert_on_disagreement"] = "generalist_on_disagreement"
    gamma: float = 0.5
    low: float = 0.0
    high: float = 1.0
    center: float = 0.0
    extrapolate: float = 0.0
    temperature: float = 1.0
    expert_temperature: float = 1.0
    offset: bool = False
    components: int = 3
    keep: Sequence[str] = ("logit_scale",)
    how: Literal["auto", "mix", "vmap", "loop"] = "auto"
    chunk: int | None = None
    seed: int = 0
    _chosen: str | None = field(init=False, default=None)
    _ways: dict[Any, str] = field(init=False, default_factory=dict)

    access: ClassVar[frozenset[AccessLevel]] = frozenset({"logits", "weights"})

    def __post_init__(self) -> None:
        choices = {
            "per": ("sample", "batch", "mixture"),
            "rule": ("js", "entropy", "confidence", "constant", "random", "ensemble"),
            "path": ("line", "sphere"),
            "direction": ("generalist_on_disagreement", "expert_on_disagreement"),
            "how": ("auto", "mix", "vmap", "loop"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ConfigError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        if (
            not self.temperature > 0
            or not self.expert_temperature > 0
            or (self.chunk is not None and self.chunk < 1)
            or self.components < 1
        ):
            raise ConfigError("temperatures must be above 0, chunk and components at least 1")
        if self.path == "sphere" and self.how in ("mix", "vmap"):
            raise ConfigError(f"weights on a sphere are merged one by one: how={self.how!r} knows lines only")
        if self.per == "mixture" and not (self.low - self.extrapolate >= 0 and self.high + self.extrapolate <= 1):
            raise ConfigError("a beta mixture knows weights in [0, 1] only: keep the bounds there, or use per='sample'")
        self._coefficient = Coefficient(
            gamma=self.gamma, low=self.low, high=self.high, center=self.center, extrapolate=self.extrapolate
        )
        super().__post_init__()

    def _configure(self) -> None:
        import torch

        from ponder.adapt._merged_forward import differing, unmixable

        super()._configure()
        if not isinstance(self.expert, torch.nn.Module):
            raise BadInput(f"the expert must be a torch.nn.Module, got {type(self.expert).__name__}")
        for part in self.expert.modules():
            if part.training:
                part.training = False
                self._undo.callback(setattr, part, "training", True)
        self._names = differing(self._module, self.expert, tuple(self.keep))
        self._unmixable = unmixable(self._module, self._names)
        if self.how == "mix" and self._unmixable:
            raise ConfigError(f"how='mix' cannot merge {self._unmixable[0]}: use 'auto' or 'vmap'")

    def _tensors(self) -> dict[str, Tensor]:
        return {}  # merged weights never enter the model

    def merged(self, weight: float) -> dict[str, Tensor]:
        """Return all parameters of the merge in which the generalist has this weight."""
        ours, theirs = parameters_by_name(self._module), parameters_by_name(self.expert)
        one, two = ({n: held[n].detach() for n in self._names} for held in (ours, theirs))
        if self.path == "line":
            changed = merge(one, two, weight)
        else:
            changed = {n: slerp(1 - weight, one[n], two[n]) if one[n].is_floating_point() else one[n] for n in one}
        return {name: changed.get(name, value.detach()) for name, value in ours.items()}

    def _predict(self, x: Any) -> Tensor:
        import torch

        with torch.no_grad():
            ours, theirs = self._forward(x), self._expert_logits(x)
            weight = self._weigh(ours, theirs)
            if self.rule == "ensemble":
                laws = (ours / self.temperature).softmax(-1), (theirs / self.expert_temperature).softmax(-1)
                return torch.log((laws[0] + laws[1]) / 2)
            if self.per == "batch":
                weight = weight.mean().expand_as(weight)
            elif self.per == "mixture":
                weight = self._grouped(weight)
            with as_written() if self._is_compiled else nullcontext():
                return in_32_bits(self._run(x, weight))

    def _weigh(self, ours: Tensor, theirs: Tensor) -> Tensor:
        """Return the generalist's weight for each sample, (B,)."""
        import torch

        ours, theirs = ours / self.temperature, theirs / self.expert_temperature
        laws = ours.softmax(-1), theirs.softmax(-1)
        js = js_divergence(*laws)
        if self.rule in ("constant", "ensemble"):
            weight = torch.full_like(js, 0.5 if self.rule == "ensemble" else (self.low + self.high) / 2)
        elif self.rule == "random":
            weight = torch.full_like(js, derive(self.seed, "merging weight").uniform(self.low, self.high))
        elif self.rule == "js":
            weight = self._coefficient.weight(js)
            weight = weight if self.direction == "generalist_on_disagreement" else 1 - weight
        elif self.rule == "entropy":
            sure = entropies(ours), entropies(theirs)
            weight = 1 - entropy_weight(*sure, entropy_offset(*sure) if self.offset else EntropyOffset())
        else:
            top = [law.max(-1).values for law in laws]
            weight = top[0] / (top[0] + top[1])
        self.evidence = {"js": js, "weight": weight}
        return weight

    def _grouped(self, weight: Tensor) -> Tensor:
        """Return each weight's component mean."""
        mixture, shares, _ = fit_mixture(weight.clamp(0, 1), self.components, seed=self.seed)
        return mixture.mean[shares.argmax(1)].to(weight)

    def _run(self, x: Any, weight: Tensor) -> Tensor:
        """Run each sample with its weight; samples of few distinct weights run together."""
        import torch

        from ponder.adapt._merged_forward import run_one

        self.evidence["weight"] = weight
        values, group = weight.unique(return_inverse=True)
        many = self.per == "sample" or len(values) > self.components
        if len(values) > 1 and many and self.path == "line":
            return self._run_each(x, weight)
        parts = [(group == at).nonzero().flatten() for at in range(len(values))]
        rows = []
        for part, value in zip(parts, values.tolist(), strict=True):
            own, merged = take(x, part), self.merged(value)
            rows.append(self._timed(own, partial(run_one, self._module, merged, own)))
        return torch.cat(rows)[torch.cat(parts).argsort()]

    def _chunk(self) -> int:
        if self.chunk is not None:
            return self.chunk
        held = parameters_by_name(self._module)
        numbers: int = sum(held[name].numel() for name in self._names)
        return max(1, _NUMBERS // max(1, numbers))

    def _run_each(self, x: Any, weight: Tensor) -> Tensor:
        """Run each sample with its own weight."""
        if self.how != "auto":
            return self._by(self.how, x, weight)
        kind = _kind(x)
        if kind not in self._ways:
            self._ways[kind] = self._first_way(x, weight)
        while self._ways[kind] != "loop":
            self._chosen = self._ways[kind]
            try:
                return self._by(self._chosen, x, weight)
            except _REFUSED:  # by what these values make the model do
                self._ways[kind] = _WAYS[_WAYS.index(self._chosen) + 1]
        self._chosen = "loop"
        return self._by("loop", x, weight)

    def _by(self, how: str, x: Any, weight: Tensor, chunk: int | None = None) -> Tensor:
        from ponder.adapt._merged_forward import run_merged

        settings = (self._module, self.expert, self._names, x, weight, how, chunk or self._chunk())
        return self._timed(x, lambda: run_merged(*settings), passes=2 if how == "mix" else 1)

    def _first_way(self, x: Any, weight: Tensor) -> str:
        """Return the first way that runs on two samples; "mix" must give what merged weights give."""
        import torch

        few = take(x, torch.tensor([0, rows_of(x) - 1], device=weight.device))
        apart = torch.tensor([0.25, 0.75], dtype=weight.dtype, device=weight.device)
        sure = self._by("loop", few, apart)
        for how in _WAYS[1 if self._unmixable else 0 : -1]:
            try:
                found = self._by(how, few, apart, 1)
            except _REFUSED:
                continue
            tolerance = torch.finfo(sure.dtype).eps ** 0.7 * (1 + sure.abs().max())  # 1.4e-5 in 32 bits
            if found.shape == sure.shape and (how == "vmap" or bool(((found - sure).abs() <= tolerance).all())):
                return how
        return "loop"

    def state_bytes(self) -> int:
        """Return the bytes held beside the model: the expert's."""
        held = [*self.expert.parameters(), *self.expert.buffers()]
        expert: int = sum(part.numel() * part.element_size() for part in held)
        return super().state_bytes() + expert

    def _expert_logits(self, x: Any) -> Tensor:
        return self._timed(x, lambda: predict_with(self.expert, x))

    def _timed(self, x: Any, run: Any, *, passes: int = 1) -> Tensor:
        """Run something that is as much work as `passes` forwards of the batch, and count it."""
        import time

        began = time.perf_counter()
        logits: Tensor = run()
        self.cost.pass_seconds += time.perf_counter() - began
        self.cost.forwards += passes
        self.cost.forward_samples += passes * rows_of(x)
        return logits


def _kind(x: Any) -> Any:
    """Return what kind of inputs these are: names, shapes of one sample, types."""
    parts = x if isinstance(x, Mapping) else {"": x}
    return tuple((name, tuple(part.shape[1:]), part.dtype) for name, part in parts.items())
