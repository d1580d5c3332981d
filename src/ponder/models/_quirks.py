"""What differs between OpenAI-compatible servers, request side: kinds of server, JSON bodies, refusals.

Source: the public API references of OpenAI, vLLM, SGLang, llama.cpp and Ollama, and replies seen from llama.cpp.
Pure functions and data, no input or output; `_replies` is the other half.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from ponder.core.access import Access
from ponder.core.errors import BadReply, ProviderError, ProviderTimeout, RateLimited, RequestRefused
from ponder.core.model import Request
from ponder.core.task import Message

__all__ = [
    "KINDS",
    "Call",
    "Kind",
    "Refusal",
    "body",
    "error_text",
    "failure",
    "kind_of",
    "rejected",
    "retry_after",
    "wire",
]

_LOGPROBS = (Access.LOGPROBS, Access.TOP_LOGPROBS)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A family of servers.

    Attributes:
        name: as written in the option `kind`.
        access: what it is taken to give until a probe or a refusal says otherwise.
        max_tokens: the name it prefers for the cap on new tokens.
        samplers: fields of `Sampling` beyond OpenAI's own that it accepts, each with its names on the wire.
        always: send those fields even when they are off (the server has hidden defaults of its own).
        prefix: how it continues a given text: a chat that ends in an assistant message, or a rendered raw prompt.
        echoes: a continued chat repeats the prefix in its answer.
        running: how a stream tells its token counts as it goes.
        counts_one: with n > 1 its usage counts one choice only, so that n choices must be streamed to be counted.
        least_top: smallest `top_logprobs` with which it returns log-probabilities at all.
        token_ids: it returns token ids when asked for.
    """

    name: str
    access: frozenset[Access]
    max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    samplers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    always: bool = True
    prefix: Literal["chat", "render"] | None = None
    echoes: bool = False
    running: Literal["usage", "timings"] | None = None
    counts_one: bool = False
    least_top: int = 0
    token_ids: bool = False


def _kind(name: str, *access: Access, **traits: Any) -> Kind:
    return Kind(name=name, access=frozenset({Access.TEXT, *access}), **traits)


_VLLM_SAMPLERS = {"top_k": ("top_k",), "min_p": ("min_p",), "repeat_penalty": ("repetition_penalty",)}
KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        _kind(
            "openai",
            *_LOGPROBS,
            Access.SEED,
            Access.N,
            Access.SCHEMA,
            max_tokens="max_completion_tokens",
            samplers={"top_k": ("top_k",), "min_p": ("min_p",), "repeat_penalty": ("repetition_penalty",)},
            always=False,
        ),
        # An unknown server: only text is promised. Both spellings of the penalty, since a neutral one harms nobody.
        _kind(
            "compatible",
            samplers={
                "top_k": ("top_k",),
                "min_p": ("min_p",),
                "repeat_penalty": ("repeat_penalty", "repetition_penalty"),
            },
            prefix="chat",
            echoes=True,
        ),
        _kind(
            "vllm",
            *_LOGPROBS,
            Access.SEED,
            Access.N,
            Access.SCHEMA,
            Access.PREFIX,
            samplers=_VLLM_SAMPLERS,
            prefix="chat",
            running="usage",
            token_ids=True,
        ),
        _kind(
            "sglang",
            *_LOGPROBS,
            Access.SEED,
            Access.N,
            Access.SCHEMA,
            Access.PREFIX,
            samplers=_VLLM_SAMPLERS,
            prefix="chat",
            running="usage",
        ),
        _kind(
            "llamacpp",
            *_LOGPROBS,
            Access.SEED,
            Access.N,
            Access.SCHEMA,
            Access.PREFIX,
            samplers={"top_k": ("top_k",), "min_p": ("min_p",), "repeat_penalty": ("repeat_penalty",)},
            prefix="render",
            running="timings",
            counts_one=True,
            least_top=1,
        ),
        # Its /v1 interface ignores n and the extra samplers without a word; those follow the Modelfile.
        _kind("ollama", Access.SEED, Access.SCHEMA),
    )
}


