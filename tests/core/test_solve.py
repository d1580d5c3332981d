from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ponder import (
    Access,
    Budget,
    Context,
    Control,
    Message,
    Result,
    Sampling,
    ScriptedModel,
    Store,
    Task,
    load,
    solve,
    solve_sync,
)
from ponder.core.budget import Meter
from ponder.core.candidate import Candidate, Score
from ponder.core.errors import AccessDenied, BadInput, ConfigError, Interrupted, ProviderError, UnknownName
from ponder.core.trace import Trace, read_trace

NUMBER = Task.of("one two", answer="number")


@dataclass(frozen=True, kw_only=True)
class Twice:
    """Runs another method twice under shares of the budget, then fails or commits as told."""

    end: str = "done"

    async def run(self, task: Task, ctx: Context) -> Result:
        first = await ctx.run("self_consistency", task, budget=Budget(calls=3), n=8, early_stop="none")
        second = await ctx.run("greedy", task)
        candidates = [*first.candidates, *second.candidates]
        ctx.candidates.extend(candidates)
        if self.end == "commit":
            ctx.commit(candidates[1])
        if self.end in ("commit", "interrupted"):
            raise Interrupted("told to", reason="cancelled")
        if self.end == "failed":
            raise ProviderError("told to fail")
        return ctx.result(candidates, best=3, stopped=first.stopped, detail=first.detail)


def test_load_and_solve_in_three_lines() -> None:
    result = solve_sync("q", model="scripted:42", method="greedy")
    assert (result.answer, result.stopped, result.cost.calls) == ("42", "done", 1)


async def test_solve_sync_refuses_politely_inside_a_loop() -> None:
    with pytest.raises(ConfigError, match="await solve"):
        solve_sync("q", model="scripted:42")


@pytest.mark.parametrize("spec", ["smollm", "scripted", "scripted:", ":x", ""])
def test_model_spelling_is_checked(spec: str) -> None:
    with pytest.raises(ConfigError):
        load(spec)


def test_unknown_names_list_near_matches() -> None:
    with pytest.raises(UnknownName, match="self_consistency"):
        solve_sync("q", model="scripted:42", method="self_consistancy")
    with pytest.raises(UnknownName, match="scripted"):
        load("script:42")
    with pytest.raises(UnknownName, match="answer type"):
        solve_sync(Task.of("q", answer="numbr"), model="scripted:42")


def test_method_that_needs_a_verifier_says_so_before_spending() -> None:
    model = ScriptedModel()
    with pytest.raises(ConfigError, match="needs a verifier"):
        solve_sync("q", model=model, method="best_of_n")
    assert model.calls == 0


def test_missing_access_is_refused_before_spending_and_names_back_ends() -> None:
    blind = ScriptedModel(access=frozenset())
    with pytest.raises(AccessDenied, match=r"needs text.*would do: .*replay"):
        solve_sync("q", model=blind, method="greedy")
    assert blind.calls == 0


def test_budget_in_dollars_without_prices_is_refused_before_spending() -> None:
    model = ScriptedModel()
    with pytest.raises(ConfigError, match="prices"):
        solve_sync("q", model=model, budget="usd=1")
    assert model.calls == 0


@pytest.mark.parametrize("task", ["\x00", "naïve ∑ 你好 \U0001f600", "\ud800 lone surrogate"])
def test_odd_prompts_run(task: str, tmp_path: Path) -> None:
    result = solve_sync(task, model=ScriptedModel(replies=[task]), store=tmp_path / "s", trace=tmp_path / "t")
    assert result.candidates[0].text == task
    json.dumps(result.to_json())


def test_candidate_of_a_megabyte_is_kept_whole() -> None:
    big = "word " * 200_000
    result = solve_sync("q", model=ScriptedModel(replies=[big]), sampling=Sampling(max_tokens=10**7))
    assert len(result.text) == len(big)


def test_default_method_follows_the_answer_type() -> None:
    assert solve_sync("q", model="scripted:42").method == "greedy"
    assert solve_sync(NUMBER, model="scripted:42").method == "self_consistency"


def test_same_seed_same_result_whatever_the_latency() -> None:
    def run(latency: tuple[float, float], seed: int = 3) -> Result:
        model = ScriptedModel(replies=["1", "2", "2", "3", "2"], latency=latency)
        return solve_sync(NUMBER, model=model, method="self_consistency", n=12, seed=seed, budget="calls=9")

    first = run((0.0, 0.0))
    assert first == run((0.0, 0.02)) == run((0.01, 0.01))
    assert first.deterministic
    assert any(first != run((0.0, 0.0), seed=seed) for seed in range(4, 9))


def test_deadline_returns_the_best_so_far() -> None:
    model = ScriptedModel(replies=["7"], latency=(0.0, 3.0))
    result = solve_sync(NUMBER, model=model, method="self_consistency", n=30, early_stop="none", budget="seconds=0.4")
    assert result.stopped == "deadline"
    assert result.answer == "7"
    assert not result.deterministic
    assert result.seconds < 2


