"""Thinking under a budget: think at most so many tokens, go on at a cue where the model would stop, then answer.

Source: the loop of m1, Huang et al. 2025, arXiv:2504.00869 (card 07), after budget forcing: a thought that ends by
itself may be continued behind a cue ("Wait") a fixed number of times; one that the budget cuts is closed by another
marker than one that ended, for a cut model otherwise goes on reasoning in its answer. Card 08 uses the same loop.
Differs: the tokens of cues are counted and each thought has its own limit, so that the budget is never passed (the
released code counts neither and shares limits within a batch); a minimum is ours. A cue stands behind a space.
The loop knows no model: `write` continues a text, so that it runs on servers (raw continuation or assistant prefill
with stop strings) and on transformers alike. Markers are texts of any number of tokens.
Cost: at most 1 + cues calls to think, each of which reads what is there again, and one to answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from ponder.core.access import Access
from ponder.core.context import Context
from ponder.core.errors import ConfigError, Interrupted, ProviderError
from ponder.core.model import Request, Sampling
from ponder.core.task import Message
from ponder.core.usage import Usage

__all__ = [
    "MARKERS",
    "Ledger",
    "Markers",
    "Pace",
    "Piece",
    "Thought",
    "Writer",
    "answer_after",
    "asked",
    "growth",
    "think",
    "writer",
]

_MOST_CUES = 64  # where only a minimum asks for cues


@dataclass(frozen=True, kw_only=True)
class Markers:
    """How a model's thinking is set off from its answer.

    Attributes:
        open: what the assistant's turn begins with.
        close: what stands between a thought that ended by itself and the answer.
        cut: the same for a thought that the budget cut.
        stops: texts at which the model ends its thought.
        ask: an instruction that is put behind the question, for models that are not trained to think; "" for none.
    """

    open: str
    close: str
    cut: str
    stops: tuple[str, ...]
    ask: str = ""

    def __post_init__(self) -> None:
        if not self.stops or not all(self.stops):
            raise ConfigError("markers need at least one text at which the thought ends, and none that is empty")


MARKERS = {
    "think": Markers(
        open="<think>\n", close="</think>\n\n", cut="</think>\n\nFinal answer: ", stops=("</think>",)
    ),  # DeepSeek-R1, Qwen3 and most others
    "thought": Markers(
        open="<thought>\n",
        close="</thought>\n<output>\n",
        cut="</thought>\n<output>\n",
        stops=("</thought>",),
    ),
    "m1": Markers(
        open="<|im_start|>think\n",
        close="<|im_start|>answer\n",
        cut="<|im_start|>answer\nFinal Answer: ",
        stops=("<|im_start|>", "<|im_end|>"),
    ),
    "scratchpad": Markers(
        open="Notes:\n",
        close="Answer: ",
        cut="Answer: ",
        stops=("Answer:", "answer:"),
        ask="First write short notes on how to solve this, then a line that begins with `Answer:`.",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How much is thought.

    Attributes:
        budget: most tokens of a thought, cues included, >= 1.
        cues: how often a thought that ended by itself is continued, >= 0.
        minimum: tokens below which it is continued beyond that, >= 0 and at most `budget`; 0 for none.
        cue: the text that it is continued behind.
        guard: tokens below which a thought that ended by itself is left alone, >= 0.
    """

    budget: int
    cues: int = 0
    minimum: int = 0
    cue: str = "Wait"
    guard: int = 0

    def __post_init__(self) -> None:
        if self.budget < 1 or self.cues < 0 or self.guard < 0:
            raise ConfigError(
                f"need budget >= 1 and cues, guard >= 0, got {self.budget!r}, {self.cues!r}, {self.guard!r}"
            )
        if not 0 <= self.minimum <= self.budget:
            raise ConfigError(f"minimum must be in [0, budget], got {self.minimum!r}")
        if not self.cue.strip() and (self.cues or self.minimum):
            raise ConfigError("the cue must be a word: an empty one continues nothing")

    @property
    def most_cues(self) -> int:
        """The most cues that can be given."""
        return max(self.cues, _MOST_CUES if self.minimum else 0)


class Piece(NamedTuple):
    """A piece of text that a model wrote.

    Attributes:
        text: without the marker that ended it.
        tokens: how many.
        finish: "stop" where it ended by itself or at a marker, "length" where it was cut.
    """

    text: str
    tokens: int
    finish: Literal["stop", "length"]


# Continues a text by at most so many tokens.
Writer = Callable[[str, int], Awaitable[Piece]]


@dataclass(frozen=True, kw_only=True)
class Thought:
    """What was thought.

    Attributes:
        text: ends with a newline.
        tokens: written ones and those of cues; at most the budget.
        cues: given.
        finish: "stop", or "length" where the budget cut it.
        places: offset in `text` at which the thought would have ended without the next cue, for each cue given.
    """

    text: str
    tokens: int
    cues: int
    finish: Literal["stop", "length"]
    places: tuple[int, ...] = ()


