"""The record of a run: a tree of timed events, one JSON line each, that can be followed while it grows.

A span is opened by an event and closed by a second one with the same id; instants are events alone. Format of a
line: `{"v": 1, "id": 3, "parent": 1, "t": 0.0123, "kind": "call", "phase": "open|close|instant", "data": {...}}`.
Source: our own (DESIGN §4).
"""

from __future__ import annotations

import json
import logging
import math
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from ponder.core.errors import BadInput

__all__ = ["SCHEMA", "Event", "Trace", "finite", "parse_lines", "read_trace"]

SCHEMA = 1
logger = logging.getLogger(__name__)
Phase = Literal["open", "close", "instant"]


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a trace.

    Attributes:
        id: of the span or instant, from 1.
        parent: id of the span around it; 0 at the top.
        t: seconds since the trace began.
        kind: "run", "call", "score", "choose", "stop", ...
        phase: "open" and "close" of a span, or "instant".
        data: JSON values.
    """

    id: int
    parent: int
    t: float
    kind: str
    phase: Phase
    data: Mapping[str, Any] = field(default_factory=dict)

    def to_line(self) -> str:
        """Return the JSON line, without its line break."""
        body = {
            "v": SCHEMA,
            "id": self.id,
            "parent": self.parent,
            "t": round(self.t, 6),
            "kind": self.kind,
            "phase": self.phase,
            "data": self.data,
        }
        try:
            return json.dumps(body, ensure_ascii=True, allow_nan=False, default=str)
        except ValueError:
            return json.dumps(finite(body), ensure_ascii=True, allow_nan=False, default=str)


def finite(value: Any) -> Any:
    """Return `value` with each number that JSON does not have ("nan", "inf", "-inf") as its name."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


class Trace:
    """Events in memory, and in a file and with watchers where asked for.

    Args:
        file: where to append the lines as they come; a file that stops accepting them (a full disk) is given up with
            a warning and the events stay in memory.
        id: by default one that no other trace has.

    Raises:
        BadInput: the file cannot be opened.
    """

    def __init__(self, file: Path | str | None = None, *, id: str = "") -> None:
        self.id = id or uuid.uuid4().hex[:16]
        self.events: list[Event] = []
        self.file_error: str | None = None
        self._start = time.monotonic()
        self._last = 0
        self._watchers: list[Callable[[Event], None]] = []
        self._file: IO[str] | None = None
        if file is not None:
            try:
                self._file = open(file, "w", encoding="utf-8")  # noqa: SIM115 - held open for the life of the trace
            except OSError as err:
                raise BadInput(f"cannot write the trace to {str(file)!r}: {err.strerror or err}") from err

    def watch(self, callback: Callable[[Event], None]) -> None:
        """Call `callback` with each event from now on."""
        self._watchers.append(callback)

    def open(self, kind: str, parent: int = 0, **data: Any) -> int:
        """Open a span and return its id."""
        self._last += 1
        self._add(Event(self._last, parent, self._now(), kind, "open", data))
        return self._last

    def close(self, span: int, kind: str, parent: int = 0, **data: Any) -> None:
        """Close a span."""
        self._add(Event(span, parent, self._now(), kind, "close", data))

    def instant(self, kind: str, parent: int = 0, **data: Any) -> int:
        """Note one event and return its id."""
        self._last += 1
        self._add(Event(self._last, parent, self._now(), kind, "instant", data))
        return self._last

    def end(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            file, self._file = self._file, None
            try:
                file.close()
            except OSError as err:
                self._lost(err)

    def _now(self) -> float:
        return time.monotonic() - self._start

    def _add(self, event: Event) -> None:
        self.events.append(event)
        if self._file is not None:
            try:
                self._file.write(event.to_line() + "\n")
                self._file.flush()  # so that the file can be followed, and survives a killed process
            except OSError as err:
                self._lost(err)
                self.end()
        for callback in self._watchers:
            callback(event)

    def _lost(self, err: OSError) -> None:
        if self.file_error is not None:
            return
        self.file_error = f"the trace file is incomplete: {err.strerror or err}"
        logger.warning("%s; the run goes on", self.file_error)


def read_trace(file: Path | str) -> list[Event]:
    """Read a trace file; a last line that was cut by a killed process is left out.

    Raises:
        BadInput: not a trace, or of another schema version.
    """
    try:
        lines = Path(file).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as err:
        raise BadInput(f"cannot read the trace {str(file)!r}: {err}") from err
    return parse_lines(lines, str(file))


def parse_lines(lines: Sequence[str], where: str) -> list[Event]:
    """Return the events of JSON lines; a last line that was cut is left out.

    Args:
        lines: without their line breaks; empty ones are passed over.
        where: they came from, for messages.

    Raises:
        BadInput: not a trace, or of another schema version.
    """
    events = []
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            body = json.loads(line)
            version = body["v"]
            if version != SCHEMA:
                raise BadInput(f"{where}:{number}: trace schema {version}, this ponder reads {SCHEMA}")
            events.append(Event(*(body[name] for name in ("id", "parent", "t", "kind", "phase", "data"))))
        except (ValueError, KeyError, TypeError) as err:
            if isinstance(err, BadInput):
                raise
            if number == len(lines):
                break
            raise BadInput(f"{where}:{number}: not a line of a trace: {err}") from err
    return events
