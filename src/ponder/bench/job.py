"""What a bench job runs: problems x methods with grids of settings x budgets x seeds x models, as one plain value.

A job is read from the command line or from a TOML file, is kept in its run folder, and may grow there: cells can be
added, and nothing that was measured may change under the rows that are there.
Source: our own (DESIGN §6). Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from ponder.bench.curve import Point
from ponder.core import registry
from ponder.core.budget import Budget
from ponder.core.context import check_verifier
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Sampling
from ponder.tasks.loaders.load import FORMATS, load_problems
from ponder.tasks.problem import Problem

__all__ = ["Grid", "Job", "Named", "Unit", "read_job"]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A method with the values of its settings; every combination is run.

    Attributes:
        method: registered name.
        settings: values of each setting; those that are not named keep their default.
        verifier: registered name, or "".
        judging: settings of the verifier.
    """

    method: str
    settings: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    verifier: str = ""
    judging: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        entry = registry.strategies.get(self.method)
        for name, values in self.settings.items():
            if not values:
                raise ConfigError(f"{self.method}: the grid has no value for {name!r}")
        for made in self._combinations():
            check_verifier(entry, entry.make(**made), self.verifier or None)
        if self.verifier:
            registry.verifiers.get(self.verifier).make(**self.judging)
        elif self.judging:
            raise ConfigError(f"{self.method}: settings of a verifier, and no verifier")

    def points(self, budget: str, model: str) -> Iterator[Point]:
        """Yield a point for each combination; the curve is named after all that is chosen, n apart."""
        entry = registry.strategies.get(self.method)
        by = f" by {self.verifier}" if self.verifier else ""
        within = f" within {budget}" if budget else ""
        for chosen in self._combinations():
            told = "".join(f" {name}={value}" for name, value in chosen.items() if name != "n")
            known = registry.parameters(entry.make(**chosen))
            yield Point(
                curve=f"{self.method}{told}{by}@{model}{within}",
                method=self.method,
                # The default n is written out: it is the place on the curve.
                settings={**chosen, "n": known["n"]} if "n" in known else chosen,
                verifier=self.verifier or None,
                judging=self.judging,
                budget=budget,
            )

    def _combinations(self) -> Iterator[dict[str, Any]]:
        for values in itertools.product(*self.settings.values()):
            yield dict(zip(self.settings, values, strict=True))


@dataclass(frozen=True)
class Named:
    """A problem with the family that its rows name."""

    family: str
    problem: Problem


