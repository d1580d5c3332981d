"""Lines of upstreams: who is asked, how often, and what broken attempts cost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from ponder.core.access import Access
from ponder.core.errors import BadInput, BadReply, ConfigError, EndpointDown, ProviderError, RateLimited, RequestRefused
from ponder.core.model import Completion, Request
from ponder.core.task import Message
from ponder.core.tasks import gather_all
from ponder.core.usage import Usage
from ponder.gateway.settings import Price, Settings, Upstream
from ponder.gateway.upstreams import Line, Lines, open_upstream
from ponder.models._limiter import Limits, Retry, limiter_for
from ponder.models.openai import OpenAI
from ponder.models.scripted import ScriptedModel
from tests.gateway.house import serving
from tests.models.fault_server import FaultServer

ASK = Request(messages=(Message("user", "hello"),))
QUICK = Retry(times=2, first=0.001, longest=0.01)


class Sequence(ScriptedModel):
    """Answers or fails in the order of a list, whatever the seed."""

    def __init__(self, *replies: Any, name: str = "x") -> None:
        self.left = list(replies)
        super().__init__(replies=lambda request, number: self.left.pop(0), name=name)


def line(*models: ScriptedModel, **more: Any) -> Line:
    return Line(upstreams=models, serves="m", retry=QUICK, **more)


async def test_the_first_healthy_one_answers_and_a_failed_one_rests() -> None:
    one, two = Sequence(EndpointDown("gone"), "one"), Sequence("two", "two again")
    both = line(one, two)
    told: list[str] = []
    both.when_failed = told.append
    both.names = ("a", "b")
    assert (await both.generate(ASK))[0].text == "two"
    assert both.healthy
    assert (await both.generate(ASK))[0].text == "two again"  # the first one rests
    assert one.calls == 1
    assert told == ["a"]


async def test_all_are_asked_again_after_a_wait() -> None:
    one, two = Sequence(ProviderError("a"), RateLimited("b"), "late"), Sequence(RateLimited("c"), RateLimited("d"))
    answer = await line(one, two).generate(ASK)
    assert answer[0].text == "late"


@pytest.mark.parametrize(
    ("errors", "kind"),
    [
        ([RateLimited("x")] * 9, RateLimited),
        ([EndpointDown("x")] * 9, EndpointDown),
        ([RateLimited("x"), EndpointDown("y")] * 9, ProviderError),
    ],
)
async def test_when_all_fail_the_last_failure_is_raised(errors: list[ProviderError], kind: type[ProviderError]) -> None:
    model = Sequence(*errors)
    with pytest.raises(kind):
        await line(model).generate(ASK)
    assert model.calls <= QUICK.times + 1


async def test_a_refusal_of_the_request_asks_nobody_else() -> None:
    one, two = Sequence(RequestRefused("no", status=400)), Sequence("never")
    with pytest.raises(RequestRefused):
        await line(one, two).generate(ASK)
    assert two.calls == 0
    one, two = Sequence(RequestRefused("whose key?", status=401)), Sequence("mine")
    assert (await line(one, two).generate(ASK))[0].text == "mine"


async def test_a_wait_that_is_too_long_is_not_waited_for() -> None:
    model = Sequence(RateLimited("x", retry_after=3600.0), "never")
    async with asyncio.timeout(5):
        with pytest.raises(RateLimited):
            await line(model).generate(ASK)


def _broken() -> ProviderError:
    broken = BadReply("cut", status=200)
    broken.spent = Usage(calls=1, prompt_tokens=10, completion_tokens=4, exact=False)
    return broken


@pytest.mark.parametrize("sink", [False, True])
async def test_a_broken_attempt_is_on_the_bill_once(sink: bool) -> None:
    broken = _broken()
    ends: list[Completion] = []

    class Sink:
        def token(self, index: int, text: str, count: int = 1) -> None: ...
        def prompt(self, index: int, tokens: int) -> None: ...
        def done(self, index: int, completion: Completion) -> None:
            ends.append(completion)

    answer = await line(Sequence(broken, "a b")).generate(ASK, Sink() if sink else None)
    (completion,) = ends if sink else answer
    assert completion.usage.completion_tokens == 2
    assert completion.sent is not None
    assert (completion.sent.prompt_tokens, completion.sent.completion_tokens) == (11, 6)
    failing = line(Sequence(*[_broken() for _ in range(3)]))
    with pytest.raises(ProviderError) as caught:
        await failing.generate(ASK)
    assert caught.value.spent is not None
    assert caught.value.spent.completion_tokens == 3 * 4


async def test_slots_of_an_upstream_are_shared_by_its_lines() -> None:
    model = ScriptedModel(latency=0.05)
    running = most = 0
    first = model._wait

    async def wait(*args: Any) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await first(*args)
        running -= 1

    model._wait = wait  # type: ignore[method-assign, assignment]
    settings = Settings(upstreams=(Upstream(name="m", spec="scripted:x", max_concurrent=2),), roles={"judge": "m"})
    lines = await Lines.open(settings, opener=lambda _: model)
    async with asyncio.TaskGroup() as group:
        for place in range(8):
            target = lines.by_model["m"] if place % 2 else lines.by_role["judge"]
            group.create_task(target.generate(ASK))
    assert most == 2


async def test_access_is_what_all_alternatives_give_and_prices_are_the_names() -> None:
    narrow = ScriptedModel(access=frozenset({Access.TEXT}))
    both = line(ScriptedModel(), narrow, price=Price(prompt=2.0, completion=4.0, cached=1.0))
    assert both.access == {Access.TEXT}
    assert both.info.usd(1_000_000, 0) == pytest.approx(2.0)
    assert both.info.usd(1_000_000, 500_000, cached=1_000_000) == pytest.approx(3.0)


async def test_opening_what_cannot_be_opened_names_it_and_closes_the_rest() -> None:
    closed: list[str] = []

    class Closing(ScriptedModel):
        async def close(self) -> None:
            closed.append(self.name)

    def opener(upstream: Upstream) -> Any:
        return Closing(name=upstream.name) if upstream.name == "good" else open_upstream(upstream)

    settings = Settings(upstreams=(Upstream(name="good", spec="scripted:x"), Upstream(name="bad", spec="nothing:x")))
    with pytest.raises(BadInput, match="upstream 'bad'"):
        await Lines.open(settings, opener=opener)
    assert closed == ["good"]


async def test_what_cannot_be_opened_leaves_the_limits_of_an_endpoint() -> None:
    """Requests of before and of after go on under one number."""
    url = "http://127.0.0.1:9/v1"
    before = Upstream(name="m", spec=f"openai:{url}#x", max_concurrent=3)
    lines = await Lines.open(Settings(upstreams=(before,)))
    limiter = limiter_for(url, Limits(connections=3))
    after = Settings(upstreams=(replace(before, max_concurrent=5), Upstream(name="bad", spec="nothing:x")))
    with pytest.raises(BadInput, match="bad"):
        await Lines.open(after, known=lines.models)
    assert limiter_for(url, Limits(connections=3)) is limiter
    await lines.close()


@pytest.mark.parametrize(
    "specs", [("openai:http://127.0.0.1:9/v1#x", "openai:http://127.0.0.1:9/v1#y"), ("openai:x", "openai:y")]
)
async def test_two_upstreams_at_one_address_share_connections(specs: tuple[str, str]) -> None:
    first = Upstream(name="a", spec=specs[0], max_concurrent=4)
    settings = Settings(upstreams=(first, Upstream(name="b", spec=specs[1], max_concurrent=8)))
    with pytest.raises(BadInput, match="same max_concurrent"):
        await Lines.open(settings)


async def test_a_reload_changes_how_many_go_to_an_endpoint_at_once() -> None:
    """While a request that came before still runs, and calls again under the number that it came with."""
    async with FaultServer(latency=0.05) as server:

        def settings(most: int) -> Settings:
            return Settings(upstreams=(Upstream(name="m", spec=f"openai:{server.url}#x", max_concurrent=most),))

        async with serving(settings(3)) as house:
            before = house.gateway.house.lines.by_model["m"]
            with house.gateway.visit():
                for most in (1, 2):
                    await house.gateway.use(settings(most))
                    server.most_in_flight = 0
                    replies = await gather_all([partial(house.chat, "single@m", f"text {n}") for n in range(6)])
                    assert [status for status, _ in replies] == [200] * 6
                    assert server.most_in_flight == most
                assert (await before.generate(ASK))[0].text


def test_endpoints_are_opened_without_retries_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-1")
    spec = "openai:http://127.0.0.1:9/v1#x"
    model = open_upstream(Upstream(name="a", spec=spec, max_concurrent=3, api_key_env="SOME_KEY", kind="vllm"))
    assert isinstance(model, OpenAI)
    assert (model.retries, model.connections, model.api_key_env, model.kind) == (0, 3, "SOME_KEY", "vllm")
    assert Access.SCHEMA in model.access
    with pytest.raises(ConfigError, match="kind must be one of"):
        open_upstream(Upstream(name="a", spec=spec, kind="vlm"))
    with pytest.raises(ConfigError, match="kind is for openai"):
        open_upstream(Upstream(name="a", spec="scripted:x", kind="vllm"))
    assert "sk-1" not in repr(model)
