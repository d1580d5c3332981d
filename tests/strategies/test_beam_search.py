from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from ponder import Budget, Candidate, Context, Result, Score, ScriptedModel, Task, Trace, solve
from ponder.core.errors import ConfigError
from ponder.core.model import Request
from ponder.engines.tree import Prefix
from ponder.strategies.beam_search import BeamSearch
from tests.engines.step_worlds import TASK, ExactPrm, digit_model


async def run(model: ScriptedModel, prm: Any, **options: Any) -> Result:
    return await solve(TASK, model=model, method="beam_search", verifier=prm, **options)


@dataclass(frozen=True)
class Values:
    """Values prefixes by their last step."""

    table: dict[str, float | None]

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
        raise AssertionError("asked for steps")

    async def score_steps(self, task: Task, prefixes: Sequence[Prefix], ctx: Context) -> list[Score]:
        return [Score(value=self.table[p.steps[-1].strip()]) for p in prefixes]


@pytest.mark.parametrize("variant", ["paper", "released"])
@pytest.mark.parametrize("goal", ["00", "12", "21"])
async def test_exact_verifier_leads_to_the_best_leaf(goal: str, variant: str) -> None:
    # Card 13, check 4: 2 steps, 3 actions, W=9, B=3.
    seen: dict[str, int] = {}

    def reply(request: Request, number: int) -> str:  # the actions in turn, so that the tree is exhausted
        draw = seen[request.prefix] = seen.get(request.prefix, -1) + 1
        digit = draw % 3
        return f"answer {request.prefix.strip()}{digit}" if request.prefix else f"{digit}\n"

    result = await run(ScriptedModel(replies=reply), ExactPrm(goal), n=9, branch=3, variant=variant)
    assert result.answer == str(int(goal))
    assert result.stopped == "done"


async def test_one_survivor_each_is_best_of_n_and_n_branches_are_greedy() -> None:
    # Card 04, check 2: M=1 is the pool of best-of-N, whatever the verifier says on the way.
    chains: dict[str, int] = {}

    def reply(request: Request, number: int) -> str:
        if not request.prefix:
            chains[""] = chains.get("", -1) + 1
            text = f"{chains['']}\nthen\nanswer {chains['']}"
        else:
            text = f"{request.prefix.split()[0]}\nthen\nanswer {request.prefix.split()[0]}"
        return text.removeprefix(request.prefix)

    verifier = ExactPrm("000")
    wide = await run(ScriptedModel(replies=reply), "arithmetic", n=6, branch=1)
    chains.clear()
    pool = await solve(TASK, model=ScriptedModel(replies=reply), method="best_of_n", verifier="arithmetic", n=6)
    assert {c.text for c in wide.candidates} == {c.text for c in pool.candidates}
    narrow = await run(digit_model(), verifier, n=6, branch=6)
    assert len(narrow.candidates) == 1
    assert (await run(digit_model(), verifier, n=1)).cost.calls == 3


async def test_candidates_are_the_survivors_or_all_that_finished() -> None:
    survivors = await run(digit_model(), ExactPrm("000"), n=8, branch=4)
    every = await run(digit_model(), ExactPrm("000"), n=8, branch=4, final_pool="all")
    assert len(survivors.candidates) == 2
    assert {c.text for c in survivors.candidates} < {c.text for c in every.candidates}
    assert all(c.finish == "stop" for c in every.candidates)


@pytest.mark.parametrize(
    ("rule", "answer"), [("prm_last_vote", "2"), ("prm_last_max", "1"), ("majority_vote", "2"), ("prm_min_max", "1")]
)
async def test_rule_chooses_among_the_finished(rule: Any, answer: str) -> None:
    # Card 04, check 1 on one-step answers: A .9, B .5 + .45.
    texts = ["1", "2", "so 2", "3"]
    values = Values(dict(zip(texts, [0.9, 0.5, 0.45, 0.2], strict=True)))
    model = ScriptedModel(replies=lambda request, number: texts[number])
    result = await run(model, values, n=4, branch=1, rule=rule)
    assert result.answer == answer
    assert result.candidates[0].scores["Values"].value == 0.9


async def test_misaligned_verifier_ends_with_zeros_as_released_and_missing_scores_else() -> None:
    # Card 13, check 6: one score too many.
    released = await run(digit_model(), ExactPrm("000", extra=1), n=8, branch=4, variant="released")
    assert released.stopped == "done"
    assert released.chosen is not None
    paper = await run(digit_model(), ExactPrm("000", extra=1), n=8, branch=4)
    assert all(c.scores["ExactPrm"].value is None for c in paper.candidates)
    assert "no finished answer has both a score and an answer" in paper.detail


async def test_budget_that_ends_early_returns_the_best_unfinished_answer_and_says_so() -> None:
    trace = Trace()
    result = await run(digit_model(depth=5), ExactPrm("00000"), n=9, branch=3, budget=Budget(calls=20), trace=trace)
    assert result.stopped == "budget"
    assert result.candidate is not None
    assert result.candidate.metadata["unfinished"]
    assert result.candidate.finish == "length"
    best = max(result.candidates, key=lambda c: c.scores["ExactPrm"].value or 0.0)
    assert result.candidate.scores["ExactPrm"].value == best.scores["ExactPrm"].value
    assert "choose" in {event.kind for event in trace.events}


async def test_finished_answers_hide_the_unfinished_ones() -> None:
    texts = {"": ["1\n", "answer 2"], "1\n": ["more\n", "more\n"]}

    def reply(request: Request, number: int) -> str:
        return texts[request.prefix][number % 2]

    values = Values({"1": 0.9, "answer 2": 0.1, "more": 0.9})
    result = await run(ScriptedModel(replies=reply), values, n=2, branch=2, budget=Budget(calls=4))
    assert [c.text for c in result.candidates] == ["answer 2"]
    assert (result.answer, result.stopped) == ("2", "budget")


@pytest.mark.parametrize("budget", [None, Budget(calls=40), Budget(tokens=150), Budget(completion_tokens=31)])
async def test_same_seed_gives_the_same_tree_whatever_the_order_of_arrival(budget: Budget | None) -> None:
    options: dict[str, Any] = {"n": 12, "branch": 3, "seed": 5, "budget": budget}
    quick = await run(digit_model(depth=4), ExactPrm("0121"), **options)
    slow = await run(digit_model(depth=4, latency=(0.0, 0.005)), ExactPrm("0121"), **options)
    assert quick == slow
    assert quick != await run(digit_model(depth=4), ExactPrm("0121"), **{**options, "seed": 6})


async def test_beam_finds_what_best_of_n_at_equal_calls_does_not() -> None:
    goals = ["02110", "11022", "20201", "00012", "12121", "22010"]
    beam = [await run(digit_model(depth=5), ExactPrm(goal), n=9, branch=9) for goal in goals]
    bon = [await run(digit_model(depth=5), ExactPrm(goal), n=9, branch=1) for goal in goals]
    right = [sum(r.answer == str(int(g)) for r, g in zip(rs, goals, strict=True)) for rs in (beam, bon)]
    assert right[0] >= right[1] + 3
    assert all(r.cost.calls <= 9 * 5 for r in (*beam, *bon))


@pytest.mark.parametrize("settings", [{"n": 0}, {"branch": 0}, {"n": 10, "variant": "released"}, {"depth": 0}])
def test_impossible_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        BeamSearch(**settings)
