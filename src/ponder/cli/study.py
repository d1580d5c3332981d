"""`ponder study`: questions about test-time compute, answered live on a model or from recorded rows.

Each study writes rows.jsonl (live), table.json, table.md and page.html into a folder. A study is a command in a file of
its own (`study_<topic>.py`), which `study_job.py` runs, and one line here.
"""

from __future__ import annotations

import typer

from ponder.cli import (
    study_collaboration,
    study_compute_optimal,
    study_confidence,
    study_judges,
    study_thinking,
    study_verification,
)

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Answer a question about test-time compute.")
app.command("verbalized-confidence")(study_confidence.verbalized_confidence)
app.command("verification-dynamics")(study_verification.verification_dynamics)
app.command("compute-optimal")(study_compute_optimal.compute_optimal)
app.command("multi-agent-debate")(study_collaboration.multi_agent_debate)
app.command("sleep-time")(study_collaboration.sleep_time)
app.command("thinking-budget")(study_thinking.thinking_budget)
app.command("machine-translation")(study_thinking.machine_translation)
app.command("judge-scaling")(study_judges.judge_scaling)
app.command("inequality-proofs")(study_judges.inequality_proofs)
