"""Compare adapters on streams: errors with intervals, forgetting, calibration, cost, curves over time.

Source: protocols and metrics of card 00; each method sees the same samples in the same order, predicted once.
Differs: nothing is tuned on the stream; settings are the methods' defaults unless given.
Cost: methods x streams x seeds runs of the model over the samples. Needs: the extra `torch`.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ponder.bench.adapt_arrays import check_fit
from ponder.bench.adapt_rows import Comparison, Row, judged
from ponder.bench.adapt_subjects import Subject
from ponder.core import registry
from ponder.core.errors import BadInput, ConfigError, PonderError, UnknownName
from ponder.core.seeds import derive_seed
from ponder.engines.online import Adapter
from ponder.engines.online_plugin import Plugin
from ponder.engines.online_run import run_stream
from ponder.tasks.streams import Batch, Stream, make_stream

__all__ = ["STREAMS", "Worn", "build", "check_streams", "compare_adapters", "open_stream", "read_method"]

# name -> settings of `make_stream`, and what it is in words
STREAMS: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "recorded": ({}, "every sample in the order in which it was given"),
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
    check_streams([name])
    if name in _MOVING and name not in subject.moving:
        raise BadInput(
            f"{subject.name} has no {name} stream: give domains in the order in which the shift moves, "
            "and take continual"
        )
    settings = {"batch": batch, **STREAMS[name][0]}
    found = subject.moving[name]() if name in _MOVING else subject.domains
    if name == "recorded":
        rows = [(at, row) for at, domain in enumerate(found) for row in range(len(domain.y))]
        order = tuple(place for place in subject.recorded or rows if samples is None or place[1] < samples)
        return Stream(name=STREAMS[name][1], domains=tuple(found), order=order, batch=batch)
    domains = [dataclasses.replace(d, x=d.x[:samples], y=d.y[:samples]) if samples is not None else d for d in found]
    return make_stream(domains, seed=derive_seed(seed, "adapt bench", name), **settings)


def check_streams(names: Sequence[str]) -> None:
    """Look whether all streams are known.

    Raises:
        UnknownName: no stream of this name.
    """
    for name in names:
        if name not in STREAMS:
            close = difflib.get_close_matches(name, STREAMS, n=1, cutoff=0.5)
            near = f" Did you mean {close[0]!r}?" if close else ""
            raise UnknownName(f"no stream is called {name!r}.{near} There are: {', '.join(STREAMS)}.")


def compare_adapters(
    subject: Subject,
    methods: Sequence[Worn],
    streams: Sequence[str],
    *,
    batch: int = 64,
    samples: int | None = None,
    seeds: Sequence[int] = (0,),
    reset: str = "never",
    device: Any = "cpu",
    progress: Callable[[str, str], None] | None = None,
    seen: Callable[[Comparison], None] | None = None,
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
        device: where the model runs; data are moved there batch by batch.
        progress: called with a method and a stream before each run.
        seen: called after each run with what is there so far.

    Raises:
        UnknownName: no stream of this name.
        ConfigError: no method, no stream, no seed, or a reset that is none.
        BadInput: the model cannot take the data, or labels are none of its classes.
    """
    if not methods or not streams or not seeds or reset not in ("never", "domain"):
        raise ConfigError("needs a method, a stream, a seed, and a reset of never or domain")
    if samples is not None and samples < 1:
        raise ConfigError(f"samples must be at least 1, got {samples!r}")
    check_streams(streams)
    subject = subject.on(device)
    check_fit(subject.fresh().eval(), subject.domains, subject.clean, subject.source, device=device)
    methods = list({worn.name: worn for worn in methods}.values())
    streams = list(dict.fromkeys(streams))
    orders = {
        name: [open_stream(name, subject, batch=batch, seed=s, samples=samples) for s in seeds] for name in streams
    }
    found = Comparison(
        subject=subject.name,
        facts=subject.facts,
        rows=(),
        planned=len(methods) * len(streams),
        domains=tuple(dict.fromkeys(domain.name for domain in subject.domains)),
        samples={name: len(made[0].order) for name, made in orders.items()},
        seeds=tuple(seeds),
        batch=batch,
        reset=reset,
        device=str(device),
    )
    for name in streams:
        rows: list[Row] = []
        before = found.rows
        for worn in methods:
            if progress is not None:
                progress(worn.name, name)
            rows.append(_run(worn, subject, name, orders[name], seeds, reset, device))
            base = next((row for row in rows if row.method == "source" and row.runs), None)
            found = dataclasses.replace(found, rows=(*before, *(judged(row, base) for row in rows)))
            if seen is not None:
                seen(found)
    return found


