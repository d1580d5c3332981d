"""Compare adapters on streams: errors with intervals, forgetting, calibration, cost, curves over time.

Source: protocols and metrics of card 00; each method sees the same samples in the same order, predicted once.
Differs: nothing is tuned on the stream; settings are the methods' defaults unless given.
Cost: methods x streams x seeds runs of the model over the samples. Needs: the extra `torch`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ponder.bench.adapt_subjects import Subject
from ponder.core import registry
from ponder.core.errors import BadInput, ConfigError, PonderError, UnknownName
from ponder.core.seeds import derive_seed
from ponder.engines.online import Adapter, Plugin
from ponder.engines.online_run import OnlineRun, run_stream
from ponder.numerics.intervals import Interval, wilson
from ponder.numerics.paired import paired_score_interval
from ponder.tasks.streams import Stream, make_stream

__all__ = ["STREAMS", "Comparison", "Row", "Worn", "build", "compare_adapters", "open_stream", "read_method"]

# name -> settings of `make_stream`, and what it is in words
STREAMS: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "continual": ({"arrangement": "continual"}, "one domain after the other, labels shuffled"),
    "mixed": ({"arrangement": "mixed"}, "all domains shuffled into one"),
    "correlated": ({"labels": "dirichlet", "concentration": 0.05}, "labels in clumps within each domain"),
    "sorted": ({"labels": "sorted"}, "labels in order within each domain"),
    "label_shift": ({"labels": "phases", "ratio": 50.0}, "phases that each favour one class"),
    "recurring": ({"arrangement": "recurring", "rounds": 2}, "the domains twice over"),
    "gradual": ({"arrangement": "continual"}, "each corruption rises to its strongest and falls again"),
    "changing": ({"arrangement": "continual"}, "one corruption fades out while the next fades in, step by step"),
    "single": ({"arrangement": "continual", "batch": 1}, "one sample at a time"),
}
_MOVING = ("gradual", "changing")


@dataclass(frozen=True, kw_only=True)
class Worn:
    """Adapters from the outermost to the innermost, each with settings: "guard+tent:lr=0.01"."""

    name: str
    parts: tuple[tuple[str, Mapping[str, Any]], ...]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One method on one stream, over all seeds.

    Attributes:
        method: as it was asked for.
        stream: its name.
        runs: one for each seed; empty where it could not run.
        why_not: why it could not run; "" if it did.
        error: share of wrong predictions, with its interval.
        gain: source error less its error, on the same samples, with its interval; None where source did not run.
    """

    method: str
    stream: str
    runs: tuple[OnlineRun, ...] = ()
    why_not: str = ""
    error: Interval | None = None
    gain: Interval | None = None

    def mean(self, name: str) -> float | None:
        """Return the mean over seeds of one of the run's numbers (`OnlineRun.to_dict`); None where it is missing."""
        found = [run.to_dict()[name] for run in self.runs]
        known = [float(value) for value in found if value is not None]
        return sum(known) / len(known) if known and len(known) == len(found) else None

    def curve(self, window: int) -> list[float]:
        """Return the error of each stretch of samples, averaged over seeds."""
        curves = [run.curve(window) for run in self.runs]
        return [sum(at) / len(at) for at in zip(*curves, strict=True)] if curves else []

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        head = {"method": self.method, "stream": self.stream, "why_not": self.why_not}
        parts = {"error": self.error, "gain": self.gain}
        limits = {name: None if found is None else list(found) for name, found in parts.items()}
        return {**head, **limits, "runs": [run.to_dict() for run in self.runs]}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All rows, and how they came about."""

    subject: str
    facts: tuple[str, ...]
    rows: tuple[Row, ...]
    samples: int
    seeds: tuple[int, ...]
    batch: int


def read_method(text: str) -> Worn:
    """Read "name:key=value,..." or several of them joined by "+", the outermost first.

    Raises:
        UnknownName, ConfigError: no such adapter or setting.
    """
    parts = []
    for piece in text.split("+"):
        name, _, given = piece.strip().partition(":")
        settings = {}
        for pair in filter(None, given.split(",")):
            key, equals, value = pair.partition("=")
            if not equals:
                raise ConfigError(f"settings of {name!r} read KEY=VALUE, got {pair!r}")
            settings[key.strip()] = value.strip()
        parts.append((name, _configured(name, settings)))
    for name, _ in parts[:-1]:
        if not issubclass(registry.adapters.get(name).cls, Plugin):
            raise ConfigError(f"{name!r} cannot wear another adapter: only plug-ins come before a +")
    return Worn(name=text.strip(), parts=tuple(parts))


def build(worn: Worn, subject: Subject, *, seed: int = 0) -> Adapter:
    """Make the adapter around a fresh copy of the model, and give it what it needs of the subject.

    Raises:
        BadInput: it needs something that the subject does not have.
        PonderError: the adapter refuses the model.
    """
    made: Any = subject.fresh()
    source = {"source": list(subject.source)} if subject.source else {}
    for name, settings in reversed(worn.parts):
        cls = registry.adapters.get(name).cls
        known = {f.name: f for f in dataclasses.fields(cls) if f.init and f.name != "model"}
        offers = {**source, **_for(name, subject.given)}
        given = {**{key: value for key, value in offers.items() if key in known}, **settings}
        if "seed" in known:
            given.setdefault("seed", seed)
        lacking = [key for key, f in known.items() if key not in given and _required(f)]
        if lacking:
            raise BadInput(f"needs {', '.join(lacking)}, which {subject.name} does not have")
        made = cls(made, **given)
    adapter: Adapter = made
    return adapter


def open_stream(name: str, subject: Subject, *, batch: int = 64, seed: int = 0, samples: int | None = None) -> Stream:
    """Return a stream over the subject's domains; `samples` cuts each domain.

    Raises:
        UnknownName: no stream of this name.
        BadInput: the subject's domains do not move in small steps.
    """
    if name not in STREAMS:
        raise UnknownName(f"no stream is called {name!r}. There are: {', '.join(STREAMS)}.")
    if name in _MOVING and name not in subject.moving:
        raise BadInput(
            f"{subject.name} has no {name} stream: give domains in the order in which the shift moves, "
            "and take continual"
        )
    settings = {"batch": batch, **STREAMS[name][0]}
    found = subject.moving[name]() if name in _MOVING else subject.domains
    domains = [dataclasses.replace(d, x=d.x[:samples], y=d.y[:samples]) if samples is not None else d for d in found]
    return make_stream(domains, seed=derive_seed(seed, "adapt bench", name), **settings)


def compare_adapters(
    subject: Subject,
    methods: Sequence[Worn],
    streams: Sequence[str],
    *,
    batch: int = 64,
    samples: int | None = None,
    seeds: Sequence[int] = (0,),
    reset: str = "never",
    progress: Callable[[str, str], None] | None = None,
) -> Comparison:
    """Run every method on every stream.

    Args:
        subject: model and data.
        methods: adapters; "source" is what gains are measured against.
        streams: names in `STREAMS`.
        batch: samples a batch, but for the stream of single ones.
        samples: of each domain; None for all.
        seeds: of the streams' orders, one run for each.
        reset: "never" or at each new "domain".
        progress: called with a method and a stream before each run.

    Raises:
        UnknownName: no stream of this name.
        ConfigError: no method, no stream, no seed, or a reset that is none.
    """
    if not methods or not streams or not seeds or reset not in ("never", "domain"):
        raise ConfigError("needs a method, a stream, a seed, and a reset of never or domain")
    if samples is not None and samples < 1:
        raise ConfigError(f"samples must be at least 1, got {samples!r}")
    orders = {
        name: [open_stream(name, subject, batch=batch, seed=s, samples=samples) for s in seeds] for name in streams
    }
    rows: list[Row] = []
    for name in streams:
        found: dict[str, Row] = {}
        for worn in methods:
            if progress is not None:
                progress(worn.name, name)
            found[worn.name] = _run(worn, subject, name, orders[name], seeds, reset)
        base = next((row for row in found.values() if row.method == "source" and row.runs), None)
        rows += [_judged(row, base) for row in found.values()]
    counted = sum(len(stream.order) for stream in next(iter(orders.values())))
    return Comparison(
        subject=subject.name,
        facts=subject.facts,
        rows=tuple(rows),
        samples=counted // len(seeds),
        seeds=tuple(seeds),
        batch=batch,
    )


def _run(worn: Worn, subject: Subject, name: str, orders: Sequence[Stream], seeds: Sequence[int], reset: Any) -> Row:
    runs = []
    for stream, seed in zip(orders, seeds, strict=True):
        try:
            adapter = build(worn, subject, seed=seed)
            runs.append(run_stream(adapter, stream, clean=subject.clean or None, reset=reset))
        except PonderError as err:  # a method that does not fit this model is a row that says so
            return Row(method=worn.name, stream=name, why_not=str(err))
    return Row(method=worn.name, stream=name, runs=tuple(runs))


def _judged(row: Row, base: Row | None) -> Row:
    """Add intervals. Samples of one stream are not independent, so these are too narrow rather than too wide."""
    if not row.runs:
        return row
    right = [good for run in row.runs for good in run.right]
    error = wilson(right.count(False), len(right))
    gain = None
    if base is not None and row is not base:
        theirs = [good for run in base.runs for good in run.right]
        won = sum(ours and not other for ours, other in zip(right, theirs, strict=True))
        lost = sum(other and not ours for ours, other in zip(right, theirs, strict=True))
        gain = paired_score_interval(won, lost, len(right))
    return dataclasses.replace(row, error=error, gain=gain)


def _configured(name: str, settings: Mapping[str, str]) -> dict[str, Any]:
    """Read settings as `registry.configure` does; those whose types hold a callable or module stay out of its way."""
    entry = registry.adapters.get(name)
    known = {f.name: f for f in dataclasses.fields(entry.cls) if f.init}
    values: dict[str, Any] = {}
    for key, text in settings.items():
        if key not in known or key == "model":
            plain = ", ".join(n for n in known if n != "model")
            raise ConfigError(f"adapter {name!r} has no setting {key!r}. Settings: {plain}.")
        values[key] = _value(text)
    return values


def _value(text: str) -> Any:
    if text.lower() in ("none", "true", "false"):
        return {"none": None, "true": True, "false": False}[text.lower()]
    for kind in (int, float):
        try:
            found = kind(text)
        except ValueError:
            continue
        return found if math.isfinite(found) else text
    return text


def _for(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is given for every adapter and for this one, by setting."""
    every = {key: value for key, value in given.items() if "." not in key}
    return every | {key.partition(".")[2]: value for key, value in given.items() if key.partition(".")[0] == name}


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
