from __future__ import annotations

import pytest

from ponder.core.papers import papers
from ponder.core.registry import strategies
from ponder.core.taxonomy import AXES, HOW, check_tags, matches

TAGS = {"what": ("parallel",), "how": ("sampling", "voting"), "where": ("math",), "how_well": ("accuracy",)}


def test_tags_of_the_vocabulary_are_right() -> None:
    assert check_tags(TAGS) == []


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({**TAGS, "what": ()}, "no tag on the axis 'what'"),
        ({**TAGS, "why": ("money",)}, "no such axis: 'why'"),
        ({**TAGS, "how": ("magic",)}, "how: 'magic' is not in the vocabulary"),
    ],
)
def test_wrong_tags_are_named(tags: dict[str, tuple[str, ...]], said: str) -> None:
    assert said in check_tags(tags)


def test_a_part_of_how_stands_for_its_words() -> None:
    assert matches(TAGS, {"how": ("aggregation",)})
    assert matches(TAGS, {"what": ("parallel",), "how": ("stimulation", "voting")})
    assert not matches(TAGS, {"how": ("search",)})
    assert not matches(TAGS, {"what": ("parallel", "sequential")})
    assert matches(TAGS, {})


def test_every_word_belongs_to_one_part() -> None:
    words = [word for part in HOW.values() for word in part]
    assert len(words) == len(set(words))
    assert not set(words) & set(HOW)


def test_every_paper_is_sorted() -> None:
    found = papers()
    assert [paper.card for paper in found] == list(range(1, 66))
    for paper in found:
        assert set(paper.taxonomy["what"]) <= AXES["what"]
        assert paper.taxonomy["what"], paper.card
    # The survey's own rows: Snell et al. is parallel and sequential, the study of small models searches too.
    by_card = {paper.card: paper.taxonomy for paper in found}
    assert by_card[4]["what"] == ("parallel", "sequential")
    assert "DVTS" in by_card[13]["search"]


def test_filters_find_methods() -> None:
    found = [e.name for e in strategies.entries() if matches(e.tags, {"what": ("hybrid",), "how": ("search",)})]
    assert {"beam_search", "dvts", "retrieval_mcts"} <= set(found)
    assert "self_consistency" not in found
