"""Token condensation (TCA): for image-text models, drop and merge image tokens by attention, and remember good images.

Paper: Wang et al. 2024, arXiv:2410.14729 (card 43).
Differs: by default as the paper says: patches are ranked in each head and the ranks averaged, and the last ones are
dropped. `parity="released"` does as the code: mean attention, and the last ones fused into one token that is not
normalised; empty clusters stay as zeros. SigLIP has no class token: the mean token stands for it, and patches are
ranked by the attention that all tokens pay to them (ours; the card's sources do not say). Drop layers lie at a
quarter, half and three quarters of the depth, which is 3, 6 and 9 of 12. A batch is a stream of its images. Strength,
sharpness and scale have one default for all data; the authors tuned them for each test set.
Cost: one forward an image, over fewer tokens; the attention of three layers in the open; no gradient. State: up to
`size` class-token matrices (L, D) for each class.
Needs: transformers' CLIP, SigLIP or SigLIP 2 (this with `spatial_shapes`), class embeddings of its text tower.
When: many patches (196 and more), one image at a time, a stream whose classes come back.
When not: few patches, where dropping a tenth costs accuracy; batches, where one pass over all is faster than fewer
tokens one by one; many classes that never come twice: anchors then stay off.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ponder.adapt._image_reservoir import Past, keep_best
from ponder.core.access import Access
from ponder.core.errors import BadInput, ConfigError
from ponder.core.registry import adapters
from ponder.core.seeds import derive
from ponder.engines.online import AccessLevel, Adapter
from ponder.numerics.token_condensation import affinity, condense, correction, layer_weights

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["TokenCondensation"]


@adapters(
    "token_condensation",
    card=43,
    paper="arXiv:2410.14729",
    fidelity="code",
    access=(Access.HIDDEN, Access.ATTENTION),
    needs=("torch",),
    tags={"what": ("adaptation",), "how": ("selection",), "where": ("multimodal",), "how_well": ("efficiency",)},
)
@dataclass(eq=False, repr=False, kw_only=True)
class TokenCondensation(Adapter):
    """Condenses tokens and corrects zero-shot logits by remembered images.

    Attributes:
        classes: text embedding of each class, (C, d); or of several prompts for each, (C, P, d), which are divided by
            their length and averaged. The means are divided by their length too.
        rate: share of patches compressed in each drop layer, in [0, 1); 0 condenses nothing.
        layers: drop layers, counted from 0; None for a quarter, half and three quarters of the depth.
        centres: tokens that the middle group becomes, >= 1; 0 keeps its tokens (EViT).
        size: remembered images of a class, >= 1.
        scale: of the layer weights, > 0; the smaller, the more the last layers count.
        strength: of the correction (lambda), >= 0; 0 leaves the zero-shot logits.
        sharpness: of the correction (beta), >= 0.
        anchors_from: mean class tokens steer attention once "all" classes have two images, of the "available" ones
            at any time, or "none".
        compare: images are compared by class "tokens" or by "features" when one must be forgotten.
        exclude_self: leave the image itself out of its own correction. Not with predict="after".
        logit_scale: cosines are multiplied by it; None for the model's own, or 100. SigLIP's bias is added.
        parity: "paper" or "released".
        seed: of the first centres.
        reservoir: remembered images by class, least entropy first.
        anchors: (C', L, D), or None until there are any.
    """

    classes: Any
    rate: float = 0.035
    layers: Sequence[int] | None = None
    centres: int = 4
    size: int = 3
    scale: float = 0.1
    strength: float = 3.0
    sharpness: float = 5.0
    anchors_from: Literal["all", "available", "none"] = "all"
    compare: Literal["tokens", "features"] = "tokens"
    exclude_self: bool = False
    logit_scale: float | None = None
    parity: Literal["paper", "released"] = "paper"
    seed: int = 0
    reservoir: list[list[Past]] = field(init=False, default_factory=list)
    anchors: Any = field(init=False, default=None)
    _seen: int = field(init=False, default=0)

    access: ClassVar[frozenset[AccessLevel]] = frozenset({"features", "attention"})

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1 or self.centres < 0 or self.size < 1 or not self.scale > 0:
            raise ConfigError("needs rate in [0, 1), centres >= 0, size >= 1 and scale > 0")
        if self.strength < 0 or self.sharpness < 0 or self.parity not in ("paper", "released"):
            raise ConfigError("needs strength >= 0, sharpness >= 0 and parity paper or released")
        if self.anchors_from not in ("all", "available", "none") or self.compare not in ("tokens", "features"):
            raise ConfigError(f"no anchors from {self.anchors_from!r} with images compared by {self.compare!r}")
        if self.exclude_self and self.predict == "after":
            raise ConfigError("predict='after' meets the image in the memory: exclude_self needs predict='before'")
        if getattr(self.classes, "ndim", 0) not in (2, 3) or 0 in self.classes.shape:
            raise BadInput("classes are the text embeddings (C, d), one row for each class, or (C, prompts, d)")
        super().__post_init__()

    def _configure(self) -> None:
        from torch.nn.functional import normalize

        from ponder.adapt._vision_towers import open_tower

        super()._configure()
        self._tower = open_tower(self.model)
        depth = len(self._tower.blocks)
        quarters = sorted({depth * part // 4 for part in (1, 2, 3)} - {0})
        self._layers = frozenset(quarters if self.layers is None else self.layers)
        if not all(0 < at < depth for at in self._layers):
            raise ConfigError(f"drop layers must be in 1..{depth - 1} for this model, got {sorted(self._layers)}")
        if self.classes.shape[-1] != self._tower.width:
            raise BadInput(
                f"class embeddings of {self.classes.shape[-1]} numbers do not fit image features of {self._tower.width}"
            )
        texts = normalize(_wide(self.classes.detach()), dim=-1)
        self._unit = texts if texts.ndim == 2 else normalize(texts.mean(1), dim=-1)
        self._times = next(s for s in (self.logit_scale, self._tower.scale, 100.0) if s is not None)
        self.reservoir = [[] for _ in self._unit]

    def _memory(self) -> dict[str, Any]:
        kept = [[past._asdict() for past in row] for row in self.reservoir]
        return {"reservoir": kept, "anchors": self.anchors, "seen": self._seen}

    def _remember(self, memory: dict[str, Any]) -> None:
        if len(memory["reservoir"]) != len(self._unit):
            raise BadInput(f"the state is of {len(memory['reservoir'])} classes, not of {len(self._unit)}")
        self.reservoir = [[Past(**past) for past in row] for row in memory["reservoir"]]
        self.anchors, self._seen = memory["anchors"], memory["seen"]

    @contextmanager
    def _as_source(self) -> Iterator[None]:
        kept = self.reservoir, self.anchors
        with super()._as_source():
            self.reservoir, self.anchors = [[] for _ in self._unit], None
            try:
                yield
            finally:
                self.reservoir, self.anchors = kept

    def _adapt(self, x: Any) -> Tensor:
        return self._each(x, learn=True)

    def _predict(self, x: Any) -> Tensor:
        return self._each(x, learn=False)

    def _each(self, x: Any, *, learn: bool) -> Tensor:
        """Go through the images of a batch one by one."""
        import torch

        inputs = x if isinstance(x, Mapping) else {"pixel_values": x}
        if "pixel_values" not in inputs:
            raise BadInput(f"token condensation needs images as `pixel_values`, got {', '.join(map(str, inputs))}")
        own = {name: inputs[name] for name in ("pixel_values", "spatial_shapes") if name in inputs}
        count = len(own["pixel_values"])
        with torch.no_grad():
            rows = [self._one({n: v[at : at + 1] for n, v in own.items()}, learn=learn) for at in range(count)]
        shown = {"zero_shot": [r[1] for r in rows], "entropy": [r[2] for r in rows], "tokens": rows[-1][3]}
        self.evidence = {**shown, "zero_shot": torch.stack(shown["zero_shot"])}
        return torch.stack([row[0] for row in rows])

    def _one(self, image: Mapping[str, Tensor], *, learn: bool) -> tuple[Tensor, Tensor, float, list[int]]:
        """Return corrected logits (C,), zero-shot logits (C,), their entropy, and the token counts."""
        import torch

        features, tokens, lengths = self._encode(image)
        with torch.autocast(features.device.type, enabled=False):
            unit = torch.nn.functional.normalize(features, dim=-1)
            plain = self._times * (self._unit.to(unit) @ unit) + self._tower.bias
            logs = plain.log_softmax(-1)
            entropy = float(-(logs.exp() * logs).sum())
            number = self._seen
            if learn and math.isfinite(entropy):  # what is not finite would spoil all that follows
                past, own = Past(unit, entropy, tokens, number), int(plain.argmax())
                by_tokens = self.compare == "tokens"
                self.reservoir[own] = keep_best([*self.reservoir[own], past], self.size, by_tokens=by_tokens)
                self._renew_anchors()
            self._seen += learn
            return plain + self._correction(tokens, plain, number), plain, entropy, lengths

    def _encode(self, image: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, list[int]]:
        """Return features (d,), class tokens after each layer (L, D), and how many tokens each layer left."""
        import time

        import torch

        from ponder.adapt._vision_towers import run_block

        began = time.perf_counter()
        tower = self._tower
        tokens = tower.embed(image)
        lengths, summaries = [len(tokens)], []
        for at, block in enumerate(tower.blocks):
            tokens = self._drop(at, block, tokens) if at in self._layers and self.rate else run_block(block, tokens)
            lengths.append(len(tokens))
            summaries.append(self._summary(tokens))
        features = tower.pool(tokens)
        self.cost.pass_seconds += time.perf_counter() - began
        self.cost.forwards += 1
        self.cost.forward_samples += 1
        return _wide(features), _wide(torch.stack(summaries)), lengths

    def _drop(self, at: int, block: Any, tokens: Tensor) -> Tensor:
        """Run one block that condenses its tokens between attention and MLP."""
        import torch

        from ponder.adapt._vision_towers import attend

        added, attention = attend(block, tokens, self._anchor(at, tokens))
        tokens = tokens + added
        if self._tower.has_class:
            rows = attention[:, 0, 1:]
        else:  # a row in the place of the class token, taken away again below
            rows = attention.mean(1)
            tokens = torch.cat([tokens.mean(0, keepdim=True), tokens])
        released = self.parity == "released"
        tokens = condense(
            tokens,
            rows,
            self.rate,
            first=self._first_centre(at),
            centres=self.centres,
            score="mean" if released else "rank",
            fuse=released,
            keep_empty=released,
        )
        tokens = tokens if self._tower.has_class else tokens[1:]
        return tokens + block.mlp(block.layer_norm2(tokens))

    def _anchor(self, at: int, tokens: Tensor) -> Tensor | None:
        """Return the mean class token, of the layer before, that is most like this image's; None without anchors."""
        if self.anchors is None or self.anchors_from == "none":
            return None
        from torch.nn.functional import cosine_similarity

        level: Tensor = self.anchors[:, at - 1].to(tokens)
        return level[int(cosine_similarity(level, self._summary(tokens)[None]).argmax())]

    def _summary(self, tokens: Tensor) -> Tensor:
        return tokens[0] if self._tower.has_class else tokens.mean(0)

    def _first_centre(self, at: int) -> int:
        """Return a number that picks the first centre in layer `at` for the image at hand."""
        return derive(self.seed, "first centre", self._seen, at).randrange(2**31)

    def _renew_anchors(self) -> None:
        import torch

        ready = [row for row in self.reservoir if len(row) >= 2]
        if self.anchors_from == "none" or not ready or (self.anchors_from == "all" and len(ready) < len(self._unit)):
            return
        self.anchors = torch.stack([torch.stack([past.tokens for past in row]).mean(0) for row in ready])

    def _correction(self, tokens: Tensor, plain: Tensor, number: int) -> Tensor:
        """Return what remembered images add to the logits, (C,)."""
        import torch

        kept = [
            (at, past)
            for at, row in enumerate(self.reservoir)
            for past in row
            if not (self.exclude_self and past.number == number)
        ]
        if not kept or not self.strength:
            return torch.zeros_like(plain)
        weights = layer_weights(len(tokens), self.scale, tokens)
        near = affinity(tokens, torch.stack([past.tokens for _, past in kept]).to(tokens), weights)
        labels = torch.tensor([at for at, _ in kept], device=plain.device)
        return correction(near, labels, len(plain), strength=self.strength, sharpness=self.sharpness).to(plain)


def _wide(values: Tensor) -> Tensor:
    """Return numbers in at least 32 bits."""
    import torch

    return values.to(torch.promote_types(values.dtype, torch.float32))
