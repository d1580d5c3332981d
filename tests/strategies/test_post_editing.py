"""Post-editing: draft, score, edit, and what is left where something fails."""

from __future__ import annotations

from typing import Any

import pytest

from ponder import Budget, Request, Result, Sampling, ScriptedModel, solve, solve_sync
from ponder.core.access import Access
from ponder.core.errors import AccessDenied, ConfigError, ProviderError
from ponder.core.model import Model
from ponder.tasks.translation import Translation

(PROBLEM,) = Translation(into="de").generate(1, seed=0)


def drafter() -> ScriptedModel:
    return ScriptedModel(replies=["Ein Entwurf."], name="drafter")


def editor(text: str = "Eine Fassung.") -> ScriptedModel:
    def reply(request: Request, number: int) -> str:
        return text if "</think>" in request.prefix else "better so"

    return ScriptedModel(replies=reply, name="editor")


def edit(
    edits: ScriptedModel | None = None,
    judge: ScriptedModel | None = None,
    within: Budget | None = None,
    draft: ScriptedModel | None = None,
    **settings: Any,
) -> Result:
    roles = {name: model for name, model in (("editor", edits or editor()), ("judge", judge)) if model is not None}
    return solve_sync(
        PROBLEM.task, model=draft or drafter(), roles=roles, method="post_editing", budget=within, **settings
    )


def test_the_editor_sees_source_and_draft_and_its_edit_is_the_answer() -> None:
    edits = editor()
    result = edit(edits)
    assert result.answer == "Eine Fassung."
    assert [c.metadata["part"] for c in result.candidates] == ["draft", "edited"]
    prompt = edits.log[0].prompt
    assert str(PROBLEM.task.metadata["source"]) in prompt
    assert "Ein Entwurf." in prompt
    assert "score" not in prompt
    assert (result.usage["policy"].calls, result.usage["editor"].calls) == (1, 2)
    assert result.usage["policy"].thinking_tokens == 0
    assert result.usage["editor"].thinking_tokens == 2


@pytest.mark.parametrize(("said", "score"), [("85", "85/100"), ("no idea", "80/100"), ("101", "80/100")])
def test_the_score_is_the_judges_or_80(said: str, score: str) -> None:
    edits = editor()
    result = edit(edits, ScriptedModel(replies=[said], name="judge"), quality="judge")
    assert score in edits.log[0].prompt
    assert result.usage["judge"].calls == 1
    assert result.candidates[1].metadata["quality"] == float(score.partition("/")[0])


def test_without_thinking_the_editor_makes_one_call() -> None:
    result = edit(thinking=0)
    assert result.usage["editor"].calls == 1
    assert result.answer == "Eine Fassung."


def test_a_failed_broken_off_or_empty_edit_leaves_the_draft() -> None:
    failed = edit(ScriptedModel(replies=[ProviderError("down")], name="editor"))
    assert failed.answer == "Ein Entwurf."
    assert "not edited" in failed.detail
    ended = edit(within=Budget(calls=2))
    assert (ended.answer, ended.stopped) == ("Ein Entwurf.", "budget")
    assert edit(editor("  ")).answer == "Ein Entwurf."


def test_a_failed_draft_ends_the_run() -> None:
    result = edit(draft=ScriptedModel(replies=[ProviderError("down")]))
    assert (result.answer, result.stopped) == (None, "endpoint")


def test_an_editor_that_cannot_continue_a_prefix_is_refused_before_anything_is_spent() -> None:
    draft = drafter()
    with pytest.raises(AccessDenied):
        edit(ScriptedModel(access=frozenset({Access.TEXT, Access.SEED}), name="editor"), draft=draft)
    assert draft.calls == 0


def test_editing_gains_where_the_editor_is_right_more_often_with_a_budget() -> None:
    """Card 03, check 8: each error is mended with a chance that grows with the budget, right words break rarely."""
    from ponder.core.seeds import derive

    def mender(chance: float):
        def reply(request: Request, number: int) -> str:
            if "</think>" not in request.prefix:
                return "hm"
            draft = request.messages[-1].text.rpartition("draft: ")[2].split()
            draw = derive(request.seed, "mend")
            words = []
            for word in draft:
                if word == "bad" and draw.random() < chance:
                    words.append("good")
                elif word == "good" and draw.random() < 0.1:
                    words.append("bad")
                else:
                    words.append(word)
            return " ".join(words)

        return ScriptedModel(replies=reply, name="editor")

    draft = ScriptedModel(replies=["good " * 24 + "bad " * 6])
    right = {}
    for chance in (0.0, 0.9):
        result = edit(mender(chance), draft=draft, answer=200)
        right[chance] = (result.answer or "").split().count("good")
    assert right[0.0] < 24 < right[0.9]


@pytest.mark.parametrize(
    "wrong", [{"thinking": -1}, {"answer": 0}, {"quality": "gold"}, {"markers": "x"}, {"editor_markers": "x"}]
)
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        edit(**wrong)


@pytest.mark.embedded
async def test_the_embedded_model_drafts_and_edits(embedded: Model) -> None:
    result = await solve(
        PROBLEM.task,
        model=embedded,
        method="post_editing",
        thinking=16,
        answer=20,
        markers="scratchpad",
        sampling=Sampling(temperature=0.0),
    )
    assert len(result.candidates) == 2
    assert result.usage["policy"].completion_tokens <= 20
    assert result.usage["editor"].completion_tokens <= 36
