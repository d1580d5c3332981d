"""How the studies of `ponder study` read what they are given: options that several have, rows, numbers, components."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ponder.bench.rows import Row
    from ponder.core.model import Sampling
    from ponder.core.registry import Registry

__all__ = [
    "MODEL",
    "SPEC",
    "Count",
    "Endpoints",
    "Family",
    "MaxTokens",
    "Problems",
    "Rows",
    "Store",
    "component",
    "numbers",
    "read_studied",
    "sampling",
]

MODEL = "llamacpp:smollm2"
SPEC = "NAME[:KEY=VALUE,...]"

Rows = Annotated[
    list[Path] | None, typer.Option(metavar="FILE", help="Study these recorded rows and run nothing; repeatable.")
]
Family = Annotated[
    str, typer.Option(help="Task family that problems are drawn from; of recorded rows, where they hold several.")
]
Problems = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help='JSON lines {"prompt", "reference", "answer"} in place of a family.'),
]
Count = Annotated[int, typer.Option(min=1, help="Problems; at most, where they come from a file.")]
MaxTokens = Annotated[int, typer.Option(min=1, help="Most tokens of one answer.")]
Store = Annotated[Path | None, typer.Option(metavar="FILE", help="Keep answers here, to go on after a break.")]
Endpoints = Annotated[
    Path | None, typer.Option(metavar="FILE", help="TOML file of named endpoints; models may be their names.")
]


def read_studied(files: Sequence[Path], family: str) -> list[Row]:
    """Read recorded rows; of several families, those of the one that is asked for."""
    from ponder.bench.rows import read_rows

    rows = [row for file in files for row in read_rows(file)]
    several = len({row.family for row in rows}) > 1
    return [row for row in rows if row.family == family] if several else rows


def sampling(temperature: float, max_tokens: int) -> Sampling:
    """Return how a study draws its answers."""
    from ponder.core.model import Sampling

    return Sampling(temperature=temperature, max_tokens=max_tokens)


def component(text: str, registry: Registry[type]) -> tuple[str, dict[str, Any]]:
    """Read "NAME:KEY=VALUE,..." as a component and its settings.

    Raises:
        ConfigError: no such component, or a setting that it does not have.
    """
    from ponder.cli.inputs import pairs
    from ponder.core.registry import configure

    name, _, settings = text.partition(":")
    given = pairs([part for part in settings.split(",") if part], f"the settings of {name!r}")
    return name, configure(registry.get(name), given)


def numbers(text: str, kind: type[Any], option: str) -> list[Any]:
    """Read "1,2,4".

    Raises:
        ConfigError: a part is no number of this kind.
    """
    from ponder.core.errors import ConfigError

    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"{option}: cannot read {text!r} as numbers with commas between them") from None
