from __future__ import annotations

import importlib
from types import ModuleType

import pytest

from ponder.core.candidate import Candidate
from ponder.core.task import Message, Task
from ponder.verifiers import reasoning_gym
from ponder.verifiers.reasoning_gym import ReasoningGym

PLACE: dict[str, object] = {"dataset": "sums", "level": None, "config": {}, "seed": 0, "index": 4}
TASK = Task(messages=(Message("user", "?"),), metadata={"reasoning_gym": PLACE})


class Partly:
    """Half a point for a short answer, too much for "best", trouble at words that are no number."""

    def __getitem__(self, index: int) -> dict[str, int]:
        return {"index": index}

    def score_answer(self, answer: str, entry: dict[str, int]) -> float:
        if answer == "best":
            return 1.5
        return 1.0 if int(answer) == entry["index"] else 0.5


def shown(*texts: str) -> list[Candidate]:
    return [Candidate(index=at, message=Message("assistant", text)) for at, text in enumerate(texts)]


async def test_best_of_the_marked_places_counts_and_trouble_is_no_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reasoning_gym, "_dataset", lambda place: Partly())
    texts = ("4", "I think the answer is 4", "5", "no idea", "best", r"\boxed{4}", "")
    scores = await ReasoningGym().score(TASK, shown(*texts), None)
    assert [score.value for score in scores] == [1.0, 1.0, 0.5, 0.0, 1.0, 1.0, 0.0]
    (failed,) = await ReasoningGym().score(TASK, [Candidate(index=0, error="refused")], None)
    assert failed.value is None


async def test_without_an_entry_or_the_package_the_score_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    (unnamed,) = await ReasoningGym().score(Task.of("?"), shown("4"), None)
    assert (unnamed.value, unnamed.reason) == (None, "the task names no entry of reasoning-gym")
    reasoning_gym._dataset.cache_clear()

    def absent(name: str) -> ModuleType:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(importlib, "import_module", absent)
    (lacking,) = await ReasoningGym().score(TASK, shown("4"), None)
    assert lacking.value is None
    assert "ponder[gym]" in lacking.reason
