"""The live tree: what it shows of a run, how it fits a small terminal, and that a model cannot steer it."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from ponder.cli.live_tree import LiveTree
from ponder.core.solve import solve
from ponder.core.task import Task
from ponder.models.scripted import ScriptedModel


def drawn(tree: LiveTree, *, height: int = 40, width: int = 100) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as capture:
        console.print(tree.render(height, width))
    return [line.rstrip() for line in capture.get().splitlines()]


async def followed(model: ScriptedModel, **options: Any) -> LiveTree:
    tree = LiveTree("a model")
    task = Task.of("What is 6 times 7?", answer="number")
    result = await solve(task, model=model, watch=tree.watch, progress=tree.progress, **options)
    tree.finish(result)
    return tree


def test_before_the_run_the_headline_waits() -> None:
    assert drawn(LiveTree("loading scripted:a")) == ["loading scripted:a ..."]


async def test_candidates_have_state_tokens_score_and_answer() -> None:
    model = ScriptedModel(replies=("6 * 7 = 42", "6 * 7 = 41"))
    lines = drawn(await followed(model, method="best_of_n", verifier="arithmetic", n=4))
    assert lines[0] == "a model"
    assert "best_of_n n=4  4 calls, 20 tokens" in lines[1]
    assert lines[1].endswith(": done")
    right = next(line for line in lines if "▶" in line)
    assert " ".join(right.split()).endswith("done 5 tokens score 1 42 6 * 7 = 42")
    assert sum("score 0  41  " in line for line in lines) + sum("score 1  42  " in line for line in lines) == 4


async def test_many_candidates_fit_a_small_terminal() -> None:
    lines = drawn(await followed(ScriptedModel(), method="self_consistency", n=100, early_stop="none"), height=20)
    assert len(lines) <= 20
    assert any("▶#0" in line for line in lines)
    assert lines[-1].endswith(" more")


async def test_a_model_cannot_steer_the_terminal() -> None:
    model = ScriptedModel(replies=("\x1b[31m42\x00\n\x07[bold]end",))
    lines = drawn(await followed(model, method="greedy"))
    assert len(lines) == 3
    assert r"\x1b[31m42\x00 \x07[bold]end" in lines[2]


async def test_failures_and_cuts_are_named() -> None:
    lines = drawn(await followed(ScriptedModel(fail_every=2), method="self_consistency", n=4, early_stop="none"))
    assert sum(" failed " in line for line in lines) == 2
    tree = LiveTree("a model")
    await solve("Hi", model=ScriptedModel(replies=("a b c",)), budget="completion_tokens=2", watch=tree.watch)
    assert " cut " in drawn(tree)[2]


async def test_nested_runs_are_branches() -> None:
    tree = LiveTree("a model")
    model = ScriptedModel(replies=("Score: 7",))
    await solve("Hi", model=model, method="best_of_n", verifier="judge", n=2, watch=tree.watch)
    assert sum("judge " in line for line in drawn(tree)) >= 1
