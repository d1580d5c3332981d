"""ponder: test-time compute, measured.

Bring a fixed model and a budget; get the best answer that the budget buys, with every token accounted for.

    from ponder import load, solve_sync
    result = solve_sync("What is 6 times 7?", model="llamacpp:smollm2", budget="calls=8")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ponder.core.access import Access
    from ponder.core.budget import Budget, Meter
    from ponder.core.candidate import Candidate, Score
    from ponder.core.context import Context
    from ponder.core.model import Completion, Model, ModelInfo, Request, Sampling
    from ponder.core.registry import strategies, verifiers
    from ponder.core.result import Result
    from ponder.core.solve import Control, load, solve, solve_sync
    from ponder.core.store import Store
    from ponder.core.task import Image, Message, Task
    from ponder.core.trace import Trace
    from ponder.core.usage import Usage
    from ponder.models.replay import ReplayModel
    from ponder.models.scripted import ScriptedModel

# Where each public name lives. Imports are late, so that `import ponder` costs next to nothing.
_HOME = {
    "Access": "core.access",
    "Budget": "core.budget",
    "Candidate": "core.candidate",
    "Completion": "core.model",
    "Context": "core.context",
    "Control": "core.solve",
    "Image": "core.task",
    "Message": "core.task",
    "Meter": "core.budget",
    "Model": "core.model",
    "ModelInfo": "core.model",
    "ReplayModel": "models.replay",
    "Request": "core.model",
    "Result": "core.result",
    "Sampling": "core.model",
    "Score": "core.candidate",
    "ScriptedModel": "models.scripted",
    "Store": "core.store",
    "Task": "core.task",
    "Trace": "core.trace",
    "Usage": "core.usage",
    "load": "core.solve",
    "solve": "core.solve",
    "solve_sync": "core.solve",
    "strategies": "core.registry",
    "verifiers": "core.registry",
}

__all__ = [
    "Access",
    "Budget",
    "Candidate",
    "Completion",
    "Context",
    "Control",
    "Image",
    "Message",
    "Meter",
    "Model",
    "ModelInfo",
    "ReplayModel",
    "Request",
    "Result",
    "Sampling",
    "Score",
    "ScriptedModel",
    "Store",
    "Task",
    "Trace",
    "Usage",
    "__version__",
    "load",
    "solve",
    "solve_sync",
    "strategies",
    "verifiers",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("ponder._version").__version__
    if name in _HOME:
        value = getattr(import_module(f"ponder.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'ponder' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
