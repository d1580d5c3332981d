"""Asks a server what it can do, with a dozen short requests: what `ponder doctor --endpoint` shows.

Source: our own. A level of access counts as given when a request that uses it came back with the thing asked for; a
server that takes a parameter and ignores it does not give it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ponder.core.access import Access
from ponder.core.errors import ProviderError
from ponder.core.model import Request, Sampling
from ponder.core.task import Message
from ponder.models._http import Transport
from ponder.models._quirks import KINDS, Kind, body
from ponder.models._replies import Reply, completions
from ponder.models._streams import Stream

if TYPE_CHECKING:
    from ponder.models.openai import OpenAI

__all__ = ["Probe", "probe"]

_QUESTION = (Message("user", "Name three colours."),)
_SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What a server can do.

    Attributes:
        url: base URL.
        model: name that was asked for.
        kind: the family that it was recognised as, to be written as the option `kind`.
        access: what it gives: the access table's row.
        notes: for each thing tried, what came of it, as a short sentence.
        models: names that the server lists.
        template_tokens: tokens of a one-word chat beyond that word: what the template adds, or None.
        seconds: time of the first plain answer.
    """

    url: str
    model: str
    kind: str
    access: frozenset[Access]
    notes: Mapping[str, str]
    models: tuple[str, ...] = ()
    template_tokens: int | None = None
    seconds: float = field(default=0.0, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {
            "url": self.url,
            "model": self.model,
            "kind": self.kind,
            "access": sorted(self.access),
            "notes": dict(self.notes),
            "models": list(self.models),
            "template_tokens": self.template_tokens,
            "seconds": self.seconds,
        }


async def probe(model: OpenAI, transport: Transport) -> Probe:
    """Ask the server behind `model`.

    Raises:
        ProviderError: it does not answer a plain prompt.
    """
    root = model.base_url.removesuffix("/v1")
    kind = await _recognise(model, transport, root)
    asking = _Asking(model, transport, KINDS[kind])
    begun = time.monotonic()
    (plain,) = await model.generate(_request(8))  # also finds out which sampler fields are refused
    seconds = time.monotonic() - begun
    notes = {"text": "yes"} | {parameter: f"refused: {why}" for parameter, why in model.learned.items()}
    given = {Access.TEXT}
    for level, check in (
        (Access.N, asking.choices),
        (Access.SEED, asking.seed),
        (Access.LOGPROBS, asking.logprobs),
        (Access.TOP_LOGPROBS, asking.top_logprobs),
        (Access.SCHEMA, asking.schema),
        (Access.PREFIX, asking.prefix),
    ):
        try:
            works, notes[level.value] = await check()
        except ProviderError as err:
            works, notes[level.value] = False, f"no: {err}"
        if works:
            given.add(level)
    notes["stream"] = await _told(asking.stream)
    notes["tokenize"] = await _told(lambda: asking.tokenize(root))
    one = await asking.ask(Request(messages=(Message("user", "Hi"),), sampling=Sampling(max_tokens=1)))
    usage = one.usage if isinstance(one.usage, dict) else {}
    prompt = usage.get("prompt_tokens")
    if not plain.usage.exact:
        notes["usage"] = "no: costs will be upper bounds"
    return Probe(
        url=model.base_url,
        model=model.model,
        kind=kind,
        access=frozenset(given),
        notes=notes,
        models=await _listed(transport),
        template_tokens=prompt - 1 if isinstance(prompt, int) and prompt > 0 else None,
        seconds=seconds,
    )


def _request(max_tokens: int, **fields: Any) -> Request:
    law = Sampling(temperature=1.0, top_p=1.0, max_tokens=max_tokens)
    return Request(**{"messages": _QUESTION, "sampling": law, "seed": 7, **fields})


class _Asking:
    """One check a method; each returns whether the thing works, and a sentence."""

    def __init__(self, model: OpenAI, transport: Transport, kind: Kind) -> None:
        self.model, self.transport, self.kind = model, transport, kind

    async def ask(self, request: Request, **more: Any) -> Reply:
        """Return the reply to a request with parameters that the server refused before left out."""
        call = body(request, model=self.model.model, kind=self.kind, without=self.model.learned)
        return Reply.of(await self.transport.json(call.path, call.body | more), request.n)

    async def choices(self) -> tuple[bool, str]:
        """Two choices in one request."""
        reply = await self.ask(_request(4, n=2))
        return len(reply.choices) == 2, "yes" if len(reply.choices) == 2 else "no: n is ignored"

    async def seed(self) -> tuple[bool, str]:
        """The same text twice for the same seed, another for another one."""
        texts = [await self._text(_request(16, seed=seed)) for seed in (7, 7, 8)]
        if texts[0] != texts[1]:
            return False, "no: the same seed gave two texts"
        return True, "yes" if texts[0] != texts[2] else "yes (two seeds gave the same text)"

    async def logprobs(self) -> tuple[bool, str]:
        """A log-probability for each sampled token."""
        return await self._logprobs(0)

    async def top_logprobs(self) -> tuple[bool, str]:
        """The likeliest tokens at each step."""
        return await self._logprobs(3)

    async def _logprobs(self, top: int) -> tuple[bool, str]:
        request = _request(4, logprobs=top)
        (done,) = completions(await self.ask(request), request, kind=self.kind, bound=1)
        works = done.tokens is not None and (top == 0 or done.tokens.top is not None)
        return works, "yes" if works else "no: none came back"

    async def schema(self) -> tuple[bool, str]:
        """An object of a given shape in answer to a question that does not ask for one."""
        text = await self._text(_request(48, json_schema=_SCHEMA))
        try:
            works = isinstance(json.loads(text)["n"], int)
        except (KeyError, TypeError, ValueError):
            works = False
        return works, "yes" if works else "no: the schema is ignored"

    async def prefix(self) -> tuple[bool, str]:
        """A beginning that no model would choose is continued in the only sensible way."""
        law = Sampling(temperature=0.0, max_tokens=4)
        request = Request(messages=_QUESTION, prefix="XQJ-7: one, two, three,", sampling=law)
        rendered = await self.model.render(request, self.kind)
        call = body(request, model=self.model.model, kind=self.kind, without=self.model.learned, rendered=rendered)
        reply = Reply.of(await self.transport.json(call.path, call.body), 1)
        text = completions(reply, request, kind=self.kind, bound=1)[0].text
        works = text.strip().lower().startswith("four")
        return works, "yes" if works else "no: a given beginning was not continued"

    async def stream(self) -> str:
        """Server-sent events, with usage at the end."""
        request = _request(4)
        call = body(request, model=self.model.model, kind=self.kind, without=self.model.learned, stream=True)
        growing = Stream(1, kind=self.kind, raw=False)
        async for event in self.transport.events(call.path, call.body):
            growing.feed(event)
        growing.reply()
        return "yes" if growing.prompt_tokens else "yes, without usage: streamed costs will be upper bounds"

    async def tokenize(self, root: str) -> str:
        """An exact tokenizer (for information: counting before a call makes no request)."""
        data = {"model": self.model.model, "prompt": "one two", "content": "one two"}
        reply = await self.transport.json(root + "/tokenize", data)
        return "yes" if isinstance(reply, dict) and isinstance(reply.get("tokens"), list) else "no"

    async def _text(self, request: Request) -> str:
        reply = await self.ask(request)
        return completions(reply, request, kind=self.kind, bound=1)[0].text


async def _told(check: Any) -> str:
    try:
        return str(await check())
    except ProviderError as err:
        return f"no: {err}"


async def _recognise(model: OpenAI, transport: Transport, root: str) -> str:
    """Return the kind given by the user, or the one whose own address the server knows."""
    if model.kind != "compatible":
        return model.kind
    for kind, path, field_ in (
        ("llamacpp", "/props", "default_generation_settings"),
        ("sglang", "/get_model_info", "model_path"),
        ("ollama", "/api/version", "version"),
        ("vllm", "/version", "version"),
    ):
        try:
            reply = await transport.json(root + path, timeout=10.0)
        except ProviderError:
            continue  # not of this kind; a server that is not there fails the plain prompt
        if isinstance(reply, dict) and field_ in reply:
            return kind
    return model.kind


async def _listed(transport: Transport) -> tuple[str, ...]:
    try:
        reply = await transport.json("/models", timeout=10.0)
    except ProviderError:
        return ()
    data = reply.get("data") if isinstance(reply, dict) else None
    entries = data if isinstance(data, list) else []
    return tuple(str(entry["id"]) for entry in entries if isinstance(entry, dict) and "id" in entry)
