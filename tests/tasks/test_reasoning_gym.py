"""The family over the package, by a stand-in; with the package itself where it is installed."""

from __future__ import annotations

import importlib.util
import json
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from ponder.bench.grading import grade
from ponder.core.errors import ConfigError, MissingExtra
from ponder.tasks.problem import Problem
from ponder.tasks.reasoning_gym import ReasoningGym
from ponder.verifiers import reasoning_gym as scorer

installed = pytest.mark.skipif(
    importlib.util.find_spec("reasoning_gym") is None, reason="exempt: reasoning-gym is not among the development tools"
)


class Sums:
    """A data set of sums that repeats itself."""

    def __init__(self, seed: int, size: int, least: int = 0) -> None:
        self.seed, self.size, self.least = seed, size, least

    def __getitem__(self, index: int) -> dict[str, Any]:
        a, b = self.least + self.seed, index // 2 % 30
        return {"question": f"{a} + {b} = ?", "answer": str(a + b), "metadata": {}}

    def score_answer(self, answer: str, entry: dict[str, Any]) -> float:
        return float(int(answer) == int(entry["answer"]))


class Curriculum:
    least = 0

    def set_global_level(self, level: int) -> None:
        self.least = 100 * level

    def generate_configuration(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"least": self.least, **given}


@pytest.fixture
def gym(monkeypatch: pytest.MonkeyPatch) -> None:
    def create_dataset(name: str, **config: Any) -> Sums:
        if name != "sums":
            raise ValueError(f"Dataset '{name}' not registered")
        return Sums(**config)

    factory = SimpleNamespace(
        DATASETS={"sums": (lambda config: Sums(**config), dict)}, create_curriculum=lambda name: Curriculum()
    )
    package = ModuleType("reasoning_gym")
    package.create_dataset = create_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "reasoning_gym", package)
    monkeypatch.setitem(sys.modules, "reasoning_gym.factory", factory)
    scorer._dataset.cache_clear()


@pytest.mark.usefixtures("gym")
async def test_problems_are_distinct_and_graded_by_the_scorer() -> None:
    problems = ReasoningGym(dataset="sums", instruction="Briefly.").generate(5, seed=2)
    assert [problem.task.prompt for problem in problems[:2]] == ["2 + 0 = ?\nBriefly.", "2 + 1 = ?\nBriefly."]
    assert problems[:3] == ReasoningGym(dataset="sums", instruction="Briefly.").generate(3, seed=2)
    again = [Problem.from_json(json.loads(json.dumps(problem.to_json()))) for problem in problems]
    assert again == problems
    assert [await grade(again[3], None, text) for text in ("5", "The answer is 5", "6", "five")] == [
        True,
        True,
        False,
        False,
    ]
    assert "difficulty" not in problems[0].task.metadata


@pytest.mark.usefixtures("gym")
async def test_level_comes_from_the_curriculum_and_config_goes_on_top() -> None:
    (hard,) = ReasoningGym(dataset="sums", level=3).generate(1, seed=1)
    assert hard.task.prompt.startswith("201 + 0")
    assert hard.task.metadata["difficulty"] == 3
    assert await grade(hard, None, "201") is True
    (own,) = ReasoningGym(dataset="sums", config='{"least": 7}').generate(1, seed=0)
    assert own.reference == "7"


@pytest.mark.usefixtures("gym")
def test_unknown_sets_wrong_settings_and_used_up_sets_are_refused() -> None:
    for dataset, config in (("none", "{}"), ("sums", '{"most": 3}')):
        with pytest.raises(ConfigError, match="reasoning_gym"):
            ReasoningGym(dataset=dataset, config=config).generate(1, seed=0)
    settings: list[dict[str, Any]] = [{"config": "[]"}, {"config": "{"}, {"max_tokens": 0}, {"level": 4}]
    for wrong in settings:
        with pytest.raises(ConfigError):
            ReasoningGym(**wrong)
    with pytest.raises(ConfigError, match="only 30 distinct"):
        ReasoningGym(dataset="sums").generate(31, seed=0)
    with pytest.raises(ConfigError, match="count"):
        ReasoningGym(dataset="sums").generate(-1, seed=0)


def test_without_the_package_the_install_line_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib, "import_module", _absent)
    with pytest.raises(MissingExtra, match=r"ponder\[gym\]"):
        ReasoningGym().generate(1, seed=0)


def _absent(name: str) -> ModuleType:
    raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@installed
@pytest.mark.parametrize("level", [None, 1, 2])
async def test_package_grades_its_own_answers_right(level: int | None) -> None:
    for dataset in ("chain_sum", "countdown", "knights_knaves", "mini_sudoku", "acre"):
        if dataset == "acre" and level is not None:
            continue  # has no curriculum
        for problem in ReasoningGym(dataset=dataset, level=level).generate(3, seed=4):
            assert await grade(problem, None, str(problem.reference)) is True
            assert await grade(problem, None, "no idea") is False
