"""Test-time adaptation of classifiers: adapters that follow a stream of inputs, and streams to judge them by.

    from ponder import adapt
    adapter = adapt.Guard(adapt.EATA(model, source=clean_batches))
    logits = adapter(x)

Importing this loads no torch; making an adapter does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ponder.adapt.batch_norm import BatchNorm
    from ponder.adapt.eata import EATA, ETA
    from ponder.adapt.guard import Guard
    from ponder.adapt.label_shift import LabelShift
    from ponder.adapt.sar import SAR
    from ponder.adapt.source import Source
    from ponder.adapt.tent import Tent
    from ponder.engines.online import Adapter, Cost, Plugin
    from ponder.engines.online_gradients import GradientAdapter
    from ponder.engines.online_parameters import select_parameters
    from ponder.engines.online_run import OnlineRun, run_stream
    from ponder.tasks.corruptions import corrupt, corrupted_domains, gradual_domains
    from ponder.tasks.streams import Domain, Stream, make_stream

_HOME = {
    "Adapter": "engines.online",
    "BatchNorm": "adapt.batch_norm",
    "Cost": "engines.online",
    "Domain": "tasks.streams",
    "EATA": "adapt.eata",
    "ETA": "adapt.eata",
    "GradientAdapter": "engines.online_gradients",
    "Guard": "adapt.guard",
    "LabelShift": "adapt.label_shift",
    "OnlineRun": "engines.online_run",
    "Plugin": "engines.online",
    "SAR": "adapt.sar",
    "Source": "adapt.source",
    "Stream": "tasks.streams",
    "Tent": "adapt.tent",
    "corrupt": "tasks.corruptions",
    "corrupted_domains": "tasks.corruptions",
    "gradual_domains": "tasks.corruptions",
    "make_stream": "tasks.streams",
    "run_stream": "engines.online_run",
    "select_parameters": "engines.online_parameters",
}

__all__ = [
    "EATA",
    "ETA",
    "SAR",
    "Adapter",
    "BatchNorm",
    "Cost",
    "Domain",
    "GradientAdapter",
    "Guard",
    "LabelShift",
    "OnlineRun",
    "Plugin",
    "Source",
    "Stream",
    "Tent",
    "corrupt",
    "corrupted_domains",
    "gradual_domains",
    "make_stream",
    "run_stream",
    "select_parameters",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"ponder.{_HOME[name]}"), name)
    raise AttributeError(f"module 'ponder.adapt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
