"""The translation judge: scales, what is shown, and scores off the scale."""

from __future__ import annotations

from typing import Any

import pytest

from ponder.core.errors import ConfigError, ProviderError
from ponder.tasks.translation import Translation
from ponder.verifiers.translation_judge import TranslationJudge
from tests.verifiers.judge_desk import desk, judge_of, judged

(PROBLEM,) = Translation(into="de").generate(1, seed=0)


@pytest.mark.parametrize(
    ("scale", "reply", "value"),
    [
        ("direct", "87", 87.0),
        ("direct", "I give 87/100.", 87.0),
        ("direct", "999", None),
        ("direct", "good", None),
        ("anchored", "70", 70.0),
        ("five", "4", 4.0),
        ("five", "6", None),
        ("direct", "<think>maybe 50", None),
    ],
)
async def test_the_first_number_on_the_scale_counts(scale: Any, reply: str, value: float | None) -> None:
    (score,) = await judged(TranslationJudge(scale=scale), desk([reply]), "Ein Satz.", task=PROBLEM.task)
    assert score.value == value
    assert score.reason


async def test_source_languages_and_translation_are_shown_once_for_equal_texts() -> None:
    ctx = desk(["50"])
    await judged(TranslationJudge(), ctx, "Ein ${x} Satz.", "Ein ${x} Satz.", task=PROBLEM.task)
    (call,) = judge_of(ctx).log
    for words in (str(PROBLEM.task.metadata["source"]), "English", "German", "Ein ${x} Satz."):
        assert words in call.prompt
    assert str(PROBLEM.reference) not in call.prompt


async def test_failures_are_missing_and_settings_checked() -> None:
    (score,) = await judged(TranslationJudge(), desk([ProviderError("down")]), "x", task=PROBLEM.task)
    assert (score.value, "down" in score.reason) == (None, True)
    with pytest.raises(ConfigError):
        TranslationJudge(scale="ten")  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        TranslationJudge(max_tokens=0)
