"""One typed registry per kind of component, filled by decorators and by walking the package on first use.

Nothing is listed by hand: a file in the right room registers itself, and a file that fails to import fails loudly.
Other packages add components through the entry-point group `ponder.components` (a module to import).
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import importlib.metadata
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Generic, Literal, TypeVar

from ponder.core.access import Access
from ponder.core.errors import ConfigError, MissingExtra, UnknownName

__all__ = [
    "Entry",
    "Fidelity",
    "Registry",
    "adapters",
    "answer_types",
    "configure",
    "defaults",
    "laws",
    "metrics",
    "models",
    "need",
    "parameters",
    "registries",
    "strategies",
    "tasks",
    "verifiers",
]

T = TypeVar("T", bound=type)
Fidelity = Literal["paper", "code", "reconstructed", "ours"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What the catalogue knows of a component.

    Attributes:
        kind: registry it belongs to.
        name: unique within the kind.
        cls: the component; methods and verifiers are frozen dataclasses of their settings.
        card: number of the method card, or several.
        paper: identifier of the source, e.g. "arXiv:2203.11171".
        fidelity: "paper", "code", "reconstructed" (from abstracts or notes), or "ours" (no paper).
        access: what it needs from the model.
        needs: other things it needs: "verifier", an extra's name; a method may narrow it by its settings (`needs()`).
        tags: taxonomy (what, how, where, how well).
        oracle: uses gold; shown apart from real accuracy.
        since: version of arrival.
    """

    kind: str
    name: str
    cls: type
    card: tuple[int, ...] = ()
    paper: str = ""
    fidelity: Fidelity = "ours"
    access: frozenset[Access] = frozenset({Access.TEXT})
    needs: tuple[str, ...] = ()
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    oracle: bool = False
    since: str = "next"

    @property
    def header(self) -> str:
        """The module's docstring: the documentation of the component."""
        return (importlib.import_module(self.cls.__module__).__doc__ or "").strip()

    @property
    def summary(self) -> str:
        """The first sentence of the header."""
        return " ".join(self.header.split("\n\n")[0].split())

    def make(self, **settings: Any) -> Any:
        """Build the component; a wrong setting is a `ConfigError` that names near matches.

        Raises:
            ConfigError: unknown setting or a value the component refuses.
        """
        if dataclasses.is_dataclass(self.cls):
            known = [f.name for f in dataclasses.fields(self.cls) if f.init]
            for name in settings:
                if name not in known:
                    hint = _near(name, known) or f" Settings: {', '.join(known) or 'none'}."
                    raise ConfigError(f"{self.kind} {self.name!r} has no setting {name!r}.{hint}")
        try:
            return self.cls(**settings)
        except TypeError as err:
            raise ConfigError(f"{self.kind} {self.name!r}: {err}") from err


class Registry(Generic[T]):
    """Components of one kind by name."""

    def __init__(self, kind: str, *rooms: str, tags: Mapping[str, tuple[str, ...]] | None = None) -> None:
        self.kind = kind
        self._rooms = rooms
        self._tags = dict(tags or {})  # of every component of the kind, axis by axis, unless it says otherwise
        self._entries: dict[str, Entry] = {}
        self._loaded = False

    def __call__(
        self,
        name: str,
        *,
        card: int | tuple[int, ...] = (),
        paper: str = "",
        fidelity: Fidelity = "ours",
        access: tuple[Access, ...] = (Access.TEXT,),
        needs: tuple[str, ...] = (),
        tags: Mapping[str, tuple[str, ...]] | None = None,
        oracle: bool = False,
        since: str = "next",
    ) -> Callable[[T], T]:
        """Decorate a class to register it.

        Raises:
            ConfigError: the name is taken by another class.
        """

        def add(cls: T) -> T:
            taken = self._entries.get(name)
            if taken is not None and (taken.cls.__module__, taken.cls.__qualname__) != (
                cls.__module__,
                cls.__qualname__,
            ):
                raise ConfigError(f"{self.kind} {name!r} is registered twice: {taken.cls!r} and {cls!r}")
            self._entries[name] = Entry(
                kind=self.kind,
                name=name,
                cls=cls,
                card=(card,) if isinstance(card, int) else card,
                paper=paper,
                fidelity=fidelity,
                access=frozenset(access),
                needs=needs,
                tags={**self._tags, **(tags or {})},
                oracle=oracle,
                since=since,
            )
            return cls

        return add

    def load(self) -> None:
        """Import every public module of the rooms (a room may be a single module), then other packages' components."""
        if self._loaded:
            return
        for room in self._rooms:
            try:
                package = importlib.import_module(room)
            except ModuleNotFoundError as err:
                if err.name != room:
                    raise
                continue  # a room that has nothing in it yet
            for info in pkgutil.walk_packages(getattr(package, "__path__", ()), f"{room}."):
                if not info.name.rpartition(".")[2].startswith("_"):
                    importlib.import_module(info.name)
        for point in importlib.metadata.entry_points(group="ponder.components"):
            point.load()
        self._loaded = True

    def names(self) -> list[str]:
        """Return all names, sorted."""
        self.load()
        return sorted(self._entries)

    def entries(self) -> list[Entry]:
        """Return all entries, sorted by name."""
        return [self._entries[name] for name in self.names()]

    def get(self, name: str) -> Entry:
        """Return the entry called `name`.

        Raises:
            UnknownName: there is none; the message lists near matches.
        """
        if name not in self._entries:
            self.load()
        if name not in self._entries:
            hint = _near(name, self.names()) or f" There are: {', '.join(self.names())}."
            raise UnknownName(f"no {self.kind} is called {name!r}.{hint}")
        return self._entries[name]

    def entry_of(self, component: object) -> Entry | None:
        """Return the entry whose class `component` is an instance of, if it is registered."""
        self.load()
        return next((entry for entry in self._entries.values() if entry.cls is type(component)), None)


