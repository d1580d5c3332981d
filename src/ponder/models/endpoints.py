"""Endpoints files: a TOML table for each endpoint, checked before anything is sent.

    [endpoints.fast]
    model = "Qwen/Qwen3-8B"
    base_url = "http://127.0.0.1:8000/v1"
    kind = "vllm"
    connections = 32

    [endpoints.cloud]
    model = "gpt-x"
    api_key_env = "OPENAI_API_KEY"
    usd_per_prompt_token = 1e-6
    usd_per_completion_token = 4e-6

    [endpoints.safe]
    upstreams = ["fast", "cloud"]

Source: our own. Keys are named by an environment variable or a file; a key in the file itself is refused, unread.
Errors name the file and the line.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Model
from ponder.models.openai import OpenAI
from ponder.models.upstreams import Upstreams

__all__ = ["Spec", "read"]

_SECRET = re.compile(r"(^|_)(key|token|secret|password|passwd|authorization|bearer)$", re.IGNORECASE)
_ALLOWED = ("api_key_env", "api_key_file")


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One endpoint of a file.

    Attributes:
        name: its name in the file.
        options: settings of `OpenAI`, or of `Upstreams` without its models.
        upstreams: the specs behind it, for several in order of priority.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    upstreams: tuple[Spec, ...] = ()

    def open(self) -> Model:
        """Build the model; keys are looked up now.

        Raises:
            ConfigError: a key that is not there, or settings that contradict each other.
        """
        if self.upstreams:
            return Upstreams(upstreams=tuple(spec.open() for spec in self.upstreams), **self.options)
        return OpenAI(**self.options)


class _Source:
    """The text of a file, to find the line of a key."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.lines = path, text.splitlines()

    def error(self, message: str, table: str, key: str = "") -> ConfigError:
        return ConfigError(f"{self.path}, line {self._line(table, key)}: {message}")

    def _line(self, table: str, key: str) -> int:
        """Return the line of `key` in `table` (of the table's header without a key), counted from 1."""
        header = re.compile(rf"\s*\[\s*endpoints\s*\.\s*(['\"]?){re.escape(table)}\1\s*\]")
        start = next((place for place, line in enumerate(self.lines) if header.match(line)), 0)
        if key:
            wanted = re.compile(rf"\s*(['\"]?){re.escape(key)}\1\s*[.=]")
            for place in range(start + 1, len(self.lines)):
                if self.lines[place].lstrip().startswith("["):
                    break
                if wanted.match(self.lines[place]):
                    return place + 1
        return start + 1


def read(path: str | Path) -> dict[str, Spec]:
    """Read an endpoints file.

    Args:
        path: a TOML file.

    Returns:
        The specs by name, in the order of the file.

    Raises:
        BadInput: the file cannot be read, or is no TOML.
        ConfigError: unknown settings, values of a wrong type, keys in clear text; file and line are named.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode()
        data = tomllib.loads(text)
    except OSError as err:
        raise BadInput(f"{path} cannot be read: {err.strerror}") from err
    except UnicodeDecodeError as err:
        raise BadInput(f"{path} is not UTF-8 (byte {err.start})") from err
    except tomllib.TOMLDecodeError as err:
        raise BadInput(f"{path}: {err}") from err
    source = _Source(path, text)
    for name in data:
        if name != "endpoints":
            raise ConfigError(f"{path}: {name!r} is not known here; write tables [endpoints.NAME]")
    tables = data.get("endpoints", {})
    if not isinstance(tables, dict) or not tables:
        raise ConfigError(f"{path}: there is no table [endpoints.NAME]")
    specs: dict[str, Spec] = {}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: endpoints.{name} must be a table [endpoints.{name}]")
        _refuse_secrets(source, name, table)
        if "upstreams" not in table:
            specs[name] = Spec(name=name, options=_options(source, name, table, OpenAI))
    for name, table in tables.items():
        if "upstreams" in table:
            specs[name] = _several(source, name, table, specs)
    return {name: specs[name] for name in tables}


def _refuse_secrets(source: _Source, name: str, table: Mapping[str, Any]) -> None:
    for key, value in table.items():
        hidden = _SECRET.search(key) and key not in _settings(OpenAI)
        if hidden or (isinstance(value, str) and re.match(r"(sk|pk|hf|gsk|xai)[-_]\w{8}|Bearer ", value)):
            raise source.error(
                f"{key!r} looks like a key in clear text; name an environment variable with api_key_env, or a file with"
                " api_key_file",
                name,
                key,
            )


def _several(source: _Source, name: str, table: Mapping[str, Any], known: Mapping[str, Spec]) -> Spec:
    names = table["upstreams"]
    if not isinstance(names, list) or not names:
        raise source.error("upstreams must be a list of names", name, "upstreams")
    for one in names:
        if one not in known or known[one].upstreams:
            hint = _near(str(one), [n for n, spec in known.items() if not spec.upstreams])
            raise source.error(f"there is no endpoint {one!r} in this file.{hint}", name, "upstreams")
    rest = {key: value for key, value in table.items() if key != "upstreams"}
    options = _options(source, name, rest, Upstreams)
    return Spec(name=name, options=options, upstreams=tuple(known[one] for one in names))


def _settings(cls: type) -> dict[str, Any]:
    """Return the settings of a class that a file may hold, with their types."""
    hints = typing.get_type_hints(cls)
    plain = (bool, int, float, str, type(None))
    found = {}
    for one in dataclasses.fields(cls):
        hint = hints[one.name]
        kinds = typing.get_args(hint) or (hint,)
        if one.init and (all(kind in plain for kind in kinds) or kinds == (str, Ellipsis)):
            found[one.name] = hint
    return found


def _options(source: _Source, name: str, table: Mapping[str, Any], cls: type) -> dict[str, Any]:
    settings = _settings(cls)
    out = {}
    for key, value in table.items():
        if key not in settings:
            raise source.error(f"{key!r} is no setting of an endpoint.{_near(key, list(settings))}", name, key)
        out[key] = _value(source, name, key, value, settings[key])
    if cls is OpenAI and not out.get("model"):
        raise source.error(f"endpoint {name!r} needs a model", name)
    try:
        if cls is OpenAI:  # values are checked now, the key when it is used
            OpenAI(**{key: value for key, value in out.items() if key not in _ALLOWED})
    except ConfigError as err:
        key = next((key for key in out if key in str(err)), "")
        raise source.error(str(err), name, key) from err
    return out


def _value(source: _Source, name: str, key: str, value: Any, hint: Any) -> Any:
    kinds = typing.get_args(hint) or (hint,)
    if Ellipsis in kinds:
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return tuple(value)
        raise source.error(f"{key} must be a list of texts", name, key)
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) in kinds:
        return value
    wanted = " or ".join(kind.__name__ for kind in kinds if kind is not type(None))
    raise source.error(f"{key} must be {wanted}, not {type(value).__name__}", name, key)


def _near(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else f" There are: {', '.join(known) or 'none'}."