def kind_of(base_url: str) -> str:
    """Return the kind that an address gives away, else "compatible"."""
    return "openai" if base_url.startswith("https://api.openai.com/") else "compatible"


class Refusal(RequestRefused):
    """A refusal with its whole text, to find out what is refused."""

    def __init__(self, message: str, *, status: int, text: str) -> None:
        super().__init__(message, status=status)
        self.text = text


@dataclass(frozen=True, kw_only=True)
class Call:
    """One HTTP call: where it goes below the base URL, and its JSON body."""

    path: str
    body: dict[str, Any]


def body(
    request: Request,
    *,
    model: str,
    kind: Kind,
    without: Collection[str] = (),
    stream: bool = False,
    rendered: str | None = None,
) -> Call:
    """Return the call that asks for `request`.

    Args:
        request: what is asked.
        model: the server's name of the model.
        kind: the family of the server.
        without: parameters that this server refused before.
        stream: ask for server-sent events.
        rendered: the chat as one raw prompt, prefix included, where the server rendered it.
    """
    raw = request.prompt is not None or rendered is not None
    out: dict[str, Any] = {"model": model}
    if rendered is not None:
        out["prompt"] = rendered
    elif request.prompt is not None:
        out["prompt"] = _raw_prompt(request)
    else:
        out["messages"] = [wire(message) for message in request.messages]
        if request.prefix:
            out["messages"].append({"role": "assistant", "content": request.prefix})
            out |= {"add_generation_prompt": False, "continue_final_message": True}
    out |= _sampling(request, kind, without)
    if request.n > 1:
        out["n"] = request.n
    out["seed"] = request.seed
    if request.logprobs is not None:
        top = max(request.logprobs, kind.least_top)
        out |= {"logprobs": top} if raw else {"logprobs": True, "top_logprobs": top}
        if kind.token_ids:
            out["return_token_ids"] = True
    if request.json_schema is not None:
        schema = dict(request.json_schema)
        if raw and kind.name == "llamacpp":
            out["json_schema"] = schema
        else:
            named = {"name": "answer", "schema": schema, "strict": True}
            out["response_format"] = {"type": "json_schema", "json_schema": named}
    if request.tools and not raw:
        out["tools"] = [dict(tool) for tool in request.tools]
    if stream:
        out["stream"] = True
        out["stream_options"] = {"include_usage": True}
        if kind.running == "usage":
            out["stream_options"]["continuous_usage_stats"] = True
        elif kind.running == "timings":
            out["timings_per_token"] = True
    out |= request.extra
    for name in without:
        out.pop(name, None)
    if "logprobs" not in out:
        out.pop("top_logprobs", None)
    return Call(path="/completions" if raw else "/chat/completions", body=out)


def _raw_prompt(request: Request) -> str | list[int]:
    if isinstance(request.prompt, str):
        return request.prompt + request.prefix
    if request.prefix:
        raise RequestRefused("a prompt of token ids cannot be followed by a prefix given as text")
    return list(request.prompt or ())


def _sampling(request: Request, kind: Kind, without: Collection[str]) -> dict[str, Any]:
    law = request.sampling
    out: dict[str, Any] = {
        "temperature": law.temperature,
        "top_p": law.top_p,
        "presence_penalty": law.presence_penalty,
        "frequency_penalty": law.frequency_penalty,
    }
    caps = ("max_tokens", "max_completion_tokens")
    # Raw completions only know the older name.
    chat = request.prompt is None
    cap = kind.max_tokens if chat else "max_tokens"
    out[next((name for name in (cap, *caps) if name not in without), cap)] = law.max_tokens
    # top_k: 0 is refused by some versions, -1 is off for all of them.
    extra = (("top_k", law.top_k or -1, -1), ("min_p", law.min_p, 0.0), ("repeat_penalty", law.repeat_penalty, 1.0))
    for name, value, off in extra:
        if kind.always or value != off:
            out |= dict.fromkeys(kind.samplers.get(name, ()), value)
    if law.stop:
        out["stop"] = list(law.stop)
    return out


