from __future__ import annotations

import re
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.core.errors import ConfigError
from ponder.tasks.ordering import Ordering

PLACES = ["first", "second", "third", "fourth"]


def holds(clue: str, order: tuple[str, ...]) -> bool:
    """Read a clue anew from its words."""
    if match := re.fullmatch(r"(\w+) finished before (\w+)", clue):
        return order.index(match[1]) < order.index(match[2])
    if match := re.fullmatch(r"(\w+) finished directly after (\w+)", clue):
        return order.index(match[1]) == order.index(match[2]) + 1
    match = re.fullmatch(r"(\w+) did not come in (\w+)", clue)
    assert match is not None, clue
    return order.index(match[1]) != PLACES.index(match[2])


def read(prompt: str) -> tuple[list[str], list[str], str]:
    """Return the runners, the clues and the place asked for."""
    who, *clues, asked = re.split(r"(?<=[.?]) ", prompt)
    names = re.findall(r"[A-Z]\w+", who)
    return names, [clue.rstrip(".") for clue in clues], asked.removeprefix("Who came in ").rstrip("?")


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**31))
def test_clues_leave_one_order_and_none_is_idle(seed: int) -> None:
    for problem in Ordering().generate(3, seed):
        names, clues, asked = read(problem.task.prompt)
        fits = [order for order in permutations(names) if all(holds(clue, order) for clue in clues)]
        assert len(fits) == 1
        assert problem.reference == (fits[0][-1] if asked == "last" else fits[0][PLACES.index(asked)])
        for idle in clues:
            rest = [clue for clue in clues if clue != idle]
            assert sum(all(holds(clue, order) for clue in rest) for order in permutations(names)) > 1


def test_levels_have_more_runners_each_and_bad_settings_are_refused() -> None:
    for level in (1, 2, 3):
        (problem,) = Ordering(level=level, shots=1).generate(1, seed=0)
        assert len(read(problem.task.prompt)[0]) == len(read(problem.task.messages[0].text)[0]) == level + 2
    with pytest.raises(ConfigError):
        Ordering(shots=-1)
