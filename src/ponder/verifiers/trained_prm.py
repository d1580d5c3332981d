"""A light process reward model, fitted by `ponder train prm` to this very model: how often does a prefix end well.

Source: soft values from K roll-outs as labels, Snell et al. 2024, arXiv:2408.03314, appendix D (card 04), and Zhao et
al. 2025, arXiv:2504.00891 (card 57).
Differs: no network is fine-tuned; a logistic head reads how sure the model is of each step (and, if trained so, its
hidden state), in minutes on two cores.
Cost: one pass over prompt and prefix for each prefix, booked under the role "prm"; no token is written. What a process
has read once under a head is not read again: it is booked, and nothing is paid for it.
Needs: a directory written by `ponder train prm`, and the model that it was trained on as the role "prm" (by default the
policy), with access to scores or hidden states.
When: a small model whose answers are known to vary, tasks like those it was trained on.
When not: other tasks or another model (another model is refused).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from ponder.core.access import Access
from ponder.core.candidate import Candidate, Score
from ponder.core.context import Context
from ponder.core.errors import BadInput, ConfigError, Interrupted, ProviderError
from ponder.core.model import Model, Request
from ponder.core.registry import verifiers
from ponder.core.task import Message, Task
from ponder.core.tasks import gather_all
from ponder.core.usage import Usage
from ponder.engines.tree import Prefix
from ponder.numerics.aggregation import Aggregation, aggregate
from ponder.numerics.logistic import Logistic
from ponder.verifiers._passes import metered_pass
from ponder.verifiers._steps import split_steps
from ponder.verifiers.prm_features import STEP_FEATURES, Features, Seen, read_steps

__all__ = ["FILE", "SCHEMA", "Head", "TrainedPrm"]

_Key = tuple[tuple[Message, ...], tuple[str, ...]]

SCHEMA = 2
FILE = "prm.json"
_KEPT = 20_000  # readings that an opened head remembers


@dataclass(frozen=True, kw_only=True)
class Head:
    """What training leaves behind.

    Attributes:
        fingerprint: of the model whose passes it reads.
        features, layer: what of them, and the layer whose hidden state is read with hidden features.
        delimiter: text that ends a step.
        law: from features to the value.
        report: how it was made and how good it is on tasks that it has not seen.
    """

    fingerprint: str
    features: Features
    layer: int
    delimiter: str
    law: Logistic
    report: Mapping[str, Any] = field(default_factory=dict)

    def save(self, directory: Path | str) -> Path:
        """Write the head into a directory, which is made if need be; return the file.

        Raises:
            BadInput: it cannot be written.
        """
        data = {
            "schema": SCHEMA,
            "fingerprint": self.fingerprint,
            "features": self.features,
            "layer": self.layer,
            "delimiter": self.delimiter,
            "bias": self.law.bias,
            "weights": list(self.law.weights),
            "report": dict(self.report),
        }
        file = Path(directory) / FILE
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            scratch = file.with_suffix(".part")
            scratch.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
            scratch.replace(file)
        except OSError as err:
            raise BadInput(f"cannot write {str(file)!r}: {err.strerror or err}") from err
        return file

    @classmethod
    def load(cls, directory: Path | str) -> Head:
        """Read a head.

        Raises:
            BadInput: there is none, it is broken, or of another version.
        """
        file = Path(directory) / FILE
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
            if data["schema"] != SCHEMA:
                raise BadInput(f"{str(file)!r} has schema {data['schema']!r}, this ponder reads {SCHEMA}")
            weights = tuple(map(float, data["weights"]))
            head = cls(
                fingerprint=data["fingerprint"],
                features=data["features"],
                layer=data["layer"],
                delimiter=data["delimiter"],
                law=Logistic(weights, float(data["bias"])),
                report=data["report"],
            )
        except OSError as err:
            raise BadInput(f"no trained PRM in {str(directory)!r}: {err.strerror or err}") from err
        except (ValueError, KeyError, TypeError) as err:
            if isinstance(err, BadInput):
                raise
            raise BadInput(f"{str(file)!r} is no trained PRM: {err}") from err
        if head.features not in ("certainty", "hidden") or len(weights) < STEP_FEATURES:
            raise BadInput(f"{str(file)!r} is no trained PRM: features {head.features!r}, {len(weights)} weights")
        return head

    async def read(self, model: Model, task: Task, steps: Sequence[str]) -> Seen:
        """Return the features of each step (see `read_steps`)."""
        layers = (self.layer,) if self.features == "hidden" else ()
        return await read_steps(model, task, steps, self.features, layers=layers)


@verifiers("trained_prm", card=(4, 57), access=(Access.SCORE,), since="0.1")
@dataclass(frozen=True, kw_only=True)
class TrainedPrm:
    """Values of prefixes by a trained head; `score` values a whole answer by its steps.

    Attributes:
        directory: written by `ponder train prm`.
        aggregation: from the values of an answer's steps to its score; "last" suits soft labels.
    """

    directory: str = ""
    aggregation: Aggregation = "last"
    _head: Head | None = field(init=False, repr=False, compare=False, default=None)
    _values: dict[_Key, tuple[float, ...]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        if self.directory:
            file = Path(self.directory).resolve() / FILE
            opened = _open(file.parent, file.stat().st_mtime_ns if file.is_file() else 0)
            object.__setattr__(self, "_head", opened.head)
            object.__setattr__(self, "_values", opened.values)

    @property
    def report(self) -> Mapping[str, Any]:
        """What training said of the head; empty without one."""
        return {} if self._head is None else self._head.report

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
        """Score whole answers."""
        delimiter = "" if self._head is None else self._head.delimiter
        return await self._all(task, [split_steps(c.text, delimiter) for c in candidates], ctx)

    async def score_steps(self, task: Task, prefixes: Sequence[Prefix], ctx: Context) -> list[Score]:
        """Score prefixes, with a value for each step."""
        return await self._all(task, [prefix.steps for prefix in prefixes], ctx)

    async def _all(self, task: Task, answers: Sequence[Sequence[str]], ctx: Context) -> list[Score]:
        head = self._head
        if head is None:
            return [Score.missing("no head: trained_prm needs directory=, written by `ponder train prm`")] * len(
                answers
            )
        model = ctx.models.get("prm", ctx.models["policy"])
        if model.info.fingerprint != head.fingerprint:
            raise ConfigError(
                f"the PRM in {self.directory!r} was trained on {head.fingerprint!r}, not on {model.info.fingerprint!r}:"
                " give its model as the role 'prm', or train one for this model"
            )
        return await gather_all([partial(self._score, head, model, task, steps, ctx) for steps in answers])

    async def _score(self, head: Head, model: Model, task: Task, steps: Sequence[str], ctx: Context) -> Score:
        if not steps:
            return Score.missing("there is no step")

        key = (task.messages, tuple(steps))

        async def work() -> tuple[tuple[float, ...], Usage | None]:
            if (known := self._values.get(key)) is not None:
                return known, Usage()
            seen = await head.read(model, task, steps)
            values = tuple(head.law.predict(vector) for vector in seen.vectors)
            if len(self._values) >= _KEPT:
                del self._values[next(iter(self._values))]
            self._values[key] = values
            return values, seen.paid

        try:
            tokens = model.count(Request(messages=task.messages, prefix="".join(steps))).tokens
            values = await metered_pass(ctx, "prm", model.info, tokens, work)
        except (BadInput, Interrupted, ProviderError) as err:
            return Score.missing(f"not read: {err}")
        return Score(value=aggregate(values, self.aggregation), steps=values)


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """A head that was read from its file, and the values of the steps that it has seen."""

    head: Head
    values: dict[_Key, tuple[float, ...]] = field(default_factory=dict)


@lru_cache(maxsize=8)
def _open(directory: Path, modified: int) -> _Opened:
    """Return the head of a directory; one that was written again is another one."""
    del modified
    return _Opened(head=Head.load(directory))