def _inside(how: str, where: str) -> dict[str, tuple[str, ...]]:
    """Return the tags of components that work inside methods."""
    return {"what": ("component",), "how": (how,), "where": (where,), "how_well": ("accuracy",)}


strategies: Registry[type] = Registry("method", "ponder.strategies", "ponder.planning.auto")
verifiers: Registry[type] = Registry("verifier", "ponder.verifiers", tags=_inside("verification", "reasoning"))
answer_types: Registry[type] = Registry(
    "answer type", "ponder.verifiers.answers", tags=_inside("verification", "evaluation")
)
models: Registry[type] = Registry("model", "ponder.models", tags=_inside("generation", "general"))
tasks: Registry[type] = Registry("task family", "ponder.tasks", tags=_inside("tasks", "evaluation"))
laws: Registry[type] = Registry(
    "law",
    "ponder.planning.laws",
    tags={**_inside("law", "evaluation"), "what": ("study",), "how_well": ("scalability",)},
)
metrics: Registry[type] = Registry(
    "metric", "ponder.bench.metrics", tags={**_inside("metric", "evaluation"), "what": ("study",)}
)
adapters: Registry[type] = Registry("adapter", "ponder.adapt")


def registries() -> dict[str, Registry[type]]:
    """Return every registry by kind."""
    return {r.kind: r for r in (strategies, verifiers, answer_types, models, tasks, laws, metrics, adapters)}


def parameters(component: object) -> dict[str, Any]:
    """Return a component's settings as plain values (the inverse of `Entry.make`)."""
    if not dataclasses.is_dataclass(component) or isinstance(component, type):
        return {}
    return {f.name: getattr(component, f.name) for f in dataclasses.fields(component) if f.init}


def defaults(entry: Entry) -> dict[str, Any]:
    """Return the settings of a component that have a default, with it."""
    if not dataclasses.is_dataclass(entry.cls):
        return {}
    fields = [f for f in dataclasses.fields(entry.cls) if f.init]
    plain = {f.name: f.default for f in fields if f.default is not dataclasses.MISSING}
    made = {f.name: f.default_factory() for f in fields if f.default_factory is not dataclasses.MISSING}
    return plain | made


def configure(entry: Entry, settings: Mapping[str, str]) -> dict[str, Any]:
    """Turn settings given as text (from a command line) into values of the declared types.

    Raises:
        ConfigError: unknown setting, or a text that is no value of its type.
    """
    import typing

    hints = typing.get_type_hints(entry.cls)
    known = [f.name for f in dataclasses.fields(entry.cls) if f.init]
    values: dict[str, Any] = {}
    for name, text in settings.items():
        if name not in known:
            hint = _near(name, known) or f" Settings: {', '.join(known) or 'none'}."
            raise ConfigError(f"{entry.kind} {entry.name!r} has no setting {name!r}.{hint}")
        values[name] = _parse(text, hints[name], f"{entry.name}.{name}")
    return values


def _parse(text: str, hint: Any, where: str) -> Any:
    import typing

    options = typing.get_args(hint) if typing.get_origin(hint) is not None else (hint,)
    if typing.get_origin(hint) is Literal:
        if text in options:
            return text
        raise ConfigError(f"{where} must be one of {', '.join(map(str, options))}, got {text!r}")
    if type(None) in options and text.lower() in ("none", ""):
        return None
    for kind in options:
        if kind is bool and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if kind in (int, float):
            try:
                return kind(text)
            except ValueError:
                continue
        if kind is str:
            return text
    raise ConfigError(f"{where}: cannot read {text!r} as {hint}")


def need(module: str, *, extra: str, feature: str) -> ModuleType:
    """Import an optional dependency or say how to install it.

    Raises:
        MissingExtra: it is not installed. A package that is installed but broken raises its own error.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as err:
        if err.name != module.partition(".")[0]:
            raise
        raise MissingExtra(f"{feature} needs {module!r}: pip install 'ponder[{extra}]'") from err


def _near(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
