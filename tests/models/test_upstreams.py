"""Priority, failover and health of several upstreams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from ponder.core.access import Access
from ponder.core.errors import BadReply, ConfigError, EndpointDown, ProviderError, RateLimited, RequestRefused
from ponder.core.model import Completion, Determinism, Model, ModelInfo, Request, Sink, TokenCount
from ponder.core.task import Message
from ponder.core.usage import Usage
from ponder.models.upstreams import Upstreams
from tests.models.fault_server import FaultServer

ASK = Request(messages=(Message("user", "hello"),), n=2)


@dataclass(kw_only=True)
class Fake:
    """Raises the next failure of its script, else answers with its name."""

    name: str
    script: list[ProviderError | None] = field(default_factory=list)
    access: frozenset[Access] = frozenset({Access.TEXT, Access.N})
    determinism: Determinism = "exact"
    info: ModelInfo = field(default_factory=lambda: ModelInfo(fingerprint="f"))
    calls: int = 0
    closed: bool = False
    tokens: int = 3

    async def generate(self, request: Request, sink: Sink | None = None) -> list[Completion]:
        self.calls += 1
        done = [
            Completion(message=Message("assistant", f"{self.name} {k}"), finish="stop", usage=Usage(calls=1))
            for k in range(request.n)
        ]
        failure = self.script.pop(0) if self.script else None
        for index, completion in enumerate(done):
            if sink is not None:
                sink.done(index, completion)
            if failure is not None:
                raise failure
        return done

    def count(self, request: Request) -> TokenCount:
        return TokenCount(self.tokens, True)

    async def close(self) -> None:
        self.closed = True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def several(*models: Fake, clock: Clock | None = None) -> Upstreams:
    return Upstreams(upstreams=models, rest=5.0, clock=clock or Clock())


async def first(model: Model) -> str:
    return (await model.generate(ASK))[0].text


@pytest.mark.parametrize(
    "failure", [EndpointDown("x"), BadReply("x"), RateLimited("x"), RequestRefused("no such key", status=401)]
)
async def test_the_next_one_answers_when_the_first_fails(failure: ProviderError) -> None:
    a, b = Fake(name="a", script=[failure]), Fake(name="b")
    assert await first(several(a, b)) == "b 0"


async def test_a_request_at_fault_is_asked_nobody_else() -> None:
    a, b = Fake(name="a", script=[RequestRefused("too long", status=400)]), Fake(name="b")
    with pytest.raises(RequestRefused):
        await first(several(a, b))
    assert b.calls == 0


async def test_a_failed_upstream_rests_longer_each_time_and_comes_back_first() -> None:
    clock = Clock()
    a, b = Fake(name="a", script=[BadReply("x"), BadReply("x")]), Fake(name="b")
    model = several(a, b, clock=clock)
    answers = []
    for clock.now in (0.0, 4.9, 5.0, 14.9, 15.0):
        answers.append((await first(model), a.calls))
    assert answers == [("b 0", 1), ("b 0", 1), ("b 0", 2), ("b 0", 2), ("a 0", 3)]
    assert (model.health[0].failures, model.health[1].failures) == (0, 0)


async def test_when_all_rest_the_one_that_wakes_first_is_tried_first() -> None:
    clock = Clock()
    a = Fake(name="a", script=[RateLimited("x", retry_after=60)])
    b = Fake(name="b", script=[BadReply("x")])
    model = several(a, b, clock=clock)
    with pytest.raises(BadReply):
        await first(model)
    clock.now = 1.0
    assert await first(model) == "b 0"
    assert model.health[0].rests_until == 60.0


async def test_only_when_all_are_gone_is_the_endpoint_down() -> None:
    a, b = (Fake(name=name, script=[EndpointDown(name)]) for name in "ab")
    with pytest.raises(EndpointDown, match="none of 2"):
        await first(several(a, b))


async def test_a_sibling_reported_before_the_failure_stands() -> None:
    class Ends:
        def __init__(self) -> None:
            self.done_texts: list[str] = []

        def token(self, index: int, text: str, count: int = 1) -> None: ...

        def prompt(self, index: int, tokens: int) -> None: ...

        def done(self, index: int, completion: Completion) -> None:
            self.done_texts.append(completion.text)

    sink = Ends()
    done = await several(Fake(name="a", script=[BadReply("x")]), Fake(name="b")).generate(ASK, sink)
    assert [c.text for c in done] == sink.done_texts == ["a 0", "b 1"]


async def test_what_is_promised_holds_for_all() -> None:
    a = Fake(name="a", info=ModelInfo(fingerprint="f", context=100, usd_per_prompt_token=1.0))
    b = Fake(name="b", info=ModelInfo(fingerprint="g", context=50), access=frozenset({Access.TEXT}), tokens=9)
    model = several(a, b)
    assert isinstance(model, Model)
    assert model.access == {Access.TEXT}
    assert model.determinism == "best_effort"
    assert (model.info.fingerprint, model.info.context, model.info.usd_per_prompt_token) == ("f+g", 50, None)
    assert model.count(ASK) == (9, False)
    await model.close()
    assert a.closed
    assert b.closed


@pytest.mark.parametrize("rest", ["", "openai", "nobody:x"])
def test_wrong_specs_are_refused(rest: str) -> None:
    with pytest.raises(ConfigError):
        Upstreams.from_spec(rest)


@pytest.mark.parametrize("options", [{"rest": -1.0}, {"rest": 9.0, "longest_rest": 1.0}, {"resting": 1}])
def test_wrong_settings_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Upstreams.from_spec("openai:http://127.0.0.1:1/v1#m", **options)


async def test_real_endpoints_fail_over(caplog: pytest.LogCaptureFixture) -> None:
    async with FaultServer(script=["400"]) as good:
        model = Upstreams.from_spec(f"openai:http://127.0.0.1:9/v1#m, openai:{good.url}#stub")
        upstreams: Sequence[Model] = model.upstreams
        with pytest.raises(RequestRefused):
            await model.generate(ASK)
        assert (await model.generate(ASK))[0].text.startswith("alpha")
        assert model.health[0].failures == 1
        assert "could not be reached" in model.health[0].error
        assert len(upstreams) == 2
        await model.close()
