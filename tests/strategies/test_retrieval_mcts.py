from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from ponder import Access, Result, Sampling, ScriptedModel, Task, Trace, solve
from ponder.core.errors import ConfigError, ProviderError
from ponder.core.model import Request
from ponder.core.registry import strategies
from ponder.core.seeds import derive
from ponder.core.task import Message
from ponder.engines.references import Retrieved
from ponder.engines.tree import Config, Node
from ponder.strategies.retrieval_mcts import RetrievalMcts, decide
from tests.engines.step_worlds import ExactPrm, digit_model

TASK = Task.of("Ann has 3 bags with 4 apples. How many apples?", answer="number")
PAIRS = (
    ("Ann has 5 bags with 6 apples. How many apples?", "Each bag has 6 apples.\n5 * 6 = 30"),
    ("A train covers 60 miles in 2 hours. How fast is it?", "Speed is distance over time.\n60 / 2 = 30"),
)


async def run(model: ScriptedModel, prm: Any, **options: Any) -> Result:
    return await solve(TASK, model=model, method=options.pop("method", "retrieval_mcts"), verifier=prm, **options)


def recorded(model: ScriptedModel) -> list[str]:
    """The prompts that the model will have seen, without the prefix."""
    seen: list[str] = []
    inner = model.replies
    assert callable(inner)

    def reply(request: Request, number: int) -> Any:
        seen.append(request.messages[-1].text)
        return inner(request, number)

    model.replies = reply
    return seen


async def test_goal_is_found_and_the_trace_has_the_statistics() -> None:
    trace = Trace()
    result = await run(digit_model(), ExactPrm("120"), simulations=12, branch=6, trace=trace)
    assert result.answer == "120"
    (tree,) = [event.data for event in trace.events if event.kind == "tree"]
    assert tree["simulations"] == 12
    by_id = {tuple(node["node"]): node for node in tree["nodes"]}
    assert by_id[()]["visits"] == 12
    assert sum(node["visits"] for place, node in by_id.items() if len(place) == 1) == 11
    assert all(node["prior"] is not None for place, node in by_id.items() if place)
    assert result.cost.calls <= RetrievalMcts(simulations=12, branch=6).calls()["policy"]


async def test_without_retrieval_it_is_the_plain_tree_search() -> None:
    # Card 35, check 2: same seeds, same tree; a floor that nothing reaches on the fine level does the same.
    plain = await run(digit_model(), ExactPrm("120"))
    model = digit_model()
    seen = recorded(model)
    off = await run(model, ExactPrm("120"), references=PAIRS, k1=0, k2=0)
    assert set(seen) == {TASK.prompt}
    assert [c.text for c in off.candidates] == [c.text for c in plain.candidates]
    below = await run(digit_model(), ExactPrm("120"), references=PAIRS, k1=0, floor=1.0)
    assert [c.text for c in below.candidates] == [c.text for c in plain.candidates]


async def test_coarse_level_shows_similar_problems_the_best_last_and_constant() -> None:
    model = digit_model()
    seen = recorded(model)
    await run(model, ExactPrm("120"), references=PAIRS, k1=2, k2=0)
    (prompt,) = set(seen)
    assert prompt.index("A train covers") < prompt.index("Ann has 5 bags") < prompt.index("Ann has 3 bags")


async def test_fine_level_shows_steps_for_the_node_after_the_constant_part() -> None:
    model = digit_model()
    seen = recorded(model)
    trace = Trace()
    await run(model, ExactPrm("120"), references=PAIRS, k1=1, k2=1, floor=0.3, trace=trace)
    start = seen[0][: seen[0].index("Steps from similar problems")]
    assert all(prompt.startswith(start.rstrip()) for prompt in seen)
    assert "- Each bag has 6 apples." in seen[0]
    retrieved = [event.data for event in trace.events if event.kind == "retrieved"]
    assert retrieved[0]["references"][0] == [0, 1.0]


async def test_verifier_sees_the_steps_and_not_what_was_retrieved() -> None:
    prm = ExactPrm("120")
    await run(digit_model(), prm, references=PAIRS, floor=0.0)
    assert all("bag" not in prefix.text for prefix in prm.seen)


async def test_question_among_the_references_is_left_out() -> None:
    # Card 35, check 6.
    model = digit_model()
    seen = recorded(model)
    await run(model, ExactPrm("120"), references=[(TASK.prompt, "It is 12.")], floor=0.0)
    assert set(seen) == {TASK.prompt}


