"""The OpenAI-compatible back-end against a server that breaks in every way that we know."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ponder.core.errors import (
    BadReply,
    EndpointDown,
    ProviderError,
    ProviderTimeout,
    RateLimited,
    RequestRefused,
)
from ponder.core.model import Completion, Request, Sampling
from ponder.core.task import Message
from ponder.core.usage import Usage
from ponder.models.openai import OpenAI
from tests.models.fault_server import FaultServer

ASK = (Message("user", "say some words"),)


class Deaf:
    """A sink that only makes the back-end stream."""

    def token(self, index: int, text: str, count: int = 1) -> None: ...

    def prompt(self, index: int, tokens: int) -> None: ...

    def done(self, index: int, completion: Completion) -> None: ...


def request(seed: int = 6, *, n: int = 1, max_tokens: int = 16) -> Request:
    return Request(messages=ASK, seed=seed, n=n, sampling=Sampling(max_tokens=max_tokens))


def client(server: FaultServer, **options: Any) -> OpenAI:
    return OpenAI.from_spec(f"{server.url}#stub", **{"kind": "vllm", "backoff": 0.001, "timeout": 2.0, **options})


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with FaultServer() as server:
        yield server


def arm(server: FaultServer, *script: str | None) -> None:
    server._faults = iter(script)


UNPAID = ["429", "429-after", "500", "503-html", "close", "not-http"]
PAID_PLAIN = ["half-json", "no-json", "empty", "no-choices", "duplicate", "null-content", "abort", "cut", "big"]
PAID_STREAM = ["half-json", "no-json", "cut", "error", "ends", "big"]


@pytest.mark.parametrize("fault", UNPAID)
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_passing_fault_before_the_answer_is_retried_free_of_charge(
    server: FaultServer, fault: str, streamed: bool
) -> None:
    arm(server, fault, fault)
    model = client(server)
    (done,) = await model.generate(request(), Deaf() if streamed else None)
    await model.close()
    assert done.usage.completion_tokens == 7
    assert done.sent is None
    assert done.usage.exact
    assert len(server.seen) == 3


@pytest.mark.parametrize(
    ("fault", "streamed"), [(fault, False) for fault in PAID_PLAIN] + [(fault, True) for fault in PAID_STREAM]
)
async def test_an_answer_that_breaks_is_retried_and_paid_for(server: FaultServer, fault: str, streamed: bool) -> None:
    arm(server, fault)
    model = client(server, max_reply_bytes=2**20)
    (done,) = await model.generate(request(), Deaf() if streamed else None)
    await model.close()
    assert done.usage == Usage(calls=1, prompt_tokens=5, completion_tokens=7)
    assert done.sent is not None
    assert not done.sent.exact
    assert done.sent.prompt_tokens >= 10
    assert 7 <= done.sent.completion_tokens <= 7 + 16
    assert len(server.seen) == 2


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("fault", "kind", "attempts"),
    [
        ("429", RateLimited, 3),
        ("429-long", RateLimited, 1),
        ("429-quota", RequestRefused, 1),
        ("error-200", RateLimited, 3),
        ("500", BadReply, 3),
        ("close", BadReply, 6),  # each attempt sends once more at once: the pool may hold a dead connection
        ("400", RequestRefused, 1),
        ("302", RequestRefused, 1),
        ("hang", ProviderTimeout, 3),
    ],
)
async def test_a_lasting_fault_ends_as_its_own_error(
    server: FaultServer, fault: str, kind: type[ProviderError], attempts: int, streamed: bool
) -> None:
    arm(server, *[fault] * 10)
    model = client(server, retries=2, timeout=0.2)
    with pytest.raises(ProviderError) as caught:
        await model.generate(request(), Deaf() if streamed else None)
    await model.close()
    assert isinstance(caught.value, kind)
    assert len(server.seen) == attempts


async def test_a_slow_drip_ends_at_the_timeout(server: FaultServer) -> None:
    arm(server, "drip", "drip")
    model = client(server, retries=0, timeout=0.3)
    for sink in (None, Deaf()):
        with pytest.raises(ProviderTimeout, match=r"0\.3 s"):
            await model.generate(request(), sink)
    await model.close()


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        [],
        {"prompt_tokens": -5, "completion_tokens": -1},
        {"prompt_tokens": "5", "completion_tokens": "7"},
        {"prompt_tokens": 0, "completion_tokens": 0},
        {"prompt_tokens": 5.5, "completion_tokens": None},
        {"prompt_tokens": True, "completion_tokens": True},
    ],
    ids=json.dumps,
)
async def test_a_usage_that_cannot_be_believed_becomes_an_upper_bound(
    server: FaultServer, usage: Any, streamed: bool
) -> None:
    arm(server, f"usage:{json.dumps(usage)}")
    model = client(server)
    (done,) = await model.generate(request(), Deaf() if streamed else None)
    await model.close()
    assert not done.usage.exact
    assert 5 <= done.usage.prompt_tokens <= model.count(request()).tokens
    assert 7 <= done.usage.completion_tokens <= 16


async def test_siblings_with_a_duplicate_index_are_no_answer(server: FaultServer) -> None:
    arm(server, "duplicate")
    model = client(server, retries=0)
    with pytest.raises(BadReply, match="choices"):
        await model.generate(request(n=2))
    await model.close()


async def test_a_stream_that_ends_between_two_choices_is_broken_and_teaches_nothing_about_n(
    server: FaultServer,
) -> None:
    arm(server, "ends")
    model = client(server)
    done = await model.generate(request(seed=0, n=2), Deaf())  # one word and its end, then the stream breaks
    assert [c.usage.completion_tokens for c in done] == [1, 2]
    assert "n" not in model.learned
    assert server.wasted.answers == server.served.answers == 2
    assert done[0].sent is not None
    assert not done[0].sent.exact
    await model.close()


async def test_one_failed_sibling_does_not_break_off_the_others(server: FaultServer) -> None:
    server.ignore_n = True
    arm(server, None, "400", None, None)
    model = client(server)
    with pytest.raises(RequestRefused, match="no sense"):
        await model.generate(request(n=4))
    await model.close()
    assert server.served.requests == 3
    assert server.aborted == 0


async def test_a_port_that_nobody_listens_on_is_an_endpoint_that_is_down() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        model = OpenAI.from_spec(f"http://127.0.0.1:{free.getsockname()[1]}/v1#m", backoff=0.001)
        with pytest.raises(EndpointDown, match="could not be reached"):
            await model.generate(request())
        await model.close()


async def test_a_name_that_does_not_resolve_is_an_endpoint_that_is_down() -> None:
    class NoNames:
        async def resolve(self, host: str, port: int, family: socket.AddressFamily) -> list[dict[str, Any]]:
            raise OSError(None, f"no such host: {host}")

        async def close(self) -> None: ...

    model = OpenAI.from_spec("http://nowhere.invalid/v1#m", backoff=0.001, resolver=NoNames())
    with pytest.raises(EndpointDown, match="nowhere"):
        await model.generate(request())
    await model.close()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
        capture_output=True, check=True,
    )  # fmt: skip
    return cert, key


@pytest.mark.system("openssl")
async def test_a_certificate_that_nobody_vouches_for_is_an_endpoint_that_is_down(
    certificate: tuple[Path, Path],
) -> None:
    cert, key = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    async with FaultServer(tls=context) as server:
        model = client(server)
        with pytest.raises(EndpointDown, match="certificate"):
            await model.generate(request())
        await model.close()
        trusting = client(server, tls=ssl.create_default_context(cafile=str(cert)))
        assert (await trusting.generate(request()))[0].usage.completion_tokens == 7
        await trusting.close()


@pytest.mark.slow
async def test_two_thousand_requests_under_mixed_faults_all_end_and_the_books_agree() -> None:
    rng = random.Random(5)
    plain, stream = UNPAID + PAID_PLAIN[:-1], UNPAID + PAID_STREAM[:-1]
    wrong = 'usage:{"prompt_tokens": -1}'

    def script(faults: list[str]) -> list[str | None]:
        mixed = [rng.choice([*faults, wrong]) if rng.random() < 0.25 else None for _ in range(20_000)]
        mixed[50:500:75] = ["hang"] * 6
        return mixed

    async def run(server: FaultServer, sink: Deaf | None) -> tuple[Usage, Usage, int]:
        model = client(server, timeout=8.0, retries=12)
        nominal, sent, failed = Usage(), Usage(), 0

        async def ask(index: int) -> None:
            nonlocal nominal, sent, failed
            try:
                (done,) = await model.generate(request(seed=index), sink)
            except ProviderError:
                failed += 1
                return
            nominal += done.usage
            sent += done.sent or done.usage
            # A wrong usage apart, the words themselves are the true count.
            assert not done.usage.exact or done.usage.completion_tokens == len(done.text.split())

        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for index in range(1000):
                group.create_task(ask(index))
        await model.close()
        return nominal, sent, failed

    for faults, sink in ((plain, None), (stream, Deaf())):
        async with FaultServer(script=script(faults)) as server:
            nominal, sent, failed = await run(server, sink)
            assert failed == 0
            assert nominal.calls == server.served.answers == 1000
            # Nothing that the server counted is missing; what is more is an upper bound and says so.
            assert not sent.exact
            assert sent.prompt_tokens >= server.served.prompt_tokens + server.wasted.prompt_tokens
            served = server.served.completion_tokens
            assert sent.completion_tokens >= served
            if sink is None:  # of a broken stream only what was received is counted
                assert sent.completion_tokens >= served + server.wasted.completion_tokens


async def test_without_broken_answers_what_was_sent_is_what_was_served() -> None:
    rng = random.Random(6)
    script = [rng.choice(UNPAID) if rng.random() < 0.3 else None for _ in range(20_000)]
    async with FaultServer(script=script) as server:
        model = client(server, retries=20, timeout=300.0)  # none of these faults hangs
        sent = Usage()

        async def ask(index: int) -> None:
            nonlocal sent
            done = await model.generate(request(seed=index, n=1 + index % 4), Deaf() if index % 2 else None)
            for completion in done:
                sent += completion.sent or completion.usage

        async with asyncio.timeout(300), asyncio.TaskGroup() as group:
            for index in range(500):
                group.create_task(ask(index))
        await model.close()
    assert sent.exact
    assert sent.calls == server.served.answers
    assert sent.prompt_tokens == server.served.prompt_tokens
    assert sent.completion_tokens == server.served.completion_tokens