def _run(
    worn: Worn, subject: Subject, name: str, orders: Sequence[Stream], seeds: Sequence[int], reset: Any, device: Any
) -> Row:
    runs, guards = [], []
    for stream, seed in zip(orders, seeds, strict=True):
        try:
            adapter = build(worn, subject, seed=seed)
            guard = next((part for part in _layers(adapter) if hasattr(part, "alarms")), None)
            log = None if guard is None else {"alarms": [], "abstained": 0, "batches": len(stream)}
            # What graphs hold is counted on the first batch, before the times are taken: first calls are slow.
            graph = run_stream(adapter, stream.cut(stream.batch), memory=True, device=device).graph_bytes
            adapter.reset()
            clean = subject.clean or None
            run = run_stream(adapter, _watched(stream, guard, log), clean=clean, reset=reset, device=device)
        except PonderError as err:  # a method that does not fit this model is a row that says so
            return Row(method=worn.name, stream=name, why_not=str(err))
        except Exception as err:  # and so is whatever a user's model raises on the way
            return Row(method=worn.name, stream=name, why_not=f"{type(err).__name__}: {' '.join(str(err).split())}")
        runs.append(dataclasses.replace(run, graph_bytes=graph))
        guards.append(log)
    return Row(method=worn.name, stream=name, runs=tuple(runs), guards=tuple(guards))


def _layers(adapter: Any) -> Iterator[Any]:
    """Yield an adapter and those that it wears."""
    while adapter is not None:
        yield adapter
        adapter = getattr(adapter, "host", None)


def _watched(stream: Stream, guard: Any, log: dict[str, Any] | None) -> Iterator[Batch]:
    """Yield the batches, and note after each what the guard did: a reset would make it forget."""
    for number, batch in enumerate(stream):
        yield batch
        if guard is not None and log is not None:
            log["abstained"] += bool(guard.evidence.get("abstained"))
            if reason := guard.evidence.get("alarm"):
                log["alarms"].append({"batch": number, "reason": reason, "back_to": guard.alarms[-1].back_to})


def _configured(name: str, settings: Mapping[str, str]) -> dict[str, Any]:
    """Read settings as `registry.configure` does; those whose types hold a callable or module stay out of its way."""
    entry = registry.adapters.get(name)
    known = {f.name: f for f in dataclasses.fields(entry.cls) if f.init and f.name != "model"}
    values: dict[str, Any] = {}
    for key, text in settings.items():
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
            near = f" Did you mean {close[0]!r}?" if close else ""
            raise ConfigError(f"adapter {name!r} has no setting {key!r}.{near} Settings: {', '.join(known)}.")
        values[key] = _value(text)
        wanted = str(known[key].type)
        if not _fits(values[key], wanted):
            raise ConfigError(f"{name}: cannot read {key}={text!r} as {wanted}")
    return values


def _fits(value: Any, wanted: str) -> bool:
    """Whether a value is of a plain type as it is written; types that hold more than plain ones are not judged."""
    if wanted.startswith("Literal[") and wanted.endswith("]"):
        return value in ast.literal_eval(f"({wanted[8:-1]},)")
    kinds = {kind.strip() for kind in wanted.split("|")}
    if not kinds <= {"int", "float", "bool", "str", "None"}:
        return True
    given = "None" if value is None else type(value).__name__
    return given in kinds or "str" in kinds or (given == "int" and "float" in kinds)


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
