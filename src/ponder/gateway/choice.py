"""Which method answers, on which model, with which verifier: from the model's name and the object `ponder`.

`model` is a public model name ("qwen"), a method on one ("best_of_n@qwen"), or a method alone where only one model is
served. The object `ponder` may say the same, and settings. What is not known or cannot work is refused with near
matches, or with the access that is missing, before anything is spent.

Settings that name files, devices, packages or the sandbox belong to whoever runs the gateway, never to a client.
Source: our own.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ponder.core import registry
from ponder.core.context import Method, Verifier, check_access, needs_of
from ponder.core.errors import AccessDenied, ConfigError, PonderError
from ponder.gateway import contexts
from ponder.gateway.errors import ApiError, near
from ponder.gateway.settings import Key, Settings
from ponder.gateway.single import Single
from ponder.gateway.upstreams import Line, Lines

__all__ = ["PASS_THROUGH", "Chooser", "Plan", "Usable", "closed", "converted", "is_alone"]

PASS_THROUGH = "single"
# Settings of methods and verifiers that a client may not set.
_OPERATOR = frozenset(
    {"policy", "checkpoint", "directory", "device", "dtype", "confinement", "packages", "memory", "retriever"}
)
# The same of one component, where the name means something harmless in another.
_OPERATOR_OF = {"sleep_time": frozenset({"keep"})}
# Settings that hold a file's name or what stands in it, as a JSON object: a client may give the object.
_OBJECT_OR_FILE = {"agent_graph": frozenset({"graph"})}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What will answer.

    Attributes:
        method: configured.
        name: its registered name, or "single".
        line: the model.
        verifier, verifier_name: what judges, or None and "".
        calls: most calls of its own; a verifier's come on top.
        alone: one call is the whole run, so its tokens are the answer's as they come.
    """

    method: Method
    name: str
    line: Line
    verifier: Verifier | None
    verifier_name: str
    calls: int
    alone: bool

    @property
    def single(self) -> bool:
        """Whether it is a pass-through."""
        return self.name == PASS_THROUGH

    @property
    def model(self) -> str:
        """Its spelling: METHOD@MODEL."""
        return f"{self.name}@{self.line.serves}"


@dataclass(frozen=True, kw_only=True)
class Usable:
    """A method on a model, as `/v1/models` lists it.

    Attributes:
        id: how to ask for it.
        method, model: its parts.
        needs: what the request must name, or the gateway must have.
        access: what it needs of the model.
        calls: most calls at its defaults, by role.
    """

    id: str
    method: str
    model: str
    needs: tuple[str, ...]
    access: tuple[str, ...]
    calls: Mapping[str, int]