async def test_control_cancels_from_outside_with_the_best_so_far() -> None:
    model, control = ScriptedModel(replies=["7"], latency=(0.0, 3.0)), Control()
    asyncio.get_running_loop().call_later(0.3, control.cancel)
    result = await solve(NUMBER, model=model, method="self_consistency", n=30, early_stop="none", control=control)
    assert (result.stopped, result.answer) == ("cancelled", "7")
    early = Control()
    early.cancel()
    result = await solve(NUMBER, model=model, control=early)
    assert (result.stopped, result.answer, result.cost.calls) == ("cancelled", None, 0)


def test_model_that_dies_halfway_leaves_the_best_so_far() -> None:
    result = solve_sync(NUMBER, model=ScriptedModel(replies=["7"], dies_after=4), method="self_consistency", n=9)
    assert (result.stopped, result.answer) == ("endpoint", "7")
    dead = solve_sync(NUMBER, model=ScriptedModel(dies_after=0))
    assert (dead.stopped, dead.answer, dead.chosen) == ("endpoint", None, None)


def test_some_failed_samples_are_kept_and_counted() -> None:
    result = solve_sync(NUMBER, model=ScriptedModel(replies=["7"], fail_every=3), n=6, early_stop="none")
    assert sum(c.error is not None for c in result.candidates) == 2
    assert (result.answer, result.stopped, result.cost.calls) == ("7", "done", 6)


def test_nested_runs_share_the_budget_and_have_their_own_limits() -> None:
    model = ScriptedModel(replies=["1", "2"])
    result = solve_sync(NUMBER, model=model, method=Twice(), budget="calls=10")
    assert result.cost.calls == 4
    assert len(result.candidates) == 4
    assert (result.stopped, result.method) == ("budget", "Twice")
    tight = solve_sync(NUMBER, model=model, method=Twice(end="interrupted"), budget="calls=2")
    assert tight.cost.calls == 2


@pytest.mark.parametrize(
    ("end", "stopped", "chosen"),
    [("commit", "cancelled", 1), ("interrupted", "cancelled", 0), ("failed", "endpoint", 0)],
)
def test_run_that_ends_inside_the_method_still_answers(end: str, stopped: str, chosen: int) -> None:
    result = solve_sync(NUMBER, model=ScriptedModel(replies=["1", "2"]), method=Twice(end=end))
    assert (result.stopped, result.chosen) == (stopped, chosen)
    assert result.answer is not None


def test_trace_file_tells_the_whole_run(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    result = solve_sync(NUMBER, model="scripted:1|2", method="self_consistency", n=4, trace=file)
    events = read_trace(file)
    assert [events[0].kind, events[-1].kind, events[-1].phase] == ["run", "run", "close"]
    assert events[-1].data["usage"]["policy"]["calls"] == result.cost.calls
    assert sum(e.kind == "call" and e.phase == "close" for e in events) == result.paid["policy"].calls


def test_second_run_on_the_same_store_pays_nothing(tmp_path: Path) -> None:
    model, file = ScriptedModel(replies=["1", "2", "1"]), tmp_path / "store.sqlite"
    first = solve_sync(NUMBER, model=model, n=5, store=file)
    calls = model.calls
    second = solve_sync(NUMBER, model=model, n=5, store=file)
    assert first == second
    assert model.calls == calls
    assert second.paid["policy"].calls == 0


async def test_curve_costs_only_its_largest_point() -> None:
    model, store = ScriptedModel(replies=["1", "2", "1", "5"]), Store()
    for n in (8, 1, 64, 16, 2):
        await solve(NUMBER, model=model, method="self_consistency", n=n, early_stop="none", store=store)
    assert model.calls == 64


def test_result_is_one_json_object_and_shows_in_a_notebook() -> None:
    result = solve_sync(NUMBER, model=ScriptedModel(replies=["<script>7</script>"]))
    body = json.loads(str(result))
    assert body["schema"] == 1
    assert body["usage"]["policy"]["calls"] == result.cost.calls
    assert "<script>" not in result._repr_html_()


def test_settings_go_with_a_method_given_by_name() -> None:
    with pytest.raises(ConfigError, match="given by name"):
        solve_sync("q", model="scripted:42", method=Twice(), n=4)
    with pytest.raises(ConfigError, match="no setting 'm'"):
        solve_sync("q", model="scripted:42", method="self_consistency", m=4)


def test_empty_prompt_is_one_clear_error() -> None:
    with pytest.raises(BadInput, match="empty"):
        solve_sync("", model="scripted:42")
    with pytest.raises(BadInput, match="empty"):
        solve_sync([Message("user", "")], model="scripted:42")


def test_every_role_without_a_model_uses_the_policy_and_is_booked_apart() -> None:
    assert Access.TEXT in load("scripted:1").access


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """Gives the same score to all, or a fixed number of scores."""

    value: float = 1.0
    count: int | None = None

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
        count = len(candidates) if self.count is None else self.count
        return [Score(value=self.value, steps=(self.value,))] * count


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_scores_that_json_does_not_have_leave_valid_json(value: float, tmp_path: Path) -> None:
    result = solve_sync(
        NUMBER,
        model=ScriptedModel(),
        method="best_of_n",
        n=2,
        verifier=Fixed(value=value),
        trace=tmp_path / "trace.jsonl",
    )
    json.dumps(result.to_json(), allow_nan=False)
    assert len(read_trace(tmp_path / "trace.jsonl")) > 4


@pytest.mark.parametrize("count", [0, 1, 3])
def test_wrong_number_of_scores_is_a_missing_score_for_all(count: int) -> None:
    result = solve_sync(NUMBER, model=ScriptedModel(), method="best_of_n", n=2, verifier=Fixed(count=count))
    scores = [score for c in result.candidates for score in c.scores.values()]
    assert [score.value for score in scores] == [None, None]
    assert f"{count} scores" in scores[0].reason
    assert result.answer == "42"


def test_minimum_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="minimum"):
        solve_sync("x", model=ScriptedModel(), minimum=0)


