"""One spelling for every source of problems: a family, a published format with its file, a file of your own, the hub.

    load_problems("countdown", count=100, seed=1, level=2)             a registered family with its settings
    load_problems("gsm8k:test.jsonl", count=200)                       a published format, read from a file
    load_problems("gsm8k:hub:openai/gsm8k/main", split="test")         the same from the Hugging Face hub
    load_problems("hub:gsm8k")                                         the same, where the hub's address is known
    load_problems("mine.csv", prompt="{q} Reply briefly.", reference="gold", answer="number", id="key")
    load_problems("problems:saved.jsonl")                              what `save_problems` wrote

Source: our own. Cost: no model call. Needs: nothing beyond the base install for text files; see `loaders.rows`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any

from ponder.core import registry
from ponder.core.errors import BadInput, ConfigError, UnknownName
from ponder.tasks.loaders.choices import arc, mmlu
from ponder.tasks.loaders.columns import Columns, Template
from ponder.tasks.loaders.inequality_sets import ineqmath
from ponder.tasks.loaders.medical import medmcqa, medqa, pubmedqa
from ponder.tasks.loaders.preferences import preferences
from ponder.tasks.loaders.programs import humaneval, mbpp
from ponder.tasks.loaders.published import aime, gsm8k, math, multiarith, svamp
from ponder.tasks.loaders.rows import HUB, SourceRow, read_source
from ponder.tasks.loaders.translations import translation
from ponder.tasks.problem import Problem

__all__ = ["FORMATS", "Format", "load_problems", "save_problems"]

_MMLU_CSV = ("question", "A", "B", "C", "D", "answer")  # the original files have no header


@dataclass(frozen=True, kw_only=True)
class Format:
    """A published format.

    Attributes:
        read: makes a problem of a row.
        hub: address on the hub, "owner/name" or "owner/name/config"; "" where none is known.
        split: of the hub's rows that is used for testing.
        names: columns of its CSV files, where they have no header.
    """

    read: Callable[[SourceRow], Problem]
    hub: str = ""
    split: str = "test"
    names: tuple[str, ...] = ()


def _saved(row: SourceRow) -> Problem:
    try:
        return Problem.from_json(row.values)
    except (BadInput, KeyError, TypeError, AttributeError) as err:
        raise BadInput(f"{row.where}: not a problem: {err!r}") from err


FORMATS: Mapping[str, Format] = {
    "aime": Format(read=aime, hub="HuggingFaceH4/aime_2024", split="train"),
    "arc": Format(read=arc, hub="allenai/ai2_arc/ARC-Challenge"),
    "gsm8k": Format(read=gsm8k, hub="openai/gsm8k/main"),
    "humaneval": Format(read=humaneval, hub="openai/openai_humaneval"),
    "ineqmath": Format(read=ineqmath, hub="AI4Math/IneqMath", split="dev"),
    "math": Format(read=math),
    "math500": Format(read=math, hub="HuggingFaceH4/MATH-500"),
    "mawps": Format(read=multiarith),
    "mbpp": Format(read=mbpp, hub="google-research-datasets/mbpp/full"),
    "medmcqa": Format(read=medmcqa, hub="openlifescienceai/medmcqa", split="validation"),
    "medqa": Format(read=medqa, hub="GBaker/MedQA-USMLE-4-options"),
    "mmlu": Format(read=mmlu, hub="cais/mmlu/all", names=_MMLU_CSV),
    "multiarith": Format(read=multiarith, hub="ChilleD/MultiArith"),
    "preferences": Format(read=preferences, hub="allenai/reward-bench", split="filtered"),
    "problems": Format(read=_saved),
    "pubmedqa": Format(read=pubmedqa, hub="qiaojin/PubMedQA/pqa_labeled", split="train"),
    "svamp": Format(read=svamp, hub="ChilleD/SVAMP"),
    "translation": Format(read=translation),
}


def load_problems(source: str, *, count: int | None = None, seed: int = 0, **settings: Any) -> list[Problem]:
    """Return problems from a source, spelled as above.

    Args:
        source: a family's name, "FORMAT:FILE", "FORMAT:hub:NAME", "hub:FORMAT", a file, or "hub:NAME".
        count: how many, >= 0; a family needs it, other sources give their first ones (None: all).
        seed: of a family's draw; other sources are read in their order.
        **settings: of the family; or of the columns of your own rows (`prompt`, `reference`, `answer`, `id`); and
            `split` where rows come from the hub.

    Raises:
        BadInput: a file or row that cannot be used; the message names file, row and column.
        ConfigError: a source or setting that makes no sense.
        UnknownName: neither a family nor a format has that name, and it is no file.
        MissingExtra: the source needs a package that is not installed.
    """
    if count is not None and count < 0:
        raise ConfigError(f"count must be at least 0, got {count!r}")
    head, colon, rest = source.partition(":")
    if source.startswith(HUB) and rest in FORMATS:
        chosen = FORMATS[rest]
        if not chosen.hub:
            raise ConfigError(f"no address on the hub is known for {rest!r}: give {rest}:hub:OWNER/NAME or {rest}:FILE")
        return _published(rest, HUB + chosen.hub, count, settings)
    if colon and head in FORMATS:
        return _published(head, rest, count, settings)
    if source not in registry.tasks.names() and (source.startswith(HUB) or _is_file(source)):
        split = _taken(settings, "split", source)
        return _own(read_source(source, **split), _columns(settings), count)
    return _family(source, count, seed, settings)


def save_problems(file: Path | str, problems: Iterable[Problem]) -> None:
    """Write problems as lines of JSON, gold beside each task, for `load_problems("problems:FILE")`.

    Raises:
        BadInput: the file cannot be written, or a problem's metadata is no JSON.
    """
    try:
        text = "".join(json.dumps(problem.to_json()) + "\n" for problem in problems)
        Path(file).write_text(text, encoding="utf-8")
    except (OSError, TypeError) as err:
        raise BadInput(f"cannot write the problems to {str(file)!r}: {err}") from err


def _published(name: str, source: str, count: int | None, settings: dict[str, Any]) -> list[Problem]:
    chosen = FORMATS[name]
    split = {"split": chosen.split, **_taken(settings, "split", source)} if source.startswith(HUB) else {}
    if settings:
        raise ConfigError(f"the format {name!r} has no setting {next(iter(settings))!r}: its columns are known")
    names = chosen.names if ".csv" in Path(source).suffixes else ()
    return [chosen.read(row) for row in islice(read_source(source, names=names, **split), count)]


def _own(rows: Iterable[SourceRow], columns: Columns, count: int | None) -> list[Problem]:
    problems: dict[str, Problem] = {}
    for row in islice(rows, count):
        problem = columns.problem(row)
        if columns.id and problem.task.id in problems:  # a run's rows are kept by it
            raise row.fault(columns.id, f"{problem.task.id!r} names an earlier row too")
        problems[problem.task.id if columns.id else row.where] = problem
    return list(problems.values())


def _taken(settings: dict[str, Any], name: str, source: str) -> dict[str, Any]:
    """Take a setting of the hub out of `settings`; a file is left with what is unknown to it."""
    return {name: settings.pop(name)} if source.startswith(HUB) and name in settings else {}


def _columns(settings: Mapping[str, Any]) -> Columns:
    known = [field.name for field in fields(Columns)]
    for name in settings:
        if name not in known:
            raise ConfigError(f"rows have no setting {name!r}; there are {', '.join(known)}")
    columns = Columns(**settings)
    Template(columns.prompt)  # refused before a file is read
    return columns


def _is_file(source: str) -> bool:
    return Path(source).exists() or bool(Path(source).suffix) or "/" in source


def _family(name: str, count: int | None, seed: int, settings: Mapping[str, Any]) -> list[Problem]:
    try:
        entry = registry.tasks.get(name)
    except UnknownName as err:
        formats = ", ".join(FORMATS)
        raise UnknownName(f"{err} It is no file either, and no format (FORMAT:FILE): {formats}.") from err
    if count is None:
        raise ConfigError(f"a family has no end: say how many problems of {name!r} with count")
    drawn: list[Problem] = entry.make(**settings).generate(count, seed)
    return drawn
