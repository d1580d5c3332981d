"""The study of stated confidence on rows whose numbers are known: labels, measures, comparison, page."""

from __future__ import annotations

import pytest

from ponder import ScriptedModel
from ponder.bench.studies.confidence import compare, length_correlations, lengths, read_items, report_source
from ponder.bench.studies.page import render_markdown, render_page
from ponder.bench.studies.recording import record
from ponder.bench.studies.verbalized_confidence import confidence_turns, verbalized_confidence
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Sampling
from ponder.core.usage import Usage
from ponder.planning.difficulty import Evidence
from ponder.tasks.multiplication_stories import MultiplicationStories
from tests.bench.studies.study_worlds import known, row

STATED = [0.95, 0.9, 0.9, 0.85, 0.8, 0.8, 0.7, 0.65, 0.6, 0.5]
RIGHT = [True, True, False, True, True, False, True, False, False, False]


def stated(problem, model, confidence, right, *, tokens=10):
    """A row with one answer; `right` None is an answer that was not attempted, confidence None a malformed one."""
    evidence = Evidence(groups=(None if right is None else 0,), scores=(confidence,), grades=(bool(right),))
    used = {"policy": Usage(calls=1, prompt_tokens=5, completion_tokens=tokens)}
    return row(
        problem, "percent", 1, right=bool(right), evidence=evidence, model=model,
        verifier="verbalized_confidence", usage=used, paid=used,
    )  # fmt: skip


def example(model="small"):
    rows = [
        stated(f"q{at}", model, c, y, tokens=100 - 10 * at) for at, (c, y) in enumerate(zip(STATED, RIGHT, strict=True))
    ]
    return [*rows, stated("q10", model, 0.1, None), stated("q11", model, None, True)]


def test_answers_are_labelled_and_measured():
    items = read_items(example())
    found = report_source(items, items[0].source)
    assert (found.asked, found.attempted, found.declined, found.malformed) == (12, 10, 1, 1)
    assert known(found.accuracy).value == pytest.approx(5 / 11)  # not attempted counts as wrong, malformed not at all
    assert found.measures.ece == pytest.approx(0.275)
    assert found.risks[-1].coverage == pytest.approx(10 / 11)
    assert known(found.at_risk).threshold == 0.95
    assert report_source(items, items[0].source, closed="left").measures.ece == pytest.approx(0.325)


def test_longer_answers_are_surer_and_righter_in_this_world():
    items = read_items(example())
    parts = lengths(items, parts=2)
    assert [part.answers for part in parts] == [5, 5]
    assert [part.accuracy for part in parts] == [pytest.approx(0.2), pytest.approx(0.8)]
    assert parts[0].high < parts[1].low
    confidence, right = length_correlations(items)
    assert known(confidence) > 0.9
    assert known(right) > 0.4
    assert lengths([]) == []


def test_two_models_are_compared_on_what_both_attempted():
    shy = [stated(f"q{at}", "shy", 0.9, True if at < 4 else None) for at in range(10)]
    bold = [stated(f"q{at}", "bold", 0.9, at < 6) for at in range(10)]
    items = read_items([*shy, *bold])
    found = known(compare(items, "percent · shy", "percent · bold"))
    assert (found.shared, found.only) == (4, 6)
    assert list(found.on_shared[0]) == pytest.approx([1.0, 0.1])
    assert list(found.on_only) == pytest.approx([1 / 3, 0.9 - 1 / 3])
    assert compare(items, "percent · shy", "percent · none") is None


def test_page_table_and_picture():
    study = verbalized_confidence([*example("small"), *example("large")], facts=("fact",), warning="careful")
    page, table = render_page(study), render_markdown(study)
    assert page.count('class="plot"') == 2
    assert "Reliability diagram" in page
    assert "careful" in page
    for text in ("0.275", "0.425", "percent · small", "percent · large", "Who attempts what", "Length of the answer"):
        assert text in table
    assert study.data["sources"][0]["measures"]["auroc"] == pytest.approx(0.8)
    alone = verbalized_confidence([stated("q", "m", None, True)])
    assert "no attempted answer" in render_markdown(alone)


def test_rows_without_confidences_are_refused():
    with pytest.raises(BadInput, match="no stated confidence"):
        verbalized_confidence([row("p", "greedy", 1, right=True)])
    with pytest.raises(BadInput, match="no confidence in"):
        verbalized_confidence([stated("p", "m", 7.0, True)])
    with pytest.raises(ConfigError):
        verbalized_confidence(example(), bins=0)
    with pytest.raises(ConfigError):
        verbalized_confidence(example(), closed="both")  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        confidence_turns([ScriptedModel()], ["words"])
    with pytest.raises(ConfigError):
        confidence_turns([ScriptedModel(), ScriptedModel()])


async def test_it_is_recorded_live_with_the_calls_that_it_needs(tmp_path):
    model = ScriptedModel(replies=["<answer>12</answer> <confidence>80%</confidence>", "<answer>I don't know</answer>"])
    problems = MultiplicationStories().generate(6, seed=1)
    turns = confidence_turns([model])
    done = await record(problems, turns, family="stories", sampling=Sampling(), file=tmp_path / "rows.jsonl")
    assert len(done.rows) == 18
    assert model.calls == 6 * (1 + 1 + 2)
    items = read_items(done.rows)
    assert {item.source.partition(" ")[0] for item in items} == {"percent", "probability", "reflection"}
    assert all((item.confidence == 0.8) or item.confidence is None for item in items)
    assert "stories" in render_markdown(verbalized_confidence(done.rows))
