"""The settings file: one TOML file, checked as a whole before the gateway starts.

    default_method = "auto"

    [upstreams.local]
    spec = "openai:http://127.0.0.1:8000/v1#Qwen/Qwen3-8B"
    serves = "qwen"

    [roles]
    judge = "local"

    [prices.qwen]                # USD per million tokens
    prompt = 0.2
    completion = 0.6

    [keys.alice]                 # the line that `ponder keys alice` prints
    hash = "sha256:..."
    limits = { usd_per_day = 5, tokens_per_month = 20_000_000 }

    [request.budget]
    calls = 16

    [counters]
    url = "counters.sqlite"

Source: our own. Tables and keys are the fields of `settings.py`; relative paths count from the file's folder. Errors
are `file:line: what`, with near matches for names that are not known. Reading has no effect but the reading, so a file
can be read again (SIGHUP) and thrown away if it is wrong.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from ponder.core import registry
from ponder.core.errors import BadInput, ConfigError
from ponder.gateway.keys import HASH
from ponder.gateway.settings import Key, Price, Settings, Upstream

__all__ = ["PASS_THROUGH", "load_settings"]

# The method of the gateway itself: one call, handed through.
PASS_THROUGH = "single"
_Path = tuple[str, ...]
_TABLES: dict[str, type] = {"upstreams": Upstream, "prices": Price, "keys": Key}
_SECRET = re.compile(r"(^|_)(key|secret|password|passwd|token|bearer)$", re.IGNORECASE)


def load_settings(path: str | Path) -> Settings:
    """Read and check a settings file.

    Raises:
        BadInput: it cannot be read, is no TOML, or holds something that cannot work; the message is `file:line: what`.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode()
    except OSError as err:
        raise BadInput(f"{path} cannot be read: {err.strerror}") from err
    except UnicodeDecodeError as err:
        raise BadInput(f"{path} is not UTF-8 (byte {err.start})") from err
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        where = re.search(r"\(at line (\d+), column \d+\)", str(err))
        line = int(where[1]) if where else max(1, text.count("\n") + (not text.endswith("\n")))
        raise BadInput(f"{path}:{line}: {str(err).partition(' (at ')[0]}") from err
    source = _Source(path, text)
    values = {
        name: _named(source, (name,), data[name], _TABLES[name]) if name in _TABLES else None
        for name in data
        if name in _TABLES
    }
    owners: dict[str, str] = {}
    for key in (values.get("keys") or {}).values():
        if (other := owners.setdefault(key.hash, key.name)) != key.name:
            raise source.error(
                ("keys", key.name, "hash"), f"this is the hash of {other!r}; each client needs its own key"
            )
    plain = {name: value for name, value in data.items() if name not in _TABLES}
    settings = _build(
        source,
        (),
        plain,
        Settings,
        {
            **({"upstreams": tuple((values["upstreams"] or {}).values())} if "upstreams" in values else {}),
            **({"keys": tuple((values["keys"] or {}).values())} if "keys" in values else {}),
            **({"prices": values["prices"] or {}} if "prices" in values else {}),
        },
    )
    _check_names(source, settings)
    return _from_folder(settings, path.parent)