class Chooser:
    """Chooses within one configuration; plans of requests without settings are kept."""

    def __init__(self, settings: Settings, lines: Lines) -> None:
        self.settings, self.lines = settings, lines
        self._plans: dict[tuple[str, int, bool], Plan] = {}

    def plan(self, model: str, wanted: Mapping[str, Any] | None, *, key: Key, n: int = 1, bare: bool = False) -> Plan:
        """Return what answers a request.

        Args:
            model: as the client spelled it.
            wanted: the object `ponder`, checked against its schema, or None.
            key: who asks.
            n: choices asked for.
            bare: the request needs a pass-through (it has tools): that is taken unless it names another method.

        Raises:
            ApiError: unknown, impossible or forbidden.
        """
        kept = self._plans.get((model, n, bare)) if not wanted else None
        if kept is None:
            kept = self._make(model, wanted or {}, key, n, bare)
            if not wanted and len(self._plans) < 10_000:
                self._plans[model, n, bare] = kept
        _allow(key, kept.name, kept.line)
        return kept

    def usable(self) -> list[Usable]:
        """Return every method that can run on every model, the models alone first."""
        found = [
            Usable(
                id=serves,
                method=self.settings.default_method,
                model=serves,
                needs=(),
                access=("text",),
                calls={"policy": 1},
            )
            for serves in self.lines.by_model
        ]
        for serves, line in self.lines.by_model.items():
            found.append(
                Usable(
                    id=f"{PASS_THROUGH}@{serves}",
                    method=PASS_THROUGH,
                    model=serves,
                    needs=(),
                    access=("text",),
                    calls={"policy": 1},
                )
            )
            for entry in registry.strategies.entries():
                made = _usable(entry, line)
                if made is not None:
                    own = getattr(made, "access", None)
                    found.append(
                        Usable(
                            id=f"{entry.name}@{serves}",
                            method=entry.name,
                            model=serves,
                            needs=self._needs(entry, made),
                            access=tuple(sorted(entry.access if own is None else own())),
                            calls=dict(made.calls()),
                        )
                    )
        return found

    @staticmethod
    def allow(key: Key, line: Line, method: str) -> None:
        """Refuse what a key may not ask for.

        Raises:
            ApiError: 403.
        """
        _allow(key, method, line)

    def line(self, model: str) -> Line:
        """Return a model that is asked for without a method.

        Raises:
            ApiError: there is none of that name.
        """
        return self._line(model)

    def _needs(self, entry: registry.Entry, made: object) -> tuple[str, ...]:
        return tuple(n for n in needs_of(entry, made) if n != "verifier" or not self._default_verifier())

    def _default_verifier(self) -> str:
        """Return the verifier of methods that need one and were given none: a judge, where a model plays that role."""
        return "judge" if "judge" in self.lines.by_role else ""

    def _make(self, model: str, wanted: Mapping[str, Any], key: Key, n: int, bare: bool) -> Plan:
        spelled, line = self._spelled(model)
        asked = wanted.get("method")
        if asked and spelled and asked != spelled:
            raise ApiError(f"the model's name says {spelled!r} and ponder.method says {asked!r}", param="ponder.method")
        given = asked or spelled
        name = given or (PASS_THROUGH if bare else self.settings.default_method)
        where = "ponder.method" if asked else "model"
        contexts.check_method(wanted, name, self.settings.contexts)
        if name == PASS_THROUGH:
            return self._pass_through(line, wanted, n)
        if name not in registry.strategies.names():
            raise _unknown("method", name, [PASS_THROUGH, *registry.strategies.names()], where)
        entry = registry.strategies.get(name)
        method = self._method(entry, wanted, key)
        try:
            check_access(entry, method, line)
        except AccessDenied as err:
            raise ApiError(str(err), code="access_denied", param=where) from None
        calls = sum(method.calls().values())
        self._check_width(entry, method, n)
        verifier, verifier_name = self._verifier(entry, method, wanted.get("verifier"))
        return Plan(
            method=method,
            name=name,
            line=line,
            verifier=verifier,
            verifier_name=verifier_name,
            calls=calls,
            alone=is_alone(entry, method),
        )

    def _pass_through(self, line: Line, wanted: Mapping[str, Any], n: int) -> Plan:
        for name in ("params", "verifier"):
            if wanted.get(name):
                raise ApiError(f"{PASS_THROUGH!r} takes no {name}", param=f"ponder.{name}")
        most = self.settings.request.max_candidates
        if n > most:
            raise _too_many(n, most, "n")
        return Plan(
            method=Single(n=n), name=PASS_THROUGH, line=line, verifier=None, verifier_name="", calls=n, alone=True
        )

    def _check_width(self, entry: registry.Entry, method: Method, n: int) -> None:
        most = self.settings.request.max_candidates
        width = getattr(method, "n", 1)
        if isinstance(width, int) and width > most:
            raise _too_many(width, most, "ponder.params.n")
        drawn = method.calls().get("policy", 1)
        if n > max(1, drawn):
            raise ApiError(f"{entry.name} draws {drawn} answers, so it cannot give {n} choices", param="n")

    def _spelled(self, model: str) -> tuple[str, Line]:
        """Return the method that a model's name holds ("" for none), and the model."""
        lines = self.lines.by_model
        if model in lines:
            return "", lines[model]
        method, at, serves = model.partition("@")
        if at:
            return method, self._line(serves)
        if method == PASS_THROUGH or method in registry.strategies.names():
            if len(lines) == 1:
                return method, next(iter(lines.values()))
            raise ApiError(
                f"{method!r} on which model? Write {method}@MODEL with one of {', '.join(lines)}",
                code="model_not_found",
                param="model",
            )
        raise _unknown("model", model, [*lines, *registry.strategies.names(), PASS_THROUGH], "model")

    def _line(self, serves: str) -> Line:
        line = self.lines.by_model.get(serves)
        if line is None:
            raise _unknown("model", serves, list(self.lines.by_model), "model")
        return line

    def _method(self, entry: registry.Entry, wanted: Mapping[str, Any], key: Key) -> Method:
        settings = converted(entry, wanted.get("params") or {}, where="ponder.params")
        if wanted.get("context_id") is not None:
            settings["keep"] = contexts.file_of(self.settings.contexts, key)
        policy = wanted.get("policy")
        if entry.name == "auto":
            if policy == "default" and self.settings.policy is None:
                raise ApiError("this gateway has no policy", param="ponder.policy")
            if policy != "none" and self.settings.policy is not None:
                settings["policy"] = self.settings.policy
        elif policy is not None:
            raise ApiError(f"a policy goes with the method auto, not with {entry.name}", param="ponder.policy")
        made: Method = _made(entry, settings, "ponder.params")
        return made

    def _verifier(self, entry: registry.Entry, method: Method, wanted: Any) -> tuple[Verifier | None, str]:
        needed = "verifier" in needs_of(entry, method)
        params: Mapping[str, Any] = {}
        if wanted is None:
            name = self._default_verifier() if needed else ""
        elif isinstance(wanted, str):
            name = wanted
        else:
            name, params = wanted["name"], wanted.get("params") or {}
        if not name:
            if needed:
                known = ", ".join(registry.verifiers.names())
                raise ApiError(
                    f"{entry.name} needs a verifier: name one in ponder.verifier, of {known}",
                    code="verifier_needed",
                    param="ponder.verifier",
                )
            return None, ""
        if name not in registry.verifiers.names():
            raise _unknown("verifier", name, registry.verifiers.names(), "ponder.verifier")
        judge = registry.verifiers.get(name)
        if judge.oracle:
            raise ApiError(f"{name} reads the answer key, and a request has none", param="ponder.verifier")
        made: Verifier = _made(judge, converted(judge, params, where="ponder.verifier.params"), "ponder.verifier")
        return made, name


