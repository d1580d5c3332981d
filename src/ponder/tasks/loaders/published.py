r"""Published sets of problems with one reference: GSM8K, MATH, AIME, SVAMP, MultiArith and MAWPS.

Source: the data sets' published files and their copies on the Hugging Face hub, whose columns differ in name alone.
The prompt is the published question as it is; for mathematics a sentence asks for `\boxed{}`, which is what the
answer type reads first. References are checked when they are read, so a file in another format is refused at once.
Cost: no model call. Needs: nothing beyond the base install; MATH needs the extra `math`.
"""

from __future__ import annotations

from typing import Any

from ponder.tasks.loaders.columns import make_problem
from ponder.tasks.loaders.rows import SourceRow
from ponder.tasks.problem import Problem

__all__ = ["aime", "gsm8k", "math", "multiarith", "svamp"]

_BOXED = "Put your final answer within \\boxed{}."


def gsm8k(row: SourceRow) -> Problem:
    """`question`, `answer` (a solution that ends in "#### NUMBER"); difficulty: how many steps the solution has."""
    solution = row.text("answer")
    steps, mark, final = solution.rpartition("####")
    if not mark:
        raise row.fault("answer", "has no '####' before the final number")
    metadata = _about("gsm8k", difficulty=steps.count("<<") or None)
    return make_problem(
        row, row.text("question"), reference=final.strip(), answer="number", column="answer", metadata=metadata
    )


def math(row: SourceRow) -> Problem:
    r"""`problem`, `level`, `subject` or `type`, and the `answer` (MATH-500) or a `solution` with `\boxed{}` (MATH)."""
    column = "answer" if "answer" in row.values else "solution"
    reference = row.text(column)
    if column == "answer":
        reference = f"\\boxed{{{reference}}}"  # bare words ("\text{Evelyn}") are an answer where a mark says so
    elif "\\boxed" not in reference:
        raise row.fault(column, "has no \\boxed{} with the final answer")
    level = str(row.values.get("level", "")).removeprefix("Level").strip()
    subject = row.values.get("subject") or row.values.get("type")
    return make_problem(
        row,
        f"{row.text('problem')}\n{_BOXED}",
        reference=reference,
        answer="math",
        column=column,
        identity=str(row.values.get("unique_id") or ""),
        metadata=_about("math", difficulty=int(level) if level.isdecimal() else None, subject=subject),
    )


def aime(row: SourceRow) -> Problem:
    """`problem` (or `question`) and `answer`, a whole number from 0 to 999; the names' case does not matter."""
    row = SourceRow(where=row.where, number=row.number, values={name.lower(): v for name, v in row.values.items()})
    answer = row.text("answer").strip()
    if not (answer.isdecimal() and int(answer) <= 999):
        raise row.fault("answer", f"needs a whole number from 0 to 999, got {answer!r:.80}")
    prompt = f"{row.text('problem', 'question')}\n{_BOXED}"
    identity = str(row.values.get("id", ""))
    return make_problem(
        row,
        prompt,
        reference=str(int(answer)),
        answer="number",
        column="answer",
        identity=f"aime-{identity}" if identity else "",
        metadata=_about("aime"),
    )


def svamp(row: SourceRow) -> Problem:
    """`Body`, `Question`, `Answer` (145.0), `Type`, `ID`; the body is ended with a full stop where it has none."""
    body = row.text("Body").strip()
    stop = "" if body.endswith((".", "?", "!", ",")) or not body else "."
    return make_problem(
        row,
        f"{body}{stop} {row.text('Question').strip()}",
        reference=row.text("Answer"),
        answer="number",
        column="Answer",
        identity=str(row.values.get("ID") or ""),
        metadata=_about("svamp", subject=row.values.get("Type")),
    )


def multiarith(row: SourceRow) -> Problem:
    """A question and its number: `input`/`target`, `question`/`final_ans`, or MAWPS's `sQuestion`/`lSolutions`."""
    columns = ("target", "final_ans", "lSolutions", "answer")
    column = next((name for name in columns if name in row.values), columns[0])
    if isinstance(solutions := row.values.get(column), list):
        if len(solutions) != 1:
            raise row.fault(column, f"needs one solution, got {len(solutions)}")
        row = SourceRow(where=row.where, number=row.number, values={**row.values, column: solutions[0]})
    return make_problem(
        row,
        row.text("input", "question", "sQuestion").strip(),
        reference=row.text(column).strip(),
        answer="number",
        column=column,
        metadata=_about("multiarith"),
    )


def _about(family: str, **known: Any) -> dict[str, Any]:
    return {"family": family, **{name: value for name, value in known.items() if value is not None}}
