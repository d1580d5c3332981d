"""IneqMath: published inequality problems, as bounds and relations.

Source: the published JSON of lupantech/ineqmath (Sheng et al. 2025, arXiv:2506.07927, card 19; data CC BY-SA 4.0).
Its test answers are not published: read the training or development split. Proof tasks and hints are not read.
Cost: no model call. Needs: the extra `math` to compare bounds.
"""

from __future__ import annotations

from ponder.tasks.inequalities import bound_prompt, relation_prompt
from ponder.tasks.loaders.columns import make_problem
from ponder.tasks.loaders.rows import SourceRow
from ponder.tasks.problem import Problem

__all__ = ["ineqmath"]


def ineqmath(row: SourceRow) -> Problem:
    """`problem`, `type` ("bound" or "relation"), `answer` ("$C = ...$" or "(B) ..."), maybe `data_id`."""
    kind = row.text("type").strip()
    if kind not in ("bound", "relation"):
        raise row.fault("type", f"needs bound or relation, got {kind!r:.80}")
    problem = row.text("problem").strip()
    prompt = bound_prompt(problem) if kind == "bound" else relation_prompt(problem)
    identity = next((str(row.values[name]) for name in ("data_id", "annot_id", "id") if row.values.get(name)), "")
    return make_problem(
        row,
        prompt,
        answer=kind,
        column="answer",
        metadata={"family": "ineqmath", "kind": kind},
        reference=row.text("answer"),
        identity=f"ineqmath-{identity}" if identity else "",
    )
