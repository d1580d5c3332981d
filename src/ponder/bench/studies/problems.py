"""Problems with their references from a file of JSON lines: {"prompt": ..., "answer": "number", "reference": "42"}.

Source: our own. Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import json
from pathlib import Path

from ponder.core.errors import BadInput
from ponder.core.task import Task
from ponder.tasks.problem import Problem

__all__ = ["read_problems"]


def read_problems(file: Path | str) -> list[Problem]:
    """Read a file of problems; "answer" is the answer type ("text" by default), "reference" the gold.

    Raises:
        BadInput: the file cannot be read, or a line is no problem; the message names the line.
    """
    try:
        lines = Path(file).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as err:
        raise BadInput(f"cannot read the problems {str(file)!r}: {err}") from err
    problems = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
            prompt, reference = data["prompt"], data["reference"]
            if not (isinstance(prompt, str) and isinstance(reference, str)):
                raise TypeError("prompt and reference must be text")
            problems.append(Problem(task=Task.of(prompt, answer=data.get("answer", "text")), reference=reference))
        except (ValueError, KeyError, TypeError) as err:
            raise BadInput(f"{file}:{number}: not a problem: {err}") from err
    return problems
