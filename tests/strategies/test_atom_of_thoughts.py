"""Atom of Thoughts: card 62's call counts, selection, Markov property and toy world, and the plug-in."""

from __future__ import annotations

import ast
import itertools
import json
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder import Access, Budget, Model, Request, Result, Sampling, ScriptedModel, Task, Trace, solve
from ponder.core.errors import AccessDenied, BadInput, ConfigError, ProviderError
from ponder.numerics.atomic import arithmetic
from ponder.strategies._questions import read_contracted, read_questions
from ponder.strategies.atom_of_thoughts import AtomOfThoughts
from tests.strategies.bad_outputs import number, recorded, usable

TASK = Task.of("How many, Q0?", answer="number")
PARTS = {
    "label": "Cut the solution into the smaller questions",
    "contract": "Write one new question",
    "multistep": "Solve this by breaking it into smaller questions",
    "ensemble": "Here are several solutions of this question",
}


def part_of(request: Request) -> str:
    text = "\n".join(message.text for message in request.messages)
    return next((name for name, phrase in PARTS.items() if phrase in text), "solve")


def label(*depends: list[int]) -> str:
    rows = [{"question": f"sub {k}?", "answer": f"a{k}", "depends": needed} for k, needed in enumerate(depends)]
    return json.dumps({"questions": rows, "answer": "7"})


CHAIN = label([], [0], [1], [2])  # depth 3


class World:
    """Answers by part; a fixed reply may be a function of the request and of how often the part was asked."""

    def __init__(self, **fixed: Any) -> None:
        self.fixed = {"solve": "5", "multistep": "so 7", "label": CHAIN, "ensemble": "7", **fixed}
        self.asked: dict[str, list[Request]] = {}
        self.order: list[str] = []

    def __call__(self, request: Request, number: int) -> str | ProviderError:
        part = part_of(request)
        self.order.append(part)
        seen = self.asked.setdefault(part, [])
        seen.append(request)
        reply = self.fixed.get(part, f"<question>How many, Q{len(seen)}?</question>")
        found = reply(request, len(seen) - 1) if callable(reply) else reply
        return found if isinstance(found, ProviderError) else str(found)


async def run(world: Any, **options: Any) -> Result:
    kept = {k: options.pop(k) for k in ("latency", "access") if k in options}
    model = ScriptedModel(replies=world, **kept)
    return await solve(options.pop("task", TASK), model=model, method="atom_of_thoughts", **options)


def rising(request: Request, number: int) -> str:
    """Each question's solution differs, and the judge below agrees with the newest one only."""
    return str(100 + number)


# -- card 62, "How to check it" --------------------------------------------------------------------------------------


async def test_one_transition_costs_six_calls() -> None:
    world = World()
    result = await run(world, parity="released")
    assert world.order == ["solve", "multistep", "label", "contract", "solve", "ensemble"]
    assert result.cost.calls == 6


async def test_loop_that_always_contracts_costs_sixteen() -> None:
    world = World(solve=rising, ensemble=lambda request, number: str(101 + number))
    result = await run(world, transitions=3)
    assert result.cost.calls == 16
    assert result.answer == "103"
    most = AtomOfThoughts(transitions=3, repairs=0).calls()
    assert {role: usage.calls for role, usage in result.usage.items()} == most
    assert sum(most.values()) == 16
    assert sum(AtomOfThoughts(parity="released", repairs=0).calls().values()) == 6


@pytest.mark.parametrize(
    ("direct", "decomposed", "contracted", "judge", "chosen"),
    [
        ("5", "7", "7", "7", "decompose"),
        ("7", "7", "7", "7", "direct"),
        ("1", "2", "3", "3", "contract"),
        ("1", "2", "3", "9", "direct"),
        ("none", "2", "3", "none", "direct"),
    ],
)
@pytest.mark.parametrize("parity", ["paper", "released"])
async def test_selection(direct: str, decomposed: str, contracted: str, judge: str, chosen: str, parity: str) -> None:
    world = World(
        solve=lambda request, number: direct if number == 0 else contracted,
        multistep=decomposed,
        ensemble=judge,
        label=label([], [0]),
    )
    trace = Trace()
    result = await run(world, parity=parity, trace=trace)
    assert [e.data["chosen"] for e in trace.events if e.kind == "transition"] == [chosen]
    assert result.candidate is not None
    assert result.candidate.metadata["way"] == chosen
    assert [c.metadata["way"] for c in result.candidates] == ["direct", "decompose", "contract"]


