"""`ponder train`: small models, data to train them on, and graphs of models, each fitted to one's own tasks.

Each of them is a command in a file of its own (`train_<topic>.py`) and one line here.
"""

from __future__ import annotations

import typer

from ponder.cli import train_graph, train_labels, train_prm, train_wqrm

__all__ = ["app", "train"]

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
app.command("labels")(train_labels.labels)
app.command("critiques")(train_labels.critiques)
app.command("wqrm")(train_wqrm.wqrm)
app.command("graph")(train_graph.graph)
app.command("prm")(train_prm.prm)


@app.callback()
def train() -> None:
    """Train small models, and search for graphs of models."""
