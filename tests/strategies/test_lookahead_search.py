from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from ponder import Candidate, Context, Result, Score, ScriptedModel, Task, Trace, solve
from ponder.core.errors import ConfigError
from ponder.core.model import Request
from ponder.engines.tree import Prefix
from ponder.numerics.exchange import beam_counts
from tests.engines.step_worlds import TASK, ExactPrm, digit_model


async def run(method: str, model: ScriptedModel, prm: Any, **options: Any) -> Result:
    return await solve(TASK, model=model, method=method, verifier=prm, **options)


@dataclass(frozen=True)
class Late:
    """Knows only at the end: the share of nines in a finished answer; it notes what it was shown."""

    shown: list[str] = field(default_factory=list, compare=False)

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
        raise AssertionError("asked for steps")

    async def score_steps(self, task: Task, prefixes: Sequence[Prefix], ctx: Context) -> list[Score]:
        self.shown.extend(p.text for p in prefixes)
        return [Score(value=float(p.finished and "9" in p.text)) for p in prefixes]


@pytest.mark.parametrize("branch", [1, 3, 12])
async def test_without_lookahead_it_is_beam_search(branch: int) -> None:
    # Card 04, check 2.
    options: dict[str, Any] = {"n": 12, "branch": branch, "seed": 3}
    beam = await run("beam_search", digit_model(depth=4), ExactPrm("0121"), **options)
    look = await run("lookahead_search", digit_model(depth=4), ExactPrm("0121"), k=0, **options)
    assert replace(look, method=beam.method, settings=beam.settings) == beam


async def test_prefix_is_scored_where_its_greedy_rollout_ends_and_the_rollout_is_thrown_away() -> None:
    def reply(request: Request, number: int) -> str:
        if not request.prefix:
            return f"{number % 2}\n"
        if request.sampling.temperature == 0:
            return "answer 9" if request.prefix.startswith("1") else "answer 5"
        return f"answer 8{request.prefix.strip()}"

    verifier = Late()
    model = ScriptedModel(replies=reply)
    result = await run("lookahead_search", model, verifier, n=2, branch=2, k=3)
    assert verifier.shown[:2] == ["0\nanswer 5", "1\nanswer 9"]
    assert [c.text for c in result.candidates] == ["1\nanswer 81"]
    assert "answer 9" not in {c.text for c in result.candidates}


async def test_cost_counts_the_rollouts() -> None:
    # Card 04, check 3: N (k + 1); the last round's answers are finished and have no roll-out.
    assert beam_counts(64, 8, 3).cost == 256
    trace = Trace()
    model = digit_model(depth=4, actions=1000)
    result = await run("lookahead_search", model, ExactPrm("0000", 1000), n=4, branch=4, k=1, trace=trace)
    assert result.cost.calls == 4 * 2 * 3 + 4
    looked = [event for event in trace.events if event.kind == "call" and event.data.get("path", [""])[0] == "look"]
    assert len([event for event in looked if event.phase == "open"]) == 12


async def test_rollout_that_cannot_go_on_is_scored_as_far_as_it_came() -> None:
    def reply(request: Request, number: int) -> str:
        if request.sampling.temperature == 0:
            return "a roll-out step of far too many words\n"
        return "1\n" if not request.prefix else "answer 1"

    verifier = Late()
    await run("lookahead_search", ScriptedModel(replies=reply), verifier, n=1, branch=1, k=2, step_tokens=3)
    assert verifier.shown == ["1\n", "1\nanswer 1"]


async def test_rollout_passes_over_a_blank_line() -> None:
    def reply(request: Request, number: int) -> str:
        if request.sampling.temperature == 0:
            return "answer 9" if request.prefix.endswith("\n\n") else "\nanswer"
        return "1\n" if not request.prefix else "answer 1"

    verifier = Late()
    await run("lookahead_search", ScriptedModel(replies=reply), verifier, n=1, branch=1, k=2)
    assert verifier.shown[0] == "1\n\nanswer 9"


@pytest.mark.parametrize("settings", [{"n": 0}, {"branch": 0}, {"k": -1}])
async def test_impossible_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        await run("lookahead_search", ScriptedModel(), ExactPrm("0"), **settings)
