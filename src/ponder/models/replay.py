"""A model that answers from a recorded pool: study a selection method again and again without paying again.

Source: our own (DESIGN §4). Line k of a prompt answers its sample k, with the usage that was recorded (nominal) and
nothing paid. A pool is a file of JSON lines:
`{"v": 1, "messages": [{"role": "user", "text": "..."}], "index": 0, "greedy": false, "completion": {...}}`.
Cost: nothing. Needs: a pool with as many samples of a prompt as a method asks for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ponder.core.access import Access
from ponder.core.errors import BadInput, RequestRefused
from ponder.core.model import Completion, Determinism, ModelInfo, Request, Sink, TokenCount
from ponder.core.registry import models
from ponder.core.store import cut
from ponder.core.task import Message
from ponder.core.usage import Usage

__all__ = ["SCHEMA", "Recorded", "ReplayModel", "read_pool", "write_pool"]

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One recorded answer.

    Attributes:
        messages: what was asked.
        index: which sample of the prompt it is, from 0.
        completion: the answer.
        greedy: whether it was decoded at temperature 0.
    """

    messages: tuple[Message, ...]
    index: int
    completion: Completion
    greedy: bool = False


def write_pool(file: Path | str, records: Iterable[Recorded]) -> int:
    """Write a pool and return the number of its lines."""
    count = 0
    with open(file, "w", encoding="utf-8") as out:
        for record in records:
            body = {
                "v": SCHEMA,
                "messages": [message.to_json() for message in record.messages],
                "index": record.index,
                "greedy": record.greedy,
                "completion": record.completion.to_json(),
            }
            out.write(json.dumps(body) + "\n")
            count += 1
    return count


def read_pool(file: Path | str) -> list[Recorded]:
    """Read a pool.

    Raises:
        BadInput: the file is missing, is not text, or a line is no record; the message names the line.
    """
    try:
        lines = Path(file).read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as err:
        raise BadInput(f"the pool {str(file)!r} is not UTF-8 text (byte {err.start})") from err
    except OSError as err:
        raise BadInput(f"cannot read the pool {str(file)!r}: {err.strerror or err}") from err
    records = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            body = json.loads(line)
            if body["v"] != SCHEMA:
                raise BadInput(f"{file}:{number}: pool schema {body['v']}, this ponder reads {SCHEMA}")
            records.append(
                Recorded(
                    messages=tuple(Message.from_json(message) for message in body["messages"]),
                    index=body["index"],
                    greedy=body["greedy"],
                    completion=Completion.from_json(body["completion"]),
                )
            )
        except (ValueError, KeyError, TypeError, AttributeError) as err:
            if isinstance(err, BadInput):
                raise
            raise BadInput(f"{file}:{number}: not a recorded answer: {err!r}") from err
    return records


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
        """Open "replay:/path/pool.jsonl"."""
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


def _digest(messages: Iterable[Message]) -> str:
    text = json.dumps([message.to_json() for message in messages], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
