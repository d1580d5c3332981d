"""A model that answers from a recorded pool: study a selection method again and again without paying again.

Source: our own (DESIGN §4). Line k of a prompt answers its sample k, with the usage that was recorded (nominal) and
nothing paid. A pool is a file of JSON lines, or a folder with such a file (`samples.jsonl`), its problems beside it
(`problems.jsonl`: problems as `Problem.to_json` writes them, of which only the messages are read here; the samples of a
folder then need no messages of their own) and facts of the model that answered (`pool.json`):
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
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ponder.core.access import Access
from ponder.core.candidate import Score
from ponder.core.errors import BadInput, ConfigError, RequestRefused
from ponder.core.model import Completion, Determinism, ModelInfo, Request, Sink, TokenCount
from ponder.core.registry import models
from ponder.core.store import cut
from ponder.core.task import Message
from ponder.core.usage import Usage
from ponder.models.shapes import shape_of, with_shape

__all__ = [
    "FACTS",
    "PROBLEMS",
    "SAMPLES",
    "SCHEMA",
    "Recorded",
    "ReplayModel",
    "facts_of",
    "info_of",
    "read_facts",
    "read_lines",
    "read_pool",
    "write_pool",
]

SCHEMA = 2
SAMPLES, PROBLEMS, FACTS = "samples.jsonl", "problems.jsonl", "pool.json"  # of a pool that is a folder
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


def facts_of(info: ModelInfo) -> dict[str, Any]:
    """Return what a pool keeps of a model, as a JSON object; its cost function is made again from its shape."""
    return {name: value for name, value in asdict(replace(info, flops=None)).items() if value is not None}


def info_of(facts: Mapping[str, Any]) -> ModelInfo:
    """Return the model that `facts_of` described.

    Raises:
        TypeError: these are no facts of a model.
    """
    info = ModelInfo(**facts)
    shape = shape_of(info)
    return info if shape is None else with_shape(info, shape)


def read_facts(pool: Path | str) -> dict[str, Any]:
    """Return what the folder of a pool says about how it was made; nothing for a pool that is a file.

    Raises:
        BadInput: it cannot be read.
    """
    file = Path(pool) / FACTS
    if not Path(pool).is_dir() or not file.exists():
        return {}
    try:
        body = json.loads(file.read_text(encoding="utf-8"))
        if body["v"] not in _KNOWN:
            raise BadInput(f"{file}: pool schema {body['v']}, this ponder reads 1 and {SCHEMA}")
        return dict(body)
    except BadInput:
        raise
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise BadInput(f"{file} does not describe a pool: {err!r}") from err


@models("replay", access=(Access.TEXT, Access.LOGPROBS, Access.TOP_LOGPROBS, Access.LOGITS, Access.SEED), since="0.1")
@dataclass(kw_only=True)
class ReplayModel:
    """Answers from recorded samples.

    Attributes:
        pool: the records.
        source: the model that answered; its shape and prices make the costs. Its fingerprint is not taken over.
        name, access, determinism, info: of the `Model` protocol; `access` is what the records hold.
    """

    pool: list[Recorded]
    source: ModelInfo | None = None
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
        known = self.source or ModelInfo(fingerprint="")
        self.info = replace(known, fingerprint=f"replay:{digest.hexdigest()[:32]}")
        held = {Access.TEXT, Access.SEED}
        # Greedy answers may have been recorded with less: a request for more than that is refused when it comes.
        drawn = [completion for key, completion in self._answers.items() if not key[2]]
        completions = drawn or list(self._answers.values())
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
        model = read_facts(rest).get("model")
        try:
            source = None if model is None else info_of(model["info"])
        except (KeyError, TypeError) as err:
            raise BadInput(f"{Path(rest) / FACTS} does not describe a model: {err!r}") from err
        return cls(pool=read_pool(rest), **{"source": source, **options})

    def count(self, request: Request) -> TokenCount:
        """Return the prompt tokens that were recorded."""
        answer = self._answers.get((_digest(request.messages), request.index, request.sampling.temperature == 0))
        return TokenCount(0 if answer is None else answer.usage.prompt_tokens, True)

    async def generate(self, request: Request, sink: Sink | None = None) -> list[Completion]:
        """Look the samples up.

        Raises:
            RequestRefused: the pool does not hold them.
            ConfigError: it holds nothing of this prompt: whoever asks wants more than was recorded, a judge, say, and
                must not take the refusal for an answer.
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
            if not size and not self._sizes.get((digest, not greedy), 0):
                begin = request.messages[-1].text.strip().partition("\n")[0][:40]
                raise ConfigError(
                    f"the pool holds no answer to the prompt that begins {begin!r}: what was not recorded, such as a"
                    " judge's verdict, needs a live model"
                )
            raise RequestRefused(f"the pool holds {size} {kind} of this prompt, sample {request.index} was asked for")
        if request.logprobs and (found.tokens is None or found.tokens.top is None):
            raise RequestRefused("the recorded answer has no log-probabilities of likely tokens")
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
            task = body.get("task", body)
            found[task["id"]] = tuple(map(Message.from_json, task["messages"]))
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
