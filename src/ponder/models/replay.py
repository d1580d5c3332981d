"""A model that answers from a recorded pool: study a selection method again and again without paying again.

Source: our own (DESIGN §4). Line k of a prompt answers its sample k, with the usage that was recorded (nominal) and
nothing paid. A pool is a file of JSON lines, or a folder with such a file (`samples.jsonl`) and its problems beside it
(`problems.jsonl`, whose lines hold "id" and "messages"; the samples of a folder then need no messages of their own):
`{"v": 2, "problem": "id", "messages": [{"role": "user", "text": "..."}], "index": 0, "greedy": false,
"completion": {...}, "answer": "42", "group": 0, "grade": true, "scores": {...}, "judging": {...}, "counted": true}`.
Version 1 ends with the completion and names no problem. A later line for the same sample replaces an earlier one, and
a last line that was cut by a killed process is left out, so that a pool is only ever appended to.
Cost: nothing. Needs: a pool with as many samples of a prompt as a method asks for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ponder.core.access import Access
from ponder.core.candidate import Score
from ponder.core.errors import BadInput, RequestRefused
from ponder.core.model import Completion, Determinism, ModelInfo, Request, Sink, TokenCount
from ponder.core.registry import models
from ponder.core.store import cut
from ponder.core.task import Message
from ponder.core.usage import Usage

__all__ = [
    "PROBLEMS",
    "SAMPLES",
    "SCHEMA",
    "Recorded",
    "ReplayModel",
    "read_lines",
    "read_pool",
    "write_pool",
]

SCHEMA = 2
SAMPLES, PROBLEMS = "samples.jsonl", "problems.jsonl"  # of a pool that is a folder
_KNOWN = (1, SCHEMA)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One recorded answer.

    Attributes:
        messages: what was asked.
        index: which sample of the prompt it is, from 0.
        completion: the answer.
        greedy: whether it was decoded at temperature 0.
        problem: id of the task; "" where the pool holds none.
        answer: the extracted answer in canonical form; None where there is none.
        group: the index of the problem's first sample with an equal answer; None without an answer.
        grade: right or wrong; None where nothing grades it.
        scores: by verifier.
        judging: what its scores cost, by verifier and role.
        counted: whether the usage of the completion is known.
    """

    messages: tuple[Message, ...]
    index: int
    completion: Completion
    greedy: bool = False
    problem: str = ""
    answer: str | None = None
    group: int | None = None
    grade: bool | None = None
    scores: Mapping[str, Score] = field(default_factory=dict)
    judging: Mapping[str, Mapping[str, Usage]] = field(default_factory=dict)
    counted: bool = True

    def to_json(self, *, beside: bool = False) -> dict[str, Any]:
        """Return a JSON object with its schema version; `beside`: the messages stand in the problems' file."""
        body = {
            "v": SCHEMA,
            "problem": self.problem,
            "messages": [message.to_json() for message in self.messages],
            "index": self.index,
            "greedy": self.greedy,
            "completion": self.completion.to_json(),
            "answer": self.answer,
            "group": self.group,
            "grade": self.grade,
            "scores": {name: score.to_json() for name, score in self.scores.items()},
            "judging": {
                name: {role: usage.to_json() for role, usage in roles.items()} for name, roles in self.judging.items()
            },
            "counted": self.counted,
        }
        if beside:
            del body["messages"]
        return body

    @classmethod
    def from_json(cls, data: Mapping[str, Any], messages: Mapping[str, tuple[Message, ...]]) -> Recorded:
        """Rebuild an answer of either version; `messages` by problem serve where it holds none.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: it is no recorded answer.
        """
        problem = data.get("problem", "")
        asked = data.get("messages")
        return cls(
            messages=messages[problem] if asked is None else tuple(map(Message.from_json, asked)),
            index=data["index"],
            greedy=data["greedy"],
            completion=Completion.from_json(data["completion"]),
            problem=problem,
            answer=data.get("answer"),
            group=data.get("group"),
            grade=data.get("grade"),
            scores={name: _score(score) for name, score in data.get("scores", {}).items()},
            judging={
                name: {role: Usage(**usage) for role, usage in roles.items()}
                for name, roles in data.get("judging", {}).items()
            },
            counted=data.get("counted", True),
        )


def write_pool(file: Path | str, records: Iterable[Recorded]) -> int:
    """Write a pool into one file and return the number of its lines."""
    count = 0
    with open(file, "w", encoding="utf-8") as out:
        for record in records:
            out.write(json.dumps(record.to_json()) + "\n")
            count += 1
    return count


