"""Reasoning traces to prune: read them from JSON lines, and write them back in the chat form, their structure kept.

A line holds either {"messages": [...], "answer": "42"}, whose last message is the assistant's with its thought between
tags, in "reasoning_content", or as plain text; or {"question": ..., "reasoning": ..., "answer": ...} (also "prompt" or
"problem", and "trace", "thinking", "thought" or "solution").
Source: our own. Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ponder.core.errors import BadInput
from ponder.core.task import Message, Task

__all__ = ["TAGS", "TraceRecord", "read_traces"]

TAGS = (("<think>", "</think>"), ("<thought>", "</thought>"), ("<|im_start|>think", "<|im_start|>answer"))
_QUESTION = ("question", "prompt", "problem")
_TRACE = ("reasoning", "trace", "thinking", "thought", "solution")
_ANSWER = ("answer", "reference", "gold")
_ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, kw_only=True)
class TraceRecord:
    """One trace with what stands around it.

    Attributes:
        task: the chat before the assistant's reply.
        before, trace, after: the reply: what opens the thought, the thought, what closes it and follows.
        apart: the thought is a field of its own ("reasoning_content"), not a part of the reply's text.
        answer: gold.
        extra: other fields of the line, kept as they are.
    """

    task: Task
    before: str = ""
    trace: str
    after: str = ""
    apart: bool = False
    answer: str
    extra: Mapping[str, Any] = field(default_factory=dict)

    def with_trace(self, trace: str) -> TraceRecord:
        """Return the record with another thought."""
        return replace(self, trace=trace)

    def to_json(self) -> dict[str, Any]:
        """Return the chat as one JSON object, as trainers read it."""
        messages: list[dict[str, Any]] = [{"role": m.role, "content": m.text} for m in self.task.messages]
        reply: dict[str, Any] = {"role": "assistant", "content": self.before + self.trace + self.after}
        if self.apart:
            reply |= {"content": self.after, "reasoning_content": self.trace}
        return {**self.extra, "messages": [*messages, reply], "answer": self.answer}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TraceRecord:
        """Read one line.

        Raises:
            BadInput: question, trace or answer is missing or empty.
        """
        found = _first(data, _ANSWER)
        if found is None:
            raise BadInput(f"there is no {' or '.join(_ANSWER)}")
        used = {found[0], "messages"}
        answer = str(found[1]).strip()
        if not answer:
            raise BadInput("the answer is empty")
        messages = data.get("messages")
        if messages is None:
            question, thought = _first(data, _QUESTION), _first(data, _TRACE)
            if question is None or thought is None:
                raise BadInput("there are neither messages nor a question with its reasoning")
            used |= {question[0], thought[0]}
            extra = {key: value for key, value in data.items() if key not in used}
            text = str(thought[1])
            _check(text)
            return cls(
                task=Task.of(str(question[1])),
                before="<think>\n",
                trace=text,
                after=f"\n</think>\n\n{answer}",
                answer=answer,
                extra=extra,
            )
        extra = {key: value for key, value in data.items() if key not in used}
        if not isinstance(messages, list) or len(messages) < 2 or not all(isinstance(m, dict) for m in messages):
            raise BadInput("messages must be a list of a question and a reply at least")
        chat = [_message(one) for one in messages[:-1]]
        reply = messages[-1]
        if reply.get("role") != "assistant":
            raise BadInput("the last message must be the assistant's")
        content = str(reply.get("content", reply.get("text", "")) or "")
        apart = reply.get("reasoning_content") or reply.get("reasoning")
        if apart:
            return cls(
                task=Task(messages=tuple(chat)),
                trace=str(apart),
                after=content,
                apart=True,
                answer=answer,
                extra=extra,
            )
        before, trace, after = _split(content)
        _check(trace)
        return cls(task=Task(messages=tuple(chat)), before=before, trace=trace, after=after, answer=answer, extra=extra)


def read_traces(file: Path | str) -> list[TraceRecord]:
    """Read a file of JSON lines.

    Raises:
        BadInput: it cannot be read, holds nothing, or a line is no trace; the message names the line.
    """
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as err:
        raise BadInput(f"cannot read {str(file)!r}: {err}") from err
    records = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
            if not isinstance(data, dict):
                raise BadInput("not a JSON object")
            records.append(TraceRecord.from_json(data))
        except ValueError as err:  # BadInput and what JSON says
            raise BadInput(f"{file}:{number}: no trace: {err}") from err
    if not records:
        raise BadInput(f"{str(file)!r} holds no trace")
    return records


def _split(content: str) -> tuple[str, str, str]:
    """Part a reply at the tags of its thought; without tags all of it is the thought."""
    for open_, close in TAGS:
        end = content.find(close)
        if end < 0:
            continue
        start = content.find(open_)
        begin = start + len(open_) if 0 <= start < end else 0
        inner = content[begin:end]
        left, right = len(inner) - len(inner.lstrip()), len(inner.rstrip())
        if right <= left:
            return content[:begin], "", content[begin:]
        return content[: begin + left], inner[left:right], content[begin + right :]
    return "", content, ""


def _message(data: Mapping[str, Any]) -> Message:
    role = data.get("role")
    if role not in _ROLES:
        raise BadInput(f"there is no role {role!r}")
    return Message(role, str(data.get("content", data.get("text", "")) or ""))


def _first(data: Mapping[str, Any], names: tuple[str, ...]) -> tuple[str, Any] | None:
    return next(((name, data[name]) for name in names if data.get(name) is not None), None)


def _check(trace: str) -> None:
    if not trace.strip():
        raise BadInput("the trace is empty")
