"""How the commands read what they are given: prompts, KEY=VALUE pairs, models, the response store."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ponder.core.errors import BadInput, ConfigError

if TYPE_CHECKING:
    from ponder.core.model import Model
    from ponder.core.store import Store
    from ponder.planning.costs import PriceTable

__all__ = ["default_store", "model_options", "open_model", "open_store", "pairs", "read_prompt"]


def read_prompt(prompt: str | None, file: Path | None) -> str:
    """Return the prompt from the argument, from standard input ("-") or from a file.

    The line break that ends a file or a pipe is no part of the prompt.

    Raises:
        ConfigError: none of them is given, or two are.
        BadInput: the file cannot be read, or the text is not UTF-8.
    """
    if (prompt is None) == (file is None):
        raise ConfigError("give the prompt once: as an argument, as - for standard input, or with --file")
    if file is not None:
        try:
            return _decode(file.read_bytes(), str(file))
        except OSError as err:
            raise BadInput(f"cannot read the prompt from {str(file)!r}: {err.strerror or err}") from err
    assert prompt is not None
    if prompt == "-":
        return _decode(sys.stdin.buffer.read(), "standard input")
    try:
        prompt.encode()
    except UnicodeEncodeError:  # bytes of the command line that are no text
        raise BadInput("the prompt is not UTF-8 text") from None
    return prompt


def _decode(data: bytes, source: str) -> str:
    try:
        return data.decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as err:
        raise BadInput(f"the prompt from {source} is not UTF-8 text (byte {err.start})") from err


def pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """Read "KEY=VALUE" texts of a repeatable option.

    Raises:
        ConfigError: a text without "=", or a key given twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise ConfigError(f"{option}: cannot read {text!r}; write KEY=VALUE")
        if key in found:
            raise ConfigError(f"{option}: {key} is given twice")
        found[key] = value
    return found


def model_options(texts: Sequence[str]) -> dict[str, Any]:
    """Read --model-option values: numbers, true, false, null and lists as in JSON, anything else as text.

    Raises:
        ConfigError: as `pairs`, or a key in clear text.
    """
    options: dict[str, Any] = {}
    for key, value in pairs(texts, "--model-option").items():
        if key == "api_key":
            raise ConfigError(
                "a key on the command line can be read by every user of this machine: name its environment variable"
                " with --model-option api_key_env=NAME"
            )
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    return options


def open_model(
    spec: str,
    *,
    options: Mapping[str, Any] | None = None,
    endpoints: Path | None = None,
    prices: PriceTable | None = None,
) -> Model:
    """Open a model by its spelling, or by its name in an endpoints file; a price table goes before its own prices.

    Raises:
        ConfigError: no such back-end or endpoint, or options that it does not have.
        MissingExtra: the back-end's extra is not installed.
        BadInput: a file is missing or broken.
    """
    model = _open(spec, options, endpoints)
    if prices is not None:
        model.info = prices.priced(model.info, spec)
    return model


def _open(spec: str, options: Mapping[str, Any] | None, endpoints: Path | None) -> Model:
    from ponder.core.solve import load

    if endpoints is not None:
        from ponder.models.endpoints import read
        from ponder.models.fetch import SOURCES

        specs = read(endpoints)
        if spec in specs:
            if options:
                raise ConfigError(f"the options of {spec!r} belong into its table in {endpoints}")
            return specs[spec].open()
        if ":" not in spec and spec not in SOURCES:
            raise ConfigError(f"{endpoints} has no endpoint {spec!r}; there are: {', '.join(specs)}")
    return load(spec, **(options or {}))


def default_store() -> Path:
    """Return where answers are kept unless told otherwise."""
    from ponder.models.convert import cache_directory

    return cache_directory() / "responses.sqlite"


def open_store(file: Path | None, *, keep: bool) -> Store | None:
    """Open the response store; one that was not asked for and cannot be used is done without, said on stderr.

    Args:
        file: the store asked for; None for the default one.
        keep: False for none at all.

    Raises:
        ConfigError: a file for no store.
        BadInput: the store asked for cannot be used.
    """
    from ponder.core.store import Store

    if not keep:
        if file is not None:
            raise ConfigError("--store and --no-store contradict each other")
        return None
    try:
        return Store(default_store() if file is None else file)
    except BadInput as err:
        if file is not None:
            raise
        from ponder.cli.console import tell

        tell(f"ponder: {err}; answers are not kept (set PONDER_CACHE, or say --no-store)")
        return None
