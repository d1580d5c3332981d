from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from ponder import Budget, Candidate, Completion, Context, Score, ScriptedModel, Store, Task
from ponder.core.errors import ConfigError, ProviderError
from ponder.core.model import ModelInfo, Request
from ponder.core.task import Message
from ponder.core.usage import Usage
from ponder.engines.step_search import Expand, Found, Left, StepSettings, step_search
from ponder.engines.tree import Config, Node, Prefix
from tests.engines.step_worlds import TASK, ExactPrm, context, digit_model


class Everything:
    """Expands the root `first` times and every open node once; it records what it is told."""

    def __init__(self, root: Node, first: int = 1, config: Config | None = None, rounds: int = 100) -> None:
        self.root, self.first, self.config, self.rounds = root, first, config, rounds
        self.told: list[tuple[Any, list[Any]]] = []
        self.open: list[Node] = []
        self.left: list[float] = []

    def ask(self, left: Left) -> list[Expand]:
        self.left.append(left("calls"))
        self.rounds -= 1
        if self.rounds < 0:
            return []
        if not self.told:
            return [Expand(node=self.root, count=self.first, config=self.config)]
        nodes, self.open = self.open, []
        return [Expand(node=node, count=1) for node in nodes]

    def tell(self, expand: Expand, children: Sequence[Node]) -> None:
        self.told.append((expand.node.id, [child.id for child in children]))
        self.open += [child for child in children if child.open]

    def finals(self) -> list[Node]:
        return [node for node in self.root.walk() if node.finished]


@dataclass(frozen=True)
class Flat:
    """Gives every prefix the value 0.5."""

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
        return [Score(value=0.5) for _ in candidates]


async def search(
    model: ScriptedModel, *, first: int = 1, budget: Budget | None = None, verifier: Any = None, **settings: Any
) -> tuple[Found, Everything, Context]:
    ctx = context(model, verifier or Flat(), budget)
    root = Node.root(TASK, ctx)
    everything = Everything(root, first)
    found = await step_search(TASK, ctx, root, everything, StepSettings(**settings))
    return found, everything, ctx


def events(ctx: Context, kind: str) -> list[dict[str, Any]]:
    return [dict(event.data) for event in ctx.trace.events if event.kind == kind]


def reply_in_turn(*texts: str) -> ScriptedModel:
    return ScriptedModel(replies=lambda request, number: texts[min(number, len(texts) - 1)])


# -- step boundaries ---------------------------------------------------------------------------------------------------


async def test_steps_are_continued_from_the_exact_prefix_with_their_delimiters() -> None:
    prefixes: list[str] = []

    def reply(request: Request, number: int) -> str:
        prefixes.append(request.prefix)
        return ["one\nrest", " two \nrest", "three"][number]

    found, _, _ = await search(ScriptedModel(replies=reply))
    assert prefixes == ["", "one\n", "one\n two \n"]
    (final,) = found.finals
    assert (final.text(), final.end, final.depth) == ("one\n two \nthree", "stop", 3)


async def test_stop_string_of_the_task_ends_the_answer() -> None:
    ctx = context(reply_in_turn("one\n", "two Q: three\n"), Flat())
    ctx.sampling = replace(ctx.sampling, stop=("Q:",))
    root = Node.root(TASK, ctx)
    found = await step_search(TASK, ctx, root, Everything(root), StepSettings())
    assert [node.text() for node in found.finals] == ["one\ntwo "]


async def test_end_that_the_back_end_does_not_tell_is_found_by_an_empty_next_step() -> None:
    def reply(request: Request, number: int) -> Completion:
        text = "all of it" if not request.prefix else ""
        usage = Usage(calls=1, prompt_tokens=1, completion_tokens=1)
        return Completion(message=Message("assistant", text), finish="stop", usage=usage)

    found, _, _ = await search(ScriptedModel(replies=lambda request, number: replace(reply(request, number), stop="")))
    assert [node.text() for node in found.finals] == ["all of it"]
    model = ScriptedModel(replies=reply)
    found, _, _ = await search(model)
    assert [(node.text(), node.end) for node in found.finals] == [("all of it\n", "stop")]
    assert model.calls == 3


async def test_blank_line_belongs_to_the_step_after_it() -> None:
    def reply(request: Request, number: int) -> str:
        return {"": "one\n", "one\n": "\ntwo", "one\n\n": "two\n", "one\n\ntwo\n": "three"}[request.prefix]

    found, _, _ = await search(ScriptedModel(replies=reply))
    (final,) = found.finals
    assert [node.step for node in final.path()] == ["one\n", "\ntwo\n", "three"]


async def test_model_that_has_nothing_to_add_finishes_the_answer_so_far() -> None:
    prm = ExactPrm("12")
    found, _, _ = await search(reply_in_turn("1\nx", "answer 12\nx", ""), verifier=prm)
    (final,) = found.finals
    assert (final.text(), final.scores) == ("1\nanswer 12\n", (1 / 3, 1.0))
    assert prm.seen[-1] == Prefix(node=(0, 0, 0), steps=("1\n", "answer 12\n"), finished=True)


