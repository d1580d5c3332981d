"""Says what is wrong with a body that does not fit its schema, and where: the validator stops at "none of these fits".

Among alternatives the one is looked into that the body is meant for: of its type, and with its `role` or `type`. A name
that is not known comes with the near ones.

Source: JSON Schema (draft 7), fastjsonschema's exceptions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ponder.core.registry import need
from ponder.gateway.errors import near

__all__ = ["misfit"]

# Fields that say which alternative an object is meant to be.
_TELLING = ("role", "type")
_KINDS: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_compiled: dict[str, Any] = {}  # by how a part of a schema is written: the library makes a new object for each error


def misfit(err: Any, above: Sequence[str | int] = ()) -> tuple[str, str]:
    """Return the path of the field at fault ("" for the body) and what is wrong with it.

    Args:
        err: of fastjsonschema.
        above: path of the value that was checked.
    """
    path = [*above, *err.path[1:]]
    if err.rule == "anyOf":
        return _among(err.value, err.definition["anyOf"], path)
    where = ".".join(map(str, path))
    if err.rule == "additionalProperties" and isinstance(err.value, dict):
        known = list(err.definition.get("properties", {}))
        name = next(name for name in err.value if name not in known)
        return where, f"{where or 'the body'} has no field {name[:100]!r}. {near(name, known)}"
    said = err.message.removeprefix(err.name).strip()
    return where, f"{where or 'the body'} {said}"


def _among(value: Any, options: Sequence[Mapping[str, Any]], path: Sequence[str | int]) -> tuple[str, str]:
    where = ".".join(map(str, path))
    alike = [option for option in options if any(_is(value, kind) for kind in _kinds(option))]
    if not alike:
        return where, f"{where} must be {' or '.join(dict.fromkeys(k for option in options for k in _kinds(option)))}"
    for name in _TELLING if isinstance(value, dict) else ():
        allowed = [one for option in alike for one in option.get("properties", {}).get(name, {}).get("enum", ())]
        if allowed and value.get(name) not in allowed:
            told = f"{str(value[name])[:100]!r}" if name in value else "nothing"
            return f"{where}.{name}", f"{where}.{name} must be {' or '.join(map(repr, allowed))}, not {told}"
        alike = [option for option in alike if not allowed or value[name] in option["properties"][name]["enum"]]
    library = need("fastjsonschema", extra="gateway", feature="the gateway")
    try:
        _checking(alike[0], library)(value)
    except library.JsonSchemaValueException as err:
        return misfit(err, path)
    return where, f"{where} does not fit"


def _checking(option: Mapping[str, Any], library: Any) -> Any:
    written = repr(option)
    if written not in _compiled:
        _compiled[written] = library.compile(dict(option), use_default=False)
    return _compiled[written]


def _kinds(option: Mapping[str, Any]) -> Iterable[str]:
    kinds = option.get("type", ())
    if "anyOf" in option:
        return [kind for inner in option["anyOf"] for kind in _kinds(inner)]
    return (kinds,) if isinstance(kinds, str) else kinds


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _KINDS[kind]) and (kind in ("boolean", "null") or not isinstance(value, bool))
