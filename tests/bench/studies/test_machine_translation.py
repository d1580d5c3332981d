"""The study of translations: scenarios and budgets, paired differences, and rows studied again."""

from __future__ import annotations

import pytest

from ponder import Request, ScriptedModel
from ponder.bench.rows import read_rows
from ponder.bench.studies.machine_translation import machine_translation, translation_turns
from ponder.bench.studies.page import render_markdown, write_study
from ponder.bench.studies.recording import record
from ponder.bench.translation_metrics import TranslationMetric
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Sampling
from ponder.tasks.translation import Translation

LAW = Sampling(temperature=0.6, max_tokens=60)
PROBLEMS = Translation(into="de").generate(12, seed=0)
GOLD = {problem.task.metadata["source"]: problem.reference for problem in PROBLEMS}


def share_of_words(sources, texts, references):
    """Share of the reference's words that are there, in percent."""
    return [
        100 * sum(word in text.split() for word in gold.split()) / len(gold.split())
        for text, gold in zip(texts, references, strict=True)
    ]


WORDS = TranslationMetric(name="words", each=share_of_words, top=100.0)


def translator() -> ScriptedModel:
    """Leaves out words unless it may think; a forced "wait" makes it forget more; editing with a thought mends all."""

    def reply(request: Request, number: int) -> str:
        prompt = "\n".join(message.text for message in request.messages)
        if "Score a translation" in prompt:
            return "70"
        if "</think>" not in request.prefix:
            return "one two three four five six"
        (gold,) = [gold for source, gold in GOLD.items() if source in prompt]
        words = str(gold).split()
        thought = "six" in request.prefix
        if "draft" in prompt:
            return " ".join(words if thought else words[:1])
        return " ".join(words[:1] if "wait" in request.prefix else words[:2])

    return ScriptedModel(replies=reply)


async def recorded(**options):
    turns = translation_turns(
        translator(), (0, 16), scenarios=("direct", "wait", "edit", "edit+score"), judge=translator()
    )
    return await record(PROBLEMS, turns, family="translation", sampling=LAW, **options)


async def test_every_scenario_is_compared_with_the_draft(tmp_path) -> None:
    done = await recorded(file=tmp_path / "rows.jsonl")
    study = machine_translation(done.rows, PROBLEMS, [WORDS])
    cells = {(c["scenario"], c["budget"]): c for c in study.data["models"][0]["cells"]}
    assert set(cells) == {
        ("direct", 0),
        ("direct", 16),
        ("wait", 16),
        ("edit", 0),
        ("edit", 16),
        ("edit+score", 0),
        ("edit+score", 16),
    }
    assert cells["direct", 0]["metrics"]["words"]["against_draft"] is None
    assert cells["direct", 16]["metrics"]["words"]["against_draft"] == [0, 0, 0]
    assert cells["wait", 16]["metrics"]["words"]["against_draft"][2] < 0
    assert cells["edit", 0]["metrics"]["words"]["against_draft"][2] < 0
    assert cells["edit", 16]["metrics"]["words"]["mean"][0] == pytest.approx(100)
    assert cells["edit", 16]["thinking_tokens"] == 6
    assert cells["wait", 16]["thinking_tokens"] == 12  # two thoughts; the word that is put in is not billed
    text = render_markdown(study)
    assert "edit at a budget of 16 is better than the draft" in text
    assert "wait at a budget of 16 is worse than the draft" in text
    again = machine_translation(read_rows(tmp_path / "rows.jsonl"), PROBLEMS, [WORDS])
    assert again.data == study.data
    assert "<svg" in write_study(study, tmp_path).read_text(encoding="utf-8")


async def test_a_translation_that_is_not_there_counts_as_an_empty_one() -> None:
    turns = translation_turns(ScriptedModel(replies=[""]), (0,), scenarios=("direct",))
    done = await record(PROBLEMS, turns, family="translation", sampling=LAW)
    (cell,) = machine_translation(done.rows, PROBLEMS, [WORDS]).data["models"][0]["cells"]
    assert (cell["empty"], cell["metrics"]["words"]["mean"][0]) == (12, 0.0)


async def test_rows_of_other_problems_are_refused() -> None:
    done = await recorded()
    with pytest.raises(BadInput, match="these problems"):
        machine_translation(done.rows, Translation(into="fr").generate(4, seed=0), [WORDS])
    with pytest.raises(ConfigError):
        machine_translation(done.rows, PROBLEMS, [])


def test_points_are_those_that_were_asked_for() -> None:
    (turn,) = translation_turns(ScriptedModel(), (8, 4, 8), scenarios=("edit",))
    assert [point.curve for point in turn.points] == ["direct 0", "edit 4", "edit 8"]
    assert turn.roles == {}
    for wrong in ({"budgets": ()}, {"budgets": (4,), "scenarios": ("none",)}, {"budgets": (-4,)}):
        with pytest.raises(ConfigError):
            translation_turns(ScriptedModel(), **wrong)


async def test_few_sentences_make_no_finding() -> None:
    turns = translation_turns(translator(), (16,), scenarios=("direct", "edit"))
    done = await record(PROBLEMS[:4], turns, family="translation", sampling=LAW)
    text = render_markdown(machine_translation(done.rows, PROBLEMS, [WORDS]))
    assert "fewer than 10 sentences" in text
    assert "better than" not in text