def is_alone(entry: registry.Entry, method: Method) -> bool:
    """Whether the one call of a method is its answer."""
    return "single" in entry.tags.get("what", ()) and dict(method.calls()) == {"policy": 1}


def closed(entry: registry.Entry) -> frozenset[str]:
    """Return the settings of a component that a client may not set."""
    return _OPERATOR | _OPERATOR_OF.get(entry.name, frozenset())


def _names_file(entry: registry.Entry, name: str, value: Any) -> bool:
    if name not in _OBJECT_OR_FILE.get(entry.name, ()) or not isinstance(value, str):
        return False
    return bool(value) and not value.lstrip().startswith("{")


def converted(entry: registry.Entry, values: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Return settings from JSON as the types that a component declares.

    Raises:
        ApiError: a setting that it does not have, that a client may not set, or a value of another type.
    """
    if not values:
        return {}
    known = [f.name for f in dataclasses.fields(entry.cls) if f.init and not f.name.startswith("_")]
    operator = closed(entry)
    open_to_all = [name for name in known if name not in operator]
    hints = typing.get_type_hints(entry.cls)
    out = {}
    for name, value in values.items():
        if name in known and (name in operator or _names_file(entry, name, value)):
            raise ApiError(
                f"{entry.name}.{name} is set by whoever runs this gateway", code="forbidden_setting", param=where
            )
        if name not in known:
            raise _unknown(f"setting of {entry.name}", name, open_to_all, f"{where}.{name}")
        try:
            out[name] = _as(value, hints[name])
        except TypeError:
            raise ApiError(f"{entry.name}.{name} cannot be {str(value)[:80]!r}", param=f"{where}.{name}") from None
    return out


def _as(value: Any, hint: Any) -> Any:
    """Return a JSON value as a type, or raise TypeError."""
    origin = typing.get_origin(hint)
    if origin is Literal:
        if isinstance(value, str) and value in typing.get_args(hint):
            return value
        raise TypeError
    options = typing.get_args(hint) if origin not in (None, tuple) else (hint,)
    for option in options:
        inner = typing.get_origin(option)
        if option is type(None):
            if value is None:
                return None
        elif option is float:
            if isinstance(value, int | float) and not isinstance(value, bool):
                return float(value)
        elif option in (int, str, bool):
            if type(value) is option:
                return value
        elif inner is Literal:
            if isinstance(value, str) and value in typing.get_args(option):
                return value
        elif inner is tuple and isinstance(value, list):
            parts = typing.get_args(option)
            if len(parts) == 2 and parts[1] is ...:
                return tuple(_as(item, parts[0]) for item in value)
            if len(parts) == len(value):
                return tuple(_as(item, part) for item, part in zip(value, parts, strict=True))
    raise TypeError


def _made(entry: registry.Entry, settings: Mapping[str, Any], where: str) -> Any:
    try:
        return entry.make(**settings)
    except ConfigError as err:
        raise ApiError(str(err), param=where) from None


def _usable(entry: registry.Entry, line: Line) -> Any:
    """Return the method at its defaults if it can run on the model, else None."""
    try:
        made = entry.make()
        check_access(entry, made, line)
        made.calls()
    except (PonderError, AttributeError):
        return None
    return made


def _allow(key: Key, method: str, line: Line) -> None:
    """Refuse what a key may not ask for.

    Raises:
        ApiError: 403.
    """
    for what, name, allowed in (("method", method, key.methods), ("model", line.serves, key.models)):
        if allowed is not None and name not in allowed:
            raise ApiError(
                f"this key may not use the {what} {name!r}; it may use {', '.join(allowed) or 'none'}",
                status=403,
                kind="permission_error",
                code="not_allowed",
                param="model",
            )


def _too_many(count: int, most: int, param: str) -> ApiError:
    return ApiError(
        f"{count} candidates are more than the {most} that one request may have", code="too_many", param=param
    )


def _unknown(what: str, name: str, known: Iterable[str], param: str) -> ApiError:
    code = "model_not_found" if what == "model" else "unknown_name"
    return ApiError(f"no {what} is called {name[:100]!r}. {near(name, known)}", code=code, param=param)
