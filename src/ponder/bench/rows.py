"""One run of one method on one problem as one row, and the file of such rows.

A file is JSON lines, appended as runs end, so that a killed job keeps what it has:
`{"v": 1, "problem": "...", "family": "...", "curve": "...", "n": 8, "correct": true, "usage": {...}, ...}`.
Source: our own (DESIGN §6). Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ponder.core.errors import BadInput
from ponder.core.result import total
from ponder.core.usage import Usage
from ponder.planning.difficulty import Evidence

__all__ = ["SCHEMA", "Row", "append_rows", "read_rows"]

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Row:
    """One run.

    Attributes:
        problem: id of the task.
        family: task family.
        curve: which curve of the family the run is a point of.
        method: registered name, and
        settings: its configuration.
        verifier: registered name, or "".
        n: samples asked for: the place on the curve.
        answer: the extracted answer of the chosen candidate, or None.
        correct: the grade; an answer that cannot be read is not correct. None where nothing can grade it.
        grader: "reference", or the name of the program that graded.
        usage: nominal cost by role.
        paid: what was really sent, by role.
        candidates: answers sampled, and how many of them were
        failed: not given at all,
        cut: ended by the token limit,
        unread: given, but without an answer of the task's type,
        flawed: any of these.
        seconds: time of this run; None where it cannot be told.
        measured: whether `seconds` is the clock's; else it is this run's tokens at the measured pace of the calls that
            were sent for the same problem (its answers came from the store).
        stopped: why the run ended.
        result: trace id of the result.
        evidence: what each sampled answer showed, its grade included, for studies of difficulty and of verifiers; None
            where it was not kept.
        model, seed, version: of the model, of the run, of ponder.
    """

    problem: str
    family: str
    curve: str
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    verifier: str = ""
    n: int
    answer: str | None
    correct: bool | None
    grader: str
    usage: Mapping[str, Usage]
    paid: Mapping[str, Usage]
    candidates: int
    failed: int = 0
    cut: int = 0
    unread: int = 0
    flawed: int = 0
    seconds: float | None = None
    measured: bool = True
    stopped: str = "done"
    result: str = ""
    model: str = ""
    seed: int = 0
    version: str = ""
    evidence: Evidence | None = None

    @property
    def self_graded(self) -> bool:
        """Whether the method chose by the very program that grades it."""
        return bool(self.verifier) and self.verifier == self.grader

    @property
    def nominal(self) -> Usage:
        """Nominal cost of all roles."""
        return total(self.usage)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object with its schema version."""
        return {"v": SCHEMA, **asdict(self), "settings": dict(self.settings)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Row:
        """Rebuild a row from `to_json`.

        Raises:
            BadInput: another schema version.
        """
        if data["v"] != SCHEMA:
            raise BadInput(f"row schema {data['v']}, this ponder reads {SCHEMA}")
        fields = {name: value for name, value in data.items() if name != "v"}
        for name in ("usage", "paid"):
            fields[name] = {role: Usage(**used) for role, used in fields[name].items()}
        if (kept := fields.get("evidence")) is not None:
            fields["evidence"] = Evidence(**{name: tuple(values) for name, values in kept.items()})
        return cls(**fields)


def append_rows(file: Path | str, rows: Iterable[Row]) -> None:
    """Append rows to a file, which is made where there is none.

    Raises:
        BadInput: the file cannot be written.
    """
    text = "".join(json.dumps(row.to_json()) + "\n" for row in rows)
    try:
        with open(file, "a", encoding="utf-8") as out:
            out.write(text)
    except OSError as err:
        raise BadInput(f"cannot write the rows to {str(file)!r}: {err.strerror or err}") from err


def read_rows(file: Path | str) -> list[Row]:
    """Read a file of rows; a last line that was cut by a killed process is left out.

    Raises:
        BadInput: the file cannot be read, or a line is no row; the message names the line.
    """
    try:
        lines = Path(file).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as err:
        raise BadInput(f"cannot read the rows {str(file)!r}: {err}") from err
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            rows.append(Row.from_json(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError) as err:
            if number == len(lines) and not isinstance(err, BadInput):
                break
            raise BadInput(f"{file}:{number}: not a row: {err}") from err
    return rows