async def test_random_retrieval_takes_any_problem_and_the_same_one_for_the_same_seed() -> None:
    prompts = []
    for seed in (0, 1, 2, 0):
        model = digit_model()
        seen = recorded(model)
        options: dict[str, Any] = {"references": PAIRS, "retrieval": "random", "k1": 1, "k2": 0, "seed": seed}
        await run(model, ExactPrm("120"), **options)
        prompts.append(seen[0])
    assert prompts[0] == prompts[3]
    assert len(set(prompts)) == 2


@pytest.mark.parametrize(("tentative", "shown"), [("5 * 6 = 30", True), ("xyzzy", False)])
async def test_tentative_step_finds_the_example_of_the_real_one(tentative: str, shown: bool) -> None:
    # Card 35, check 5: the same step has cosine 1, one without common words 0.
    prompts: list[str] = []

    def reply(request: Request, number: int) -> str:
        prompts.append(request.messages[-1].text)
        return f"{tentative}\n" if number == 0 else f"answer {number}"

    options: dict[str, Any] = {"fine": "try_retrieve", "k1": 0, "simulations": 1, "branch": 1, "floor": 0.7}
    result = await run(ScriptedModel(replies=reply), "arithmetic", references=PAIRS, **options)
    assert prompts[0] == TASK.prompt
    assert ("- 5 * 6 = 30" in prompts[1]) is shown
    assert [c.text for c in result.candidates] == ["answer 1"]


async def test_similarity_of_exactly_the_floor_is_shown() -> None:
    class Fixed:
        def problems(self, question: str, count: int) -> list[Retrieved]:
            return []

        def steps(self, question: str, done: Sequence[str], count: int) -> list[Retrieved]:
            return [Retrieved(0, "exactly", "", 0.7), Retrieved(1, "below", "", 0.6999)]

        def like(self, step: str) -> Retrieved | None:
            return None

    model = digit_model()
    seen = recorded(model)
    method = RetrievalMcts(retriever=Fixed(), floor=0.7)
    result = await solve(TASK, model=model, method=method, verifier=ExactPrm("120"))
    assert all("exactly" in prompt and "below" not in prompt for prompt in seen)
    assert json.loads(json.dumps(result.to_json()))["settings"]["retriever"] == "Fixed"


async def test_success_rises_with_how_often_the_right_step_is_retrieved() -> None:
    # Card 35, check 7: a model that follows the step that it is shown, else draws one of 10.
    class Guide:
        def __init__(self, rho: float, seed: int) -> None:
            self.rho, self.seed = rho, seed

        def problems(self, question: str, count: int) -> list[Retrieved]:
            return []

        def steps(self, question: str, done: Sequence[str], count: int) -> list[Retrieved]:
            rng = derive(self.seed, *done)
            digit = str(rng.randrange(10)) if rng.random() > self.rho else "7"
            return [Retrieved(0, f"take {digit}", "", 1.0)]

        def like(self, step: str) -> Retrieved | None:
            return None

    def reply(request: Request, number: int) -> str:
        hint = request.messages[-1].text.rpartition("take ")[2]
        digit = hint if hint.isdigit() else str(derive(request.seed).randrange(10))
        done = request.prefix.replace("\n", "")
        return f"answer {done}{digit}" if len(done) == 2 else f"{digit}\n"

    rates = []
    for rho in (0.0, 0.5, 1.0):
        right = 0
        for seed in range(12):
            method = RetrievalMcts(retriever=Guide(rho, seed), simulations=3, branch=2)
            result = await solve(TASK, model=ScriptedModel(replies=reply), method=method, verifier=ExactPrm("777", 10))
            right += result.answer == "777"
        rates.append(right)
    assert rates[0] < rates[1] < rates[2]
    assert rates[0] <= 2  # steps by chance are no help
    assert rates[2] == 12


def test_decision_sums_value_times_visits_and_returns_the_best_leaf() -> None:
    # Card 35, check 8: A 4.5 (.6 x 5 + .5 x 3), B 3.6; the leaf of A with v = .6.
    config = Config(messages=(Message("user", "?"),), sampling=Sampling())
    leaves = [Node(config=config, value=v, visits=n) for v, n in [(0.5, 3), (0.6, 5), (0.9, 4)]]
    assert decide(leaves, [0, 0, 2]) == 1
    assert decide(leaves, [None, None, None]) is None
    assert decide([Node(config=config, value=0.3), Node(config=config)], [0, 1]) == 0


