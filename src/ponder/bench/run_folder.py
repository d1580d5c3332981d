"""The folder of a bench job: what was asked, every row and answer, written so that a kill loses nothing.

job.json, problems.jsonl, rows.jsonl, candidates.jsonl, traces.sqlite, store.sqlite. The trace and the candidates of a
run are written first and its row last: a row says that the run is whole. On opening, a torn last line is cut, and
candidates without their row too. Runs with answers that the provider did not give can be taken out, to be made again.
Source: our own (DESIGN §6). One process writes; a second one is refused. What a power failure may take is the end of
the files, which is run again.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from ponder._version import __version__
from ponder.bench.folder_lock import lock
from ponder.bench.job import Job, Named
from ponder.bench.rows import CandidateRow, Row, to_lines
from ponder.bench.torn_lines import repaired
from ponder.bench.traces import LIMIT, Traces
from ponder.core.errors import BadInput, ConfigError
from ponder.core.store import Store

__all__ = ["CANDIDATES", "JOB", "PROBLEMS", "ROWS", "STORE", "TRACES", "RunFolder"]

SCHEMA = 1
JOB, PROBLEMS, ROWS, CANDIDATES, STORE = "job.json", "problems.jsonl", "rows.jsonl", "candidates.jsonl", "store.sqlite"
TRACES = "traces.sqlite"
_RETRY = ".retry"  # there while runs are being taken out
_HEAD = b'{"v": 2, "run": "'  # how every row of this schema begins: its key is read without parsing the line


class RunFolder:
    """An open run folder. Use it as a context manager.

    Args:
        path: made where there is none.
        job: what is to be run; it may add cells to the job that the folder holds, and nothing else.
        problems: of the job, drawn anew.
        retry_failed: take out the runs with answers that the provider did not give, so that they are made again.
        trace_limit: bytes of all traces; what comes later is not kept.

    Raises:
        ConfigError: the folder holds another job, or other problems; the message says what differs.
        BadInput: it cannot be written, is being written by another process, or holds something that is no run.

    Attributes:
        path: the folder.
        done: keys of the runs that are there.
        taken_out: how many runs are to be made again.
        store: the response store.
    """

    def __init__(
        self,
        path: Path | str,
        job: Job,
        problems: Sequence[Named],
        *,
        retry_failed: bool = False,
        trace_limit: int = LIMIT,
    ) -> None:
        self.path, self.job, self.trace_limit = Path(path), job, trace_limit
        self.done: set[str] = set()
        self.taken_out = 0
        self._traces: Traces | None = None
        self._models: dict[str, Any] = {}
        self._open: list[IO[bytes]] = []
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._open.append(lock(self.path))
            before = self._read_job()
            if before is not None and (changed := job.differences(before)):
                raise ConfigError(
                    f"{str(self.path)!r} holds another job ({'; '.join(changed)}): choose another folder, or only add"
                    " to that job"
                )
            self._write_problems(problems)
            if before != job:
                self._write_job()
            if retry_failed:
                self._take_out_failed()
            self.done = _keys(repaired(self.path / ROWS))
            self._cut_orphans()
            self._rows, self._candidates = self._append(ROWS), self._append(CANDIDATES)
            self.store = Store(self.path / STORE)
        except OSError as err:
            self.close()
            raise BadInput(f"cannot use the folder {str(self.path)!r}: {err.strerror or err}") from err
        except (BadInput, ConfigError):
            self.close()
            raise

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def write(self, row: Row, candidates: Sequence[CandidateRow], trace: bytes | None = None) -> None:
        """Append a run.

        Args:
            row: of the run; it names its trace only where that is kept.
            candidates: of the run.
            trace: made by `pack`, or None.

        Raises:
            BadInput: the file of traces cannot be opened.
            OSError: the disk does not take it.
        """
        if trace is not None and self._traces is None:
            self._traces = Traces(self.path / TRACES, limit=self.trace_limit)
        kept = trace is not None and self._traces is not None and self._traces.put(row.run, trace)
        if row.result != (name := row.run if kept else ""):
            row = replace(row, result=name)
        if candidates:
            self._candidates.write(to_lines(candidates).encode())
            self._candidates.flush()
        self._rows.write(to_lines([row]).encode())
        self._rows.flush()
        self.done.add(row.run)

    def meet(self, spec: str, name: str, fingerprint: str, parameters: int | None = None) -> None:
        """Note which model a spelling opened.

        Raises:
            ConfigError: it is another one than that of the rows that are there.
        """
        known = self._models.get(spec)
        if known is not None and known["fingerprint"] != fingerprint:
            raise ConfigError(
                f"{spec!r} is another model now ({fingerprint}) than the one that the rows in {str(self.path)!r}"
                f" were made with ({known['fingerprint']}): choose another folder"
            )
        if known is None:
            self._models[spec] = {"name": name, "fingerprint": fingerprint, "parameters": parameters}
            self._write_job()

    @property
    def untraced(self) -> str:
        """Why traces are not kept any more, or ""."""
        return "" if self._traces is None else self._traces.error or ""

    def close(self) -> None:
        """Close all files."""
        if hasattr(self, "store"):
            self.store.close()
        if self._traces is not None:
            self._traces.close()
        while self._open:
            self._open.pop().close()

    def _read_job(self) -> Job | None:
        file = self.path / JOB
        if not file.exists():
            if (self.path / ROWS).exists():
                raise BadInput(f"{str(self.path)!r} holds rows and no {JOB}: choose another folder")
            return None
        try:
            body = json.loads(file.read_text(encoding="utf-8"))
            if body["v"] != SCHEMA:
                raise BadInput(f"{file} has schema {body['v']}, this ponder reads {SCHEMA}")
            self._models = dict(body["models"])
            return Job.from_json(body["job"])
        except (ValueError, KeyError, TypeError) as err:
            if isinstance(err, BadInput):
                raise
            raise BadInput(f"{file} is no job: {err}") from err

    def _write_job(self) -> None:
        body = {"v": SCHEMA, "ponder": __version__, "job": self.job.to_json(), "models": self._models}
        text = json.dumps(body, ensure_ascii=False, indent=1, default=str)
        new = self.path / f"{JOB}.new"
        new.write_text(text + "\n", encoding="utf-8")
        os.replace(new, self.path / JOB)  # a kill leaves the old one or the new one

    def _write_problems(self, problems: Sequence[Named]) -> None:
        """Append the problems that are not there yet; those that are must be the same."""
        lines = [_problem_line(named) for named in problems]
        there = repaired(self.path / PROBLEMS).read_bytes().splitlines(keepends=True)
        known = {_place(line): line for line in there}
        fresh = []
        for line in lines:
            before = known.get(_place(line))
            if before is None:
                fresh.append(line)
            elif before != line:
                family, name = _place(line)
                raise ConfigError(f"problem {name!r} of {family!r} in {str(self.path / PROBLEMS)!r} is another one now")
        with open(self.path / PROBLEMS, "ab") as file:
            file.write(b"".join(fresh))

    def _append(self, name: str) -> IO[bytes]:
        file = open(self.path / name, "ab")  # noqa: SIM115 - held for the life of the folder
        self._open.append(file)
        return file

    def _take_out_failed(self) -> None:
        """Take out the rows with failed answers; the mark says that their candidates have to go as well."""
        whole = [line for line in repaired(self.path / ROWS).read_bytes().splitlines(keepends=True) if line.strip()]
        kept = [line for line in whole if not json.loads(line).get("failed")]
        self.taken_out = len(whole) - len(kept)
        if self.taken_out:
            (self.path / _RETRY).touch()
            self._replace(ROWS, kept)

    def _replace(self, name: str, lines: Sequence[bytes]) -> None:
        new = self.path / f"{name}.new"
        new.write_bytes(b"".join(lines))
        os.replace(new, self.path / name)

    def _cut_orphans(self) -> None:
        """Cut the candidates whose row is not there: at the end, or anywhere where runs were taken out."""
        path = repaired(self.path / CANDIDATES)
        if (self.path / _RETRY).exists():
            lines = path.read_bytes().splitlines(keepends=True)
            self._replace(CANDIDATES, [line for line in lines if _key(line) in self.done])
            (self.path / _RETRY).unlink()
            return
        with open(path, "r+b") as file:
            end = file.seek(0, os.SEEK_END)
            while end:
                start, line = _last_line(file, end)
                if _key(line) in self.done:
                    break
                end = start
            file.truncate(end)


def _problem_line(named: Named) -> bytes:
    body = {"family": named.family, **named.problem.to_json()}
    return (json.dumps(body, default=str) + "\n").encode()


def _place(line: bytes) -> tuple[str, str]:
    body: Mapping[str, Any] = json.loads(line)
    return body["family"], body["task"]["id"]


def _keys(rows: Path) -> set[str]:
    with open(rows, "rb") as file:
        return {_key(line) for line in file}


def _key(line: bytes) -> str:
    if line.startswith(_HEAD):
        return line[len(_HEAD) : line.index(b'"', len(_HEAD))].decode()
    try:
        return str(json.loads(line)["run"])
    except (ValueError, KeyError, TypeError) as err:
        raise BadInput(f"not a row of this schema: {line[:80]!r}") from err


def _last_line(file: IO[bytes], end: int) -> tuple[int, bytes]:
    """Return where the last line before `end` (which follows a line break) begins, and the line."""
    start, line = end - 1, b"\n"
    while start:
        step = min(start, 1 << 16)
        file.seek(start - step)
        block = file.read(step)
        found = block.rfind(b"\n")
        line = block[found + 1 :] + line
        start -= step - (found + 1)
        if found >= 0:
            break
    return start, line