async def think(write: Writer, added: Callable[[str, str], int], pace: Pace, *, start: str = "") -> Thought:
    """Think under a pace.

    Args:
        write: continues the thought.
        added: tokens by which a text grows when a cue is put behind it.
        pace: how much.
        start: the beginning of the thought, where one is given; it counts for nothing.
    """
    piece = await write(start, pace.budget)
    text, tokens, finish, cues = start + piece.text, piece.tokens, piece.finish, 0
    places: list[int] = []
    while finish == "stop" and (cues < pace.cues or (tokens < pace.minimum and cues < pace.most_cues)):
        if tokens < pace.guard:
            break
        cue = pace.cue if not text or text[-1].isspace() else f" {pace.cue}"
        longer = tokens + added(text, cue)
        if longer >= pace.budget:
            break
        places.append(len(text))
        piece = await write(text + cue, pace.budget - longer)
        text, tokens, finish, cues = text + cue + piece.text, longer + piece.tokens, piece.finish, cues + 1
    if not text.endswith("\n"):
        text += "\n"
    return Thought(text=text, tokens=tokens, cues=cues, finish=finish, places=tuple(places))


# -- on a model --------------------------------------------------------------------------------------------------------


class Ledger:
    """What the calls of one thought and its answer cost, and whether one was broken off.

    Attributes:
        usage: nominal.
        interrupted: why a call was not admitted, or broken off.
    """

    def __init__(self) -> None:
        self.usage = Usage()
        self.interrupted: Interrupted | None = None


def asked(messages: tuple[Message, ...], markers: Markers) -> tuple[Message, ...]:
    """Return the chat with the instruction of the markers behind its last turn."""
    if not markers.ask:
        return messages
    *before, last = messages
    return (*before, Message(last.role, f"{last.text}\n\n{markers.ask}", images=last.images))


def writer(
    ctx: Context,
    messages: tuple[Message, ...],
    *,
    sampling: Sampling,
    path: tuple[str | int, ...],
    before: str = "",
    thinking: bool = False,
    role: str = "policy",
    ledger: Ledger | None = None,
) -> Writer:
    """Return a writer on a metered model, which continues the assistant's turn exactly.

    Tokens are those that the model is billed for: one that writes its marker pays for it from the budget.
    A refused or broken-off call returns what there is of it, as cut; the ledger then says so.

    Args:
        ctx: the run.
        messages: the chat.
        sampling: the law; `max_tokens` is set for each call.
        path: names the place of the draws.
        before: what the assistant's turn begins with.
        thinking: whether what is written is booked as thinking.
        role: whose model writes.
        ledger: adds up.

    Raises:
        AccessDenied: the model cannot continue a given prefix.
        ProviderError: (when writing) a call failed.
    """
    model = ctx.model(role)
    model.require(Access.PREFIX, what="control of thinking")
    number = 0

    async def write(text: str, most: int) -> Piece:
        nonlocal number
        request = Request(
            messages=messages,
            prefix=before + text,
            sampling=replace(sampling, max_tokens=most),
            thinking=thinking,
        )
        (draw,) = await model.sample(request, path=(*path, number))
        number += 1
        if ledger is not None:
            ledger.usage += draw.usage
            ledger.interrupted = ledger.interrupted or draw.interrupted
        if draw.error is not None:
            raise ProviderError(f"the model failed while thinking: {draw.error}") from draw.error
        done = draw.completion
        if done is None or draw.interrupted is not None:
            written = "" if done is None else done.text
            return Piece(written, draw.usage.completion_tokens, "length")
        return Piece(done.text, done.usage.completion_tokens, "length" if done.finish == "length" else "stop")

    return write


def growth(ctx: Context, messages: tuple[Message, ...], before: str, role: str = "policy") -> Callable[[str, str], int]:
    """Return what counts the tokens that a cue adds to a thought, by the model of a role; at least 1.

    Args:
        ctx: the run.
        messages: the chat.
        before: what the assistant's turn begins with.
        role: whose tokens are counted.
    """
    model = ctx.model(role)

    def added(text: str, cue: str) -> int:
        short, long = (Request(messages=messages, prefix=before + part) for part in (text, text + cue))
        return max(1, model.count(long).tokens - model.count(short).tokens)

    return added


async def answer_after(write: Writer, thought: Thought, markers: Markers, most: int) -> tuple[str, Piece]:
    """Close a thought and write the answer; return what closed it, and the answer.

    Args:
        write: continues thought and closing.
        thought: what was thought.
        markers: of the model.
        most: tokens of the answer, >= 1.
    """
    closing = markers.close if thought.finish == "stop" else markers.cut
    return closing, await write(thought.text + closing, most)
