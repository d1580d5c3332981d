"""HumanEval and MBPP: programs to write, graded by running their published tests in the sandbox.

Source: the published files of HumanEval (`task_id`, `prompt`, `test`, `entry_point`) and MBPP (`task_id`, `text` or
`prompt`, `test_list`, and the set-up of the tests). HumanEval's tests are hidden from the method. MBPP's stand in the
prompt, as its authors show them, so that a method may use them too (verifier `unit_tests`): the grader has the same
name then, and such curves are "verifier = grader".
Cost: no model call. Needs: nothing beyond the base install; grading needs the sandbox.
"""

from __future__ import annotations

from typing import Any

from ponder.tasks.loaders.columns import make_problem
from ponder.tasks.loaders.rows import SourceRow
from ponder.tasks.problem import Grader, Problem

__all__ = ["humaneval", "mbpp"]

_COMPLETE = "Complete the following Python function. Reply with the whole function in a code block."


def humaneval(row: SourceRow) -> Problem:
    """`prompt` (a signature with its docstring), `test` (which defines `check`), `entry_point`, `task_id`."""
    published, entry = row.text("prompt"), row.text("entry_point")
    if not entry.isidentifier():
        raise row.fault("entry_point", f"is no name of a function: {entry!r:.80}")
    test = row.text("test")
    if "def check(" not in test:
        raise row.fault("test", "does not define check(candidate)")
    gold = {"hidden_tests": [f"{test}\ncheck({entry})"], "setup": published}
    return make_problem(
        row,
        f"{_COMPLETE}\n```python\n{published.strip()}\n```",
        answer="code",
        column="canonical_solution",
        reference=_solution(row, "canonical_solution", before=published),
        identity=row.text("task_id"),
        metadata={"family": "humaneval"},
        grader=Grader(verifier="hidden_tests", gold=gold),
    )


def mbpp(row: SourceRow) -> Problem:
    """`text` (or `prompt`), `test_list`, `test_setup_code` (or `test_imports`), `challenge_test_list`, `task_id`."""
    shown = _statements(row, "test_list")
    if not shown:
        raise row.fault("test_list", "has no test")
    more = _statements(row, "challenge_test_list") if row.values.get("challenge_test_list") else []
    before = "\n".join(
        _statements(row, "test_imports")
        if row.values.get("test_imports")
        else [str(row.values.get("test_setup_code") or "")]
    ).strip()
    tests = [f"{before}\n{test}" if before else test for test in (*shown, *more)]
    prompt = "\n".join([row.text("text", "prompt").strip(), "Your code should pass these tests:", *shown])
    return make_problem(
        row,
        prompt,
        answer="code",
        column="code",
        reference=_solution(row, "code", before=""),
        identity=f"mbpp-{row.text('task_id')}",
        metadata={"family": "mbpp", "tests": tests[: len(shown)]},
        grader=Grader(verifier="unit_tests", gold={"tests": tests}),
    )


def _statements(row: SourceRow, column: str) -> list[str]:
    found: Any = row.get(column)
    if not isinstance(found, list) or not all(isinstance(test, str) for test in found):
        raise row.fault(column, f"needs a list of statements, got {found!r:.80}")
    return found


def _solution(row: SourceRow, column: str, *, before: str) -> str | None:
    return before + row.text(column) if row.values.get(column) is not None else None