def test_references_survive_json() -> None:
    entry = strategies.get("retrieval_mcts")
    method = entry.make(references=PAIRS)
    assert entry.make(**json.loads(json.dumps({"references": method.references}))) == method


async def test_without_a_guide_it_votes_over_samples_under_the_retrieved_prompt() -> None:
    # Card 35, ablation "no PRM": no verifier, no continuation of prefixes.
    seen: list[str] = []

    def reply(request: Request, number: int) -> str:
        seen.append(request.messages[-1].text)
        return f"It is {12 if number % 3 else 13}."

    model = ScriptedModel(replies=reply, access=frozenset({Access.TEXT}))
    settings: dict[str, Any] = {"references": PAIRS, "guide": "none", "simulations": 6}
    result = await solve(TASK, model=model, method="retrieval_mcts", **settings)
    assert (result.answer, len(result.candidates)) == ("12", 6)
    assert all(prompt.startswith("Solved problems") and TASK.prompt in prompt for prompt in seen)
    assert result.cost.calls == RetrievalMcts(**settings).calls()["policy"] == 6


async def test_model_templates_decide_what_is_similar_and_stand_in_the_prompt_as_a_plan() -> None:
    inner = digit_model().replies
    assert callable(inner)
    seen: list[str] = []

    def reply(request: Request, number: int) -> Any:
        text = request.messages[-1].text
        if "Fill in these five fields" in text:
            assert request.sampling.temperature == 0
            return "Type: speed" if "A train" in text or "Ann has 3" in text else "Type: product of counts"
        seen.append(text)
        return inner(request, number)

    options: dict[str, Any] = {"references": PAIRS, "k1": 1, "k2": 0, "templates": "model", "simulations": 2}
    result = await run(ScriptedModel(replies=reply), ExactPrm("120"), **options)
    assert all("A train covers" in prompt and "Ann has 5 bags" not in prompt for prompt in seen)
    assert all("in general terms:\nType: speed" in prompt for prompt in seen)
    assert result.cost.calls <= RetrievalMcts(**options).calls()["policy"]


async def test_template_that_cannot_be_had_falls_back_to_masked_numbers() -> None:
    inner, trace = digit_model().replies, Trace()
    assert callable(inner)
    seen: list[str] = []

    def reply(request: Request, number: int) -> Any:
        text = request.messages[-1].text
        if "Fill in these five fields" in text:
            return ProviderError("no template")
        seen.append(text)
        return inner(request, number)

    options: dict[str, Any] = {"references": PAIRS, "k1": 1, "k2": 0, "templates": "model", "simulations": 2}
    await run(ScriptedModel(replies=reply), ExactPrm("120"), trace=trace, **options)
    assert all("Ann has 5 bags" in prompt for prompt in seen)
    assert len([event for event in trace.events if event.kind == "no_template"]) == 3


async def test_masked_steps_show_no_numbers() -> None:
    model = digit_model()
    seen = recorded(model)
    options: dict[str, Any] = {"references": PAIRS, "k1": 0, "k2": 1, "floor": 0.3, "mask": True}
    await run(model, ExactPrm("120"), **options)
    assert "- Each bag has # apples." in seen[0]


@pytest.mark.parametrize("weight", [0.0, 0.5])
async def test_rolled_out_values_are_mixed_in_and_paid_for_but_join_no_tree(weight: float) -> None:
    trace, model = Trace(), digit_model()
    inner, greedy = model.replies, 0
    assert callable(inner)

    def reply(request: Request, number: int) -> Any:
        nonlocal greedy
        greedy += request.sampling.temperature == 0
        return inner(request, number)

    model.replies = reply
    options: dict[str, Any] = {"simulations": 8, "branch": 6, "weight": weight}
    result = await run(model, ExactPrm("120"), trace=trace, **options)
    (tree,) = [event.data for event in trace.events if event.kind == "tree"]
    steps = [event.data["node"] for event in trace.events if event.kind == "step"]
    assert len(tree["nodes"]) == 1 + len(steps)  # the root and what was expanded
    assert bool(weight) is bool(greedy)
    assert result.answer == "120"
    assert result.cost.calls <= RetrievalMcts(**options).calls()["policy"]


@pytest.mark.parametrize(
    "settings",
    [
        {"simulations": 0},
        {"branch": 0},
        {"k1": -1},
        {"floor": 1.5},
        {"c": -1.0},
        {"weight": 2.0},
        {"alpha": -0.1},
        {"n1": 3},
        {"guide": "nobody"},
        {"templates": "none"},
        {"repeats": -1},
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        RetrievalMcts(**settings)