async def test_nested_budget_in_dollars_without_prices_is_refused() -> None:
    ctx = Context(models={"policy": ScriptedModel()}, meter=Meter(), trace=Trace())
    with pytest.raises(ConfigError, match="usd"):
        await ctx.run("greedy", NUMBER, budget=Budget(usd=1.0))


async def test_clock_that_cut_a_nested_run_marks_the_outer_result() -> None:
    ctx = Context(models={"policy": ScriptedModel(latency=60.0)}, meter=Meter(), trace=Trace())
    inner = await ctx.run("greedy", NUMBER, budget=Budget(seconds=0.01))
    assert not ctx.result(inner.candidates, best=None).deterministic


@dataclass(frozen=True, kw_only=True)
class Swallowing:
    """A verifier that asks the model about each candidate and makes missing scores of whatever goes wrong."""

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
        scores = []
        for candidate in candidates:
            try:
                await ctx.model("judge").ask(task.messages, path=("swallow", candidate.index), sampling=ctx.sampling)
            except Interrupted as why:
                scores.append(Score.missing(why))
            else:
                scores.append(Score(value=0.5))
        return scores


@pytest.mark.parametrize(("calls", "stopped"), [(3, "budget"), (6, "done")])
async def test_verifier_that_swallows_a_refusal_does_not_hide_it(calls: int, stopped: str) -> None:
    model, budget = ScriptedModel(replies=["7"]), Budget(calls=calls)
    result = await solve(NUMBER, model=model, method="best_of_n", n=3, verifier=Swallowing(), budget=budget)
    assert (result.stopped, result.answer) == (stopped, "7")
    assert ("calls limit 3" in result.detail) is (stopped == "budget")


async def test_refusal_inside_a_nested_run_belongs_to_the_run_whose_limit_it_was() -> None:
    class Outer:
        def calls(self) -> dict[str, int]:
            return {"policy": 16}

        async def run(self, task: Task, ctx: Context) -> Result:
            inner = await ctx.run("best_of_n", task, budget=Budget(calls=2), n=2)
            return ctx.result(inner.candidates, best=inner.chosen, detail=inner.stopped)

    result = await solve(NUMBER, model=ScriptedModel(replies=["7"]), method=Outer(), verifier=Swallowing())
    assert (result.stopped, result.detail) == ("done", "budget")


async def test_verifier_that_swallows_a_cancel_does_not_hide_it() -> None:
    control = Control()

    def cancel(event: object) -> None:
        if getattr(event, "kind", "") == "call" and getattr(event, "data", {}).get("role") == "judge":
            control.cancel()

    model = ScriptedModel(replies=["7"], latency=0.001)
    options: dict[str, Any] = {"verifier": Swallowing(), "control": control, "watch": cancel}
    result = await solve(NUMBER, model=model, method="best_of_n", n=3, **options)
    assert (result.stopped, result.answer) == ("cancelled", "7")


async def test_needs_that_depend_on_settings_take_precedence() -> None:
    model = ScriptedModel(replies=["7"])
    options: dict[str, Any] = {"model": model, "method": "sequential_revisions", "n": 4}
    result = await solve(NUMBER, choose="majority", **options)
    assert (result.answer, result.stopped) == ("7", "done")
    model.calls = 0
    with pytest.raises(ConfigError, match="needs a verifier"):
        await solve(NUMBER, choose="verifier", **options)
    assert model.calls == 0


async def test_nested_method_without_its_verifier_is_refused_before_anything_is_spent() -> None:
    class Outer:
        def calls(self) -> dict[str, int]:
            return {"policy": 16}

        async def run(self, task: Task, ctx: Context) -> Result:
            return await ctx.run("best_of_n", task)

    model = ScriptedModel(replies=["7"])
    with pytest.raises(ConfigError, match="'best_of_n' needs a verifier"):
        await solve(NUMBER, model=model, method=Outer())
    assert model.calls == 0
