"""ThoughtMani: card 23's ways to check it: the injected text, the route, the baselines, and what is read as answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ponder import Access, Budget, Model, Request, Result, Sampling, ScriptedModel, Task, solve
from ponder.core.errors import AccessDenied, ConfigError, ProviderError
from ponder.strategies.thought_mani import ThoughtMani
from tests.strategies.bad_outputs import recorded

TASK = Task.of("2+3?", answer="number")
Reply = Callable[[Request, int], str | ProviderError]


class Pair:
    """A small model that says one thing, and a large one that says what a function makes of the prefix."""

    def __init__(self, outline: str | ProviderError, large: Reply | None = None) -> None:
        self.seen: list[Request] = []

        def answer(request: Request, number: int) -> str | ProviderError:
            self.seen.append(request)
            if large is not None:
                return large(request, number)
            return "The answer is 5." if "</think>" in request.prefix else "two and three</think>\n\nIt is 5."

        self.small = ScriptedModel(replies=[outline], name="small")
        self.large = ScriptedModel(replies=answer)

    async def run(self, **options: Any) -> Result:
        roles = options.pop("roles", {"small": self.small})
        return await solve(options.pop("task", TASK), model=self.large, roles=roles, method="thought_mani", **options)

    @property
    def prefix(self) -> str:
        return self.seen[-1].prefix


# -- card 23, "How to check it" --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("opened", "begin"), [(False, "<think>\n"), (True, "")])
async def test_the_outline_stands_between_the_tags(opened: bool, begin: str) -> None:
    pair = Pair("Add the numbers.")
    result = await pair.run(opened=opened)
    assert pair.seen[0].messages == TASK.messages, "the large model gets no other instruction"
    assert pair.prefix == f"{begin}Add the numbers.\n</think>\n\n"
    assert result.answer == "5"


@pytest.mark.parametrize(
    ("said", "prefix", "route"),
    [
        ("Add them. <STOP>", "<think>\nAdd them.\n</think>\n\n", "injected"),
        ("Add them.", "<think>\nAdd them.\n</think>\n\n", "injected"),
        ("<STOP>", "<think>\n", "own"),
        (" <STOP> sorry", "<think>\n", "own"),
        ("", "<think>\n", "own"),
        (ProviderError("no"), "<think>\n", "own"),
        ("<think>hm", "<think>\n", "own"),
    ],
)
async def test_route(said: str | ProviderError, prefix: str, route: str) -> None:
    pair = Pair(said)
    result = await pair.run()
    assert pair.prefix == prefix
    assert result.candidate is not None
    assert result.candidate.metadata["route"] == route
    assert result.answer == "5"
    assert {role: usage.calls for role, usage in result.usage.items()} == {"policy": 1, "small": 1}


async def test_an_empty_outline_without_routing_is_the_empty_thought() -> None:
    forced, empty = Pair("<STOP>"), Pair("unused")
    await forced.run(give_up=False)
    result = await empty.run(thought="empty")
    assert forced.prefix == empty.prefix == "<think>\n\n</think>\n\n"
    assert empty.small.calls == 0
    assert result.cost.calls == 1


@pytest.mark.parametrize(
    "said", ["Add</think> them", "Add <|im_end|>them", "</s>Add <THINK>them", "Add <|eot_id|> them"]
)
async def test_marks_inside_an_outline_are_taken_out(said: str) -> None:
    pair = Pair(said)
    await pair.run()
    assert pair.prefix.count("<think>") == pair.prefix.count("</think>") == 1
    assert "<|" not in pair.prefix
    assert "</s>" not in pair.prefix


def counting(words: int) -> Reply:
    """Thinks `words` words, then answers."""

    def reply(request: Request, number: int) -> str:
        return "It is 5" if "</think>" in request.prefix else " ".join(["hm"] * words) + "</think>"

    return reply


@pytest.mark.parametrize(("keep", "kept"), [(0.5, 500), (0.0, 0), (1.0, 1000)])
async def test_a_thought_is_cut_at_its_share(keep: float, kept: int) -> None:
    pair = Pair("", counting(1000))
    result = await pair.run(thought="cut", keep=keep, sampling=Sampling(max_tokens=2000))
    thought = pair.prefix.removeprefix("<think>\n").removesuffix("\n</think>\n\n")
    assert thought.split() == ["hm"] * kept
    assert result.cost.calls == 2
    assert result.answer == "5"
    if keep == 0:
        empty = Pair("")
        await empty.run(thought="empty")
        assert pair.prefix == empty.prefix


async def test_the_answer_is_what_follows_the_last_thought() -> None:
    pair = Pair("Add them.", lambda request, number: "<think>or is it 6?</think> No, 5.")
    result = await pair.run()
    assert (result.answer, result.text) == ("5", "No, 5.")
    assert result.candidate is not None
    assert result.candidate.message is not None
    assert result.candidate.metadata["rethought"] is True
    assert result.candidate.message.reasoning == "Add them.\n<think>or is it 6?"


async def test_nothing_after_a_thought_falls_back_once() -> None:
    pair = Pair("Add them.", lambda request, number: "" if "</think>" in request.prefix else "so</think>5")
    result = await pair.run()
    assert [request.prefix for request in pair.seen] == ["<think>\nAdd them.\n</think>\n\n", "<think>\n"]
    assert result.answer == "5"
    assert result.usage["policy"].calls == ThoughtMani().calls()["policy"] == 2


async def test_given_answers_are_dropped_where_asked() -> None:
    said = "Add the numbers.\nThe answer is 6.\nSo \\boxed{6}."
    kept, dropped = Pair(said), Pair(said)
    await kept.run()
    await dropped.run(strip_answer=True)
    assert "6" in kept.prefix
    assert dropped.prefix == "<think>\nAdd the numbers.\n</think>\n\n"


async def test_brief_asks_for_it_and_thinks() -> None:
    pair = Pair("")
    result = await pair.run(thought="brief")
    assert pair.seen[0].messages[-1].text.startswith("2+3?\n\nConclude quickly")
    assert pair.prefix == "<think>\n"
    assert result.answer == "5"


# -- costs and ends --------------------------------------------------------------------------------------------------


async def test_the_large_model_writes_less_and_the_outline_is_paid_for() -> None:
    def large(request: Request, number: int) -> str:
        return "It is 5" if "</think>" in request.prefix else "hm " * 40 + "</think> It is 5"

    mani = await Pair("Add the two numbers. <STOP>", large).run()
    own = await Pair("<STOP>", large).run()
    assert mani.usage["policy"].completion_tokens == 3
    assert own.usage["policy"].completion_tokens > 40
    assert mani.usage["small"].completion_tokens == 5  # what stands before the stop mark, and its space


async def test_a_single_call_is_kept_for_the_answer() -> None:
    result = await Pair("Add them.").run(budget=Budget(calls=1))
    assert result.answer == "5"
    assert list(result.usage) == ["policy"]


async def test_without_a_small_model_the_large_one_writes_the_outline() -> None:
    pair = Pair("", lambda request, number: "5" if request.prefix else "Add.")
    result = await pair.run(roles={})
    assert pair.prefix == "<think>\nAdd.\n</think>\n\n"
    assert result.usage["small"].calls == 1


async def test_a_failure_of_the_large_model_is_said() -> None:
    result = await Pair("Add.", lambda request, number: ProviderError("broken")).run()
    assert (result.answer, result.stopped) == (None, "endpoint")
    assert "broken" in result.detail


@recorded("thought_mani")
async def test_recorded_outlines_of_the_embedded_model_are_put_in_or_fall_back(row: dict[str, Any]) -> None:
    pair = Pair(row["reply"])
    await pair.run()
    inside = pair.prefix.removeprefix("<think>\n").removesuffix("\n</think>\n\n")
    assert (inside.strip() != "") is row["usable"]
    assert inside in row["reply"]


async def test_a_prefix_is_needed() -> None:
    model = ScriptedModel(access=frozenset({Access.TEXT}))
    with pytest.raises(AccessDenied, match="prefix"):
        await solve(TASK, model=model, method="thought_mani")


@pytest.mark.parametrize("options", [{"thought": "x"}, {"outline_tokens": 0}, {"keep": 1.5}])
async def test_settings_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        await Pair("").run(**options)


@pytest.mark.embedded
async def test_embedded_model_takes_an_outline_from_itself(embedded: Model) -> None:
    task = Task.of("Ann has 3 bags with 4 apples in each. How many apples are there?", answer="number")
    result = await solve(
        task, model=embedded, method="thought_mani", give_up=False, outline_tokens=24, sampling=Sampling(max_tokens=24)
    )
    assert result.chosen is not None
    assert result.candidate is not None
    assert result.candidate.metadata["route"] in ("injected", "own")
    assert result.cost.completion_tokens <= 400
