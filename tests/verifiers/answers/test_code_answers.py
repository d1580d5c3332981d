"""Code answers: which of a text's programs is the answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.verifiers.answers.code import CodeAnswer, find_code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Here:\n```python\nx = 1\n```\n", "x = 1"),
        ("Here: ```py\nx = 1\n```", "x = 1"),
        ("```python\nx = 1\n```\nbetter:\n```python\nx = 2\n```\nRun it:\n```bash\npython x.py\n```", "x = 2"),
        ("```\nx = 1\n```", "x = 1"),
        ("```python\nx = 1\n```\nprints\n```\n1\n```", "x = 1"),
        ("1. Like so:\n   ```python\n   x = 1\n   ```", "   x = 1"),
        ("```python\ns = '''```'''\n```", "s = '''```'''"),
        ("```python\nx = 1  \n\n\n```", "x = 1"),
        ("```Python title=a.py\nx = 1\n```", "x = 1"),
        ("```python\nx = 1\n", "x = 1"),  # never closed, but a program
        ("```python\ndef f(:\n", None),  # cut in the middle
        ("def f():\n    return 1", "def f():\n    return 1"),
        ("print(1)", "print(1)"),
        ("42", None),
        ("hello", None),
        ("I cannot do that.", None),
        ("```bash\nls\n```", None),
        ("```python\n```", None),
        ("", None),
        ("\x00", None),
        ("\ud800 = 1", None),
        ("(" * 5000, None),
        ("-" * 50_000 + "1", None),
        ("x" * 1_000_000, None),
        ("'\\d' + print()", None),
        ("print('\\d')", "print('\\d')"),
    ],
)
def test_find_code_takes_the_last_program(text: str, code: str | None) -> None:
    assert find_code(text) == code


@given(st.text(alphabet="`pyton\n x=1(", max_size=60))
def test_find_code_gives_tidy_text_or_nothing(text: str) -> None:
    found = find_code(text)
    assert found is None or (found.strip("\n") == found and found)


async def test_equal_programs_are_grouped() -> None:
    answers = CodeAnswer()
    found = [answers.extract(text) for text in ("```python\nx = 1\n```", "x = 1  \n", "no", "x = 2")]
    assert await answers.group(found) == [0, 0, None, 3]
