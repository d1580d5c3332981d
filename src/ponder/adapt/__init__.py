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
    from ponder.adapt.adanpc import AdaNPC
    from ponder.adapt.batch_norm import BatchNorm
    from ponder.adapt.ckepe import KnowledgeBase, enrich
    from ponder.adapt.eata import EATA, ETA
    from ponder.adapt.guard import Guard
    from ponder.adapt.label_shift import LabelShift
    from ponder.adapt.merl import MERL
    from ponder.adapt.sar import SAR
    from ponder.adapt.sliding_window import SlidingWindow
    from ponder.adapt.source import Source
    from ponder.adapt.t3_merging import T3Merging
    from ponder.adapt.tent import Tent
    from ponder.adapt.token_condensation import TokenCondensation
    from ponder.engines.online import Adapter
    from ponder.engines.online_cost import Cost
    from ponder.engines.online_gradients import GradientAdapter
    from ponder.engines.online_parameters import select_parameters
    from ponder.engines.online_plugin import Plugin
    from ponder.engines.online_run import OnlineRun, run_stream
    from ponder.tasks.corruptions import corrupt, corrupted_domains, gradual_domains
    from ponder.tasks.streams import Domain, Stream, make_stream

_HOME = {
    "AdaNPC": "adapt.adanpc",
    "Adapter": "engines.online",
    "BatchNorm": "adapt.batch_norm",
    "Cost": "engines.online_cost",
    "Domain": "tasks.streams",
    "EATA": "adapt.eata",
    "ETA": "adapt.eata",
    "GradientAdapter": "engines.online_gradients",
    "Guard": "adapt.guard",
    "KnowledgeBase": "adapt.ckepe",
    "LabelShift": "adapt.label_shift",
    "MERL": "adapt.merl",
    "OnlineRun": "engines.online_run",
    "Plugin": "engines.online_plugin",
    "SAR": "adapt.sar",
    "SlidingWindow": "adapt.sliding_window",
    "Source": "adapt.source",
    "Stream": "tasks.streams",
    "T3Merging": "adapt.t3_merging",
    "Tent": "adapt.tent",
    "TokenCondensation": "adapt.token_condensation",
    "corrupt": "tasks.corruptions",
    "corrupted_domains": "tasks.corruptions",
    "enrich": "adapt.ckepe",
    "gradual_domains": "tasks.corruptions",
    "make_stream": "tasks.streams",
    "run_stream": "engines.online_run",
    "select_parameters": "engines.online_parameters",
}

__all__ = [
    "EATA",
    "ETA",
    "MERL",
    "SAR",
    "AdaNPC",
    "Adapter",
    "BatchNorm",
    "Cost",
    "Domain",
    "GradientAdapter",
    "Guard",
    "KnowledgeBase",
    "LabelShift",
    "OnlineRun",
    "Plugin",
    "SlidingWindow",
    "Source",
    "Stream",
    "T3Merging",
    "Tent",
    "TokenCondensation",
    "corrupt",
    "corrupted_domains",
    "enrich",
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
