"""CKEPE: what a vocabulary confirms, what it rejects, the cache, and replies that cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ponder.adapt.ckepe import KnowledgeBase, enrich, plain_prompts
from ponder.core.budget import Budget
from ponder.core.errors import BadInput, ConfigError
from ponder.models.scripted import ScriptedModel

KNOWN = KnowledgeBase.of(["a wave", "b wave", "c wave"], {"wave of b": "b wave"})


def says(*lists: object) -> str:
    return json.dumps({"subtypes": lists[0], "attributes": lists[1]})


async def test_only_what_the_vocabulary_holds_gets_into_the_prompt() -> None:
    model = ScriptedModel(replies=[says(["A wave", "wave of B"], ["zzz"])])
    found = (await enrich({"X": "Some Condition"}, model, KNOWN))["X"]
    assert found.text == "some condition, a wave, b wave."
    assert (found.kept, found.rejected, found.calls) == (("a wave", "b wave"), ("zzz",), 1)


async def test_nothing_confirmed_falls_back_to_the_bare_name() -> None:
    model = ScriptedModel(replies=[says(["qqq"], [])])
    found = (await enrich({"X": "Some Condition"}, model, KNOWN, with_name=False))["X"]
    assert found.text == plain_prompts({"X": "Some Condition"})["X"] == "some condition."
    assert found.rejected == ("qqq",)


async def test_near_terms_are_asked_about_once_more() -> None:
    def reply(request: object, number: int) -> str:
        return says(["a waves", "b wavy"], []) if number == 0 else '{"supported": ["a waves", "made up"]}'

    model = ScriptedModel(replies=reply)
    found = (await enrich({"X": "cond"}, model, KNOWN))["X"]
    assert (found.text, found.rejected, found.calls) == ("cond, a waves.", ("b wavy",), 2)
    plain = (await enrich({"X": "cond"}, ScriptedModel(replies=reply), KNOWN, verify=False))["X"]
    assert (plain.text, plain.calls) == ("cond.", 1)


async def test_the_second_time_costs_nothing(tmp_path: Path) -> None:
    cache, model = tmp_path / "prompts.json", ScriptedModel(replies=[says(["a wave"], [])])
    first = await enrich({"X": "cond"}, model, KNOWN, cache=cache)
    second = await enrich({"X": "cond"}, model, KNOWN, cache=cache)
    assert second["X"].text == first["X"].text
    assert (second["X"].calls, len(model.log)) == (0, 1)
    await enrich({"X": "cond"}, model, KNOWN, cache=cache, dataset="another")
    assert len(model.log) == 2


async def test_another_vocabulary_of_the_same_name_is_asked_about_again(tmp_path: Path) -> None:
    cache, model = tmp_path / "prompts.json", ScriptedModel(replies=[says(["a wave", "d wave"], [])])
    await enrich({"X": "cond"}, model, KNOWN, cache=cache, verify=False)
    more = KnowledgeBase.of(["a wave", "d wave"], name=KNOWN.name)
    found = await enrich({"X": "cond"}, model, more, cache=cache, verify=False)
    assert (found["X"].text, len(model.log)) == ("cond, a wave, d wave.", 2)
    assert len(json.loads(cache.read_text(encoding="utf-8"))) == 2


async def test_unreadable_replies_leave_the_bare_name_and_are_not_kept(tmp_path: Path) -> None:
    cache, model = tmp_path / "prompts.json", ScriptedModel(replies=["I would say waves."])
    found = (await enrich({"X": "cond"}, model, KNOWN, cache=cache))["X"]
    assert (found.text, found.kept, found.calls, found.stopped) == ("cond.", (), 2, "unreadable")
    assert not cache.exists()


async def test_a_budget_ends_it_with_the_bare_name() -> None:
    model = ScriptedModel(replies=[says(["a wave"], [])])
    found = (await enrich({"X": "cond"}, model, KNOWN, budget=Budget(tokens=5)))["X"]
    assert (found.text, found.calls) == ("cond.", 0)


def test_vocabularies_are_read_from_tables(tmp_path: Path) -> None:
    table = tmp_path / "terms.csv"
    table.write_text("term,synonyms\nQ Wave,qw|the q\nR wave,\n", encoding="utf-8")
    found = KnowledgeBase.read(table)
    assert (found.find("THE Q."), found.find("r wave"), found.find("s wave")) == ("q wave", "r wave", None)
    assert found.name == "terms"
    table.write_text("word\nx\n", encoding="utf-8")
    with pytest.raises(BadInput, match="'term'"):
        KnowledgeBase.read(table)
    with pytest.raises(BadInput, match="cannot read"):
        KnowledgeBase.read(tmp_path / "none.csv")


async def test_what_makes_no_sense_is_refused_before_anything_is_spent(tmp_path: Path) -> None:
    model = ScriptedModel(replies=["x"])
    with pytest.raises(ConfigError):
        await enrich({"X": "cond"}, model, KNOWN, most=13)
    with pytest.raises(BadInput):
        await enrich({}, model, KNOWN)
    with pytest.raises(BadInput):
        KnowledgeBase.of([" "])
    with pytest.raises(BadInput):
        KnowledgeBase.of(["a"], {"b": "c"})
    broken = tmp_path / "c.json"
    broken.write_text("[1]", encoding="utf-8")
    with pytest.raises(BadInput, match="no cache"):
        await enrich({"X": "cond"}, model, KNOWN, cache=broken)
    assert model.log == []