async def test_final_pattern_ends_the_answer_without_its_delimiter() -> None:
    found, _, _ = await search(reply_in_turn("a\n", "so \\boxed{7}\nand on"))
    assert [(node.text(), node.end) for node in found.finals] == [("a\nso \\boxed{7}", "final")]


async def test_depth_and_answer_length_end_the_answer() -> None:
    found, _, _ = await search(reply_in_turn("a\n"), depth=4, repeats=0)
    assert [(node.text(), node.end) for node in found.finals] == [("a\n" * 4, "depth")]
    ctx = context(reply_in_turn("a b\n"), Flat())
    ctx.sampling = replace(ctx.sampling, max_tokens=6)
    root = Node.root(TASK, ctx)
    found = await step_search(TASK, ctx, root, Everything(root), StepSettings(step_tokens=4))
    assert [node.tokens for node in found.finals] == [6]


async def test_steps_by_token_count_need_no_delimiter() -> None:
    words = [f" w{k}" for k in range(7)]

    def reply(request: Request, number: int) -> str:
        return (
            "".join(words[request.prefix.count("w") :]).strip()
            if not request.prefix
            else "".join(words[request.prefix.count("w") :]).removeprefix(" ")
        )

    found, _, _ = await search(ScriptedModel(replies=reply), delimiter="", step_tokens=3)
    (final,) = found.finals
    assert (final.depth, final.tokens, final.end) == (3, 7, "stop")


# -- unusable steps ----------------------------------------------------------------------------------------------------


async def test_cut_steps_are_dropped_tried_again_and_end_as_a_dead_end() -> None:
    model = reply_in_turn("fine\n", "a step of far too many words\n")
    found, everything, ctx = await search(model, step_tokens=3)
    assert model.calls == 1 + 4
    assert everything.told == [((), [(0,)]), ((0,), [])]
    assert [event["reason"] for event in events(ctx, "dropped")] == ["cut"] * 4
    assert found.finals == ()
    assert [(node.text(), node.end) for node in found.unfinished] == [
        ("fine\n", "boundary"),
        *[("fine\na step of", "cut")] * 4,
    ]


async def test_retry_succeeds_under_an_index_of_its_own() -> None:
    model = reply_in_turn("\n", "fine")
    found, _, _ = await search(model)
    assert [node.id for node in found.finals] == [(1,)]


async def test_equal_siblings_are_dropped_and_ids_keep_their_gaps() -> None:
    model = reply_in_turn("a", "a", "b")
    found, _, ctx = await search(model, first=3)
    assert [(node.id, node.text()) for node in found.finals] == [((0,), "a"), ((2,), "b")]
    assert events(ctx, "dropped") == [{"node": [1], "reason": "duplicate", "draft": False}]


class Twice(Everything):
    """Expands the root twice in one round, as two groups or as one."""

    def __init__(self, root: Node, groups: tuple[int, int]) -> None:
        super().__init__(root)
        self.groups = groups

    def ask(self, left: Left) -> list[Expand]:
        return [] if self.told else [Expand(node=self.root, count=1, group=group) for group in self.groups]


@pytest.mark.parametrize(("groups", "kept"), [((0, 0), [(0,)]), ((0, 1), [(0,), (1,)])])
async def test_equal_steps_of_two_expansions_are_duplicates_within_a_group_only(
    groups: tuple[int, int], kept: list[tuple[int, ...]]
) -> None:
    ctx = context(reply_in_turn("a"), Flat())
    root = Node.root(TASK, ctx)
    found = await step_search(TASK, ctx, root, Twice(root, groups), StepSettings(retries=0))
    assert [node.id for node in found.finals] == kept


@pytest.mark.parametrize("repeats", [1, 2, 3])
async def test_step_stands_in_an_answer_at_most_so_often(repeats: int) -> None:
    found, _, ctx = await search(reply_in_turn("so far so good\n"), repeats=repeats, retries=0, depth=9)
    assert [node.text() for node in found.unfinished] == ["so far so good\n" * repeats]
    assert [event["reason"] for event in events(ctx, "dropped")] == ["repeated"]


async def test_alternating_steps_are_repeats_too_and_a_new_step_goes_on() -> None:
    model = reply_in_turn("a\n", "b\n", " a\n", "b\n", "end")
    found, _, ctx = await search(model, repeats=1, retries=2)
    assert [node.text() for node in found.finals] == ["a\nb\nend"]
    assert [event["reason"] for event in events(ctx, "dropped")] == ["repeated", "repeated"]


async def test_released_parity_has_no_cap_on_repeats() -> None:
    ctx = context(reply_in_turn("a\n"), Flat())
    root = Node.root(TASK, ctx)
    settings = StepSettings(depth=6, repeats=1)
    found = await step_search(TASK, ctx, root, Everything(root), settings, parity="released")
    assert [node.text() for node in found.finals] == ["a\n" * 6]


async def test_failed_calls_are_told_and_all_failing_ends_the_run() -> None:
    found, _, ctx = await search(ScriptedModel(replies=["x"], fail_every=2), first=2)
    assert len(found.finals) == 1
    assert events(ctx, "dropped")[0]["reason"] == "failed"
    with pytest.raises(ProviderError, match="all 3 calls failed"):
        await search(ScriptedModel(fail_every=1), first=3)


