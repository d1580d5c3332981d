"""Sleep-time compute: card 37's ways to check it, on scripted models: loop, leaks, amortisation, baseline, budgets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ponder import Access, Budget, Completion, Request, Result, ScriptedModel, Task, solve
from ponder.core import registry
from ponder.core.errors import AccessDenied, BadInput, ConfigError, ProviderError
from ponder.core.model import Tokens
from ponder.core.task import Message
from ponder.core.usage import Usage
from ponder.engines.asking import prompts
from ponder.engines.sleep_store import SleepStore
from ponder.strategies.sleep_time import SleepTime, read_notes
from tests.strategies.bad_outputs import recorded

CONTEXT = "Ann has 3 boxes. Each box holds 4 pens."


def task(question: str = "How many pens in total?", context: str = CONTEXT, name: str = "doc") -> Task:
    facts = {"context": context, "question": question, "context_id": name}
    return Task(messages=(Message("user", f"{context} {question}"),), answer="number", metadata=facts)


class World:
    """A sleeper that writes given notes in turn, and an answerer."""

    def __init__(self, *notes: str | ProviderError) -> None:
        self.sleeps: list[str] = []
        self.asked: list[Request] = []

        def sleeper(request: Request, number: int) -> str | ProviderError:
            self.sleeps.append("\n".join(m.text for m in request.messages))
            return notes[min(number, len(notes) - 1)]

        def policy(request: Request, number: int) -> str:
            self.asked.append(request)
            return "The answer is 12."

        self.roles = {"sleeper": ScriptedModel(replies=sleeper, name="sleeper")}
        self.model = ScriptedModel(replies=policy)

    async def run(self, what: Task | None = None, **options: Any) -> Result:
        return await solve(what or task(), model=self.model, roles=self.roles, method="sleep_time", **options)

    @property
    def system(self) -> str:
        first = self.asked[-1].messages[0]
        assert first.role == "system"
        return first.text


# -- the loop ----------------------------------------------------------------------------------------------------------


async def test_three_rewritings_and_an_end_make_four_calls() -> None:
    world = World("one", "two", "three", "DONE")
    result = await world.run()
    assert len(world.sleeps) == 4
    assert '"""\nthree\n"""' in world.system
    assert result.answer == "12"
    assert {role: used.calls for role, used in result.usage.items()} == {"policy": 1, "sleeper": 4}
    assert "[empty]" in world.sleeps[0]
    assert all(note in world.sleeps[k] for k, note in enumerate(("one", "two", "three"), 1))


async def test_a_sleeper_that_never_ends_is_stopped() -> None:
    world = World("more")
    await world.run(rounds=5)
    assert len(world.sleeps) == 5


@pytest.mark.parametrize(
    ("text", "notes", "done"),
    [
        ("3 * 4 = 12\nDONE", "3 * 4 = 12", True),
        ("DONE", "", True),
        ("**DONE.**", "", True),
        ("It is DONE", "It is DONE", False),
        ("", "", False),
        ("I'm sorry, I cannot do that.", "", False),
        ("[empty]", "", False),
    ],
)
def test_notes_are_read(text: str, notes: str, done: bool) -> None:
    assert read_notes(text) == (notes, done)


@pytest.mark.parametrize("bad", ["", "I cannot help with that.", "[empty]", ProviderError("down")])
async def test_useless_notes_leave_the_prompt_of_the_baseline(bad: Any) -> None:
    world, base = World(bad), World("unused")
    await world.run()
    result = await base.run(rounds=0)
    assert world.asked[0].messages == base.asked[0].messages
    assert world.asked[0].seed == base.asked[0].seed
    assert len(world.sleeps) == 1
    assert base.sleeps == []
    assert result.cost.calls == 1


async def test_sleeps_are_joined_under_numbered_headings_and_cut_at_a_sentence() -> None:
    world = World("First fact. A second fact that is longer.\nDONE")
    await world.run(sleeps=2, memory_limit=15)
    assert "Notes 1:\nFirst fact.\n\nNotes 2:\nFirst fact." in world.system


@pytest.mark.parametrize(
    ("level", "says"), [(0, "no reasoning"), (1, "one sentence of"), (2, "two"), (3, "no more"), (4, "step by step")]
)
async def test_verbosity_is_a_rule_of_the_answer(level: int, says: str) -> None:
    world = World("12 pens\nDONE")
    await world.run(verbosity=level)
    assert says in world.system
    assert ("check everything" in world.system) == (level == 4)


async def test_the_context_can_be_left_out_of_the_question() -> None:
    world = World("12 pens\nDONE")
    await world.run(include_context=False)
    assert world.asked[0].messages[-1].text == "How many pens in total?"


# -- no leak, and one sleep for all questions --------------------------------------------------------------------------


async def test_no_word_of_the_question_is_known_in_the_sleep() -> None:
    world = World("note", "DONE")
    await world.run(task("How many XYZZY-marker pens in total?"))
    await world.run(Task.of(f"{CONTEXT} How many XYZZY-marker pens in total?", answer="number"))
    assert len(world.sleeps) >= 3
    assert not any("XYZZY" in prompt for prompt in world.sleeps)
    assert all(CONTEXT in prompt for prompt in world.sleeps)


async def test_one_sleep_serves_all_questions_and_a_changed_context_gets_a_new_one(tmp_path: Path) -> None:
    world, store = World("notes\nDONE"), str(tmp_path / "sleep.db")
    slept = [(await world.run(task(f"Question {k}?"), keep=store)).usage.get("sleeper") for k in range(5)]
    assert [used is not None for used in slept] == [True, False, False, False, False]
    assert len(world.sleeps) == 1
    await world.run(task(context=CONTEXT + " One box is lost."), keep=store)
    assert len(world.sleeps) == 2
    kept = SleepStore(store)
    assert len(kept) == 1, "what was thought about the old context is gone"
    kept.close()


async def test_a_name_alone_brings_the_context_back(tmp_path: Path) -> None:
    world, store = World("notes\nDONE"), str(tmp_path / "sleep.db")
    await world.run(keep=store)
    alone = Task(messages=(Message("user", "And how many boxes?"),), answer="number", metadata={"context_id": "doc"})
    await world.run(alone, keep=store)
    assert len(world.sleeps) == 1
    assert world.asked[-1].messages[-1].text == f"{CONTEXT}\n\nAnd how many boxes?"
    assert "notes" in world.system


async def test_offline_only_sleeps(tmp_path: Path) -> None:
    world, store = World("one", "two\nDONE"), str(tmp_path / "sleep.db")
    facts = {"context": CONTEXT, "context_id": "doc"}
    ahead = Task(messages=(Message("user", CONTEXT),), metadata=facts)
    result = await world.run(ahead, keep=store, offline=True)
    assert (result.answer, result.text) == ("two", "two")
    assert world.asked == []
    await world.run(keep=store)
    assert len(world.sleeps) == 2, "the question found it in the store"


async def test_a_sleep_that_was_broken_off_is_not_kept(tmp_path: Path) -> None:
    store = str(tmp_path / "sleep.db")
    world = World("one", ProviderError("down"))
    await world.run(keep=store)
    assert '"""\none\n"""' in world.system, "but used"
    kept = SleepStore(store)
    assert len(kept) == 0
    kept.close()


async def test_equal_sleeps_without_a_store_are_one_call_of_the_response_store(tmp_path: Path) -> None:
    world = World("notes\nDONE")
    for k in range(3):
        await world.run(task(f"Question {k}?"), seed=1)
    assert len(world.sleeps) == 3
    result = [
        await solve(task(f"Q {k}?"), model=world.model, roles=world.roles, method=SleepTime(), store=tmp_path / "r.db")
        for k in range(3)
    ]
    assert len(world.sleeps) == 4
    assert all(r.usage["sleeper"].calls == 1 for r in result), "nominal usage counts it each time"


# -- budgets, access, settings -----------------------------------------------------------------------------------------


async def test_the_answer_has_room_under_a_budget() -> None:
    for calls in (1, 2, 3):
        world = World("note")
        result = await world.run(budget=Budget(calls=calls))
        assert result.answer == "12"
        assert (len(world.sleeps), result.cost.calls) == (calls - 1, calls)


class Scoring(ScriptedModel):
    """Also scores: each token of the question has the same log-probability."""

    value = -1.0

    async def score(self, request: Request, text: str) -> Completion:
        words = text.split()
        tokens = Tokens(ids=tuple(range(len(words))), texts=tuple(words), logprobs=(self.value,) * len(words))
        usage = Usage(calls=1, prompt_tokens=len(words))
        return Completion(message=Message("assistant", text), finish="stop", usage=usage, tokens=tokens)


@pytest.mark.parametrize(("value", "sleeps"), [(-1.0, 1), (-5.0, 0)])
async def test_questions_that_are_not_predictable_get_no_sleep(value: float, sleeps: int) -> None:
    world = World("notes\nDONE")
    model = Scoring(replies=["12"], access=frozenset({Access.TEXT, Access.SCORE}))
    model.value = value
    result = await solve(task(), model=model, roles=world.roles, method="sleep_time", least=-2.0)
    assert len(world.sleeps) == sleeps
    assert result.usage["policy"].calls == 2
    with pytest.raises(AccessDenied):
        await world.run(least=-2.0)


@pytest.mark.parametrize(
    "settings",
    [
        {"sleeps": 0},
        {"rounds": -1},
        {"verbosity": 5},
        {"sleep_tokens": 0},
        {"memory_limit": 0},
        {"rounds": 0, "offline": True},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        SleepTime(**settings)


# -- the baseline that guesses, and recorded replies -------------------------------------------------------------------


async def test_context_only_never_shows_the_question_and_does_not_sleep() -> None:
    world = World("notes")
    result = await world.run(context_only=True)
    assert not world.sleeps
    (asked,) = world.asked
    seen = "\n".join(m.text for m in asked.messages)
    assert "How many pens" not in seen
    assert CONTEXT in seen
    assert "Guess the most likely question" in seen
    assert result.answer == "12"
    assert SleepTime(context_only=True).calls() == {"policy": 1, "sleeper": 0}


async def test_context_only_needs_a_context_and_does_not_go_with_offline() -> None:
    with pytest.raises(BadInput, match="needs a context"):
        await World("notes").run(Task.of("How many?"), context_only=True)
    with pytest.raises(ConfigError):
        SleepTime(context_only=True, offline=True)


ANSWERS = registry.answer_types.get("number").make()


@recorded("sleep_time")
def test_recorded_replies_of_the_embedded_model_are_notes_or_none(row: dict[str, Any]) -> None:
    context = "Ann has 3 bags with 4 apples in each. She gives away 5 apples."
    prompt = prompts("ponder.strategies", "sleep_time")[row["part"]].safe_substitute(context=context, memory="[empty]")
    notes, done = read_notes(row["reply"], prompt)
    found = notes if row["part"] != "use" else ANSWERS.extract(row["reply"])
    assert bool(found) is row["usable"]
    assert not done, "DONE within a line ends nothing"
