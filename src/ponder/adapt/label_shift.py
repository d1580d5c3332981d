"""Label Shift Adapter: follow the class mix of the stream and change the classifier's head to match it.

Paper: Park et al. 2023, arXiv:2308.08810 (card 58). Reconstructed: from the abstract and notes; the degree map, the
start of the estimate and all sizes are ours, and the parity cases of card 58 state them.
Differs: works by a hook on the last linear layer, so that any adapter can wear it (or a plain model). With
correction="posthoc" it adds ln(estimate) - ln(source) to the logits and needs no training: the yardstick. Estimators
"em" and "bbse" stand beside the running mean; both assume that only the class mix has changed.
Cost: the host's, and one small network a batch; before deployment a pass over the labelled source data and `training`
steps on its features. Needs: features and weights of the head, labelled source batches (posthoc: only their class mix).
When: a source with rare classes, a stream with another mix, alone or with covariate shift.
When not: a balanced source and stream; strong covariate shift that biases the estimate itself; priors that change
faster than the estimate follows.
Seen here (source with classes 100 : 1, six corruptions): error .095 instead of .174 on an even mix, .124 instead of
.493 on the reversed one, but .051 instead of .040 where the mix was the source's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ponder.core.access import Access
from ponder.core.errors import BadInput, ConfigError
from ponder.core.registry import adapters
from ponder.core.seeds import derive_seed
from ponder.engines.online import AccessLevel
from ponder.engines.online_gradients import graph_on
from ponder.engines.online_heads import HeadTap
from ponder.engines.online_plugin import Plugin
from ponder.numerics.label_shift import bound_prior, confusion_prior, confusion_weights, em_prior, imbalance_degree

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LabelShift"]

_CHANGES = ("scale", "shift", "weight", "bias")


@adapters(
    "label_shift",
    card=58,
    paper="arXiv:2308.08810",
    fidelity="reconstructed",
    access=(Access.LOGITS, Access.HIDDEN, Access.WEIGHTS),
    needs=("torch", "source_data"),
    tags={"what": ("adaptation",), "how": ("heads",), "where": ("general",), "how_well": ("accuracy",)},
    since="0.1",
)
@dataclass(eq=False, repr=False, kw_only=True)
class LabelShift(Plugin):
    """Around an adapter or a plain model: `LabelShift(Tent(model), source=labelled_batches)`.

    Attributes:
        source: labelled source batches (x, y), read once; trains the network and gives the source's class mix.
        source_prior: the source's class mix, C shares above 0; by default counted in `source`.
        network: one trained before (see `network` of another instance); then `source` is not needed to train.
        correction: "network" (the paper's) or "posthoc".
        estimator: "ema" of predictions (the paper's), "em" or "bbse" over the last `window` samples, or "oracle": the
            caller sets `prior` (an upper bound).
        alpha: share of the old estimate kept at each batch, in [0, 1).
        start: class mix to start from; by default uniform.
        head: name of the classifier's linear layer; by default the model's last.
        input: what the network reads: the scalar "degree" or the whole "vector" (used anyway if the source is uniform).
        changes: what the network may change: scale, shift, weight, bias.
        powers: class mixes seen in training are source^u for these u; None draws u from [-1, 1].
        tau: strength of the adjustment in training.
        hidden, rank: size of the network; a rank keeps it small where C x D is large.
        training, batch, lr: steps, samples and rate of Adam.
        window: samples that "em" and "bbse" look back on.
        seed: of the training.
        prior: the current estimate, C shares.
    """

    source: Iterable[Any] | None = None
    source_prior: Sequence[float] | None = None
    network: Any = None
    correction: Literal["network", "posthoc"] = "network"
    estimator: Literal["ema", "em", "bbse", "oracle"] = "ema"
    alpha: float = 0.9
    start: Sequence[float] | None = None
    head: str = ""
    input: Literal["degree", "vector"] = "degree"
    changes: Sequence[str] = _CHANGES
    powers: Sequence[float] | None = (1.0, 0.0, -1.0)
    tau: float = 1.0
    hidden: int = 64
    rank: int | None = None
    training: int = 4000
    batch: int = 256
    lr: float = 1e-3
    window: int = 1024
    seed: int = 0
    prior: list[float] = field(init=False, default_factory=list)
    losses: list[float] = field(init=False, default_factory=list)

    access: ClassVar[frozenset[AccessLevel]] = frozenset({"logits", "features", "weights", "source_data"})

    def __post_init__(self) -> None:
        if self.correction not in ("network", "posthoc") or self.estimator not in ("ema", "em", "bbse", "oracle"):
            raise ConfigError(
                "correction is network or posthoc, estimator ema, em, bbse or oracle: "
                f"got {self.correction!r} and {self.estimator!r}"
            )
        if not 0 <= self.alpha < 1 or self.window < 1 or self.training < 0 or self.tau < 0:
            raise ConfigError(
                "need alpha in [0, 1), window >= 1, training >= 0 and tau >= 0, "
                f"got {self.alpha!r}, {self.window!r}, {self.training!r} and {self.tau!r}"
            )
        if odd := sorted(set(self.changes) - set(_CHANGES)):
            raise ConfigError(f"changes are of {', '.join(_CHANGES)}, got {odd[0]!r}")
        if self.source is None and self.source_prior is None:
            raise ConfigError("LabelShift needs source= (labelled batches), or source_prior= with a trained network")
        needed = self.estimator == "bbse" or (self.correction == "network" and self.network is None)
        if self.source is None and needed:
            raise ConfigError(
                "without source= there is neither a network nor a confusion matrix: give labelled batches, "
                "a trained network=, or correction='posthoc'"
            )
        super().__post_init__()

    def _configure(self) -> None:
        self._tap = HeadTap(self._module, self.head)
        self._undo.callback(self._tap.close)
        classes = self._tap.head.out_features
        seen = None if self.source is None else self._read(self.source)
        self.source = None  # read once; nothing of it is kept
        if self.source_prior is not None:
            counted = list(map(float, self.source_prior))
        else:
            assert seen is not None
            counted = [(float((seen[1] == at).sum()) + 1e-9) / len(seen[1]) for at in range(classes)]
        if len(counted) != classes:
            raise BadInput(f"the head has {classes} classes, the source prior {len(counted)}")
        self._source = bound_prior(counted)
        self._vector = self.input == "vector" or imbalance_degree(self._source, self._source) is None
        start = [1 / classes] * classes if self.start is None else list(map(float, self.start))
        if len(start) != classes:
            raise BadInput(f"the head has {classes} classes, start= has {len(start)}")
        self.prior = start
        self._plain: deque[list[float]] = deque(maxlen=self.window)
        if seen is not None:
            self._confusion = _confusion(seen[2], seen[1], classes)
            if self.estimator == "bbse":  # a class never predicted is refused now, not in the middle of a stream
                confusion_weights(self._confusion, start)
            if self.correction == "network" and self.network is None:
                self._train(seen[0], seen[1], classes)
        self._first: Tensor | None = None  # the head's own logits at the first pass of a batch
        self._tap.rewrite = self._rewrite

    def _read(self, source: Iterable[Any]) -> tuple[Tensor, Tensor, Tensor]:
        """Return features (N, D), labels (N,) and logits (N, C) of the source data, in the host's mode."""
        import torch

        rows: list[tuple[Tensor, Tensor, Tensor]] = []
        for item in source:
            if not isinstance(item, tuple | list) or len(item) != 2:
                raise BadInput("source= holds pairs of a batch and its labels")
            with self.host.frozen():
                self.host(item[0])
            assert self._tap.features is not None
            assert self._tap.logits is not None
            labels = torch.as_tensor(item[1]).to(self._tap.features.device)
            rows.append((self._tap.features.detach(), labels, self._tap.logits.detach()))
        if not rows:
            raise BadInput("source= holds no batch")
        h, labels, logits = (torch.cat(column) for column in zip(*rows, strict=True))
        return h.to(self._tap.head.weight.dtype), labels, logits

    def _train(self, h: Tensor, labels: Tensor, classes: int) -> None:
        import torch

        from ponder.adapt._label_shift_network import HeadNetwork, train_network

        with graph_on(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.seed, "label_shift", "weights"))
            inputs = classes if self._vector else 1
            network: HeadNetwork = HeadNetwork(inputs, h.shape[1], classes, hidden=self.hidden, rank=self.rank).to(h)
            self.losses = train_network(
                network,
                h.clone(),
                labels.clone(),
                self._tap.head,
                self._source,
                steps=self.training,
                batch=self.batch,
                lr=self.lr,
                tau=self.tau,
                powers=self.powers,
                vector=self._vector,
                keep=self.changes,
                seed=self.seed,
            )
        self.network = network.requires_grad_(False)

    def _rewrite(self, h: Tensor, logits: Tensor) -> Tensor:
        """Return the logits of the head as changed for the current estimate."""
        import torch

        if self._first is None:
            self._first = logits.detach()
        if self.correction == "posthoc":
            prior = torch.tensor(
                [bound_prior(self.prior), self._source], dtype=logits.dtype, device=logits.device
            ).log()
            return logits + (prior[0] - prior[1])
        from ponder.adapt._label_shift_network import describe

        head, network = self._tap.head, self.network
        description = describe(self.prior, self._source, vector=self._vector, like=network.l1.weight)
        changed: Tensor = network.head(description, h, head.weight, head.bias, self.changes)
        return changed

    def _adapt(self, x: Any) -> Tensor:
        self._first = None
        logits = super()._adapt(x)
        self.evidence = {"prior": list(self.prior), "degree": imbalance_degree(self.prior, self._source)}
        self._estimate(logits)
        return logits

    def _estimate(self, logits: Tensor) -> None:
        """Move the estimate by a batch that has been predicted."""
        if self.estimator == "oracle":
            return
        if self.estimator == "ema":
            mean = logits.softmax(1).mean(0).tolist()
            if all(value == value for value in mean):  # a batch that is not finite says nothing of the mix
                self.prior = [
                    self.alpha * old + (1 - self.alpha) * new for old, new in zip(self.prior, mean, strict=True)
                ]
            return
        assert self._first is not None
        rows = self._first[-len(logits) :].softmax(1)  # a sliding window predicts former samples before them
        self._plain.extend(row for row in rows.tolist() if all(value == value for value in row))
        if not self._plain:
            return
        if self.estimator == "em":
            self.prior = bound_prior(em_prior(list(self._plain), self._source, rounds=50, tolerance=1e-4))
        else:
            votes = [0.0] * len(self._source)
            for row in self._plain:
                votes[row.index(max(row))] += 1 / len(self._plain)
            with suppress(BadInput):  # votes that no mix explains move nothing
                self.prior = bound_prior(confusion_prior(self._confusion, votes, self._source))

    def _memory(self) -> dict[str, Any]:
        return {**super()._memory(), "prior": self.prior, "plain": list(self._plain)}

    def _remember(self, memory: dict[str, Any]) -> None:
        super()._remember(memory)
        self.prior, self._plain = memory["prior"], deque(memory["plain"], maxlen=self.window)


def _confusion(logits: Tensor, labels: Tensor, classes: int) -> list[list[float]]:
    """Return joint shares [predicted][true] on source data, smoothed so that no class is without a prediction."""
    table = [[1e-6] * classes for _ in range(classes)]
    for guess, label in zip(logits.argmax(1).tolist(), labels.tolist(), strict=True):
        table[guess][label] += 1
    total = sum(map(sum, table))
    return [[value / total for value in row] for row in table]
