"""An OpenAI-compatible server on loopback that counts what it serves and breaks on command.

A word is a token. Each request takes the next fault of the script (None: answer well); the server keeps its own
books: `served` for whole answers, `wasted` for answers that it began and broke.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from aiohttp import web

WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta")


@dataclass
class Books:
    """Counts of the server's own."""

    requests: int = 0
    answers: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, usage: dict[str, Any], answers: int) -> None:
        self.requests += 1
        self.answers += answers
        self.prompt_tokens += usage["prompt_tokens"]
        self.completion_tokens += usage["completion_tokens"]


@dataclass
class FaultServer:
    """Use it as an async context manager.

    Attributes:
        script: names of faults, one a request; when it ends, all is well.
        refuse: parameters answered with 400 in OpenAI's words.
        ignore_n: answer one choice whatever n is.
        continues: goes on from an open assistant message.
        says: every answer, in place of words that depend on the seed.
        latency: seconds before each answer.
        seen: the JSON bodies received; `headers` those of the same requests.
    """

    script: Iterable[str | None] = ()
    refuse: tuple[str, ...] = ()
    ignore_n: bool = False
    continues: bool = False
    says: str = ""
    latency: float = 0.0
    tls: ssl.SSLContext | None = None
    key: str = ""
    seen: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    served: Books = field(default_factory=Books)
    wasted: Books = field(default_factory=Books)
    in_flight: int = 0
    most_in_flight: int = 0
    aborted: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def __aenter__(self) -> FaultServer:
        self._faults: Iterator[str | None] = iter(self.script)
        self.idle.set()
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/chat/completions", self._answer)
        app.router.add_post("/v1/completions", self._answer)
        app.router.add_get("/v1/models", _models)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.tls, backlog=1024)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"{'https' if self.tls else 'http'}://{host}:{port}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    def reset(self) -> None:
        """Begin new books; only while nothing is in flight."""
        self.seen, self.headers = [], []
        self.served, self.wasted = Books(), Books()

    async def until(self, requests: int) -> None:
        """Wait until so many requests have come."""
        while len(self.seen) < requests:
            self.news.clear()
            await self.news.wait()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.in_flight += 1
        self.idle.clear()
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._reply(request, await request.json())
        except asyncio.CancelledError:
            self.aborted += 1
            raise
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self.idle.set()

    async def _reply(self, request: web.Request, data: dict[str, Any]) -> web.StreamResponse:
        self.seen.append(data)
        self.news.set()
        self.headers.append(dict(request.headers))
        fault = next(self._faults, None)
        if self.latency:
            await asyncio.sleep(self.latency)
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            text = f"Incorrect API key provided: {request.headers.get('Authorization', '')[7:]}"
            return _error(401, text, code="invalid_api_key")
        for name in self.refuse:
            if name in data:
                message = f"Unsupported parameter: '{name}' is not supported with this model."
                return _error(400, message, param=name, code="unsupported_parameter")
        early = await self._early(fault, request)
        if early is not None:
            return early
        body, usage = self._body(data)
        whole = fault is None or fault.startswith("usage:")
        (self.served if whole else self.wasted).add(usage, len(body["choices"]))
        if data.get("stream"):
            return await self._stream(request, body, data, fault)
        return await self._plain(request, body, fault)

    async def _early(self, fault: str | None, request: web.Request) -> web.StreamResponse | None:
        """Faults that come before any answer (and cost nothing)."""
        match fault:
            case "429":
                return _error(429, "slow down")
            case "429-after":
                return _error(429, "slow down", headers={"Retry-After": "0.05"})
            case "429-long":
                return _error(429, "slow down", headers={"Retry-After": "3600"})
            case "429-quota":
                return _error(429, "no credit left", code="insufficient_quota")
            case "500":
                return _error(500, "oops")
            case "503-html":
                return web.Response(status=503, text="<html>busy</html>", content_type="text/html")
            case "400":
                return _error(400, "this request makes no sense")
            case "302":
                return web.Response(status=302, headers={"Location": "http://127.0.0.1:9/"})
            case "close":
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            case "not-http":
                assert request.transport is not None
                request.transport.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
                request.transport.close()
                return web.Response()
            case "hang":
                await asyncio.sleep(60)
            case "error-200":
                return web.json_response({"error": {"message": "upstream is busy", "code": 429}})
        return None

    def _body(self, data: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        n = 1 if self.ignore_n else data.get("n", 1)
        most = data.get("max_completion_tokens", data.get("max_tokens", 16))
        raw = "prompt" in data
        choices = []
        total = 0
        for index in range(n):
            seed = data.get("seed", 0) + index
            count = min(most, 1 + seed % 7)
            words = [WORDS[(seed + place) % len(WORDS)] + " " for place in range(count)]
            if self.says:
                words = [word + " " for word in self.says.split()]
            if self.continues and data.get("continue_final_message"):
                words = [" four "]
            total += len(words)
            choice: dict[str, Any] = {"index": index, "finish_reason": "length" if count == most else "stop"}
            if raw:
                choice["text"] = "".join(words)
            else:
                choice["message"] = {"role": "assistant", "content": "".join(words)}
            if data.get("logprobs") not in (None, False):
                choice["logprobs"] = {"content": [_logprob(word) for word in words]}
            choices.append(choice)
        usage = {"prompt_tokens": _prompt_tokens(data), "completion_tokens": total}
        usage["total_tokens"] = sum(usage.values())
        body = {"id": "x", "object": "chat.completion", "model": "stub", "choices": choices, "usage": usage}
        return body, usage

    async def _plain(self, request: web.Request, body: dict[str, Any], fault: str | None) -> web.StreamResponse:
        match fault:
            case "half-json":
                text = json.dumps(body)
                return web.Response(text=text[: len(text) // 2], content_type="application/json")
            case "no-json":
                return web.Response(text="I am sorry, Dave", content_type="application/json")
            case "empty":
                return web.Response(text="")
            case "duplicate":
                body["choices"] = [body["choices"][0], body["choices"][0]]
            case "no-choices":
                body["choices"] = []
            case "null-content":
                body["choices"][0] = {"index": 0, "finish_reason": "stop"}
            case "abort":
                body["choices"][0]["finish_reason"] = "abort"
            case "big":
                body["padding"] = "x" * 10 * 2**20
            case "cut":
                response = web.StreamResponse(headers={"Content-Length": "100000"})
                await response.prepare(request)
                await response.write(json.dumps(body)[:20].encode())
                assert request.transport is not None
                request.transport.close()
                return response
            case "drip":
                return await self._drip(request, json.dumps(body).encode())
            case str() if fault.startswith("usage:"):
                body["usage"] = json.loads(fault.removeprefix("usage:"))
        return web.json_response(body)

    async def _drip(self, request: web.Request, data: bytes) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for place in range(len(data)):
            await response.write(data[place : place + 1])
            await asyncio.sleep(0.05)
        return response

    async def _stream(
        self, request: web.Request, body: dict[str, Any], data: dict[str, Any], fault: str | None
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        events = list(_events(body, raw="prompt" in data))
        if fault == "big":
            await response.write(b"data: " + b"x" * 10 * 2**20)
        broken = fault is not None and not fault.startswith("usage:")
        for place, event in enumerate(events):
            if broken and place == max(1, len(events) // 2):
                match fault:
                    case "cut":
                        assert request.transport is not None
                        request.transport.abort()
                        return response
                    case "half-json":
                        await response.write(b'data: {"choices": [{"ind')
                        return response
                    case "drip":
                        await asyncio.sleep(60)
                    case "error":
                        await response.write(b'data: {"error": {"message": "worker died"}}\n\n')
                        return response
                    case "no-json":
                        await response.write(b"data: oops\n\n")
                        return response
                    case _:  # the stream just ends
                        return response
            await response.write(b": keep-alive\n\ndata: " + json.dumps(event).encode() + b"\r\n\r\n")
        if data.get("stream_options", {}).get("include_usage") and fault != "usage:null":
            usage = body["usage"] if fault is None else json.loads(fault.removeprefix("usage:"))
            await response.write(b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n")
        await response.write(b"data: [DONE]\n\n")
        return response


def _events(body: dict[str, Any], *, raw: bool) -> Iterator[dict[str, Any]]:
    for choice in body["choices"]:
        text = choice["text"] if raw else choice["message"]["content"]
        words = [word + " " for word in text.split()]
        for place, word in enumerate(words):
            part: dict[str, Any] = {"index": choice["index"], "finish_reason": None}
            part |= {"text": word} if raw else {"delta": {"content": word}}
            if "logprobs" in choice:
                part["logprobs"] = {"content": [choice["logprobs"]["content"][place]]}
            yield {"choices": [part]}
        end: dict[str, Any] = {"text": ""} if raw else {"delta": {}}
        yield {"choices": [{"index": choice["index"], "finish_reason": choice["finish_reason"], **end}]}


def _logprob(word: str) -> dict[str, Any]:
    return {
        "token": word,
        "bytes": list(word.encode()),
        "logprob": -0.5,
        "top_logprobs": [{"token": word, "logprob": -0.5}, {"token": "other ", "logprob": -1.5}],
    }


def _prompt_tokens(data: dict[str, Any]) -> int:
    if "prompt" in data:
        prompt = data["prompt"]
        return len(prompt) if isinstance(prompt, list) else len(prompt.split())
    return sum(len(str(message["content"]).split()) + 2 for message in data["messages"])


def _error(status: int, message: str, *, headers: dict[str, str] | None = None, **more: Any) -> web.Response:
    return web.json_response({"error": {"message": message, "type": "x", **more}}, status=status, headers=headers)


async def _models(_: web.Request) -> web.Response:
    return web.json_response({"data": [{"id": "stub"}]})
