"""AdaNPC: vote by the nearest remembered features instead of the linear head, and remember what is sure.

Paper: Zhang et al. 2023, arXiv:2304.12566 (card 61).
Differs: the memory begins with the source alone, k is at most its size, and confidence is the largest score. The
BatchNorm variant (`norm_steps` > 0) remembers a batch once, after its last step; `append="each"` does it in every step
as the code. `parity="released"` adds the code's random entry of class 0 and its second softmax. Logits are the
logarithms of the scores.
Cost: one forward a batch and B M d multiplications, or fewer with index="faiss"; M d numbers of memory, which
grow with the stream unless `most_added` bounds them. No gradient, but for the BatchNorm variant through the vote alone.
Needs: features of a layer, and labelled source data at hand.
When: source data may be kept; shift that moves on in small steps; features that are better than their head.
When not: a jump to a far domain, where wrong votes are remembered and attract more; when source data must not leave.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ponder.core.access import Access
from ponder.core.errors import BadInput, ConfigError
from ponder.core.registry import adapters
from ponder.core.seeds import derive_seed
from ponder.engines.online import AccessLevel, Adapter
from ponder.engines.online_calls import rows_of
from ponder.engines.online_heads import find_head
from ponder.engines.online_parameters import modules_by_name
from ponder.numerics.memory_vote import ball_applies, confidence, unit_rows, vote, vote_in_ball

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["AdaNPC"]


@adapters(
    "adanpc",
    card=61,
    paper="arXiv:2304.12566",
    fidelity="code",
    access=(Access.HIDDEN,),
    needs=("torch",),
    tags={"what": ("adaptation",), "how": ("retrieval",), "where": ("general",), "how_well": ("accuracy",)},
)
@dataclass(eq=False, repr=False, kw_only=True)
class AdaNPC(Adapter):
    """A memory of features that votes. Its state is what the stream has added; the source's entries are made anew.

    Attributes:
        source: labelled batches (x, y) that fill the memory: any iterable, read once; or one pair of tensors.
        head: name of the module whose input is the feature (B, d); None for the last `Linear`; "" when the model
            itself returns features.
        classes: C; None for the largest source label + 1.
        k: neighbours, >= 1.
        temperature: of the vote, > 0.
        margin: confidence from which a sample is remembered; 0 all, above 1 none.
        confidence: the largest "score", or its "double_softmax".
        radius: cosine from which all entries vote, when each sample of the batch has one nearer; above 1: never.
        per_class: most source entries of a class, the first ones; None for all.
        most_added: most entries from the stream, the oldest give way; None for no limit.
        index: "exact", or "faiss" for source entries (what a stream adds is always searched exactly).
        recall: share of the k neighbours that a faiss index must find, in (0, 1], measured on source entries with noise
            when it is made; for a stream's own samples it may be a point or two less, so ask for more than you need.
        norm_steps: Adam steps a batch on a batch norm before the memory; 0 for none. Needs two samples or more.
        lr, weight_decay: of these steps.
        append: remember a batch after its "last" step or in "each".
        parity: "paper" or "released".
        seed: of the released random entry and of the index.
        norm: that batch norm, or None.
    """

    source: Any
    head: str | None = None
    classes: int | None = None
    k: int = 10
    temperature: float = 0.1
    margin: float = 0.1
    confidence: Literal["score", "double_softmax"] = "score"
    radius: float = 1.1
    per_class: int | None = None
    most_added: int | None = None
    index: Literal["exact", "faiss"] = "exact"
    recall: float = 0.95
    norm_steps: int = 0
    lr: float = 1e-3
    weight_decay: float = 0.0
    append: Literal["last", "each"] = "last"
    parity: Literal["paper", "released"] = "paper"
    seed: int = 0
    norm: Any = field(init=False, default=None)

    access: ClassVar[frozenset[AccessLevel]] = frozenset({"features", "source_data"})

    def __post_init__(self) -> None:
        if self.k < 1 or not self.temperature > 0 or self.norm_steps < 0 or not 0 < self.recall <= 1:
            raise ConfigError("needs k >= 1, temperature > 0, norm_steps >= 0 and recall in (0, 1]")
        if self.index not in ("exact", "faiss") or self.append not in ("last", "each"):
            raise ConfigError(f"no index {self.index!r} with append {self.append!r}")
        if self.confidence not in ("score", "double_softmax") or self.parity not in ("paper", "released"):
            raise ConfigError(f"no confidence {self.confidence!r} with parity {self.parity!r}")
        if self.index == "faiss" and self.radius <= 1:
            raise ConfigError("a ball needs all cosines: use index='exact', or radius above 1")
        if any(limit is not None and limit < 1 for limit in (self.per_class, self.most_added)):
            raise ConfigError("per_class and most_added must be at least 1, or None")
        if self.parity == "released":
            self.confidence, self.append = "double_softmax", "each"
        super().__post_init__()

    @property
    def size(self) -> int:
        """Entries in the memory now."""
        return len(self.memory)

    def _configure(self) -> None:
        import torch

        from ponder.adapt._feature_memory import FeatureMemory

        super()._configure()
        self._at = find_head(self._module)[0] if self.head is None else self.head
        self._reader = modules_by_name(self._module).get(self._at) if self._at else None
        if self._at and self._reader is None:
            raise BadInput(f"the model has no module {self._at!r}: name as head the one that reads the features")
        keys, labels = self._read_source()
        if self.per_class is not None:
            first = [(labels == label).nonzero().flatten()[: self.per_class] for label in labels.unique()]
            rows = torch.cat(first).sort().values
            keys, labels = keys[rows], labels[rows]
        self._classes = int(labels.max()) + 1 if self.classes is None else self.classes
        if int(labels.min()) < 0 or int(labels.max()) >= self._classes:
            raise BadInput(f"source labels must be in 0..{self._classes - 1}")
        if self.parity == "released":
            keys = torch.cat([self._ghost(keys.shape[1]).to(keys), keys])
            labels = torch.cat([labels.new_zeros(1), labels])
        wanted = self.recall if self.index == "faiss" else None
        self.memory = FeatureMemory(keys, labels, recall=wanted, k=self.k, seed=derive_seed(self.seed, "adanpc"))
        if self.norm_steps:
            self.norm = torch.nn.BatchNorm1d(keys.shape[1]).to(keys)
            self._optimizer = torch.optim.Adam(self.norm.parameters(), lr=self.lr, weight_decay=self.weight_decay)

    def _ghost(self, width: int) -> Tensor:
        """Return the random entry (1, width), of no particular length, with which the released memory begins."""
        import torch

        generator = torch.Generator().manual_seed(derive_seed(self.seed, "adanpc", "ghost"))
        return torch.randn(1, width, generator=generator)

    def _read_source(self) -> tuple[Tensor, Tensor]:
        """Return the unit features and labels of the source."""
        import torch

        pair = isinstance(self.source, tuple | list) and len(self.source) == 2 and hasattr(self.source[0], "shape")
        batches: Iterable[Any] = [self.source] if pair else self.source
        found = [(unit_rows(self._features(x)), torch.as_tensor(y)) for x, y in batches]
        if not found or not sum(len(y) for _, y in found):
            raise BadInput("AdaNPC needs labelled source data: give batches (x, y) as `source`")
        keys = torch.cat([key for key, _ in found])
        if not bool(torch.isfinite(keys).all()):
            raise BadInput("some source features are not finite: leave out the samples that they come from")
        return keys, torch.cat([label for _, label in found]).to(keys.device).long()

    def _features(self, x: Any) -> Tensor:
        """Run the model and return the features (B, d)."""
        import torch

        caught: list[Tensor] = []
        hook = None
        if self._reader is not None:
            hook = self._reader.register_forward_pre_hook(
                lambda _, args, words: caught.append([*args, *words.values()][0]), with_kwargs=True
            )
        try:
            with torch.no_grad():
                out = self._forward(x)
        finally:
            if hook is not None:
                hook.remove()
        if self._at and not caught:
            raise BadInput(f"the model does not run {self._at!r}: name as head the module that reads the features")
        features = caught[-1] if self._at else out
        if self.norm is not None and len(features) < 2:
            raise BadInput("a batch norm needs two samples or more: use norm_steps=0 for single ones")
        if features.ndim != 2 or len(features) != rows_of(x):
            raise BadInput(f"the input of {self._at!r} is {tuple(features.shape)}, not features (B, d): name another")
        return features.float() if features.dtype in (torch.float16, torch.bfloat16) else features

    def _scores(self, queries: Tensor) -> Tensor:
        """Return the vote (B, C) on unit queries (B, d), with their graph."""
        import torch

        with torch.autocast(queries.device.type, enabled=False):  # which is nearest shows in the last bits
            if self.radius <= 1:
                cosine = queries @ self.memory.keys.to(queries).T
                if ball_applies(cosine.detach(), self.radius):
                    return vote_in_ball(cosine, self.memory.labels, self._classes, self.temperature, self.radius)
            at = self.memory.nearest(queries, self.k)
            close = (self.memory.keys[at].to(queries) * queries[:, None]).sum(-1)
            return vote(close, self.memory.labels[at], self._classes, self.temperature)

    def _adapt(self, x: Any) -> Tensor:
        import torch

        features = self._features(x)
        if self.norm is None:
            with torch.no_grad():
                queries = unit_rows(features)
                scores = self._scores(queries)
                self._append(queries, scores)
            return scores.log()
        with torch.inference_mode(False), torch.enable_grad():
            features = features.clone()
            for step in range(1, self.norm_steps + 1):
                queries = unit_rows(self.norm(features))
                scores = self._scores(queries)
                if self.append == "each":
                    self._append(queries.detach(), scores.detach())
                self._optimizer.zero_grad(set_to_none=True)
                loss = -(scores.softmax(1) * scores.log_softmax(1)).sum(1).mean()
                if bool(torch.isfinite(loss)):
                    loss.backward()
                    self.cost.backwards += 1
                    self.cost.backward_samples += len(features)
                    self._optimizer.step()
                    self.cost.updates += 1
                else:
                    self.cost.skipped += 1
                if step == self.norm_steps and self.append == "last":
                    self._append(queries.detach(), scores.detach())
        return scores.detach().log()

    def _predict(self, x: Any) -> Tensor:
        import torch

        features = self._features(x)
        with torch.no_grad():
            if self.norm is not None:
                norm, dims = self.norm, 0
                mean, spread = features.mean(dims), features.var(dims, unbiased=False)
                features = (features - mean) / (spread + norm.eps).sqrt() * norm.weight + norm.bias
            return self._scores(unit_rows(features)).log()

    @contextmanager
    def _as_source(self) -> Iterator[None]:
        with super()._as_source(), self.memory.source_only():
            if self.norm is None:
                yield
                return
            now = deepcopy(self.norm.state_dict())
            self.norm.load_state_dict(self._fresh["norm"])
            try:
                yield
            finally:
                self.norm.load_state_dict(now)

    def _append(self, queries: Tensor, scores: Tensor) -> None:
        """Remember the samples that are sure, under the labels voted for."""
        sure = confidence(scores, kind=self.confidence)
        chosen = sure >= self.margin
        self.memory.add(queries[chosen], scores.argmax(1)[chosen], most=self.most_added)
        self.evidence = {"scores": scores, "confidence": sure, "added": chosen}

    def _memory(self) -> dict[str, Any]:
        keys, labels = self.memory.added()
        held: dict[str, Any] = {"keys": keys, "labels": labels}
        if self.norm is not None:
            held |= {"norm": self.norm.state_dict(), "optimizer": self._optimizer.state_dict()}
        return held

    def _remember(self, memory: dict[str, Any]) -> None:
        width, most = self.memory.keys.shape[1], int(memory["labels"].max()) if len(memory["labels"]) else 0
        if memory["keys"].shape[1:] != (width,) or most >= self._classes or (self.norm is None) == ("norm" in memory):
            raise BadInput(f"the state is of another memory: this one has {width} features, {self._classes} classes")
        self.memory.replace_added(memory["keys"], memory["labels"])
        if self.norm is not None:
            self.norm.load_state_dict(memory["norm"])
            self._optimizer.load_state_dict(memory["optimizer"])

    def state_bytes(self) -> int:
        """Return the bytes held beside the model: the source's entries too, but not a faiss index of them."""
        held = [self.memory.keys[: self.memory.base], self.memory.labels[: self.memory.base]]
        source: int = sum(part.numel() * part.element_size() for part in held)
        return super().state_bytes() + source