def read_lines(pool: Path | str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the lines of a pool, a file or a folder, as (line number, JSON object) without reading further into them.

    Raises:
        BadInput: the pool cannot be read, is not text, or a line is no JSON object of a known version.
    """
    yield from _objects(_file(pool), _KNOWN)


def read_pool(pool: Path | str) -> list[Recorded]:
    """Read a pool, a file or a folder; of several lines for one sample the last counts.

    Raises:
        BadInput: the pool is missing, is not text, or a line is no record; the message names the line.
    """
    file = _file(pool)
    messages = _messages(file.parent / PROBLEMS) if Path(pool).is_dir() else {}
    records: dict[tuple[str, int, bool], Recorded] = {}
    for number, body in read_lines(pool):
        try:
            record = Recorded.from_json(body, messages)
        except (ValueError, KeyError, TypeError, AttributeError) as err:
            raise BadInput(f"{file}:{number}: not a recorded answer: {err!r}") from err
        asked = record.problem or _digest(record.messages)
        records[asked, record.index, record.greedy] = record
    return list(records.values())


@models("replay", access=(Access.TEXT, Access.LOGPROBS, Access.TOP_LOGPROBS, Access.LOGITS, Access.SEED), since="0.1")
@dataclass(kw_only=True)
class ReplayModel:
    """Answers from recorded samples.

    Attributes:
        pool: the records.
        name, access, determinism, info: of the `Model` protocol; `access` is what the records hold.
    """

    pool: list[Recorded]
    name: str = "replay"
    determinism: Determinism = "exact"
    access: frozenset[Access] = field(init=False)
    info: ModelInfo = field(init=False)

    def __post_init__(self) -> None:
        self._answers = {(_digest(r.messages), r.index, r.greedy): r.completion for r in self.pool}
        self._sizes: dict[tuple[str, bool], int] = {}
        digest = hashlib.sha256()
        for key in sorted(self._answers):
            self._sizes[key[0], key[2]] = self._sizes.get((key[0], key[2]), 0) + 1
            digest.update(repr((key, self._answers[key].text)).encode("utf-8", "surrogatepass"))
        self.info = ModelInfo(fingerprint=f"replay:{digest.hexdigest()[:32]}")
        held = {Access.TEXT, Access.SEED}
        completions = list(self._answers.values())
        if completions and all(c.tokens is not None and c.tokens.logprobs is not None for c in completions):
            held.add(Access.LOGPROBS)
            if all(c.tokens is not None and c.tokens.top is not None for c in completions):
                held.add(Access.TOP_LOGPROBS)
        if completions and all(c.certainty is not None for c in completions):
            held.add(Access.LOGITS)
        self.access = frozenset(held)

    @classmethod
    def from_spec(cls, rest: str, **options: Any) -> ReplayModel:
        """Open "replay:/path/pool.jsonl", or "replay:/path/pool" for a folder."""
        return cls(pool=read_pool(rest), **options)

    def count(self, request: Request) -> TokenCount:
        """Return the prompt tokens that were recorded."""
        answer = self._answers.get((_digest(request.messages), request.index, request.sampling.temperature == 0))
        return TokenCount(0 if answer is None else answer.usage.prompt_tokens, True)

    async def generate(self, request: Request, sink: Sink | None = None) -> list[Completion]:
        """Look the samples up.

        Raises:
            RequestRefused: the pool does not hold them.
        """
        out = []
        for index in range(request.n):
            completion = self._one(request.sibling(index))
            if sink is not None:
                sink.done(index, completion)
            out.append(completion)
        return out

    def _one(self, request: Request) -> Completion:
        digest, greedy = _digest(request.messages), request.sampling.temperature == 0
        found = self._answers.get((digest, request.index, greedy))
        if found is None:
            size, kind = self._sizes.get((digest, greedy), 0), "greedy answers" if greedy else "samples"
            raise RequestRefused(f"the pool holds {size} {kind} of this prompt, sample {request.index} was asked for")
        if found.usage.completion_tokens > request.sampling.max_tokens:
            shorter = cut(found, request.sampling.max_tokens)
            if shorter is None:
                raise RequestRefused("the recorded answer is longer than max_tokens and has no tokens to cut it at")
            found = shorter
        return replace(found, sent=Usage())

    async def close(self) -> None:
        """Nothing is held."""


def _file(pool: Path | str) -> Path:
    return Path(pool) / SAMPLES if Path(pool).is_dir() else Path(pool)


def _messages(file: Path) -> dict[str, tuple[Message, ...]]:
    found = {}
    for number, body in _objects(file, None):
        try:
            found[body["id"]] = tuple(map(Message.from_json, body["messages"]))
        except (ValueError, KeyError, TypeError, AttributeError) as err:
            raise BadInput(f"{file}:{number}: not a problem: {err!r}") from err
    return found


def _objects(file: Path, versions: tuple[int, ...] | None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, JSON object), one line in memory at a time."""
    number = 0
    try:
        with open(file, "rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    body = json.loads(line)
                except UnicodeDecodeError as err:
                    raise BadInput(f"{file}:{number}: the pool is not UTF-8 text (byte {err.start})") from err
                except ValueError as err:
                    if not line.endswith(b"\n"):
                        return  # cut by a killed process
                    raise BadInput(f"{file}:{number}: not a recorded answer: {err}") from err
                if not isinstance(body, dict):
                    raise BadInput(f"{file}:{number}: not a recorded answer: no JSON object")
                if versions is not None and body.get("v") not in versions:
                    raise BadInput(f"{file}:{number}: pool schema {body.get('v')}, this ponder reads 1 and {SCHEMA}")
                yield number, body
    except OSError as err:
        raise BadInput(f"cannot read the pool {str(file)!r}: {err.strerror or err}") from err


def _score(data: Mapping[str, Any]) -> Score:
    value = data["value"]
    return Score(value=None if value is None else float(value), steps=tuple(data["steps"]), reason=data["reason"])


def _digest(messages: Iterable[Message]) -> str:
    text = json.dumps([message.to_json() for message in messages], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