async def test_released_scores_call_two_unreadable_answers_equal() -> None:
    world = World(solve=lambda request, number: "x" if number == 0 else "3", multistep="2", ensemble="none")
    result = await run(world, parity="released")
    assert result.chosen == 0  # in the paper's rule as well, but there because nothing agrees
    assert result.answer is None


@pytest.mark.parametrize(("rule", "transitions"), [("longest", 2), ("shortest", 1)])
async def test_the_depth_bounds_the_transitions(rule: str, transitions: int) -> None:
    world = World(solve=rising, ensemble=lambda request, number: str(101 + number), label=label([], [0], [0, 1]))
    result = await run(world, depth_rule=rule)
    assert world.order.count("contract") == transitions
    assert result.answer == str(100 + transitions)


async def test_a_graph_without_edges_makes_one_transition() -> None:
    world = World(solve=rising, ensemble=lambda request, number: str(101 + number), label=label([], []))
    assert (await run(world)).cost.calls == 6


async def test_no_transition_is_the_direct_solution() -> None:
    result = await run(World(), transitions=0)
    assert (result.cost.calls, result.answer) == (1, "5")


async def test_identity_contraction_answers_as_the_direct_solution() -> None:
    world = World(contract=f"<question>{TASK.prompt}</question>", solve=lambda request, number: "5", ensemble="5")
    assert (await run(world)).answer == (await run(World(), transitions=0)).answer


async def test_markov_nothing_of_an_older_question_is_shown() -> None:
    world = World(solve=rising, ensemble=lambda request, number: str(101 + number))
    await run(world, transitions=3)
    for part in ("multistep", "label", "contract", "ensemble"):
        for state, request in enumerate(world.asked[part]):
            text = "\n".join(message.text for message in request.messages)
            assert f"Q{state}?" in text
            assert not any(f"Q{other}?" in text for other in range(9) if other != state)
    for state, request in enumerate(world.asked["solve"]):
        assert [message.text for message in request.messages] == [f"How many, Q{state}?"]


async def test_contraction_is_given_facts_and_open_questions() -> None:
    world = World(label=label([], [], [0, 1], [2]))
    await run(world, transitions=1)
    (request,) = world.asked["contract"]
    known, _, open_ = request.messages[0].text.partition("Still to be found:")
    assert "- sub 0? a0\n- sub 1? a1" in known
    assert "- sub 2?\n- sub 3?" in open_
    assert "a2" not in open_


# -- a toy world: the value stays, the operators fall ----------------------------------------------------------------

expressions = st.recursive(
    st.integers(1, 9).map(str),
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
    max_leaves=9,
)


def operations(text: str) -> list[ast.BinOp]:
    return [node for node in ast.walk(ast.parse(text, mode="eval")) if isinstance(node, ast.BinOp)]


def reduce(text: str) -> str:
    """Work out every operation on two numbers."""
    tree = ast.parse(text, mode="eval")

    class Fold(ast.NodeTransformer):
        def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
            plain = all(not operations(ast.unparse(side)) for side in (node.left, node.right))
            if not plain:
                return self.generic_visit(node)
            value = arithmetic(ast.unparse(node))
            assert value is not None
            return ast.parse(f"({value})", mode="eval").body

    return ast.unparse(Fold().visit(tree))


