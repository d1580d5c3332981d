"""Math answers; the comparisons need the extra `math` and run in the worker process."""

import importlib.util
import logging
import subprocess
import sys

import pytest

from ponder.core.errors import ConfigError, MissingExtra
from ponder.verifiers.answers.math import MathAnswer

HERE = importlib.util.find_spec("math_verify") is not None
needs_math = pytest.mark.skipif(not HERE, reason="needs the extra 'math': pip install 'ponder[math]'")
SLOW = "9^{9^{9^{9}}}"  # a power that never comes back


def test_missing_extra_is_refused_at_construction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'ponder\[math\]'"):
        MathAnswer()


def test_a_time_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="seconds"):
        MathAnswer(seconds=0)


@pytest.mark.math
@needs_math
@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{\frac{1}{2}} is it", r"\frac{1}{2}"),
        ("#### 12", "12"),
        ("The answer is $x+1$.", "x+1"),
        ("thus $a=1$ and $$b=2$$.", "b=2"),
        (r"We get \[ x = 5 \]", "x = 5"),
        (r"first $1$, then \(\frac{1}{2}\) .", r"\frac{1}{2}"),
        ("x^2 + 1", "x^2 + 1"),
        ("there are 12 boxes", "12"),
        ("no idea", None),
        ("$" + "x" * 5000 + "$", None),
        ("", None),
    ],
)
def test_math_reads(text: str, answer: str | None) -> None:
    assert MathAnswer().extract(text) == answer


@pytest.mark.math
@needs_math
@pytest.mark.parametrize("unit", ["$", r"\(", r"\[x\]", "9", "$x", "answer: ", "\x00"])
def test_math_extract_survives_a_megabyte(unit: str) -> None:
    answer = MathAnswer().extract(unit * (1_000_000 // len(unit)))
    assert answer is None or len(answer) <= 2000


@pytest.mark.math
@needs_math
@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ("1/2", "0.5", True),
        (r"\frac12", "1/2", True),
        ("x^2+2x+1", "(x+1)^2", True),
        (r"\{1,2\}", r"\{2,1\}", True),
        (r"2\sqrt{2}", r"\sqrt{8}", True),
        ("3", "4", False),
        ("x", "y", False),
        ("1", "\ud800\x00", False),
    ],
)
async def test_math_compares_by_meaning(left: str, right: str, equal: bool) -> None:
    assert await MathAnswer(seconds=30).same(left, right) is equal


@pytest.mark.math
@needs_math
async def test_math_groups_with_the_first_equal_answer() -> None:
    answers = ["1/2", None, "0.5", "2", r"\frac{1}{2}", "2.0"]
    assert await MathAnswer(seconds=30).group(answers) == [0, None, 0, 3, 0, 3]


@pytest.mark.math
@needs_math
async def test_a_comparison_over_its_limit_is_unequal_reported_and_survived(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert not await MathAnswer(seconds=0.5).same(SLOW, "5")
    assert "unequal" in caplog.text
    assert SLOW not in caplog.text
    assert await MathAnswer(seconds=30).same("1/4", "0.25")


@pytest.mark.math
@needs_math
def test_the_parent_never_imports_sympy() -> None:
    program = (
        "import asyncio, sys; from ponder.core.registry import answer_types;"
        "same = asyncio.run(answer_types.get('math').make(seconds=60.0).same('1/2', '0.5'));"
        "assert same and not {'sympy', 'math_verify'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
