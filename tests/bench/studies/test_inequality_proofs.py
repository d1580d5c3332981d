"""The study of inequality proofs: five judges joined into one, and each on its own (card 19)."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ponder import Request, ScriptedModel
from ponder.bench.rows import read_rows
from ponder.bench.studies.inequality_proofs import inequality_proofs, inequality_turns
from ponder.bench.studies.page import render_markdown, write_study
from ponder.bench.studies.recording import record
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Sampling
from ponder.tasks.inequalities import Inequalities

LAW = Sampling(temperature=0.0, max_tokens=200)
PROBLEMS = Inequalities(kind="relation").generate(6, seed=0)
GOLD = {problem.task.prompt: str(problem.reference) for problem in PROBLEMS}
NUMBER = {problem.task.prompt: at for at, problem in enumerate(PROBLEMS)}


def solve(request: Request, number: int) -> str:
    """Problem 5 is answered wrongly; the solution says which problem it is of."""
    at = NUMBER[request.messages[-1].text]
    answer = GOLD[request.messages[-1].text] if at != 5 else "not known"
    return f"Solution number {at}.\nThe answer is {answer}"


def judge(request: Request, number: int) -> str:
    """Problem 1 has a toy case, 2 a gap, 3 a false equation; of 4 the judge of approximations cannot be read."""
    text = request.messages[-1].text
    at = int(text.partition("Solution number ")[2].partition(".")[0])
    if "Equation: left = right" in text or "Equation: none" in text:
        return "Equation: 2 + 2 = 5" if at == 3 else "Equation: none"
    if "decimals in place of exact values" in text:
        return "hm" if at == 4 else "Sound: True"
    flawed = (at == 1 and "special cases." in text) or (at == 2 and "not obvious" in text)
    return f"Flagged: a step\nSound: {not flawed}"


async def recorded(**options):
    turns = inequality_turns([ScriptedModel(replies=solve)], judge=ScriptedModel(replies=judge, name="judge"))
    return await record(PROBLEMS, turns, family="inequalities", sampling=LAW, **options)


async def test_a_solution_counts_only_where_all_five_judges_pass(tmp_path) -> None:
    done = await recorded(file=tmp_path / "rows.jsonl")
    study = inequality_proofs(done.rows, PROBLEMS)
    (model,) = study.data["models"]
    at = {problem.task.id: number for number, problem in enumerate(PROBLEMS)}
    found = {at[one["problem"]]: one for one in model["solutions"]}
    assert [found[k]["overall"] for k in range(6)] == [True, False, False, False, None, False]
    assert [found[k]["answer"] for k in range(6)] == [True] * 5 + [False]
    assert [found[k]["toy"] for k in range(6)] == [True, False, True, True, True, True]
    assert found[2]["gap"] is False
    assert found[3]["computation"] is False
    assert found[4]["approximation"] is None
    shares = {name: share[0] for name, share in model["shares"]["all"].items()}
    assert shares == pytest.approx(
        {"overall": 1 / 6, "answer": 5 / 6, "toy": 5 / 6, "gap": 5 / 6, "approximation": 5 / 6, "computation": 5 / 6}
    )
    assert model["drop"][0] == pytest.approx(-4 / 6)
    assert model["answers"]["relation"] == {"total": 6, "correct": 5, "wrong": 1, "accuracy": 83.33}
    assert model["shares"]["bound"] == {}
    text = render_markdown(study)
    assert "5 of 6 final answers are right, and 1 solutions pass all five judges" in text
    assert "1 solutions are undecided" in text
    page = write_study(study, tmp_path).read_text(encoding="utf-8")
    assert page.count('class="plot"') == 1
    assert json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))["study"] == "inequality-proofs"
    assert inequality_proofs(read_rows(tmp_path / "rows.jsonl"), PROBLEMS).data == study.data


async def test_each_solution_is_drawn_once_for_all_its_judges() -> None:
    done = await recorded()
    assert sum(row.paid["policy"].calls for row in done.rows) == 6
    assert sum(row.paid["judge"].calls for row in done.rows) == 24


async def test_solutions_that_not_all_judges_saw_are_left_out_and_said() -> None:
    done = await recorded()
    study = inequality_proofs(done.rows[1:], PROBLEMS)
    assert study.data["left_out"] == 1
    assert "1 solutions were not seen by all four judges" in study.warning
    with pytest.raises(BadInput, match="all four judges"):
        inequality_proofs([row for row in done.rows if row.curve == "toy"], PROBLEMS)
    with pytest.raises(BadInput, match="all four judges"):
        inequality_proofs(done.rows, Inequalities(kind="bound").generate(2, seed=0))


async def test_judgements_of_different_texts_are_not_joined() -> None:
    done = await recorded()
    anew = replace(done.rows[0], answer="drawn anew")
    study = inequality_proofs([anew, *done.rows[1:]], PROBLEMS)
    assert study.data["left_out"] == 1
    assert len(study.data["models"][0]["solutions"]) == 5


def test_bad_settings_are_refused() -> None:
    model = ScriptedModel()
    for models in ([], [model, model]):
        with pytest.raises(ConfigError):
            inequality_turns(models)
    with pytest.raises(ConfigError, match="single solutions"):
        inequality_turns([model], settings={"n": 4})
    with pytest.raises(ConfigError):
        inequality_turns([model], judge_tokens=0)
