"""What is asked: messages and tasks.

A task never carries its reference answer: gold lives in bench records, so that no method can see it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ponder.core.errors import BadInput

__all__ = ["Image", "Message", "Role", "Task"]

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image in a message.

    Attributes:
        data: encoded bytes (PNG, JPEG, WebP), or
        url: an address that the *model server* may fetch; ponder itself never does.
        mime: media type of `data`.
    """

    data: bytes = b""
    url: str = ""
    mime: str = "image/png"

    def __post_init__(self) -> None:
        if bool(self.data) == bool(self.url):
            raise BadInput("an image needs either data or a url")

    def as_url(self) -> str:
        """Return the address, or the data as a `data:` address."""
        return self.url or f"data:{self.mime};base64,{base64.b64encode(self.data).decode()}"


@dataclass(frozen=True)
class Message:
    """One chat message.

    Attributes:
        role: who speaks.
        text: the text content (may be empty beside tool calls, a refusal or images).
        images: images shown before the text.
        tool_calls: calls asked for by an assistant, as the provider's JSON objects.
        tool_call_id: for role "tool": which call this answers.
        refusal: the provider's refusal text, where it gave one.
        reasoning: thinking text that is not part of the answer.
        raw: the message as an OpenAI-style object, where that holds more than these fields (a name, the order of its
            parts); back-ends that speak that format send it as it is.
    """

    role: Role
    text: str
    images: tuple[Image, ...] = ()
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    tool_call_id: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    raw: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object with the empty fields left out."""
        out: dict[str, Any] = {"role": self.role, "text": self.text}
        if self.images:
            out["images"] = [image.as_url() for image in self.images]
        if self.tool_calls:
            out["tool_calls"] = [dict(call) for call in self.tool_calls]
        for name in ("tool_call_id", "refusal", "reasoning", "raw"):
            if (value := getattr(self, name)) is not None:
                out[name] = value
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Message:
        """Rebuild a message from `to_json`."""
        images = []
        for url in data.get("images", ()):
            if url.startswith("data:"):
                mime, _, payload = url[5:].partition(";base64,")
                images.append(Image(data=base64.b64decode(payload), mime=mime))
            else:
                images.append(Image(url=url))
        return cls(
            role=data["role"],
            text=data["text"],
            images=tuple(images),
            tool_calls=tuple(data.get("tool_calls", ())),
            tool_call_id=data.get("tool_call_id"),
            refusal=data.get("refusal"),
            reasoning=data.get("reasoning"),
            raw=data.get("raw"),
        )


@dataclass(frozen=True, kw_only=True)
class Task:
    """A question with the type of its answer.

    Attributes:
        messages: the chat so far; the model answers next.
        answer: name of a registered answer type ("text", "number", "choice", "json", "math", "exact").
        id: stable name for seeds and rows; by default a digest of the messages.
        metadata: anything that is not gold (family, difficulty, the checker's constraints).
    """

    messages: tuple[Message, ...]
    answer: str = "text"
    id: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.messages:
            raise BadInput("the prompt is empty: give at least one message")
        if not any(message.text.strip() or message.images for message in self.messages):
            raise BadInput("the prompt is empty: give some text or an image")
        if "reference" in self.metadata:
            raise BadInput("a task must not carry its reference answer; keep gold in the bench record")
        if not self.id:
            text = json.dumps([message.to_json() for message in self.messages], sort_keys=True)
            digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
            object.__setattr__(self, "id", digest[:16])

    @classmethod
    def of(cls, prompt: str | Sequence[Message] | Task, *, answer: str = "text", system: str = "") -> Task:
        """Make a task from a plain prompt, a list of messages, or a task (returned as it is)."""
        if isinstance(prompt, Task):
            return prompt
        messages = (Message("user", prompt),) if isinstance(prompt, str) else tuple(prompt)
        if system:
            messages = (Message("system", system), *messages)
        return cls(messages=messages, answer=answer)

    @property
    def prompt(self) -> str:
        """The text of the last user message."""
        return next((m.text for m in reversed(self.messages) if m.role == "user"), self.messages[-1].text)