async def test_prefix_that_outgrows_the_context_is_a_dead_end() -> None:
    model = digit_model(depth=9)
    model.info = replace(model.info, context=5)
    found, _, _ = await search(model)
    assert found.finals == ()
    assert found.unfinished


# -- order, seeds, budget ----------------------------------------------------------------------------------------------


async def test_tell_comes_in_ask_order_and_draws_do_not_depend_on_arrival() -> None:
    quick = await search(digit_model(), first=6)
    slow = await search(digit_model(latency=(0.0, 0.01)), first=6)
    assert quick[1].told[0][0] == ()
    assert quick[1].told == slow[1].told
    assert [node.text() for node in quick[0].finals] == [node.text() for node in slow[0].finals]


async def test_children_inherit_the_configuration_of_their_parent() -> None:
    small = ScriptedModel(
        replies=lambda request, number: f"{request.sampling.temperature} {request.extra['experts']}\n"
    )
    ctx = context(reply_in_turn("policy\n"), Flat())
    ctx.models = {**ctx.models, "small": small}
    root = Node.root(TASK, ctx)
    config = replace(root.config, role="small", sampling=replace(ctx.sampling, temperature=0.25), extra={"experts": 2})
    found = await step_search(TASK, ctx, root, Everything(root, 1, config), StepSettings(depth=3))
    assert [node.text() for node in found.finals] == ["0.25 2\n" * 3]
    assert small.calls == 3


async def test_budget_ends_the_search_with_what_is_unfinished() -> None:
    found, everything, ctx = await search(digit_model(depth=4), first=2, budget=Budget(calls=5))
    assert (found.stopped, found.finals) == ("budget", ())
    assert {node.depth for node in found.unfinished} <= {2, 3}
    assert everything.left == [5, 3, 1]
    assert ctx.meter.spent.calls == 5
    assert events(ctx, "dead_end") == []


async def test_resumed_search_pays_only_for_what_is_new() -> None:
    store = Store()

    async def run(budget: Budget | None) -> tuple[list[str], int]:
        model = digit_model(depth=4, info=ModelInfo(fingerprint="digits"))
        ctx = context(model, ExactPrm("1201"), budget, store=store)
        root = Node.root(TASK, ctx)
        found = await step_search(TASK, ctx, root, Everything(root, 3), StepSettings())
        return [node.text() for node in found.finals], model.calls

    assert await run(Budget(calls=5)) == ([], 5)
    finals, calls = await run(None)
    fresh_model = digit_model(depth=4)
    fresh, _, _ = await search(fresh_model, first=3)
    assert finals == [node.text() for node in fresh.finals]
    assert calls == fresh_model.calls - 5


# -- scores ------------------------------------------------------------------------------------------------------------


async def test_step_verifier_sees_each_prefix_once_in_one_call_a_round() -> None:
    prm = ExactPrm("000")
    found, _, ctx = await search(digit_model(), first=2, verifier=prm)
    assert len(prm.seen) == len({p.node for p in prm.seen})
    for final in found.finals:
        assert final.scores == tuple(prm.values(final.text()[-3:]))
        assert final.value == final.scores[-1]
        assert final.score.value == final.value
    assert {tuple(event["node"]) for event in events(ctx, "step")} == {p.node for p in prm.seen}


async def test_scores_that_do_not_match_the_steps_are_missing_or_zero_as_released() -> None:
    ctx = context(digit_model(), ExactPrm("000", extra=1))
    root = Node.root(TASK, ctx)
    found = await step_search(TASK, ctx, root, Everything(root), StepSettings())
    assert [(node.value, node.scores) for node in found.finals] == [(None, ())]
    assert "4 scores for 3 steps" in found.finals[0].score.reason
    root = Node.root(TASK, ctx)
    found = await step_search(TASK, ctx, root, Everything(root), StepSettings(), parity="released")
    assert found.finals[0].value == 0.0


async def test_verifier_of_whole_answers_is_shown_prefixes_as_answers() -> None:
    shown: list[tuple[str, str | None]] = []

    class Whole:
        async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
            shown.extend((c.text, c.finish) for c in candidates)
            return [Score(value=0.5) if "9" in c.text else Score.missing("no 9") for c in candidates]

    found, _, _ = await search(reply_in_turn("8\n", "9\n", "10"), verifier=Whole())
    assert shown == [("8\n", "length"), ("8\n9\n", "length"), ("8\n9\n10", "stop")]
    assert found.finals[0].scores == (0.5, 0.5)


async def test_search_without_verifier_is_refused() -> None:
    ctx = context(ScriptedModel())
    root = Node.root(TASK, ctx)
    with pytest.raises(ConfigError, match="needs a verifier"):
        await step_search(TASK, ctx, root, Everything(root), StepSettings())


@pytest.mark.parametrize("settings", [{"step_tokens": 0}, {"depth": 0}, {"retries": -1}, {"final": "("}])
def test_impossible_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        StepSettings(**settings)
