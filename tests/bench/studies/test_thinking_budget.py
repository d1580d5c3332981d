"""The study of thinking budgets: what is run, what is counted, and the verdict on over-thinking."""

from __future__ import annotations

import json

import pytest

from ponder import Request, ScriptedModel
from ponder.bench.rows import read_rows
from ponder.bench.studies.page import render_markdown, write_study
from ponder.bench.studies.recording import record
from ponder.bench.studies.thinking_budget import MatchRules, thinking_budget, thinking_turns
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Sampling
from ponder.tasks.medical_choice import MedicalChoice
from tests.bench.studies.study_worlds import row

LAW = Sampling(temperature=0.0, max_tokens=20)


def overthinker(problems) -> ScriptedModel:
    """Thinks ever on; is right once it thought 4 words, and loses the answer beyond 20."""
    gold = {problem.task.prompt: problem.reference for problem in problems}

    def reply(request: Request, number: int) -> str:
        if "</think>" not in request.prefix:
            return "hm " * 200
        right = gold[request.messages[-1].text]
        words = request.prefix.count("hm")
        return f"\\boxed{{{right}}}" if 4 <= words <= 20 else "\\boxed{" + ("A" if right != "A" else "B") + "}"

    return ScriptedModel(replies=reply)


async def recorded(budgets=(2, 8, 16, 64), cues=(0,), count=16, **options):
    problems = MedicalChoice().generate(count, seed=0)
    turns = thinking_turns(overthinker(problems), budgets, cues)
    return await record(problems, turns, family="medical_choice", sampling=LAW, **options)


async def test_a_model_that_thinks_too_long_is_found_out(tmp_path) -> None:
    rules = MatchRules()
    done = await recorded(file=tmp_path / "rows.jsonl", seen=rules.see)
    study = thinking_budget(done.rows, rules=rules.counts)
    (model,) = study.data["models"]
    (sweep,) = model["sweeps"]
    assert [point["accuracy"][0] for point in sweep["points"]] == [0.0, 1.0, 1.0, 0.0]
    assert [point["thinking_tokens"] for point in sweep["points"]] == [2, 8, 16, 64]
    assert sweep["peak"] == 8
    assert (sweep["overthinking"]["low"], sweep["overthinking"]["high"]) == (16, 64)
    assert sweep["overthinking"]["to_wrong"] == 16
    assert "over-thinking: from 16 to 64" in render_markdown(study)
    assert study.data["rules"]["thinking 8, 0 cues"] == {"direct": 16}
    again = thinking_budget(read_rows(tmp_path / "rows.jsonl"), rules=rules.counts)
    assert again.data == study.data
    page = write_study(study, tmp_path)
    assert "<svg" in page.read_text(encoding="utf-8")
    assert json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))["study"] == "thinking-budget"


async def test_cues_are_compared_at_equal_budgets() -> None:
    problems = MedicalChoice().generate(6, seed=0)
    letters = {problem.task.prompt: problem.reference for problem in problems}

    def reply(request: Request, number: int) -> str:
        if "</think>" not in request.prefix:
            return "hm"
        return f"\\boxed{{{letters[request.messages[-1].text]}}}" if "Wait" not in request.prefix else "who knows"

    turns = thinking_turns(ScriptedModel(replies=reply), (16, 32), (0, 1))
    rules = MatchRules()
    done = await record(problems, turns, family="medical_choice", sampling=LAW, seen=rules.see)
    study = thinking_budget(done.rows, rules=rules.counts)
    text = render_markdown(study)
    assert "What forced cues change" in text
    assert "| 16: 0 to 1 | -100.0 points" in text
    assert sum(rules.counts["thinking 16, 1 cues"].values()) == 6
    assert set(rules.counts["thinking 16, 1 cues"]) <= {"similar", "letter", "text"}
    assert study.data["rules"] == {name: dict(found) for name, found in rules.counts.items()}


def rows(right, budget, **fields):
    return [
        row(f"q{at}", f"b{budget}", 1, right=value, settings={"thinking": budget, "cues": 0}, **fields)
        for at, value in enumerate(right)
    ]


def plain(found):
    from dataclasses import replace

    return [replace(one, method="budget_forcing") for one in found]


def test_problems_without_a_run_at_some_budget_are_left_out_and_said() -> None:
    study = thinking_budget(plain([*rows([True] * 10, 8), *rows([True] * 7, 16)]))
    (sweep,) = study.data["models"][0]["sweeps"]
    assert sweep["left_out"] == 3
    assert "3 problems lack a run" in render_markdown(study)
    assert sweep["overthinking"] is None


def test_a_small_fall_of_few_problems_is_not_called_one() -> None:
    study = thinking_budget(plain([*rows([True] * 8, 8), *rows([True] * 7 + [False], 16)]))
    assert study.data["models"][0]["sweeps"][0]["overthinking"] is None
    assert "no fall that 8 problems can show" in render_markdown(study)


def test_models_have_sections_of_their_own() -> None:
    found = plain([*rows([True] * 3, 8), *rows([False] * 3, 8, model="large")])
    assert [section.title for section in thinking_budget(found).sections] == ["Model small", "Model large"]


def test_rows_of_other_methods_are_no_study_and_settings_are_checked() -> None:
    with pytest.raises(BadInput, match="budget_forcing"):
        thinking_budget(rows([True], 8))
    with pytest.raises(ConfigError):
        thinking_turns(ScriptedModel(), ())
    with pytest.raises(ConfigError):
        thinking_turns(ScriptedModel(), (0,))
    with pytest.raises(ConfigError):
        thinking_turns(ScriptedModel(), (8,), markers="none")
