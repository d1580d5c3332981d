from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ponder import Candidate, Control, solve
from ponder.core.errors import BadInput, ConfigError
from ponder.core.store import Store
from ponder.tasks.arithmetic_chains import ArithmeticChains
from ponder.tasks.writing import Writing
from ponder.training.prm import label, train_prm
from ponder.training.rollouts import Rollouts
from ponder.verifiers.trained_prm import TrainedPrm
from tests.training.prm_world import right, world

pytest.importorskip("numpy")

PROBLEMS = ArithmeticChains().generate(24, seed=1)
SMALL = Rollouts(solutions=3, k=4, features="certainty")


async def test_labels_are_the_share_of_right_rollouts() -> None:
    labelled = await label(world(), PROBLEMS[:6], SMALL)
    assert {example.task for example in labelled.examples} == {problem.task.id for problem in PROBLEMS[:6]}
    for example in labelled.examples:
        lines = example.prefix.split("\n")
        if not all(right(line) for line in lines if line) and len(lines) < 3:
            continue  # two errors may cancel out
        if example.rollouts == 1:
            reference = next(p.reference for p in PROBLEMS if p.task.id == example.task)
            assert example.right == (lines[-1].endswith(f"= {reference}"))
    prefixes = [(example.task, example.prefix) for example in labelled.examples]
    assert len(prefixes) == len(set(prefixes))
    assert labelled.usage["policy"].calls > 6 * 3
    assert 6 * 2 <= labelled.usage["prm"].calls <= 6 * 3


async def test_references_are_read_as_answers_are() -> None:
    plain = await label(world(), PROBLEMS[:4], SMALL)
    written = [replace(problem, reference=f"Worked out: #### {problem.reference}") for problem in PROBLEMS[:4]]
    spelled = await label(world(), written, SMALL)
    assert [example.right for example in spelled.examples] == [example.right for example in plain.examples]
    assert any(example.right for example in plain.examples)
    with pytest.raises(BadInput, match="is no answer of type"):
        await label(world(), [replace(PROBLEMS[0], reference="none")], SMALL)


async def test_training_finds_the_planted_signal_on_tasks_that_it_has_not_seen(tmp_path: Path) -> None:
    head = await train_prm(world(), PROBLEMS, rollouts=SMALL, seed=2)
    held, learnt = head.report["held_out"], head.report["train"]
    assert (learnt["tasks"], held["tasks"]) == (18, 6)
    assert held["auc"]["value"] > 0.8
    assert held["auc_within"]["value"] > 0.8
    assert held["auc"]["low"] <= held["auc"]["value"] <= held["auc"]["high"]
    assert held["cross_entropy"] < held["cross_entropy_of_constant"]
    assert head.report["usage"]["policy"]["calls"] > 24 * 3
    assert head.report["tasks"] == [problem.task.id for problem in PROBLEMS]
    assert (head.features, list(head.report["tried"])) == ("certainty", ["certainty"])
    head.save(tmp_path)
    prm = TrainedPrm(directory=str(tmp_path))
    task = PROBLEMS[-1].task
    result = await solve(task, model=world(), method="best_of_n", verifier=prm, n=8)
    good = [c for c in result.candidates if all(map(right, c.text.split("\n")))]
    bad = [c for c in result.candidates if c not in good]

    def value(candidate: Candidate) -> float:
        score = candidate.scores["trained_prm"]
        assert len(score.steps) == 3
        assert score.value is not None
        return score.value

    assert good
    assert bad
    assert min(map(value, good)) > max(map(value, bad))
    assert result.usage["prm"].calls == 8
    assert result.paid["prm"].calls < 8  # equal answers are read once


async def test_trained_head_guides_a_search(tmp_path: Path) -> None:
    (await train_prm(world(), PROBLEMS, rollouts=SMALL)).save(tmp_path)
    fresh = ArithmeticChains().generate(20, seed=9)
    prm = TrainedPrm(directory=str(tmp_path))
    hits = {"greedy": 0, "beam_search": 0}
    for problem in fresh:
        beam = await solve(problem.task, model=world(), method="beam_search", verifier=prm, n=8, branch=4, depth=4)
        one = await solve(problem.task, model=world(), method="self_consistency", n=1)
        hits["beam_search"] += beam.answer == problem.reference
        hits["greedy"] += one.answer == problem.reference
    assert hits["beam_search"] >= hits["greedy"] + 8  # each line is right with 0.6, and the head tells which


async def test_store_makes_a_second_training_free_and_equal(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.sqlite")
    first = await train_prm(world(), PROBLEMS[:8], rollouts=SMALL, store=store)
    model = world()
    again = await train_prm(model, PROBLEMS[:8], rollouts=SMALL, store=store)
    assert model.calls == 0
    assert again.law == first.law
    assert again.report["held_out"] == first.report["held_out"]
    store.close()


async def test_cancelled_training_ends_with_the_tasks_that_are_labelled() -> None:
    control = Control()

    def progress(done: int, total: int) -> None:
        if done == 8:
            control.cancel()

    labelled = await label(world(), PROBLEMS, SMALL, control=control, progress=progress)
    assert labelled.stopped == "cancelled"
    assert len({example.task for example in labelled.examples}) == 8


async def test_what_cannot_be_trained_on_is_refused() -> None:
    with pytest.raises(BadInput, match="no reference"):
        await train_prm(world(), Writing().generate(4, seed=0), rollouts=SMALL)
    with pytest.raises(BadInput, match="distinct"):
        await train_prm(world(), [PROBLEMS[0], PROBLEMS[0]])
    with pytest.raises(BadInput, match="at least one"):
        await train_prm(world(), PROBLEMS[:1])
    with pytest.raises(ConfigError, match="held_out"):
        await train_prm(world(), PROBLEMS, held_out=1.0)


async def test_solutions_alone_label_their_prefixes() -> None:
    labelled = await label(world(), PROBLEMS[:4], replace(SMALL, solutions=8, k=0))
    assert labelled.usage["policy"].calls == 4 * 8
    first = [example for example in labelled.examples if "\n" not in example.prefix.strip()]
    for problem in PROBLEMS[:4]:
        mine = [example for example in first if example.task == problem.task.id]
        assert sum(example.rollouts for example in mine) == 8
    sums = {example.rollouts for example in labelled.examples if example.prefix.count("= ") == 3}
    assert sums == {1}
