"""A scripted policy that works arithmetic chains out with errors, and that is less sure of a wrong line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ponder import Completion, Message, ScriptedModel
from ponder.core.access import Access
from ponder.core.model import Request, Tokens
from ponder.core.seeds import derive
from ponder.core.usage import Usage

LINE = re.compile(r"(-?\d+) ([+-]) (\d+) = (-?\d+)")


def right(line: str) -> bool:
    found = LINE.search(line)
    if found is None:
        return False
    a, sign, b, c = found.groups()
    return int(a) + int(sign + b) == int(c)


def work_out(request: Request, number: int) -> str:
    """Continue the chain after the prefix; each line is right with probability 0.6."""
    del number
    stream = derive(request.seed, "world")
    first, *rest = re.findall(r"(\w+) (\d+)\.", request.messages[-1].text.replace("with ", ""))
    done = [line for line in request.prefix.split("\n") if line]
    value = int(done[-1].split("= ")[1]) if done else int(first[1])
    lines = []
    for part in rest[len(done) :]:
        sign, operand = "+" if part[0] == "Add" else "-", int(part[1])
        result = value + (operand if sign == "+" else -operand) + (0 if stream.random() < 0.6 else 1)
        lines.append(f"{value} {sign} {operand} = {result}")
        value = result
    return "\n".join(lines)


@dataclass(kw_only=True)
class ScoringModel(ScriptedModel):
    """Scores text as well: a token of a wrong line has a lower log-probability than one of a right line."""

    access: frozenset[Access] = field(
        default_factory=lambda: frozenset({Access.TEXT, Access.PREFIX, Access.SCORE, Access.SEED})
    )
    passes: int = 0

    async def score(self, request: Request, text: str) -> Completion:
        self.passes += 1
        texts, logprobs = [], []
        for line in text.splitlines(keepends=True):
            for token in re.findall(r"\s*\S+\n?", line):
                texts.append(token)
                logprobs.append(-0.1 if right(line) else -1.5)
        return Completion(
            message=Message("assistant", text),
            finish="stop",
            usage=Usage(calls=1, prompt_tokens=len(texts)),
            tokens=Tokens(
                ids=tuple(range(len(texts))),
                texts=tuple(texts),
                logprobs=tuple(logprobs),
                top=tuple(((0, "", -0.1),) for _ in texts) if request.logprobs else None,
            ),
            certainty=tuple(-p for p in logprobs) if request.certainty else None,
        )


def world() -> ScoringModel:
    return ScoringModel(replies=work_out)