def wire(message: Message) -> dict[str, Any]:
    """Return a message as OpenAI-style JSON. Reasoning is not sent back: servers refuse it or ignore it."""
    if message.raw is not None:
        return dict(message.raw)
    out: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.images:
        parts: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": i.as_url()}} for i in message.images]
        out["content"] = [*parts, {"type": "text", "text": message.text}] if message.text else parts
    if message.tool_calls:
        out["tool_calls"] = [dict(call) for call in message.tool_calls]
        out["content"] = message.text or None
    if message.tool_call_id is not None:
        out["tool_call_id"] = message.tool_call_id
    if message.refusal is not None:
        out["refusal"] = message.refusal
    return out


# Parameters that can be left out (or spelled otherwise) without asking for another kind of answer.
_DROPPABLE = (
    "max_completion_tokens",
    "max_tokens",
    "continuous_usage_stats",
    "stream_options",
    "timings_per_token",
    "return_token_ids",
    "repetition_penalty",
    "repeat_penalty",
    "presence_penalty",
    "frequency_penalty",
    "temperature",
    "top_logprobs",
    "logprobs",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "n",
)
_UNSUPPORTED = re.compile(
    r"unsupported|not support|n't support|unrecogni[sz]ed|unknown|unexpected|not permitted|not allowed|"
    r"extra_forbidden|extra inputs|only the default|not available|incompatible|not compatible",
    re.IGNORECASE,
)


def rejected(status: int, text: str, sent: Mapping[str, Any]) -> str | None:
    """Return the parameter of `sent` that a refusal says is not supported, if it may be left out.

    A value out of range is no such refusal (leaving it out would change the law in silence), except for n, whose
    choices can be asked for one by one.
    """
    if status not in (400, 422):
        return None
    named = _named(text, sent)
    if named is None or not (named == "n" or _UNSUPPORTED.search(text)):
        return None
    return named


def _named(text: str, sent: Mapping[str, Any]) -> str | None:
    error = _error_object(text)
    param = error.get("param")
    if isinstance(param, str) and param:
        return param if param in _DROPPABLE and param in sent else None
    message = error_text(text, limit=4000)
    options = sent.get("stream_options")
    for name in _DROPPABLE:
        there = name in sent or (isinstance(options, dict) and name in options)
        # A short name such as n counts only in quotes; the others as whole words.
        word = rf"['\"`]{name}['\"`]" if len(name) < 4 else rf"(?<![\w]){name}(?![\w])"
        if there and re.search(word, message):
            return "stream_options" if name == "continuous_usage_stats" else name
    return None


def _error_object(text: str) -> Mapping[str, Any]:
    try:
        data = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(data, dict):
        return {}
    inner = data.get("error")
    return inner if isinstance(inner, dict) else data


def error_text(text: str, *, limit: int = 300) -> str:
    """Return the readable part of an error body: one line of at most `limit` characters."""
    error = _error_object(text)
    message = next((error[name] for name in ("message", "detail", "error") if error.get(name)), text)
    if not isinstance(message, str):
        message = json.dumps(message)
    line = " ".join("".join(c if c.isprintable() else " " for c in message[: 4 * limit]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def failure(status: int, headers: Mapping[str, str], text: str, *, now: float) -> ProviderError:
    """Return the error that a reply of another status than 200 stands for.

    Args:
        status: HTTP status.
        headers: reply headers, names in lower case.
        text: the body.
        now: Unix time, for a Retry-After that is a date.
    """
    message = f"HTTP {status}: {error_text(text)}"
    wait = retry_after(headers, now=now)
    if status == 429:
        if _error_object(text).get("code") == "insufficient_quota":
            return RequestRefused(message, status=status)  # no credit left: waiting does not help
        return RateLimited(message, status=status, retry_after=wait)
    if status == 408:
        return ProviderTimeout(message, status=status, retry_after=wait)
    if status >= 500 or status in (409, 425):
        return BadReply(message, status=status, retry_after=wait)
    return Refusal(message, status=status, text=text)


def retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """Return the seconds that the server asks to wait (>= 0), or None."""
    for name, scale in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        text = headers.get(name)
        if text is None:
            continue
        try:
            seconds = float(text) * scale
        except ValueError:
            try:
                seconds = parsedate_to_datetime(text).timestamp() - now
            except ValueError:
                continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    return None
