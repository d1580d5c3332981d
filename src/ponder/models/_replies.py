"""What differs between OpenAI-compatible servers, reply side: choices, messages, tokens and their log-probabilities.

Source: the public API references of OpenAI, vLLM, SGLang, llama.cpp and Ollama, and replies seen from llama.cpp.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ponder.core.errors import BadReply, ProviderError
from ponder.core.model import Completion, Finish, Request, Tokens
from ponder.core.task import Message
from ponder.models._bills import costs
from ponder.models._quirks import Kind, error_text, failure
from ponder.models.logprobs import read_logprobs

__all__ = ["Reply", "completions", "inner_error", "string", "unreadable"]

_FINISH: dict[str, Finish] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


@dataclass(kw_only=True)
class Reply:
    """A whole answer, streamed or not.

    Attributes:
        choices: the JSON choices in order of their index, each with a `message` or a `text`.
        usage: the server's usage object, unchecked.
        counts: completion tokens of each choice where the stream told them.
    """

    choices: list[Mapping[str, Any]]
    usage: Any = None
    counts: Sequence[int | None] = ()

    @classmethod
    def of(cls, data: Any, n: int) -> Reply:
        """Check the frame of a plain reply for at most `n` choices.

        Raises:
            BadReply: no choices, too many, or indices that are not 0, 1, ...
        """
        if not isinstance(data, dict):
            raise unreadable(f"the reply is not a JSON object but {type(data).__name__}")
        choices = data.get("choices")
        if not isinstance(choices, list) or not choices or not all(isinstance(c, dict) for c in choices):
            if data.get("error"):
                raise inner_error(data)
            raise unreadable("the reply has no choices")
        indices = [choice.get("index", place) for place, choice in enumerate(choices)]
        order = list(range(len(choices)))
        if indices != order:
            if sorted(indices, key=str) != sorted(order, key=str):
                raise unreadable(f"the reply has choices {indices!r:.100} where {n} were asked for")
            choices = [choices[indices.index(place)] for place in order]
        if len(choices) > n:
            raise unreadable(f"the reply has {len(choices)} choices where {n} were asked for")
        return cls(choices=choices, usage=data.get("usage"))


def completions(reply: Reply, request: Request, *, kind: Kind, bound: int) -> list[Completion]:
    """Return the completions of a reply, in order, with their costs.

    Args:
        reply: at least one choice; fewer than `request.n` where the server ignores n.
        request: what was asked.
        kind: the family of the server.
        bound: upper bound of the prompt's tokens, for a server that does not count.

    Raises:
        BadReply: something in it cannot be read.
    """
    messages = [_message(choice, request, kind) for choice in reply.choices]
    tokens = [_tokens(choice, message.text, request) for choice, message in zip(reply.choices, messages, strict=True)]
    shares = costs(reply.usage, reply.choices, messages, reply.counts, request, kind=kind, bound=bound)
    return [
        Completion(
            message=message,
            finish=_finish(choice, share.usage.completion_tokens, request),
            stop=_stop(choice, request),
            usage=share.usage,
            tokens=listed,
            sent=share.sent if len(messages) > 1 else None,
        )
        for choice, message, listed, share in zip(reply.choices, messages, tokens, shares, strict=True)
    ]


def _message(choice: Mapping[str, Any], request: Request, kind: Kind) -> Message:
    data = choice.get("message")
    if data is None and isinstance(choice.get("text"), str):
        return Message("assistant", choice["text"])
    if not isinstance(data, dict):
        raise unreadable("a choice has neither a message nor a text")
    content = data.get("content")
    if isinstance(content, list):
        content = "".join(string(part.get("text")) for part in content if isinstance(part, dict))
    if not isinstance(content, str | None):
        raise unreadable(f"the content of a message is {type(content).__name__}")
    text = content or ""
    if kind.echoes and request.prefix and text.startswith(request.prefix):
        text = text[len(request.prefix) :]
    calls = data.get("tool_calls") or []
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise unreadable("the tool calls of a message cannot be read")
    reasoning = data.get("reasoning_content") or data.get("reasoning")
    refusal = data.get("refusal")
    return Message(
        "assistant",
        text,
        tool_calls=tuple(calls),
        refusal=refusal if isinstance(refusal, str) else None,
        reasoning=reasoning if isinstance(reasoning, str) else None,
    )


def _stop(choice: Mapping[str, Any], request: Request) -> str | None:
    """Return which stop string ended the answer ("" for none), where the server tells or none was asked for."""
    if str(choice.get("finish_reason")).lower() != "stop":
        return None
    if not request.sampling.stop:
        return ""
    for name in ("stop_reason", "matched_stop"):  # vLLM, SGLang: a string, or a token id or null for the end of text
        if name in choice:
            return choice[name] if isinstance(choice[name], str) else ""
    return None


def _finish(choice: Mapping[str, Any], count: int, request: Request) -> Finish:
    reason = choice.get("finish_reason")
    if reason is None:
        return "length" if count >= request.sampling.max_tokens else "stop"
    finish = _FINISH.get(str(reason).lower())
    if finish is None:
        # "abort", "error", "insufficient_system_resource": the answer is not the model's own whole answer.
        raise unreadable(f"the server ended an answer with {reason!r:.60}")
    return finish


def _tokens(choice: Mapping[str, Any], text: str, request: Request) -> Tokens | None:
    logprobs = choice.get("logprobs")
    if request.logprobs is None or not isinstance(logprobs, dict):
        return None
    entries = read_logprobs(logprobs)
    if not entries:
        return None
    given = choice.get("token_ids")
    ids = given if isinstance(given, list) and len(given) == len(entries) else [entry.id for entry in entries]
    top = None
    if request.logprobs > 0 and all(entry.top is not None for entry in entries):
        top = tuple(entry.top[: request.logprobs] for entry in entries if entry.top is not None)
    return Tokens(
        ids=tuple(ids),
        texts=_spell([entry.data for entry in entries], text),
        logprobs=tuple(entry.logprob for entry in entries),
        top=top,
    )


def _spell(pieces: Sequence[bytes], text: str) -> tuple[str, ...]:
    """Return the pieces as texts whose concatenation is `text`, also where a character spans several tokens.

    What the server cut from the end (a stop string, the end-of-text token) becomes empty.
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    texts = [decoder.decode(piece) for piece in pieces]
    if not "".join(texts).startswith(text):
        return tuple(texts)  # thinking is among the tokens and not in the text
    ends = [0]
    for piece in texts:
        ends.append(min(ends[-1] + len(piece), len(text)))
    return tuple(text[start:end] for start, end in pairwise(ends))


def unreadable(message: str) -> BadReply:
    """Return the error for an answer that came (and was billed) but cannot be read: status 200 says so."""
    return BadReply(message, status=200)


def inner_error(data: Mapping[str, Any]) -> ProviderError:
    """Return the error that a server sent in place of an answer, under status 200."""
    error = data["error"]
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, int) and 400 <= code < 600:
        return failure(code, {}, json.dumps(data), now=0.0)
    return unreadable(f"the server sent an error: {error_text(json.dumps(data))}")


def string(value: Any) -> str:
    """Return a text, or nothing for what is none."""
    return value if isinstance(value, str) else ""