class _Source:
    """The text of a file that is known to be TOML, to find the line of a key."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self._at = _places(text.splitlines())

    def error(self, at: _Path, message: str) -> BadInput:
        """Return the error for the key at this path (for the table around it where the key has no line)."""
        while at and at not in self._at:
            at = at[:-1]
        return BadInput(f"{self.path}:{self._at.get(at, 1)}: {message}")


def _places(lines: list[str]) -> dict[_Path, int]:
    """Return the line, from 1, of each table and key; of an inline table only that of the table."""
    found: dict[_Path, int] = {}
    table: _Path = ()
    place = 0
    while place < len(lines):
        start, line = place, lines[place].strip()
        place += 1
        if not line or line.startswith("#"):
            continue
        statement = line
        while (data := _parsed(statement)) is None and place < len(lines):  # a text or list that goes on
            statement += "\n" + lines[place]
            place += 1
        keys = _deepest(data or {}, stop=not line.startswith("["))
        if line.startswith("["):
            table, keys = keys, ()
        for length in range(1, len(table + keys) + 1):
            found.setdefault((table + keys)[:length], start + 1)
        found[table + keys] = start + 1
    return found


def _parsed(statement: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(statement)
    except tomllib.TOMLDecodeError:
        return None


def _deepest(data: Mapping[str, Any], *, stop: bool) -> _Path:
    """Return the path of the one key in `data`; of `a.b = {...}` it is (a, b) or deeper, which does no harm."""
    path: _Path = ()
    value: Any = data
    while isinstance(value, dict) and (len(value) == 1 or (not stop and value)):
        key = next(iter(value))
        path, value = (*path, key), value[key]
        if isinstance(value, list) and value and isinstance(value[0], dict):
            value = value[0]
    return path


def _named(source: _Source, at: _Path, tables: Any, cls: type) -> dict[str, Any]:
    """Build one `cls` of each table below `at`; its name is the table's."""
    if not isinstance(tables, dict):
        raise source.error(at, f"{at[0]} is written as tables [{at[0]}.NAME]")
    names = {field.name for field in dataclasses.fields(cls)}
    built = {}
    for name, table in tables.items():
        if not isinstance(table, dict):
            near = _near(name, names)
            raise source.error((*at, name), f"{at[0]} is written as tables [{at[0]}.NAME]; {name!r} is a value.{near}")
        built[name] = _build(source, (*at, name), table, cls, {"name": name} if "name" in names else {})
    return built


def _build(source: _Source, at: _Path, table: Mapping[str, Any], cls: type, given: Mapping[str, Any]) -> Any:
    """Build a dataclass from a table; `given` are fields that the table does not spell."""
    hints = typing.get_type_hints(cls)
    known = {field.name: field for field in dataclasses.fields(cls) if field.init and field.name not in given}
    values = dict(given)
    for name, value in table.items():
        here = (*at, name)
        if name not in known:
            if cls in (Key, Upstream) and _SECRET.search(name):
                way = "the line that `ponder keys` prints" if cls is Key else "api_key_env, the name of a variable"
                raise source.error(here, f"{name!r} in clear text is not read; write {way}")
            where = f"in [{'.'.join(at)}]" if at else "here"
            shown = [*known, *(_TABLES if cls is Settings else ())]
            raise source.error(here, f"{name!r} is not known {where}.{_near(name, shown)}")
        values[name] = _value(source, here, value, hints[name])
    missing = [name for name, field in known.items() if name not in values and _required(field)]
    if missing:
        raise source.error(at, f"[{'.'.join(at)}] needs {' and '.join(missing)}")
    if cls is Key and not HASH.fullmatch(values["hash"]):
        raise source.error((*at, "hash"), "hash must be 'sha256:' and 64 hexadecimal digits; `ponder keys` prints one")
    try:
        return cls(**values)
    except ConfigError as err:
        named = next((name for name in table if re.search(rf"\b{re.escape(name)}\b", str(err))), None)
        if cls is Settings and "host" in str(err):
            raise source.error(("server", "host"), str(err)) from err
        raise source.error(at if named is None else (*at, named), str(err)) from err


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _value(source: _Source, at: _Path, value: Any, hint: Any) -> Any:
    """Return `value` as the type that a field declares."""
    name, origin = at[-1], typing.get_origin(hint)
    options = typing.get_args(hint) if origin in (typing.Union, types.UnionType) else (hint,)
    for option in options:
        if dataclasses.is_dataclass(option) and isinstance(option, type) and isinstance(value, dict):
            return _build(source, at, value, option, {})
        kind = typing.get_origin(option)
        if kind is Literal:
            choices = typing.get_args(option)
            if value in choices:
                return value
            raise source.error(at, f"{name} must be {' or '.join(map(repr, choices))}.{_near(str(value), choices)}")
        if kind is tuple and isinstance(value, list) and all(isinstance(one, str) for one in value):
            return tuple(value)
        if kind is not None and issubclass(kind, Mapping) and isinstance(value, dict):
            of = typing.get_args(option)[1]
            return {key: _value(source, (*at, key), one, of) for key, one in value.items()}
        if option is float and type(value) is int:
            return float(value)
        if type(value) is option:
            return value
    wanted = " or ".join(dict.fromkeys(_spelled(option) for option in options if option is not type(None)))
    raise source.error(at, f"{name} must be {wanted}, not {_spelled(type(value))}")


