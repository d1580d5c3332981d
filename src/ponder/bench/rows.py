"""One run of one method on one problem as one row, each of its answers as another, and the files of such rows.

A file is JSON lines, appended as runs end, so that a killed job keeps what it has:
`{"v": 2, "run": "...", "problem": "...", "family": "...", "curve": "...", "n": 8, "correct": true, ...}` in rows.jsonl,
`{"v": 2, "run": "...", "problem": "...", "index": 0, "answer": "42", "correct": true, ...}` in candidates.jsonl.
Rows of schema 1 (without `run`, `judging`, `budget`, `roles`, `costs` and `level`) are read as well.
Source: our own (DESIGN §6). Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from ponder.core.errors import BadInput
from ponder.core.result import total
from ponder.core.trace import finite
from ponder.core.usage import Usage
from ponder.planning.difficulty import Evidence

__all__ = ["SCHEMA", "CandidateRow", "Row", "append_rows", "read_candidates", "read_rows", "to_lines"]

SCHEMA = 2
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One run.

    Attributes:
        run: key of the run: equal for the same problem, method, settings, verifier, budget, models, law and seed ("" in
            rows of schema 1).
        problem: id of the task.
        family: task family.
        curve: which curve of the family the run is a point of.
        method: registered name, and
        settings: its configuration.
        verifier: registered name, or "", and
        judging: its configuration.
        budget: hard limits in their text form, or "".
        n: samples asked for: the place on the curve.
        answer: the extracted answer of the chosen candidate, or None.
        correct: the grade; an answer that cannot be read is not correct. None where nothing can grade it.
        grader: "reference", or the name of the program that graded.
        level: the problem's declared difficulty (higher is harder), or None.
        usage: nominal cost by role.
        paid: what was really sent, by role.
        costs: the nominal cost of all roles in units that add up across models, as far as they are known: "flops",
            "eflops", "usd", "joules".
        candidates: answers sampled, and how many of them were
        failed: not given at all,
        cut: ended by the token limit,
        unread: given, but without an answer of the task's type,
        flawed: any of these.
        seconds: time of this run; None where it cannot be told.
        measured: whether `seconds` is the clock's; else it is this run's tokens at the measured pace of the calls that
            were sent for the same problem (its answers came from the store).
        stopped: why the run ended.
        result: trace id of the result; "" where no trace was kept.
        evidence: what each sampled answer showed, its grade included, for studies of difficulty and of verifiers; None
            where it was not kept.
        model: of the policy, with its
        fingerprint, and
        roles: of further roles.
        seed, version: of the run, of ponder.
    """

    run: str = ""
    problem: str
    family: str
    curve: str
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    verifier: str = ""
    judging: Mapping[str, Any] = field(default_factory=dict)
    budget: str = ""
    n: int
    answer: str | None
    correct: bool | None
    grader: str
    level: float | None = None
    usage: Mapping[str, Usage]
    paid: Mapping[str, Usage]
    costs: Mapping[str, float] = field(default_factory=dict)
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
    fingerprint: str = ""
    roles: Mapping[str, str] = field(default_factory=dict)
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
        body = {"v": SCHEMA, **{name: getattr(self, name) for name in _FIELDS}}
        for name in ("usage", "paid"):
            body[name] = {role: used.to_json() for role, used in body[name].items()}
        for name in ("settings", "judging", "costs", "roles"):
            body[name] = dict(body[name])
        if (kept := self.evidence) is not None:
            body["evidence"] = {name: getattr(kept, name) for name in _EVIDENCE}
        return body

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Row:
        """Rebuild a row from `to_json`.

        Raises:
            BadInput: another schema version.
        """
        _check_version(data, (1, SCHEMA))
        values = {name: value for name, value in data.items() if name != "v"}
        for name in ("usage", "paid"):
            values[name] = {role: Usage(**used) for role, used in values[name].items()}
        if (kept := values.get("evidence")) is not None:
            parts = {name: tuple(map(_number, part)) for name, part in kept.items()}
            values["evidence"] = Evidence(**parts)
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class CandidateRow:
    """One answer of one run.

    Attributes:
        run: key of the run (of a `Row`), and
        problem: id of its task.
        index: place among the run's candidates.
        answer: the extracted answer, or None.
        group: index of the first candidate of the run with an equal answer; None where there is no answer.
        correct: the grade; None where there is none to give (a failed call, nothing to grade by).
        finish: why generation ended; None where the call failed.
        error: the failure.
        usage: nominal cost of this answer's own generation.
        scores: by verifier; None where missing.
        certainty: self-certainty in nats; None where the back-end gave none.
        text: the whole answer; None where it was not kept.
    """

    run: str
    problem: str
    index: int
    answer: str | None = None
    group: int | None = None
    correct: bool | None = None
    finish: str | None = None
    error: str | None = None
    usage: Usage = field(default_factory=Usage)
    scores: Mapping[str, float | None] = field(default_factory=dict)
    certainty: float | None = None
    text: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object with its schema version; a text that was not kept is left out."""
        body = {"v": SCHEMA, **{name: getattr(self, name) for name in _CANDIDATE}}
        body["usage"], body["scores"] = self.usage.to_json(), dict(self.scores)
        if self.text is None:
            del body["text"]
        return body

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CandidateRow:
        """Rebuild a row from `to_json`.

        Raises:
            BadInput: another schema version.
        """
        _check_version(data, (SCHEMA,))
        values = {name: value for name, value in data.items() if name != "v"}
        values["usage"] = Usage(**values["usage"])
        values["scores"] = {name: _number(value) for name, value in values["scores"].items()}
        return cls(**values)


_FIELDS = tuple(item.name for item in fields(Row))
_EVIDENCE = tuple(item.name for item in fields(Evidence))
_CANDIDATE = tuple(item.name for item in fields(CandidateRow))


def to_lines(rows: Iterable[Row | CandidateRow]) -> str:
    """Return rows as JSON lines; a number that JSON does not have is written as its name ("inf")."""
    return "".join(_to_line(row.to_json()) for row in rows)


def append_rows(file: Path | str, rows: Iterable[Row | CandidateRow]) -> None:
    """Append rows to a file, which is made where there is none.

    Raises:
        BadInput: the file cannot be written.
    """
    text = to_lines(rows)
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
    return _read(file, Row.from_json)


def read_candidates(file: Path | str) -> list[CandidateRow]:
    """Read a file of candidates; a last line that was cut by a killed process is left out.

    Raises:
        BadInput: the file cannot be read, or a line is no candidate; the message names the line.
    """
    return _read(file, CandidateRow.from_json)


def _read(file: Path | str, make: Callable[[Mapping[str, Any]], T]) -> list[T]:
    try:
        lines = Path(file).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as err:
        raise BadInput(f"cannot read the rows {str(file)!r}: {err}") from err
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            rows.append(make(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError) as err:
            if number == len(lines) and not isinstance(err, BadInput):
                break
            raise BadInput(f"{file}:{number}: not a row: {err}") from err
    return rows


def _to_line(body: Mapping[str, Any]) -> str:
    try:
        return json.dumps(body, allow_nan=False) + "\n"
    except ValueError:
        return json.dumps(finite(body), allow_nan=False) + "\n"


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, str) else value


def _check_version(data: Mapping[str, Any], known: tuple[int, ...]) -> None:
    if data["v"] not in known:
        raise BadInput(f"row schema {data['v']}, this ponder reads {' and '.join(map(str, known))}")
