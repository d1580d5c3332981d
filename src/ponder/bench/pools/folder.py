"""The folder of a pool: what was asked, every sample with its grade and scores, written so that a kill loses nothing.

pool.json (how it was made), problems.jsonl (with what grades them, which no method sees), samples.jsonl (as
`ponder.models.replay` reads it), store.sqlite (each answer as it came), arrays.npz (the same as arrays, made anew when
the samples change). The samples of a problem are written together, when all of them are there and graded; until then
they are in the store. On opening, a torn last line is cut.
Source: our own (DESIGN §6). One process writes; a second one is refused.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from ponder._version import __version__
from ponder.bench.folder_lock import lock
from ponder.bench.job import Named
from ponder.bench.torn_lines import repaired
from ponder.core.errors import BadInput, ConfigError
from ponder.core.store import Store
from ponder.models.replay import FACTS, PROBLEMS, SAMPLES, SCHEMA, Recorded, read_facts, read_lines
from ponder.tasks.problem import Problem

__all__ = ["ARRAYS", "STORE", "PoolFolder", "distinct", "read_problems"]

ARRAYS, STORE = "arrays.npz", "store.sqlite"
# Of pool.json: a pool holds samples of one law.
_FIXED = ("source", "files", "sampling", "seed", "task_seed", "logprobs")


class PoolFolder:
    """An open pool. Use it as a context manager.

    Args:
        path: made where there is none.
        facts: how it is made: "source", "model" (spec, name, info), "sampling", "seed", "verifiers", ...
        problems: what is asked; those that the folder has already must be the same.

    Raises:
        ConfigError: the folder holds samples of another model or law, or other problems; the message says what differs.
        BadInput: it cannot be written, is being written by another process, or holds something that is no pool.

    Attributes:
        path: the folder.
        store: the response store.
    """

    def __init__(self, path: Path | str, facts: Mapping[str, Any], problems: Sequence[Named]) -> None:
        self.path = Path(path)
        self._open: list[IO[bytes]] = []
        self._held: dict[str, dict[tuple[int, bool], frozenset[str]]] = {}
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._open.append(lock(self.path))
            self.facts = self._merged(facts)
            self._write_problems(problems)
            self._write_facts()
            repaired(self.path / SAMPLES)
            self._read_held()
            file = open(self.path / SAMPLES, "ab")  # noqa: SIM115 - held for the life of the folder
            self._open.append(file)
            self._samples = file
            self.store = Store(self.path / STORE)
        except OSError as err:
            self.close()
            raise BadInput(f"cannot use the folder {str(self.path)!r}: {err.strerror or err}") from err
        except (BadInput, ConfigError):
            self.close()
            raise

    def __enter__(self) -> PoolFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def holds(self, problem: str, *, n: int, greedy: bool, verifiers: Iterable[str] = ()) -> bool:
        """Return whether samples 0..n-1 of a problem (and the greedy answer) are there with all these scores."""
        held, wanted = self._held.get(problem, {}), frozenset(verifiers)
        places = [(index, False) for index in range(n)] + ([(0, True)] if greedy else [])
        return all(place in held and wanted <= held[place] for place in places)

    def write(self, records: Sequence[Recorded]) -> None:
        """Append the samples of a problem, all at once.

        Raises:
            OSError: the disk does not take it.
        """
        lines = [json.dumps(record.to_json(beside=True)) + "\n" for record in records]
        self._samples.write("".join(lines).encode())
        self._samples.flush()
        for record in records:
            self._hold(record.problem, record.index, record.greedy, record.scores)

    def close(self) -> None:
        """Close all files."""
        if hasattr(self, "store"):
            self.store.close()
        while self._open:
            self._open.pop().close()

    def _hold(self, problem: str, index: int, greedy: bool, scores: Iterable[str]) -> None:
        self._held.setdefault(problem, {})[index, greedy] = frozenset(scores)

    def _read_held(self) -> None:
        for number, body in read_lines(self.path):
            try:
                self._hold(body["problem"], body["index"], body["greedy"], body.get("scores", {}))
            except (KeyError, TypeError) as err:
                raise BadInput(f"{self.path / SAMPLES}:{number}: not a recorded answer: {err!r}") from err

    def _merged(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Return the facts with the verifiers and roles that were there, once nothing else differs."""
        before = read_facts(self.path)
        if not before:
            if (self.path / SAMPLES).exists():
                raise BadInput(f"{str(self.path)!r} holds samples and no {FACTS}: choose another folder")
            return dict(facts)
        changed = [
            f"{name}: {before.get(name)!r} -> {facts.get(name)!r}"
            for name in _FIXED
            if _plain(before.get(name)) != _plain(facts.get(name))
        ]
        old, new = (_fingerprint(body) for body in (before, facts))
        if old != new:
            changed.append(f"model: {old} -> {new}")
        roles = before.get("roles", {})
        changed += [
            f"{role}: {roles[role]} -> {spec}"
            for role, spec in facts.get("roles", {}).items()
            if roles.get(role, spec) != spec
        ]
        if changed:
            raise ConfigError(f"{str(self.path)!r} holds another pool ({'; '.join(changed)}): choose another folder")
        joined = {name: {**before.get(name, {}), **facts.get(name, {})} for name in ("verifiers", "roles")}
        return {**facts, **joined}

    def _write_facts(self) -> None:
        body = {"v": SCHEMA, "ponder": __version__, **self.facts}
        new = self.path / f"{FACTS}.new"
        new.write_text(json.dumps(body, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        os.replace(new, self.path / FACTS)  # a kill leaves the old one or the new one

    def _write_problems(self, problems: Sequence[Named]) -> None:
        """Append the problems that are not there yet; those that are must be the same."""
        file = self.path / PROBLEMS
        repaired(file)
        known = {named.problem.task.id: named for named in read_problems(self.path)}
        fresh = []
        for named in problems:
            before = known.get(named.problem.task.id)
            if before is None:
                fresh.append(_line(named))
            elif _line(before) != _line(named):
                raise ConfigError(f"problem {named.problem.task.id!r} in {str(file)!r} is another one now")
        with open(file, "ab") as out:
            out.write(b"".join(fresh))


def read_problems(path: Path | str) -> list[Named]:
    """Read the problems of a pool's folder, in their order.

    Raises:
        BadInput: a line is no problem; the message names it.
    """
    file, found = Path(path) / PROBLEMS, []
    try:
        lines = file.read_bytes().splitlines(keepends=True)
    except OSError as err:
        raise BadInput(f"cannot read the problems {str(file)!r}: {err.strerror or err}") from err
    for number, line in enumerate(lines, 1):
        try:
            body = json.loads(line)
            found.append(Named(body["family"], Problem.from_json(body)))
        except (ValueError, KeyError, TypeError, AttributeError) as err:
            if number == len(lines) and not line.endswith(b"\n"):
                break  # cut by a killed process
            raise BadInput(f"{file}:{number}: not a problem: {err!r}") from err
    return found


def distinct(problems: Iterable[Named]) -> list[Named]:
    """Return problems with one name each: one that two families hold is taken once.

    Raises:
        ConfigError: two different problems have the same id, by which a pool tells its samples apart.
    """
    found: dict[str, Named] = {}
    for named in problems:
        name = named.problem.task.id
        if found.setdefault(name, named).problem != named.problem:
            raise ConfigError(
                f"two problems have the id {name!r} ({found[name].family} and {named.family}): record them apart"
            )
    return list(found.values())


def _line(named: Named) -> bytes:
    return (json.dumps({"family": named.family, **named.problem.to_json()}, default=str) + "\n").encode()


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def _fingerprint(facts: Mapping[str, Any]) -> str:
    return str(facts.get("model", {}).get("info", {}).get("fingerprint", ""))