@given(expressions)
@settings(max_examples=30)
async def test_toy_arithmetic_keeps_its_value_and_ends_at_its_depth(text: str) -> None:
    def question(request: Request) -> str:
        body = request.messages[-1].text
        start = body.index("[[") + 2
        return body[start : body.index("]]", start)]

    def graph(request: Request, number: int) -> str:
        found = question(request)
        depth = 0
        while operations(found):
            found, depth = reduce(found), depth + 1
        return label([], *([k] for k in range(depth)))

    states: list[str] = []

    def contract(request: Request, number: int) -> str:
        states.append(reduce(question(request)))
        return f"<question>[[{states[-1]}]]</question>"

    # The direct solver cannot do more than one operation; the judge can.
    def answer(request: Request, number: int) -> str:
        found = question(request)
        return str(arithmetic(found)) if len(operations(found)) <= 1 else str(-1000 - number)

    world = World(
        solve=answer,
        label=graph,
        contract=contract,
        multistep="no idea",
        ensemble=lambda request, number: request.messages[-1].text.rpartition("Solution 3:\n")[2].split("\n")[0],
    )
    result = await run(world, task=Task.of(f"[[{text}]]", answer="number"), transitions=9)
    value = arithmetic(text)
    assert [arithmetic(state) for state in states] == [value] * len(states)
    counts = [len(operations(state)) for state in (text, *states)]
    assert all(later < earlier for earlier, later in itertools.pairwise(counts) if earlier)
    assert result.answer is not None
    assert Fraction(result.answer) == value


# -- replies that cannot be used -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fixed", "note"),
    [
        ({"label": "I see three."}, "no graph could be read"),
        ({"label": "{}"}, "no graph could be read"),
        ({"contract": "What is left?"}, "no contracted question"),
        ({"contract": "<question> </question>"}, "no contracted question"),
        ({"multistep": ProviderError("no")}, "no solution in steps"),
        ({"solve": lambda request, number: "5" if number == 0 else ProviderError("no")}, "was not solved"),
    ],
)
async def test_without_a_contraction_the_solution_so_far_stands(fixed: dict[str, Any], note: str) -> None:
    result = await run(World(**fixed), repairs=1)
    assert (result.answer, result.stopped) == ("5", "done")
    assert note in result.detail


async def test_a_bad_graph_is_asked_for_again_then_its_bad_edges_are_dropped() -> None:
    trace = Trace()
    world = World(label=label([1], [0, 1, 7]))
    await run(world, repairs=2, transitions=1, trace=trace)
    assert len(world.asked["label"]) == 3
    assert "must depend on indices from 0 to" in world.asked["label"][1].messages[-1].text
    (event,) = [e for e in trace.events if e.kind == "graph"]
    assert event.data["depends"] == [[], [0]]
    assert event.data["flat"] is True


@pytest.mark.parametrize(
    ("reply", "depends"),
    [
        (CHAIN, [(), (0,), (1,), (2,)]),
        ('Here: ```json\n[{"description": "a", "answer": 4, "depend": []}]\n```', [()]),
        ("{'questions': [{'question': 'a', 'answer': None}, {'question': 'b', 'depends': [0, 0],}]}", [(), (0,)]),
    ],
)
def test_graphs_are_read(reply: str, depends: list[tuple[int, ...]]) -> None:
    assert [node.depends for node in read_questions(reply)] == depends


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "no",
        '{"questions": []}',
        '{"questions": [{"answer": "x"}]}',
        '{"questions": "x"}',
        label([0]),
        label([], [2]),
    ],
)
def test_what_is_no_graph_is_refused(reply: str) -> None:
    with pytest.raises(BadInput):
        read_questions(reply)


READERS: Mapping[str, Callable[[str], Any]] = {
    "multistep": number,
    "label": read_questions,
    "contract": read_contracted,
    "ensemble": number,
}


@recorded("atom_of_thoughts")
def test_recorded_replies_of_the_embedded_model_are_used_or_refused(row: Mapping[str, Any]) -> None:
    assert usable("atom_of_thoughts", row, READERS) is row["usable"]


# -- in front of another method --------------------------------------------------------------------------------------


