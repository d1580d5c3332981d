"""Single calls whose replies must be readable: asked again a bounded number of times with what was wrong.

Source: our own (DESIGN §5). The form is enforced by a JSON schema where the back-end takes one, and is otherwise only
asked for; either way what comes back is read by the same reader, which says in words what it cannot use.
Cost: one call, and one more for each reply that cannot be used, up to a limit. A failed call counts as such a reply.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib.resources import files
from string import Template
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from ponder.core.access import Access
from ponder.core.candidate import Candidate
from ponder.core.context import Context
from ponder.core.errors import BadInput, Interrupted
from ponder.core.model import Request, Sampling
from ponder.core.task import Message
from ponder.engines.replies import repeats, unthought

__all__ = ["Asked", "Outcome", "affords", "ask_readable", "call", "numbered", "prompts", "visible"]

T = TypeVar("T")
_REFUSED = ("i can't", "i cannot", "i can not", "i'm sorry", "i am sorry", "as an ai")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one sub-task.

    Attributes:
        candidate: what came back, a failure too; None where nothing was sent.
        ended: why the run is to end, where that is so.
        parts: candidates that led to it (of a nested graph), oldest first.
    """

    candidate: Candidate | None = None
    ended: Interrupted | None = None
    parts: tuple[Candidate, ...] = ()

    @cached_property
    def text(self) -> str:
        """The visible text; empty where there is none that can be used."""
        found = self.candidate
        return "" if found is None or not found.ok or found.finish == "cancelled" else visible(found)


@dataclass(frozen=True, kw_only=True)
class Asked(Generic[T]):
    """What asking for a readable reply came to.

    Attributes:
        value: what was read, or None.
        text: the last reply, empty for none.
        faults: what was wrong with each reply that could not be used.
        ended: why the run is to end, where that is so.
    """

    value: T | None = None
    text: str = ""
    faults: tuple[str, ...] = ()
    ended: Interrupted | None = None


def visible(candidate: Candidate) -> str:
    """Return the text of a candidate without its thoughts; the whole where it is nothing but thoughts."""
    return unthought(candidate.text) or candidate.text.strip()


def affords(ctx: Context, calls: int) -> bool:
    """Return whether the limit on calls, if there is one, leaves so many."""
    return ctx.meter.left("calls") >= calls


@cache
def prompts(package: str, name: str) -> Mapping[str, Template]:
    """Return the prompts of a method by name: the parts of `prompts/<name>.md` that begin with a line "## part".

    What stands before the first such line says what the file is, and belongs to no prompt.
    """
    text = files(package).joinpath(f"prompts/{name}.md").read_text(encoding="utf-8")
    parts: dict[str, Template] = {}
    for block in f"\n{text}".split("\n## ")[1:]:
        title, _, body = block.partition("\n")
        parts[title.strip()] = Template(body.strip())
    return MappingProxyType(parts)


@cache
def _again() -> Template:
    return Template(files("ponder.engines").joinpath("prompts/ask_again.md").read_text(encoding="utf-8"))


async def call(
    ctx: Context,
    messages: Sequence[Message],
    *,
    path: Sequence[str | int],
    role: str = "policy",
    law: Sampling | None = None,
    schema: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
    prefix: str = "",
    thinking: bool = False,
    **metadata: Any,
) -> Outcome:
    """Make one call; whatever becomes of it comes back as a value, so that siblings go on.

    Args:
        ctx: the run.
        messages: the chat.
        path: names the place of the draw.
        role: of the model.
        law: by default the context's.
        schema: JSON schema of the reply, sent where the back-end takes one.
        extra: further fields of the request (see `Request.extra`).
        prefix: beginning of the reply that is continued.
        thinking: book what is written as thinking.
        metadata: of the candidate; its `answer` is left to the caller, and its index is 0.
    """
    model = ctx.model(role)
    constrained = schema if schema is not None and Access.SCHEMA in model.access else None
    request = Request(
        messages=tuple(messages),
        prefix=prefix,
        sampling=law or ctx.sampling,
        json_schema=constrained,
        extra=extra or {},
        thinking=thinking,
    )
    try:
        (draw,) = await model.sample(request, path=path)
    except BadInput as err:  # the prompt has outgrown the model's context
        return Outcome(candidate=Candidate(index=0, error=str(err), metadata=metadata))
    if draw.error is not None:
        failed = Candidate(index=0, usage=draw.usage, error=str(draw.error), metadata=metadata)
        return Outcome(candidate=failed, ended=ctx.meter.reason())
    if draw.completion is None:
        return Outcome(ended=draw.interrupted)
    done = Candidate(
        index=0,
        message=draw.completion.message,
        finish=draw.completion.finish,
        usage=draw.usage,
        completion=draw.completion,
        metadata=metadata,
    )
    return Outcome(candidate=done, ended=draw.interrupted)


async def ask_readable(
    ctx: Context,
    messages: Sequence[Message],
    read: Callable[[str], T],
    *,
    path: Sequence[str | int],
    role: str = "policy",
    law: Sampling | None = None,
    schema: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
    repairs: int = 1,
    keep: int = 0,
) -> Asked[T]:
    """Ask until the reply can be read, at most 1 + `repairs` times.

    Each further time the chat shows the last reply and what was wrong with it. JSON that repeats the example in the
    prompt cannot be used either.

    Args:
        ctx: the run.
        messages: the chat.
        read: turns a reply into a value, or raises `BadInput` saying what is wrong with it.
        path: names the place of the draws.
        role: of the model.
        law: by default the context's.
        schema: JSON schema of the reply, sent where the back-end takes one.
        extra: further fields of the request (see `Request.extra`).
        repairs: >= 0.
        keep: calls that the run needs for something else: where a limit on calls leaves no more, nothing is asked.
    """
    wrong: list[str] = []
    chat = tuple(messages)
    text = ""
    for attempt in range(1 + repairs):
        if not affords(ctx, 1 + keep):
            wrong.append("the budget leaves no call for it")
            break
        outcome = await call(ctx, chat, path=(*path, attempt), role=role, law=law, schema=schema, extra=extra)
        if outcome.ended is not None:
            return Asked(text=outcome.text, faults=tuple(wrong), ended=outcome.ended)
        found = outcome.candidate
        text = outcome.text
        if found is None or not found.ok:
            fault = "the call failed" if found is None else f"the call failed: {found.error}"
        else:
            try:
                value = read(text)
                if schema is not None and repeats(text, messages[-1].text):
                    raise BadInput("it only repeats the example of the form")
                return Asked(value=value, text=text, faults=tuple(wrong))
            except BadInput as err:
                fault = _refusal(found, text) or ("it is empty" if not text else str(err))
            chat = (*messages, Message("assistant", text), Message("user", _again().substitute(fault=fault).strip()))
        wrong.append(fault)
        ctx.trace.instant("repair", ctx.span, path=list(path), attempt=attempt, fault=fault)
        if found is not None and not found.ok and found.usage.calls == 0:
            break  # it does not fit the context, and will not the next time
    return Asked(text=text, faults=tuple(wrong))


def _refusal(found: Candidate, text: str) -> str:
    """Return the fault of a reply that refuses; empty for one that does not."""
    said = found.message is not None and found.message.refusal
    return "it refuses" if said or text.lower().startswith(_REFUSED) else ""


def numbered(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates with their index set to their place."""
    return [replace(candidate, index=at) for at, candidate in enumerate(candidates)]
