"""Steps of a trace that a model parts and labels: reading, groups, and what stands where nothing can be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder import Budget, Context, Meter, Request, ScriptedModel, Task, Trace
from ponder.core.errors import BadInput, ProviderError
from ponder.engines.trace_labels import GROUP, label_steps, most_calls, read_labels, read_starts
from ponder.numerics.trace_steps import classify_step, split_trace

TASK = Task.of("How many?")
TRACE = "We add.\n\nWait, let me check.\n\nThat is as it should be.\n\nThe sum is 12.\n"


def context(model: ScriptedModel, budget: Budget | None = None) -> Context:
    return Context(models={"policy": ScriptedModel(), "labeler": model}, meter=Meter(budget), trace=Trace())


async def test_without_a_model_rules_part_and_label() -> None:
    model = ScriptedModel(replies=["never asked"])
    found = await label_steps(context(model), TASK, TRACE, least=1)
    assert found.steps == tuple(split_trace(TRACE, least=1))
    assert found.kinds == tuple(map(classify_step, found.steps)) == ("P", "V", "P", "P")
    assert (found.asked, found.problem, found.ended) == (0, "", None)


async def test_a_model_labels_what_has_no_marker_and_sees_the_neighbours() -> None:
    seen: list[str] = []

    def reply(request: Request, number: int) -> str:
        seen.append(request.messages[-1].text)
        return "<think>step 1: error?</think>\n1: progressive\n**Step 3**: verification\n- 4. Multi-method validation"

    found = await label_steps(context(ScriptedModel(replies=reply)), TASK, TRACE, labels="model", least=1)
    assert found.kinds == ("P", "V", "V", "M")
    assert (found.asked, found.problem) == (3, "")
    assert "Label these steps: 1, 3, 4." in seen[0]
    assert "[2] Wait, let me check." in seen[0]
    assert "How many?" in seen[0]


async def test_long_traces_are_labelled_in_groups_with_a_neighbour_on_either_side() -> None:
    count = GROUP + 3
    trace = "".join(f"Number {at} is here.\n\n" for at in range(count))
    seen: list[str] = []

    def reply(request: Request, number: int) -> str:
        text = request.messages[-1].text
        seen.append(text)
        asked = text.rpartition("Label these steps: ")[2].partition(".")[0].split(", ")
        return "\n".join(f"{at}: {'verification' if at == str(count) else 'progressive'}" for at in asked)

    found = await label_steps(context(ScriptedModel(replies=reply)), TASK, trace, labels="model", least=1)
    assert len(found.steps) == count
    assert found.kinds == ("P",) * (count - 1) + ("V",)
    assert len(seen) == 2
    assert most_calls(count, "rules", "model") == 4  # each may be asked for once more
    assert f"[{GROUP + 1}]" in seen[0]
    assert f"[{GROUP + 2}]" not in seen[0]
    assert f"[{GROUP}]" in seen[1]


async def test_a_reply_that_cannot_be_read_is_asked_for_once_more() -> None:
    model = ScriptedModel(replies=["1: progressive", "1: progressive\n3: verification\n4: error-correction"])
    found = await label_steps(context(model), TASK, TRACE, labels="model", least=1)
    assert found.kinds == ("P", "V", "V", "E")
    never = ScriptedModel(replies=["1: blue\n3: red\n4: green"])
    found = await label_steps(context(never), TASK, TRACE, labels="model", least=1)
    assert found.kinds == ("P", "V", "P", "P")
    assert "none of the four" in found.problem
    lost = ScriptedModel(replies=[ProviderError("lost")])
    assert "lost" in (await label_steps(context(lost), TASK, TRACE, labels="model", least=1)).problem


async def test_a_model_parts_a_trace_word_for_word() -> None:
    model = ScriptedModel(replies=["**Steps:** 1, 3"])
    found = await label_steps(context(model), TASK, TRACE, split="model")
    assert found.steps == ("We add.\n\nWait, let me check.\n\n", "That is as it should be.\n\nThe sum is 12.\n")
    assert "".join(found.steps) == TRACE
    wrong = await label_steps(context(ScriptedModel(replies=["Steps: 9"])), TASK, TRACE, split="model", least=1)
    assert wrong.steps == tuple(split_trace(TRACE, least=1))
    assert "from 1 to 4" in wrong.problem
    one = ScriptedModel(replies=["never asked"])
    assert (await label_steps(context(one), TASK, "One piece.", split="model")).steps == ("One piece.",)
    assert (await label_steps(context(one), TASK, " ", split="model", labels="model")).steps == ()


async def test_a_budget_that_ends_leaves_the_rules() -> None:
    model = ScriptedModel(replies=["Steps: 1, 3", "1: verification\n2: verification"])
    ctx = context(model, Budget(calls=1))
    found = await label_steps(ctx, TASK, TRACE, split="model", labels="model")
    assert len(found.steps) == 2
    assert "budget" in found.problem
    assert found.kinds == tuple(map(classify_step, found.steps))


@given(st.text(max_size=60), st.lists(st.integers(1, 9), max_size=4))
def test_readers_refuse_or_give_what_was_asked_for(text: str, numbers: list[int]) -> None:
    try:
        assert set(read_labels(text, numbers)) == set(numbers)
    except BadInput:
        assert numbers
    try:
        starts = read_starts(text, 5)
        assert starts[0] == 1
        assert starts == sorted(set(starts))
        assert starts[-1] <= 5
    except BadInput:
        pass


def test_labels_are_read_strictly() -> None:
    assert read_labels("1: Verification.\n1: verification\n7: nonsense", [1]) == {1: "V"}
    assert read_labels("Step 2 - another method\n10) error correction", [2, 10]) == {2: "M", 10: "E"}
    told = "1: multi-method verification\n2: error-correction check\n3: verification by another method"
    assert read_labels(told, [1, 2, 3]) == {1: "M", 2: "E", 3: "V"}
    for text in ("1: verification\n1: progressive", "1: purple", "2: progressive", ""):
        with pytest.raises(BadInput):
            read_labels(text, [1])
    assert read_starts("Steps: 3, 2\nSteps: 2; 4", 4) == [1, 2, 4]
    for text in ("steps are many", "Steps: , ", "Steps: 5"):
        with pytest.raises(BadInput):
            read_starts(text, 4)
