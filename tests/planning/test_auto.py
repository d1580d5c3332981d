from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ponder import Candidate, Context, Score, ScriptedModel, Task, solve
from ponder.core.errors import ConfigError
from ponder.core.model import Request
from ponder.core.result import total
from ponder.core.store import Store
from ponder.planning.auto import Auto
from ponder.planning.difficulty import Bins
from ponder.planning.policy import Choice, Known, Policy, Probe

EASY, HARD = Task.of("easy?", answer="number"), Task.of("hard?", answer="number")


def reply(request: Request, number: int) -> str:
    """The easy question has one answer; to the hard one samples differ."""
    return "7" if "easy" in request.messages[-1].text else str(number % 5)


def scripted(name: str = "small") -> ScriptedModel:
    return ScriptedModel(replies=reply, name=name)


def saved(tmp_path: Path, **changes: Any) -> str:
    small, large = scripted(), scripted("large")
    Policy(
        **{
            "models": {
                "policy": Known(name=small.name, fingerprint=small.info.fingerprint),
                "large": Known(name=large.name, fingerprint=large.info.fingerprint),
            },
            "otherwise": Choice(method="self_consistency", settings={"n": 8, "early_stop": "none"}),
            "probe": Probe(n=4),
            "bins": Bins(edges=(0.75,), names=("1", "2")),
            "table": {"1": Choice(method="self_consistency", settings={"n": 4, "early_stop": "none"})},
            **changes,
        }
    ).save(tmp_path / "policy.json")
    return str(tmp_path / "policy.json")


async def test_the_policy_decides_by_difficulty(tmp_path: Path) -> None:
    file = saved(tmp_path)
    easy = await solve(EASY, model=scripted(), method="auto", policy=file)
    assert (easy.answer, len(easy.candidates), easy.method) == ("7", 4, "auto")
    assert "difficulty bin 1: self_consistency(n=4" in easy.detail
    hard = await solve(HARD, model=scripted(), method="auto", policy=file)
    assert (len(hard.candidates), "bin 2" in hard.detail) == (8, True)


async def test_the_samples_of_the_probe_are_paid_and_counted_once(tmp_path: Path) -> None:
    file = saved(tmp_path)
    model = scripted()
    hard = await solve(HARD, model=model, method="auto", policy=file)
    alone = await solve(HARD, model=scripted(), method="self_consistency", n=8, early_stop="none")
    assert total(hard.usage).calls == total(hard.paid).calls == 8
    assert hard.usage == alone.usage
    assert hard.answer == alone.answer
    # Each candidate still says what it took.
    assert [c.usage for c in hard.candidates] == [c.usage for c in alone.candidates]


async def test_a_stop_inside_the_chosen_method_counts_what_it_kept(tmp_path: Path) -> None:
    file = saved(tmp_path, otherwise=Choice(method="self_consistency", settings={"n": 10}), table={})
    easy = await solve(EASY, model=scripted(), method="auto", policy=file)
    # The vote of 10 is decided after 5 equal answers; 4 of them are the probe's.
    assert (len(easy.candidates), total(easy.usage).calls) == (5, 5)


async def test_a_method_that_draws_otherwise_pays_for_both(tmp_path: Path) -> None:
    file = saved(tmp_path, table={"1": Choice(method="greedy")})
    easy = await solve(EASY, model=scripted(), method="auto", policy=file)
    assert total(easy.usage).calls == 5


async def test_another_model_can_answer(tmp_path: Path) -> None:
    file = saved(tmp_path, table={"2": Choice(method="greedy", role="large")})
    hard = await solve(HARD, model=scripted(), method="auto", policy=file, roles={"large": scripted("large")})
    assert {role: used.calls for role, used in hard.usage.items()} == {"policy": 4, "large": 1}
    with pytest.raises(ConfigError, match="large"):
        await solve(HARD, model=scripted(), method="auto", policy=file)


async def test_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="measured with"):
        await solve(EASY, model=ScriptedModel(replies=["7"]), method="auto", policy=saved(tmp_path))


@dataclass(frozen=True)
class Sevens:
    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
        return [Score(value=float(c.answer == "7")) for c in candidates]


async def test_without_a_policy_it_stops_early_and_says_so() -> None:
    plain = await solve(EASY, model=scripted(), method="auto")
    assert plain.detail.startswith("no policy was given: ran self_consistency")
    assert plain.stopped == "agreement"
    judged = await solve(EASY, model=scripted(), method="auto", verifier=Sevens())
    assert (judged.answer, len(judged.candidates)) == ("7", 1)
    assert "no policy was given: ran best_of_n" in judged.detail
    free = await solve("easy?", model=scripted(), method="auto")
    assert "ran greedy" in free.detail


async def test_shadow_runs_the_default_and_notes_the_choice(tmp_path: Path) -> None:
    file = saved(tmp_path)
    events: list[Mapping[str, Any]] = []

    def watch(event: Any) -> None:
        if event.kind == "policy":
            events.append(event.data)

    easy = await solve(EASY, model=scripted(), method="auto", policy=file, shadow=True, watch=watch)
    assert len(easy.candidates) == 8
    assert easy.detail.startswith("shadow: ran self_consistency(n=8")
    assert [(e["bin"], e["shadow"]) for e in events] == [("1", True)]


async def test_a_budget_that_ends_in_the_probe_still_gives_an_answer(tmp_path: Path) -> None:
    result = await solve(HARD, model=scripted(), method="auto", policy=saved(tmp_path), budget="calls=2")
    assert result.stopped == "budget"
    assert result.answer is not None
    assert total(result.usage).calls == 2


async def test_the_policy_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PONDER_POLICY", saved(tmp_path))
    assert "difficulty bin 1" in (await solve(EASY, model=scripted(), method="auto")).detail
    assert Auto().calls() == {"policy": 12}


async def test_what_a_run_remembers_is_let_go_when_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Store] = []
    closed: list[Store] = []
    begin, end = Store.__init__, Store.close

    def init(self: Store, *args: Any) -> None:
        begin(self, *args)
        opened.append(self)

    def close(self: Store) -> None:
        end(self)
        closed.append(self)

    monkeypatch.setattr(Store, "__init__", init)
    monkeypatch.setattr(Store, "close", close)
    result = await solve(HARD, model=scripted(), method="auto", policy=saved(tmp_path))
    assert result.answer is not None
    assert len(opened) == 1
    assert closed == opened  # once, by the run that made it and not by the one inside it
