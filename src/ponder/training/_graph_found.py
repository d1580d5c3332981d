"""What a search for graphs of agents is given and what it finds: models, trials, and the result as JSON.

Source: Agent-REINFORCE, arXiv:2511.00086 (card 31). The form of the file is ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ponder.core.errors import BadInput, ConfigError, Stopped
from ponder.core.model import Model
from ponder.core.usage import Usage
from ponder.numerics.agent_graphs import AgentGraph
from ponder.numerics.graph_costs import Size

__all__ = ["Found", "Member", "Trial"]


@dataclass(frozen=True, kw_only=True)
class Member:
    """A model that nodes may be.

    Attributes:
        model: open; its name in the graph is its key.
        price: in models of the smallest kind, >= 1.
        size: for the cost; by default from the model's own facts.
    """

    model: Model
    price: int = 1
    size: Size | None = None

    def sized(self) -> Size:
        """Return the size.

        Raises:
            ConfigError: the model does not tell its shape, and none is given.
        """
        info = self.model.info
        if self.size is not None:
            return self.size
        if info.parameters and info.layers and info.hidden:
            return Size(float(info.parameters), info.layers, info.hidden)
        raise ConfigError(f"{self.model.name} does not tell its shape: give the member a size")


@dataclass(frozen=True)
class Trial:
    """A graph that was run.

    Attributes:
        source: where it came from.
        graph: trimmed.
        right: how many of the questions it got right.
        asked: questions.
        units: its estimated cost, in the unit of the cap.
        tokens: most that one of the questions took, read and written by all models together, as measured.
        seconds: mean of a question by the clock, stored answers included; two equal searches differ in it.
    """

    source: str
    graph: AgentGraph
    right: float
    asked: int
    units: float
    tokens: int = 0
    seconds: float = 0.0


_NUMBERS = ("source", "right", "asked", "units", "tokens", "seconds")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search found.

    Attributes:
        graph: the best one, trimmed.
        accuracy: measured again on questions of its own.
        units, cap: its cost, and the most it may be, in smallest models without inputs or in tokens.
        tokens: of one question, all models together, mean of those measured.
        seconds: of one question with this graph, mean of its last measurement; None where it was not run.
        trials: everything that was run, in order.
        usage: by role; "optimiser" is the one that wrote graphs.
        faults: replies of the optimiser that could not be used.
        stopped, detail: why it ended.
    """

    graph: AgentGraph
    accuracy: float | None
    units: float
    cap: float
    tokens: float
    seconds: float | None
    trials: tuple[Trial, ...]
    usage: Mapping[str, Usage]
    faults: tuple[str, ...] = ()
    stopped: Stopped = "done"
    detail: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object; the method `agent_graph` reads its "graph"."""
        return {
            "graph": self.graph.to_json(),
            "accuracy": self.accuracy,
            "units": self.units,
            "cap": self.cap,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "usage": {role: used.to_json() for role, used in self.usage.items()},
            "trials": [
                {**{name: getattr(t, name) for name in _NUMBERS}, "graph": t.graph.to_json()} for t in self.trials
            ],
            "faults": list(self.faults),
            "stopped": self.stopped,
            "detail": self.detail,
        }

    def save(self, file: Path | str) -> Path:
        """Write it as JSON and return the file.

        Raises:
            BadInput: it cannot be written.
        """
        path = Path(file)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="utf-8")
        except OSError as err:
            raise BadInput(f"cannot write the graph {str(path)!r}: {err}") from err
        return path
