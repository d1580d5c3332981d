"""Rows and candidates as tables: a DuckDB relation, or a Polars frame.

    from ponder.bench.tables import relation
    relation("runs/mine").aggregate("curve, n, avg(correct::int) AS accuracy").show()

Source: our own. Columns are the fields of `Row` and `CandidateRow`; objects whose keys differ from run to run
(settings, usage by role, scores, ...) are JSON text in DuckDB (`settings->>'n'`) and text in Polars, so that a column
has one type whatever the file holds.
Cost: no model call. Needs: duckdb or polars (extra `bench`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ponder.bench.rows import CandidateRow, Row, read_candidates, read_rows
from ponder.bench.run_folder import CANDIDATES, ROWS
from ponder.core.errors import BadInput
from ponder.core.registry import need

if TYPE_CHECKING:
    import duckdb
    import polars

__all__ = ["Kind", "frame", "relation"]

Kind = Literal["rows", "candidates"]
_FILES = {"rows": ROWS, "candidates": CANDIDATES}

# Column -> type, in the words of DuckDB; every other field is JSON.
_TEXT = ("run", "problem", "family", "curve", "method", "verifier", "budget", "answer", "grader", "stopped", "result")
_TYPES: Mapping[str, str] = {
    **dict.fromkeys((*_TEXT, "model", "fingerprint", "version", "finish", "error", "text"), "VARCHAR"),
    **dict.fromkeys(("n", "candidates", "failed", "cut", "unread", "flawed", "seed", "index", "group"), "BIGINT"),
    **dict.fromkeys(("correct", "measured"), "BOOLEAN"),
    **dict.fromkeys(("level", "seconds", "certainty"), "DOUBLE"),
}
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "rows": tuple(Row.__dataclass_fields__),
    "candidates": tuple(CandidateRow.__dataclass_fields__),
}


def relation(
    path: Path | str, kind: Kind = "rows", *, connection: duckdb.DuckDBPyConnection | None = None
) -> duckdb.DuckDBPyRelation:
    """Return a file of a run folder as a DuckDB relation, read by DuckDB itself.

    Args:
        path: a run folder, or a file of rows or candidates.
        kind: which of the two.
        connection: where the relation lives; by default DuckDB's own.

    Raises:
        BadInput: there is no such file.
        MissingExtra: DuckDB is not installed.
    """
    duck = need("duckdb", extra="bench", feature="a table of runs")
    file = _file(path, kind)
    types = {"v": "BIGINT", **{name: _TYPES.get(name, "JSON") for name in _COLUMNS[kind]}}
    made = (connection or duck).read_json(
        str(file), format="newline_delimited", columns=types, maximum_object_size=64 * 2**20
    )
    found: duckdb.DuckDBPyRelation = made
    return found


def frame(path: Path | str, kind: Kind = "rows") -> polars.DataFrame:
    """Return a file of a run folder as a Polars frame; a last line that was cut by a killed process is left out.

    Args:
        path: a run folder, or a file of rows or candidates.
        kind: which of the two.

    Raises:
        BadInput: there is no such file, or a line of it is no row.
        MissingExtra: Polars is not installed.
    """
    pl = need("polars", extra="bench", feature="a table of runs")
    file = _file(path, kind)
    types = {"VARCHAR": pl.String, "BIGINT": pl.Int64, "BOOLEAN": pl.Boolean, "DOUBLE": pl.Float64}
    schema = {name: types.get(_TYPES.get(name, "JSON"), pl.String) for name in _COLUMNS[kind]}
    made: polars.DataFrame = pl.from_dicts(list(_plain(file, kind)), schema=schema)
    return made


def _plain(file: Path, kind: Kind) -> Iterator[dict[str, Any]]:
    names = _COLUMNS[kind]
    rows: list[Row] | list[CandidateRow] = read_rows(file) if kind == "rows" else read_candidates(file)
    for row in rows:
        body = row.to_json()
        yield {
            name: body.get(name) if name in _TYPES or body.get(name) is None else json.dumps(body[name])
            for name in names
        }


def _file(path: Path | str, kind: Kind) -> Path:
    if kind not in _FILES:
        raise BadInput(f"there are tables of {' and '.join(_FILES)}, not of {kind!r}")
    path = Path(path)
    file = path / _FILES[kind] if path.is_dir() else path
    if not file.is_file():
        raise BadInput(f"there is no file {str(file)!r}")
    return file
