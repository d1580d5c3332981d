"""Read rows from a file (JSON lines, JSON, CSV, TSV, Parquet) or from the Hugging Face hub, each with its place.

Source: our own. JSON lines, JSON and CSV need nothing beyond the base install and may be gzipped (`.gz`); Parquet needs
the extra `bench`; `hub:NAME` needs the extra `hub` and a network.
Cost: no model call; a file is read whole. Needs: nothing beyond the base install for text files.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ponder.core.errors import BadInput, ConfigError
from ponder.core.registry import need

__all__ = ["HUB", "SourceRow", "read_source"]

HUB = "hub:"
_KINDS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
_Rows: TypeAlias = Iterator[tuple[int, object]]  # with the place of each: a line, or the number of the row


@dataclass(frozen=True, kw_only=True)
class SourceRow:
    """One row of a source.

    Attributes:
        where: "FILE:LINE", or "FILE row N", for messages.
        number: of the row, from 0.
        values: by column.
    """

    where: str
    number: int
    values: Mapping[str, Any]

    def fault(self, column: str, problem: object) -> BadInput:
        """Return an error that names file, row and column."""
        return BadInput(f"{self.where}: column {column!r}: {problem}")

    def get(self, *columns: str) -> Any:
        """Return the value of the first of `columns` that the row has.

        Raises:
            BadInput: it has none of them, or the value is missing.
        """
        for column in columns:
            if column in self.values:
                if self.values[column] is None:
                    raise self.fault(column, "is missing")
                return self.values[column]
        wanted = " or ".join(map(repr, columns))
        raise BadInput(f"{self.where}: no column {wanted}; there are {', '.join(map(repr, self.values)) or 'none'}")

    def text(self, *columns: str) -> str:
        """Return such a value as text: text as it is, a number in its plainest form.

        Raises:
            BadInput: there is none, or it is neither text nor a number.
        """
        value = self.get(*columns)
        if isinstance(value, str):
            return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            at = next(column for column in columns if column in self.values)
            raise self.fault(at, f"needs text or a number, got {value!r:.80}")
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def read_source(source: str, *, split: str = "test", names: tuple[str, ...] = ()) -> Iterator[SourceRow]:
    """Yield the rows of a file, or of "hub:NAME" or "hub:NAME/CONFIG" (NAME is "owner/name").

    Args:
        source: where the rows are.
        split: for the hub alone.
        names: columns of a CSV file without a header; empty where its first line names them.

    Raises:
        BadInput: the file cannot be read, or a row is no row; the message names it.
        ConfigError: a kind of file that is not read.
        MissingExtra: Parquet or the hub without their packages.
    """
    if source.startswith(HUB):
        name, place = source.removeprefix(HUB), "{0} row {1}"
        rows = _hub(name, split)
    else:
        name = source
        path = Path(source)
        kind = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
        if kind.lower() not in _KINDS:
            raise ConfigError(f"cannot tell the kind of {source!r} from its name; known are {', '.join(_KINDS)} (.gz)")
        place = "{0}:{1}" if kind.lower() in (".jsonl", ".ndjson", ".csv", ".tsv") else "{0} row {1}"
        rows = _file(path, kind.lower(), names)
    for number, (at, values) in enumerate(rows):
        where = place.format(name, at)
        if not isinstance(values, Mapping):
            raise BadInput(f"{where}: a row must be an object with columns, got {values!r:.80}")
        yield SourceRow(where=where, number=number, values=values)


def _file(path: Path, kind: str, names: tuple[str, ...]) -> _Rows:
    if kind == ".parquet":
        return _parquet(path)
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as err:
        raise BadInput(f"cannot read {str(path)!r}: {err}") from err
    if kind in (".csv", ".tsv"):
        return _csv(path, text, "\t" if kind == ".tsv" else ",", names)
    return _json(path, text) if kind == ".json" else _json_lines(path, text)


def _json_lines(path: Path, text: str) -> _Rows:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as err:
                raise BadInput(f"{path}:{number}: not a line of JSON: {err}") from err


def _json(path: Path, text: str) -> _Rows:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as err:
        raise BadInput(f"{path}: not JSON: {err}") from err
    if isinstance(rows, dict):  # one published problem a file (MATH), or a list under one name
        rows = next((value for value in rows.values() if isinstance(value, list)), [rows]) if len(rows) == 1 else [rows]
    if not isinstance(rows, list):
        raise BadInput(f"{path}: needs a list of rows, got {rows!r:.80}")
    yield from enumerate(rows)


def _csv(path: Path, text: str, delimiter: str, names: tuple[str, ...]) -> _Rows:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns = list(names)
    try:
        for cells in reader:
            if not cells:
                continue
            if not columns:
                columns = cells
                if len(set(columns)) < len(columns):
                    raise BadInput(f"{path}:{reader.line_num}: two columns have the same name: {columns}")
                continue
            if len(cells) != len(columns):
                raise BadInput(f"{path}:{reader.line_num}: {len(cells)} cells for the {len(columns)} columns {columns}")
            yield reader.line_num, dict(zip(columns, cells, strict=True))
    except csv.Error as err:
        raise BadInput(f"{path}:{reader.line_num}: not CSV: {err}") from err


def _parquet(path: Path) -> _Rows:
    polars = need("polars", extra="bench", feature="reading Parquet")
    try:
        table = polars.read_parquet(path)
    except (OSError, polars.exceptions.PolarsError) as err:
        raise BadInput(f"cannot read {str(path)!r}: {err}") from err
    yield from enumerate(table.iter_rows(named=True))


def _hub(name: str, split: str) -> _Rows:
    if not all(name.partition("/")[::2]):
        raise ConfigError(f"a data set of the hub is called owner/name or owner/name/config, got {name!r}")
    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        raise ConfigError(f"hub:{name} needs a network, and HF_HUB_OFFLINE is set: give a file instead")
    datasets = need("datasets", extra="hub", feature="hub:NAME")
    owner, short, *config = name.split("/", 2)
    try:
        table = datasets.load_dataset(f"{owner}/{short}", *config, split=split)
    except (OSError, ValueError, RuntimeError) as err:  # no network, no such data set, no such split
        raise BadInput(f"cannot load hub:{name} (split {split!r}): {err}") from err
    yield from enumerate(dict(row) for row in table)
