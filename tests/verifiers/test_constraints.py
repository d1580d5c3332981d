"""Constraints: which rules a prompt states, and which texts keep them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.candidate import Candidate
from ponder.core.registry import verifiers
from ponder.core.task import Message, Task
from ponder.verifiers.constraints import Constraints, compile_prompt
from ponder.verifiers.rules import (
    AtMostWords,
    Avoids,
    Constraint,
    EndsWith,
    Excludes,
    Includes,
    IsQuestion,
    JsonKeys,
)

THREE = [Includes("river"), Includes("apple"), Includes("stone")]


@pytest.mark.parametrize(
    ("prompt", "rules"),
    [
        ("Write a sentence that includes the words river, apple and stone.", THREE),
        ("Write a sentence with the words 'river', 'apple', and 'stone'.", THREE),
        ("Use all three of these words in one sentence: river, apple, stone.", THREE),
        ("Include the following words: river; apple; stone.", THREE),
        ("Write about \u201criver\u201d. Mention \u201criver\u201d, \u201capple\u201d and \u201cstone\u201d.", THREE),
        ("Use the words river and stone and describe a walk.", [Includes("river"), Includes("stone")]),
        ("Use the words river and stone and avoid the letter k.", [Includes("river"), Includes("stone"), Avoids("k")]),
        ("Do not use the word river.", [Excludes("river")]),
        ("Write without the words 'river' or 'stone'.", [Excludes("river"), Excludes("stone")]),
        ('A sentence with the word "tea" without using the letter K.', [Includes("tea"), Avoids("k")]),
        ('A sentence with the word "tea" but not the letter k.', [Includes("tea"), Avoids("k")]),
        ("It contains the word tea but never uses the letters k and g.", [Includes("tea"), Avoids("k"), Avoids("g")]),
        ("Write a sentence that contains the letter k.", []),
        ('Write a JSON object with exactly the keys "name" and "age".', [JsonKeys(("name", "age"))]),
        ("Give me JSON with exactly two keys: name and age. Both keys hold text.", [JsonKeys(("name", "age"))]),
        ("Return a JSON object with the fields `name`, `age`.", [JsonKeys(("name", "age"))]),
        ("Which keys open the door?", []),
        ('Ask a question that contains the word "river".', [IsQuestion(), Includes("river")]),
        ("Please write one short question with the word river.", [IsQuestion(), Includes("river")]),
        ("Tell me about rivers. End with a question mark.", [IsQuestion()]),
        ("I want to ask a question: what is 2+2?", []),
        ("Write an answer to a question about rivers.", []),
        ("Write a sentence that ends with the word river.", [EndsWith("river")]),
        ("Write a sentence ending in \u201criver\u201d.", [EndsWith("river")]),
        ("Write a poem whose last word is 'sun', in at most twelve words.", [EndsWith("sun"), AtMostWords(12)]),
        ("Summarise it in 10 words or fewer.", [AtMostWords(10)]),
        ("Use fewer than 8 words.", [AtMostWords(7)]),
        ("Describe a dog with 10 words about cats.", []),
        ("Tell me about using words that rhyme.", []),
        ("What is 3 times 4?", []),
        ("\x00", []),
    ],
)
def test_prompt_compiles_to(prompt: str, rules: list[Constraint]) -> None:
    assert compile_prompt(prompt) == rules


@pytest.mark.parametrize(
    ("rule", "text", "kept"),
    [
        (Includes("river"), "The River, again.", True),
        (Includes("river"), "Rivers run.", False),
        (Includes("river"), "upriver", False),
        (Includes("caf\u00e9"), "un CAF\u00c9!", True),
        (Includes("hot tea"), "Hot \n tea", True),
        (Excludes("river"), "Rivers run.", True),
        (Excludes("river"), "A river.", False),
        (Excludes("river"), "", False),
        (Avoids("k"), "A sunny day.", True),
        (Avoids("k"), "Kites", False),
        (Avoids("k"), " ... ", False),
        (JsonKeys(("a", "b")), '```json\n{"b": 1, "a": null}\n```', True),
        (JsonKeys(("a", "b")), '{"a": 1}', False),
        (JsonKeys(("a", "b")), '{"a": 1, "b": 2, "c": 3}', False),
        (JsonKeys(("a", "b")), '[{"a": 1, "b": 2}]', False),
        (JsonKeys(("a", "b")), '{"a": 1, "b": ', False),
        (IsQuestion(), 'She asked: "Why?"', True),
        (IsQuestion(), "Why? Because.", False),
        (IsQuestion(), "???", False),
        (EndsWith("river"), 'Down the "River."', True),
        (EndsWith("river"), "river bank", False),
        (EndsWith("river"), "the downriver", False),
        (EndsWith("river"), "", False),
        (AtMostWords(3), "don't over-think this", True),
        (AtMostWords(3), "one two three four", False),
        (AtMostWords(3), "", False),
    ],
)
def test_rule_checks(rule: Constraint, text: str, kept: bool) -> None:
    assert rule.check(text) is kept
    assert rule.label


async def test_score_is_one_only_if_every_rule_holds() -> None:
    task = Task.of('Ask a question with the word "river".')
    texts = ["Is this a river?", "A river.", "A dog."]
    scores = await Constraints().score(task, [candidate(i, text) for i, text in enumerate(texts)], None)
    assert [(score.value, score.steps) for score in scores] == [(1.0, (1.0, 1.0)), (0.0, (0.0, 1.0)), (0.0, (0.0, 0.0))]
    assert scores[1].reason == "broken: is a question"


async def test_score_is_missing_without_rules_or_without_text() -> None:
    (free,) = await Constraints().score(Task.of("What is 3 times 4?"), [candidate(0, "12")], None)
    (failed,) = await Constraints().score(Task.of("Use the word tea."), [Candidate(index=0, error="timed out")], None)
    assert free.value is None
    assert "no rule" in free.reason
    assert failed.value is None
    assert "timed out" in failed.reason


def test_constraints_are_registered_and_use_no_gold() -> None:
    assert not verifiers.get("constraints").oracle


@given(st.text())
def test_any_prompt_and_text_are_taken(text: str) -> None:
    for rule in [*compile_prompt(text), *compile_prompt(f"Use the words {text}. End with the word {text}")]:
        assert rule.check(text) in (True, False)


@pytest.mark.parametrize(
    "unit", ["a, ", "use the words ", "the letter ", '"', "'", "write a a ", "end with ", "{", "\x00"]
)
async def test_a_megabyte_of_prompt_or_text_is_survived(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    compile_prompt(text)
    rules: list[Constraint] = [*THREE, Avoids("k"), JsonKeys(("a",)), IsQuestion(), EndsWith("x"), AtMostWords(5)]
    for rule in rules:
        assert rule.check(text) in (True, False)


def candidate(index: int, text: str) -> Candidate:
    return Candidate(index=index, message=Message("assistant", text))