@dataclass(frozen=True, kw_only=True)
class Unit:
    """All that one model runs on one problem under one seed: what is scheduled, and retried, as a whole.

    Attributes:
        model: spelling of the policy.
        seed: of the samples.
        named: the problem.
        points: what is run, and the
        keys: of these runs.
    """

    model: str
    seed: int
    named: Named
    points: tuple[Point, ...]
    keys: tuple[str, ...]

    def without(self, done: Collection[str]) -> Unit:
        """Return what is left of it."""
        left = [(point, key) for point, key in zip(self.points, self.keys, strict=True) if key not in done]
        return Unit(
            model=self.model,
            seed=self.seed,
            named=self.named,
            points=tuple(point for point, _ in left),
            keys=tuple(key for _, key in left),
        )


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be run.

    Attributes:
        models: spellings of the policies, as `ponder.load` takes them.
        methods: what each of them runs.
        tasks: where the problems come from, as `load_problems` takes it; settings follow as "?level=2&...".
        count: problems of each task, >= 1.
        task_seed: of the problems that are drawn.
        budgets: hard limits in their text form; "" is none.
        seeds: of the samples; each is a run of its own.
        sampling: the law of the samples.
        roles: spellings of further models by role ("judge", ...).
        keep_text: whether whole answers go to candidates.jsonl.
    """

    models: tuple[str, ...]
    methods: tuple[Grid, ...]
    tasks: tuple[str, ...]
    count: int = 24
    task_seed: int = 0
    budgets: tuple[str, ...] = ("",)
    seeds: tuple[int, ...] = (0,)
    sampling: Sampling = field(default_factory=Sampling)
    roles: Mapping[str, str] = field(default_factory=dict)
    keep_text: bool = False

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ConfigError(f"count must be at least 1, got {self.count!r}")
        for name in ("models", "methods", "tasks", "budgets", "seeds"):
            values = getattr(self, name)
            if not values:
                raise ConfigError(f"the job has no {name}")
            if name != "methods" and len(set(values)) < len(values):
                raise ConfigError(f"the job names one of its {name} twice: {', '.join(map(str, values))}")
        for budget in self.budgets:
            Budget.parse(budget)
        if "policy" in self.roles:
            raise ConfigError("the policy is one of the job's models, not a further role")
        points = self.points(self.models[0])
        if len({_digest(point.identity()) for point in points}) < len(points):
            raise ConfigError("two cells of the job are the same: a method is named twice with the same settings")

    def problems(self) -> list[Named]:
        """Draw or read the problems; one that two tasks hold is taken once.

        Raises:
            BadInput: a file that cannot be used.
            ConfigError: a task that makes no sense, or two problems under one name.
        """
        found: dict[tuple[str, str], Problem] = {}
        for task in self.tasks:
            source, _, query = task.partition("?")
            settings: dict[str, Any] = dict(parse_qsl(query, keep_blank_values=True))
            if source in registry.tasks.names():
                settings = registry.configure(registry.tasks.get(source), settings)
            family = _family(task)
            for problem in load_problems(source, count=self.count, seed=self.task_seed, **settings):
                place = family, problem.task.id
                if found.setdefault(place, problem) != problem:
                    raise ConfigError(f"two problems of {family!r} have the id {problem.task.id!r}")
        return [Named(family, problem) for (family, _), problem in found.items()]

    def points(self, model: str) -> list[Point]:
        """Return what one model runs on a problem under one seed."""
        return [point for budget in self.budgets for grid in self.methods for point in grid.points(budget, model)]

    def units(self, problems: Sequence[Named], model: str, done: Collection[str] = ()) -> Iterator[Unit]:
        """Yield what one model has to run, problem by problem, without the runs whose keys are in `done`."""
        points = self.points(model)
        law = [model, dict(self.roles), asdict(self.sampling)]
        stems = {
            seed: [hashlib.sha256(_text([*law, seed, point.identity()]).encode()) for point in points]
            for seed in self.seeds
        }
        for named in problems:
            place = _text([named.family, named.problem.task.id]).encode()
            for seed in self.seeds:
                keys = []
                for stem in stems[seed]:
                    key = stem.copy()  # the long part is hashed once, so that a large job is planned in no time
                    key.update(place)
                    keys.append(key.hexdigest()[:20])
                left = [at for at, key in enumerate(keys) if key not in done]
                if left:
                    yield Unit(
                        model=model,
                        seed=seed,
                        named=named,
                        points=tuple(points[at] for at in left),
                        keys=tuple(keys[at] for at in left),
                    )

    def size(self, problems: int) -> int:
        """Return the number of runs on so many problems."""
        return problems * len(self.seeds) * len(self.models) * len(self.points(self.models[0]))

    def differences(self, before: Job) -> list[str]:
        """Return what of an earlier job this one changes or leaves out; nothing where it only adds cells."""
        found = []
        for name in ("task_seed", "sampling", "roles", "keep_text"):
            old, new = getattr(before, name), getattr(self, name)
            if old != new:
                found += _changes(name, old, new)
        for name in ("models", "tasks", "budgets", "seeds"):
            gone = [str(value) or "no budget" for value in getattr(before, name) if value not in getattr(self, name)]
            if gone:
                found.append(f"{name}: {', '.join(gone)} left out")
        if self.count < before.count:
            found.append(f"count: {before.count} -> {self.count}")
        mine = {_digest(point.identity()) for grid in self.methods for point in grid.points("", "")}
        gone = [
            " ".join([point.curve.rstrip("@"), *([f"n={point.n}"] if "n" in point.settings else [])])
            for grid in before.methods
            for point in grid.points("", "")
            if _digest(point.identity()) not in mine
        ]
        return [*found, *([f"methods: {', '.join(gone)} left out"] if gone else [])]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object, which `from_json` reads."""
        body = {item.name: getattr(self, item.name) for item in fields(self)}
        body["sampling"] = asdict(self.sampling)
        body["methods"] = [asdict(grid) for grid in self.methods]
        return body

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Job:
        """Rebuild a job from `to_json`, or from a file that somebody wrote.

        Raises:
            ConfigError: unknown keys, values of the wrong kind, or settings without sense.
        """
        values = dict(data)
        _refuse_unknown(values, cls, "the job")
        for name in ("models", "tasks", "budgets", "seeds"):
            if name in values:
                values[name] = _tuple(values[name])
        if "sampling" in values:
            _refuse_unknown(values["sampling"], Sampling, "sampling")
            law = dict(values["sampling"])
            values["sampling"] = Sampling(**{**law, "stop": tuple(law.get("stop", ()))})
        grids = []
        for given in values.get("methods", ()):
            _refuse_unknown({} if isinstance(given, str) else given, Grid, "a method")
            grid: dict[str, Any] = {"method": given} if isinstance(given, str) else dict(given)
            grid["settings"] = {name: _tuple(value) for name, value in grid.get("settings", {}).items()}
            grids.append(Grid(**grid))
        values["methods"] = tuple(grids)
        try:
            return cls(**values)
        except TypeError as err:
            raise ConfigError(f"the job is not complete: {err}") from err


