"""Sentence pairs: complete in every direction, shuffled by the seed, references kept apart."""

from __future__ import annotations

import itertools

import pytest

from ponder.core.errors import ConfigError
from ponder.tasks.translation import LANGUAGES, Translation

WHOLE = 24


@pytest.mark.parametrize(("origin", "into"), list(itertools.permutations(LANGUAGES, 2)))
def test_every_direction_has_every_sentence(origin, into) -> None:
    problems = Translation(origin=origin, into=into).generate(WHOLE, seed=0)
    sources = [problem.task.metadata["source"] for problem in problems]
    assert len(set(sources)) == len({problem.reference for problem in problems}) == WHOLE
    for problem in problems:
        assert problem.task.prompt.endswith(f"{LANGUAGES[into]}:")
        assert f"{LANGUAGES[origin]}: {problem.task.metadata['source']}\n" in problem.task.prompt
        assert str(problem.reference) not in problem.task.prompt
        assert problem.reference not in problem.task.metadata.values()


def test_a_draw_is_seeded_and_grows_at_its_end() -> None:
    family = Translation(into="de")
    assert family.generate(9, seed=3) == family.generate(WHOLE, seed=3)[:9]
    assert family.generate(WHOLE, seed=3) != family.generate(WHOLE, seed=4)
    assert family.generate(0, seed=0) == []


def test_levels_part_the_sentences() -> None:
    counts = [len(Translation(into="de", level=level).generate(8, seed=0)) for level in (1, 2, 3)]
    assert counts == [8, 8, 8]
    with pytest.raises(ConfigError, match="from 0 to 8"):
        Translation(into="de", level=1).generate(9, seed=0)
    with pytest.raises(ConfigError):
        Translation().generate(-1, seed=0)


@pytest.mark.parametrize(
    "wrong", [{"origin": "de", "into": "de"}, {"into": "en"}, {"into": "xx"}, {"origin": "any"}, {"level": 4}]
)
def test_settings_are_checked(wrong: dict) -> None:
    with pytest.raises(ConfigError):
        Translation(**wrong)
