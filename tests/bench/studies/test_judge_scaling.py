"""The study of judges that think on: rounds, trend, changes of mind, both orders (card 08)."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ponder import Request, ScriptedModel
from ponder.bench.rows import read_rows
from ponder.bench.studies.judge_scaling import both_orders, judge_scaling, judge_turns
from ponder.bench.studies.page import render_markdown, write_study
from ponder.bench.studies.recording import record
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Sampling
from ponder.core.seeds import derive
from ponder.numerics.judging import JudgeChain
from ponder.tasks.medical_choice import MedicalChoice
from ponder.tasks.preferences import Preferences

LAW = Sampling(temperature=0.0, max_tokens=20)


def chain_judge(problems, *, start: float, gain: float, loss: float, name: str = "judge") -> ScriptedModel:
    """A judge that is right at first with one chance, and changes its mind in each round with two others."""
    gold = {problem.task.prompt: str(problem.reference) for problem in both_orders(problems)}

    def reply(request: Request, number: int) -> str:
        if "</think>" not in request.prefix:
            return "hm"
        asked = request.messages[-1].text
        rng = derive(0, "chain_judge", name, asked)
        right = rng.random() < start
        for _ in range(request.prefix.count("Wait")):
            right = rng.random() >= loss if right else rng.random() < gain
        letter = gold[asked][2]
        return f"[[{letter if right else 'B' if letter == 'A' else 'A'}]]"

    return ScriptedModel(replies=reply, name=name)


async def recorded(models, problems, rounds=4, **options):
    turns = judge_turns(models, rounds, thinking=60)
    return await record(both_orders(problems), turns, family="preferences", sampling=LAW, **options)


async def test_trends_of_three_judges_are_told_apart(tmp_path) -> None:
    """Card 08, check 3: one that gains, one that does not, and one that loses."""
    problems = Preferences().generate(60, seed=0)
    laws = {
        "reinforced": JudgeChain(start=0.7, gain=0.2, loss=0.03),
        "tuned": JudgeChain(start=0.7, gain=0.1, loss=0.05),
        "plain": JudgeChain(start=0.7, gain=0.05, loss=0.1),
    }
    models = [
        chain_judge(problems, start=law.start, gain=law.gain, loss=law.loss, name=name) for name, law in laws.items()
    ]
    done = await recorded(models, problems, file=tmp_path / "rows.jsonl")
    study = judge_scaling(done.rows, problems)
    for found in study.data["models"]:
        law = laws[found["model"]]
        measured = [point["accuracy"][0] for point in found["rounds"]]
        assert measured == pytest.approx(law.accuracies(4), abs=0.12)
        assert found["unchanged"] == pytest.approx(law.unchanged(4), abs=0.08)
        assert [point["unread"] for point in found["rounds"]] == [0] * 5
    trends = {found["model"]: found["trend"] for found in study.data["models"]}
    assert trends["reinforced"][1] > 0
    assert trends["plain"][2] < 0
    text = render_markdown(study)
    assert "gets better by thinking on" in text
    assert "gets worse by thinking on" in text
    assert study.sections[0].title == "Judges side by side"
    page = write_study(study, tmp_path).read_text(encoding="utf-8")
    assert page.count('class="plot"') == 3
    assert json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))["study"] == "judge-scaling"
    assert judge_scaling(read_rows(tmp_path / "rows.jsonl"), problems).data == study.data


async def test_rounds_share_one_thought_and_no_round_is_ordinary_judging() -> None:
    problems = Preferences().generate(3, seed=0)
    model = chain_judge(problems, start=1.0, gain=0.0, loss=0.0)
    done = await recorded([model], problems, rounds=2)
    paid = sum(used.calls for row in done.rows for used in row.paid.values())
    asked = sum(used.calls for row in done.rows for used in row.usage.values())
    # Each of 6 presentations: three pieces of thought and three verdicts; asked for one by one 2 + 3 + 4.
    assert (paid, asked) == (6 * 6, 6 * 9)
    (found,) = judge_scaling(done.rows, problems).data["models"]
    assert [point["accuracy"][0] for point in found["rounds"]] == [1.0, 1.0, 1.0]
    assert [point["orders_agree"] for point in found["rounds"]] == [1.0, 1.0, 1.0]
    assert [point["thinking_tokens"] for point in found["rounds"]] == [1, 2, 3]
    assert found["rounds"][0]["subsets"] == {"code": 1.0, "instruction": 1.0, "maths": 1.0}
    assert "fewer than 10 pairs" in render_markdown(judge_scaling(done.rows, problems))
    one = judge_scaling([row for row in done.rows if row.settings["cues"] == 0], problems)
    assert "one number of rounds" in render_markdown(one)


async def test_a_judge_that_favours_a_place_and_one_that_says_nothing() -> None:
    problems = Preferences().generate(6, seed=0)
    first = ScriptedModel(replies=lambda request, number: "[[A]]" if "</think>" in request.prefix else "hm", name="one")
    mute = ScriptedModel(
        replies=lambda request, number: "[[A]] perhaps" if "think>" not in request.prefix else "hm", name="two"
    )
    done = await recorded([first, mute], problems, rounds=1)
    one, two = judge_scaling(done.rows, problems).data["models"]
    assert one["rounds"][0]["accuracy"][0] == 0.5
    assert one["rounds"][0]["orders_agree"] == 0.0
    assert two["rounds"][1]["accuracy"][0] == 0.0
    assert two["rounds"][1]["unread"] == 12
    assert one["trend"][0] == 0.0


async def test_presentations_without_every_round_are_left_out_and_said() -> None:
    problems = Preferences().generate(3, seed=0)
    done = await recorded([chain_judge(problems, start=0.5, gain=0.1, loss=0.1)], problems, rounds=1)
    study = judge_scaling(done.rows[1:], problems)
    assert study.data["models"][0]["left_out"] == 1
    assert "1 presentations lack a verdict" in render_markdown(study)


async def test_orders_agree_within_a_run_and_runs_of_other_settings_are_not_joined() -> None:
    problems = Preferences().generate(3, seed=0)
    model = chain_judge(problems, start=1.0, gain=0.0, loss=0.0)
    first, second = [(await recorded([model], problems, rounds=1, seed=seed)).rows for seed in (0, 1)]
    (found,) = judge_scaling([*first, *second], problems).data["models"]
    assert [point["orders_agree"] for point in found["rounds"]] == [1.0, 1.0]
    assert len(found["verdicts"]) == 12
    other = [replace(row, settings={**row.settings, "thinking": 9}) for row in first if row.settings["cues"] == 0]
    study = judge_scaling([*first[:-1], *other], problems)
    assert study.data["models"][0]["left_out"] == 7
    assert len(study.data["models"][0]["verdicts"]) == 5


async def test_judges_that_saw_other_pairs_are_not_called_comparable() -> None:
    problems = Preferences().generate(3, seed=0)
    models = [chain_judge(problems, start=0.5, gain=0.1, loss=0.1, name=name) for name in ("one", "two")]
    done = await recorded(models, problems, rounds=1)
    assert "did not see the same" not in render_markdown(judge_scaling(done.rows, problems))
    assert "did not see the same pairs" in render_markdown(judge_scaling(done.rows[1:], problems))


async def test_bad_uses_are_refused() -> None:
    problems = Preferences().generate(2, seed=0)
    model = chain_judge(problems, start=1.0, gain=0.0, loss=0.0)
    done = await recorded([model], problems, rounds=0)
    with pytest.raises(BadInput, match="no verdicts on these pairs"):
        judge_scaling(done.rows, Preferences().generate(2, seed=9))
    with pytest.raises(BadInput, match="no pair"):
        judge_scaling(done.rows, MedicalChoice().generate(1, seed=0))
    with pytest.raises(ConfigError):
        judge_turns([model, model])
    with pytest.raises(ConfigError):
        judge_turns([model], -1)
    with pytest.raises(ConfigError):
        judge_turns([model], markers="none")
