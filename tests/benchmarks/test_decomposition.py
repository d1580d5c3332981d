"""The comparison at equal tokens: what is mixed, what is charged, and a whole run that goes on where it was."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from pathlib import Path

import pytest

from benchmarks.decomposition import ASKED, EIGHT, VOTE, at_tokens, problems, read, run, show, spent, story_of
from ponder import Usage
from ponder.bench.rows import Row


def row(problem: str, *, tokens: int, correct: bool = True, family: str = "chains", **usage: int) -> Row:
    used = {"policy": Usage(calls=1, prompt_tokens=tokens)}
    used |= {role: Usage(calls=1, prompt_tokens=count) for role, count in usage.items()}
    return Row(
        problem=problem, family=family, curve="c", method=VOTE, n=1, answer="1", correct=correct, grader="reference",
        usage=used, paid=used, candidates=1,
    )  # fmt: skip


def asked(out: Path) -> Namespace:
    return Namespace(
        model="scripted:Answer: 12|Answer: 20|7", small="scripted:plan", out=out, stories=6, chains=2, sizes=[1, 2],
        max_tokens=50, seed=8, together=3, slots=2, context=1024, threads=1, only=("stories", "chains", "thoughts"),
        partial=False,
    )  # fmt: skip


def test_a_vote_of_the_same_tokens_is_a_mixture_of_two_sizes() -> None:
    cheap = spent("1", {"a": row("a", tokens=100), "b": row("b", tokens=200, correct=False)})
    dear = spent("3", {"a": row("a", tokens=400, correct=False), "b": row("b", tokens=500)})
    assert (cheap.mean, dear.mean) == (150, 450)
    mixed, mark = at_tokens([dear, cheap], 225)
    assert (mixed.name, mark) == ("1.5", "")
    assert mixed.right == {"a": 0.75, "b": 0.25}
    assert at_tokens([cheap, dear], 149) == (cheap, "<")
    assert at_tokens([cheap, dear], 451) == (dear, ">")
    assert at_tokens([cheap, dear], 150)[0].right == cheap.right
    assert at_tokens([cheap, dear], 450)[0].right == dear.right


def test_a_sleep_is_shared_by_the_questions_of_its_story() -> None:
    rows = {"s/0": row("s/0", tokens=100, family="stories", sleeper=50), "c": row("c", tokens=100, sleeper=50)}
    alone, shared = spent("x", rows), spent("x", rows, shared=True)
    assert alone.tokens == {"s/0": 150, "c": 150}
    assert shared.tokens == {"s/0": 100 + 50 / ASKED, "c": 150}
    assert shared.planned == {"s/0": 50 / ASKED, "c": 50}


def test_questions_of_a_story_ask_for_steps_and_lie_apart(tmp_path: Path) -> None:
    found = problems(asked(tmp_path))
    stories = [story_of(one.problem.task.id) for one in found["stories"]]
    assert len(stories) == 6
    assert stories[0] != stories[1]
    for one in (*found["stories"], *found["chains"]):
        assert "just the number" not in one.problem.task.prompt
        assert "?" in one.problem.task.prompt
    for one in found["stories"]:
        assert one.problem.task.metadata["question"] in one.problem.task.prompt


def test_a_run_is_printed_and_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = asked(tmp_path)
    drawn = problems(options)
    asyncio.run(run(options, drawn))
    rows = (tmp_path / "stories" / "rows.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    show(options, drawn)
    whole = capsys.readouterr().out
    assert all(f"| {name} |" in whole for name in EIGHT)
    assert "8 questions (6 of stories, 2 of chains)" in whole
    # Killed: more than half of the rows are lost, and only questions that every method answered are shown.
    (tmp_path / "stories" / "rows.jsonl").write_text("".join(rows[: len(rows) // 2 - 2]), encoding="utf-8")
    kept = read(options, drawn)
    assert len({len(rows) for rows in kept.values()}) == 1
    assert 0 < len(kept[VOTE, 1]) < 8
    options.partial = True
    partly = read(options, drawn)
    assert len({len(rows) for rows in partly.values()}) > 1
    assert all(set(rows) <= set(partly[VOTE, 1]) for rows in partly.values())
    options.partial = False
    asyncio.run(run(options, drawn))
    capsys.readouterr()
    show(options, drawn)
    assert capsys.readouterr().out == whole