async def test_plug_in_costs_fourteen_calls_and_hands_on_one_question() -> None:
    words = iter(["5", "7 " + "w " * 39, "3 " + "w " * 9, "7 " + "w " * 24])

    def answer(request: Request, number: int) -> str:
        return next(words, "42")

    world = World(solve=answer)
    trace = Trace()
    result = await run(world, inner="greedy", samples=3, trace=trace)
    assert result.cost.calls == 14 + 1
    (event,) = [e for e in trace.events if e.kind == "contracted"]
    assert (event.data["scores"], event.data["words"], event.data["chosen"]) == ([1.0, 0.0, 1.0], [40, 10, 25], 2)
    assert world.asked["solve"][-1].messages[-1].text == "How many, Q3?"
    assert result.answer == "42"
    assert sum(AtomOfThoughts(inner="greedy", repairs=0).calls().values()) == 15


async def test_plug_in_in_front_of_best_of_n_uses_its_verifier() -> None:
    result = await run(World(solve="3 + 4 = 7"), inner="best_of_n", inner_settings={"n": 4}, verifier="arithmetic")
    assert result.cost.calls == 14 + 4
    assert result.candidate is not None
    assert result.candidate.scores["arithmetic"].value is not None
    most = AtomOfThoughts(inner="best_of_n", inner_settings={"n": 4}).calls()
    assert all(usage.calls <= most[role] for role, usage in result.usage.items())
    with pytest.raises(ConfigError, match="verifier"):
        await run(World(), inner="best_of_n")


async def test_plug_in_without_any_contraction_hands_on_the_question_itself() -> None:
    world = World(label="no")
    result = await run(world, inner="greedy", repairs=0)
    assert "question itself" in result.detail
    assert world.asked["solve"][-1].messages == TASK.messages
    assert result.answer == "5"


async def test_plug_in_needs_what_its_inner_method_needs() -> None:
    assert AtomOfThoughts(inner="best_of_n").needs() == ("verifier",)
    assert AtomOfThoughts().access() == {Access.TEXT}
    with pytest.raises(AccessDenied):
        await run(World(), inner="beam_search", verifier="arithmetic", access=frozenset({Access.TEXT, Access.SEED}))


# -- budgets, order, settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("inner", ["", "self_consistency"])
@pytest.mark.parametrize(
    "budget", [None, Budget(tokens=400), Budget(flops=700.0), *(Budget(calls=n) for n in (1, 4, 9, 17, 30))]
)
async def test_the_order_of_replies_changes_nothing(inner: str, budget: Budget | None) -> None:
    def reply(request: Request, number: int) -> str:
        match part_of(request):
            case "label":
                return CHAIN if request.seed % 3 else "no"
            case "contract":
                return f"<question>How many, S{request.seed}?</question>" if request.seed % 4 else "what?"
        return f"{request.seed % 3} {'w ' * (request.seed % 5)}"

    found = [await run(reply, inner=inner, latency=latency, budget=budget) for latency in (0.0, (0.0, 0.006))]
    assert found[0] == found[1]
    if budget is None or budget.calls is not None:
        assert found[0].chosen is not None


async def test_a_cut_run_gives_the_direct_solution() -> None:
    result = await run(World(), budget=Budget(calls=3))
    assert (result.answer, result.cost.calls) == ("5", 1)
    assert "no transition" in result.detail


@pytest.mark.parametrize(
    "options",
    [
        {"transitions": -1},
        {"samples": 0},
        {"repairs": -1},
        {"depth_rule": "x"},
        {"parity": "x"},
        {"inner": "atom_of_thoughts"},
    ],
)
async def test_settings_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        await run(World(), **options)


async def test_free_text_is_compared_by_its_words() -> None:
    world = World(
        solve=lambda request, number: "in a red house" if number == 0 else "in the blue house",
        multistep="nowhere",
        ensemble="The blue house",
    )
    result = await run(world, task=Task.of("Where, Q0?"), transitions=1)
    assert result.answer == "in the blue house"


@pytest.mark.embedded
async def test_embedded_model_contracts(embedded: Model) -> None:
    task = Task.of("Ann has 3 bags with 4 apples in each. How many apples are there?", answer="number")
    law = Sampling(max_tokens=24)
    result = await solve(task, model=embedded, method="atom_of_thoughts", transitions=1, repairs=0, sampling=law)
    assert result.chosen is not None
    assert result.cost.completion_tokens <= 400
    assert result.usage["planner"].calls >= 1
