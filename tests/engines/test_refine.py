"""Chains of attempts: what the next one sees, and what becomes of failures and of the end of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ponder import Budget, Context, Image, Message, Meter, ModelInfo, Request, ScriptedModel, Task
from ponder.core.errors import OutOfBudget, ProviderError
from ponder.core.trace import Trace
from ponder.engines.refine import Chain, Refinement, refine, with_question

TASK = Task.of("How many?", answer="number")
Reply = Callable[[Request, int], str | ProviderError]


async def improve(
    reply: Reply | Sequence[str], *, chains: int = 2, rounds: int = 2, budget: Budget | None = None, **options: Any
) -> Refinement:
    async def onward(going: Sequence[Chain], round_: int) -> list[tuple[Message, ...]]:
        return [(Message("user", f"{chain.number}:{round_}:{chain.attempts[-1].text}"),) for chain in going]

    ctx = Context(
        models={
            "policy": ScriptedModel(replies=reply, **{k: options.pop(k) for k in ("latency", "info") if k in options})
        },
        meter=Meter(budget),
        trace=Trace(),
        method="test",
    )
    follow = options.pop("follow", onward)
    found = await refine(TASK, ctx, chains=chains, rounds=rounds, follow=follow, **options)
    assert ctx.meter.in_flight == 0
    assert [c.index for c in found.candidates] == list(range(len(found.candidates)))
    return found


async def test_each_attempt_follows_its_own_chain() -> None:
    found = await improve(lambda request, number: request.messages[-1].text + "!")
    assert found.chains == ((0, 2, 4), (1, 3, 5))
    assert found.candidates[4].text == "0:2:0:1:How many?!!!"
    assert found.candidates[5].metadata == {"chain": 1, "round": 2}
    assert found.stopped == "done"


async def test_chain_ends_where_nothing_follows() -> None:
    async def only_first(going: Sequence[Chain], round_: int) -> list[tuple[Message, ...] | None]:
        return [(Message("user", "again"),) if chain.number == 0 else None for chain in going]

    found = await improve(["1"], follow=only_first)
    assert found.chains == ((0, 2, 3), (1,))


async def test_failed_attempt_is_kept_but_not_shown() -> None:
    shown: list[int] = []

    async def count(going: Sequence[Chain], round_: int) -> list[tuple[Message, ...]]:
        shown.extend(len(chain.attempts) for chain in going)
        return [(Message("user", "again"),) for _ in going]

    def reply(request: Request, number: int) -> str | ProviderError:
        return ProviderError("down") if number == 1 else "7"

    found = await improve(reply, chains=1, rounds=3, follow=count)
    assert shown == [1, 1, 2]
    assert [c.ok for c in found.candidates] == [True, False, True, True]
    assert found.groups == (0, None, 0, 0)


async def test_chain_whose_first_attempt_failed_ends() -> None:
    def reply(request: Request, number: int) -> str | ProviderError:
        return ProviderError("down") if number == 0 else "7"

    assert (await improve(reply, rounds=1)).chains == ((0,), (1, 2))


async def test_chain_ends_where_its_chat_no_longer_fits() -> None:
    async def grow(going: Sequence[Chain], round_: int) -> list[tuple[Message, ...]]:
        return [(Message("user", "word " * 3**round_),) for _ in going]

    found = await improve(["7"], chains=1, rounds=5, follow=grow, info=ModelInfo(fingerprint="small", context=30))
    assert [c.ok for c in found.candidates] == [True, True, True, True, False]
    assert "takes 30" in (found.candidates[-1].error or "")
    assert found.stopped == "done"


async def test_budget_ends_the_chains_with_what_there_is() -> None:
    found = await improve(["1"], budget=Budget(calls=3))
    assert (len(found.candidates), found.stopped) == (3, "budget")
    assert "round 1 of 2" in found.detail


async def test_interrupted_critic_ends_the_chains() -> None:
    async def broke(going: Sequence[Chain], round_: int) -> list[tuple[Message, ...]]:
        raise OutOfBudget("calls", limit=2, needed=3)

    found = await improve(["1"], follow=broke)
    assert (len(found.candidates), found.stopped) == (2, "budget")


async def test_order_of_return_changes_nothing() -> None:
    quick = await improve(["1", "2", "3"], chains=4, budget=Budget(calls=9))
    assert await improve(["1", "2", "3"], chains=4, budget=Budget(calls=9), latency=(0.0, 0.01)) == quick


def test_question_is_replaced_and_its_images_stay() -> None:
    image = Image(url="https://example.org/a.png")
    task = Task.of([Message("system", "Brief."), Message("user", "What?", images=(image,))])
    assert with_question(task, "Now?") == (Message("system", "Brief."), Message("user", "Now?", images=(image,)))
    ending = Task.of([Message("user", "What?"), Message("assistant", "Well")])
    assert with_question(ending, "Now?")[-1] == Message("user", "Now?")