def read_job(file: Path | str) -> Job:
    """Read a job from a TOML file whose keys are the fields of `Job` and `Grid`.

        models = ["llamacpp:smollm2"]
        tasks = ["multiplication_stories"]
        [sampling]
        max_tokens = 40
        [[methods]]
        method = "self_consistency"
        settings = {n = [1, 2, 4, 8], early_stop = "none"}

    Raises:
        BadInput: the file cannot be read.
        ConfigError: it is no job; the message names the file.
    """
    try:
        data = tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as err:
        raise BadInput(f"cannot read the job {str(file)!r}: {err}") from err
    try:
        return Job.from_json(data)
    except ConfigError as err:
        raise ConfigError(f"{file}: {err}") from err


def _family(task: str) -> str:
    """Return the name of a task in rows: a family with its settings, a format, or the name of a file."""
    head, colon, rest = task.partition(":")
    if colon and head in FORMATS:
        return head
    if task.startswith("hub:"):
        return rest
    source, mark, query = task.partition("?")
    return task if source in registry.tasks.names() else f"{Path(source).stem}{mark}{query}"


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _refuse_unknown(given: Any, cls: type[Any], what: str) -> None:
    if not isinstance(given, Mapping):
        raise ConfigError(f"{what} must be a table of settings, got {given!r}")
    known = [item.name for item in fields(cls)]
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ConfigError(f"{what} has no {', '.join(map(repr, unknown))}; there are: {', '.join(known)}")


def _changes(name: str, old: Any, new: Any) -> list[str]:
    if isinstance(old, Sampling):
        old, new = asdict(old), asdict(new)
    if isinstance(old, Mapping):
        names = [key for key in {**old, **new} if old.get(key) != new.get(key)]
        return [f"{name}.{key}: {old.get(key)!r} -> {new.get(key)!r}" for key in names]
    return [f"{name}: {old!r} -> {new!r}"]


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _digest(value: Any) -> str:
    return hashlib.sha256(_text(value).encode()).hexdigest()