def _spelled(kind: Any) -> str:
    words = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", list: "a list"}
    if typing.get_origin(kind) is tuple:
        return "a list of texts"
    return words.get(kind, "a table" if kind is dict or dataclasses.is_dataclass(kind) else "a table of names")


def _check_names(source: _Source, settings: Settings) -> None:
    """Refuse names that refer to nothing."""
    if not settings.upstreams:
        raise source.error((), 'there is no upstream; write a table [upstreams.NAME] with spec = "BACKEND:NAME"')
    upstreams = [upstream.name for upstream in settings.upstreams]
    methods = [*registry.strategies.names(), PASS_THROUGH]
    for upstream in settings.upstreams:
        backend, colon, rest = upstream.spec.partition(":")
        if not (rest if colon else backend):
            raise source.error(("upstreams", upstream.name, "spec"), "spec is written BACKEND:NAME")
        if colon and backend not in registry.models.names():
            message = f"no back-end is called {backend!r}.{_near(backend, registry.models.names())}"
            raise source.error(("upstreams", upstream.name, "spec"), message)
    for role, name in settings.roles.items():
        if name not in upstreams:
            raise source.error(("roles", role), f"no upstream is called {name!r}.{_near(name, upstreams)}")
    for model in settings.prices:
        if model not in settings.models:
            raise source.error(("prices", model), f"no upstream serves {model!r}.{_near(model, settings.models)}")
    if settings.default_method not in methods:
        message = f"no method is called {settings.default_method!r}.{_near(settings.default_method, methods)}"
        raise source.error(("default_method",), message)
    for key in settings.keys:
        for kind, wanted, known in (("method", key.methods, methods), ("model", key.models, settings.models)):
            for name in wanted or ():
                if name not in known:
                    message = f"no {kind} is called {name!r}.{_near(name, known)}"
                    raise source.error(("keys", key.name, f"{kind}s"), message)
    _check_money(source, settings)


def _check_money(source: _Source, settings: Settings) -> None:
    """Refuse limits in USD where a model's price is not known: they could not be kept."""
    limited: list[_Path] = [("limits", name) for name in _money(settings.limits)]
    limited += [("keys", key.name, "limits", name) for key in settings.keys for name in _money(key.limits)]
    if settings.request.budget.usd is not None:
        limited.append(("request", "budget", "usd"))
    without = [model for model in settings.models if model not in settings.prices]
    if limited and without:
        raise source.error(
            limited[0], f"{limited[0][-1]} needs prices: write [prices.{without[0]}] with prompt and completion"
        )


def _money(limits: Any) -> list[str]:
    return [name for name in ("usd_per_day", "usd_per_month") if getattr(limits, name) is not None]


def _from_folder(settings: Settings, folder: Path) -> Settings:
    """Return the settings with relative paths counted from `folder`."""

    def placed(name: str | None) -> str | None:
        return None if name is None or name == ":memory:" or "://" in name else str(folder / Path(name).expanduser())

    return dataclasses.replace(
        settings,
        policy=placed(settings.policy),
        server=dataclasses.replace(settings.server, benches=placed(settings.server.benches)),
        traces=dataclasses.replace(settings.traces, file=placed(settings.traces.file)),
        store=dataclasses.replace(settings.store, file=placed(settings.store.file) or settings.store.file),
        contexts=dataclasses.replace(settings.contexts, folder=placed(settings.contexts.folder)),
        counters=dataclasses.replace(settings.counters, url=placed(settings.counters.url) or settings.counters.url),
    )


def _near(name: str, known: Iterable[str]) -> str:
    names = list(dict.fromkeys(known))
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else f" There are: {', '.join(names) or 'none'}."
