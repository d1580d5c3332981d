from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder import Budget, Context, Meter, ScriptedModel, Task, Trace
from ponder.core.errors import ProviderError
from ponder.engines.sample import Samples, sample
from ponder.verifiers.answers.number import NumberAnswer

TASK = Task.of("How many?", answer="number")


def context(model: ScriptedModel, budget: Budget | None = None) -> Context:
    return Context(models={"policy": model}, meter=Meter(budget), trace=Trace())


async def test_candidates_come_in_sample_order_with_groups_of_equal_answers() -> None:
    ctx = context(ScriptedModel(replies=["1", "2", "1.0", "none"], latency=(0.0, 0.01)))
    drawn = await sample(TASK, ctx, n=8)
    assert [c.index for c in drawn.candidates] == list(range(8))
    by_text = {c.text: g for c, g in zip(drawn.candidates, drawn.groups, strict=True)}
    assert by_text["1"] == by_text["1.0"] != by_text["2"]
    assert by_text["none"] is None
    assert drawn.stopped == "done"
    assert ctx.candidates == list(drawn.candidates)


@pytest.mark.parametrize("ahead", [1, 3, 8, None])
async def test_stop_rule_decides_at_the_same_prefix_whatever_is_in_flight(ahead: int | None) -> None:
    seen: list[int] = []

    def stop(groups: Sequence[int | None], left: int) -> bool:
        seen.append(len(groups))
        assert left == 8 - len(groups)
        return len(groups) == 5

    drawn = await sample(TASK, context(ScriptedModel(latency=(0.0, 0.01))), n=8, stop=stop, ahead=ahead)
    assert seen == [1, 2, 3, 4, 5]
    assert (drawn.stopped, len(drawn.candidates)) == ("agreement", 5)


async def test_budget_ends_the_sampling_and_says_how_far_it_came() -> None:
    drawn: Samples = await sample(TASK, context(ScriptedModel(), Budget(calls=3)), n=8)
    assert (drawn.stopped, len(drawn.candidates)) == ("budget", 3)
    assert "3 of 8 samples" in drawn.detail


async def test_failures_are_kept_unless_all_fail() -> None:
    drawn = await sample(TASK, context(ScriptedModel(fail_every=2)), n=4)
    assert [c.error is None for c in drawn.candidates] == [True, False, True, False]
    with pytest.raises(ProviderError, match="all 3 samples failed"):
        await sample(TASK, context(ScriptedModel(fail_every=1)), n=3)


async def test_certainty_is_kept_with_the_candidate() -> None:
    drawn = await sample(TASK, context(ScriptedModel(replies=["a b c"])), n=1)
    completion = drawn.candidates[0].completion
    assert completion is not None
    assert completion.certainty is not None
    assert len(completion.certainty) == 3


@dataclass(frozen=True)
class OldNumber:
    """The number type as it was: it groups all answers at once and has no `grouping`."""

    inner: NumberAnswer = field(default_factory=NumberAnswer)

    def extract(self, text: str) -> str | None:
        return self.inner.extract(text)

    async def group(self, answers: Sequence[str | None]) -> list[int | None]:
        first: dict[str, int] = {}
        return [None if answer is None else first.setdefault(answer, at) for at, answer in enumerate(answers)]

    async def same(self, left: str, right: str) -> bool:
        return left == right


@given(
    st.lists(st.sampled_from(["1", "1.0", "2/2", "2", "none"]), min_size=1, max_size=12),
    st.integers(1, 5),
    st.sampled_from([0, 3]),
)
async def test_groups_are_those_of_grouping_all_answers_at_each_sample(
    replies: list[str], ahead: int, fail_every: int
) -> None:
    seen: list[list[tuple[int | None, ...]]] = []
    for answers in (NumberAnswer(), OldNumber()):
        prefixes: list[tuple[int | None, ...]] = []

        def stop(groups: Sequence[int | None], left: int, into: list[tuple[int | None, ...]] = prefixes) -> bool:
            into.append(tuple(groups))
            return False

        ctx = context(ScriptedModel(replies=replies, fail_every=fail_every))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Context, "answers", lambda self, task, answers=answers: answers)
            try:
                drawn = await sample(TASK, ctx, n=len(replies), stop=stop, ahead=ahead)
            except ProviderError:
                prefixes.append(())
            else:
                prefixes.append(drawn.groups)
                assert list(drawn.groups) == await answers.group([c.answer for c in drawn.candidates])
        seen.append(prefixes)
    assert seen[0] == seen[1]
