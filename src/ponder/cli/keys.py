"""`ponder keys`: make a key for a client of the gateway, and the lines of the settings file that hold its hash."""

from __future__ import annotations

import re
from typing import Annotated

import typer

__all__ = ["keys"]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def keys(
    name: Annotated[
        str, typer.Argument(help="Who will use it: letters, digits, - and _; shown in counters and traces.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a key. It is printed once and kept nowhere: the settings hold only its hash."""
    from ponder.cli.console import show_json, tell
    from ponder.core.errors import BadInput
    from ponder.gateway.keys import hash_key, make_key

    if not _NAME.fullmatch(name):
        raise BadInput(f"a key's name has 1 to 64 letters, digits, - and _; got {name!r}")
    key = make_key()
    if as_json:
        show_json({"name": name, "key": key, "hash": hash_key(key)})
        return
    tell(f"The key of {name}, for the client (it is shown only now):")
    print(key)
    tell("For the gateway's settings file:")
    print(f'[keys.{name}]\nhash = "{hash_key(key)}"')
