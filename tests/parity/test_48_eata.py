"""Card 48 (Niu et al. 2022): EATA, ETA and Tent online, the Fisher information, and the filter on logits alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ponder.adapt.eata import EATA, ETA
from ponder.adapt.tent import Tent
from ponder.numerics.adaptation import filter_samples
from tests.parity.cases import Case, Kind, Kinds, arrays, folders
from tests.parity.fields import all_read
from tests.parity.networks import build, double, load, plain

TOLERANCE = 1e-9  # of numbers below 1 as the README says, of larger ones a hundred times closer
OUTPUTS = {
    *("logits", "entropy", "reliable", "selected", "cos", "weight", "loss_ent", "loss_fisher", "prob_ema", "counters"),
    *("params_after", "fisher_released", "fisher_paper", "loss", "grad_logits", "prob_ema_out"),
}
SHARED = {"paper_fisher_online": "eata_online", "clean_reset_episodic": "eta_episodic"}  # by the README
pytestmark = pytest.mark.torch


def cases() -> list[Case]:
    found = []
    for folder in folders("48"):
        held = arrays(folder / "cases.npz")
        for place, (name, values) in enumerate(held.items()):
            kind = "filter" if name.startswith("filter_") else "tent" if "loss" in values else "online"
            own = next((other for mark, other in SHARED.items() if name.startswith(mark)), None)
            given = {**(values if own is None or "x" in values else held[own]), **values}
            outputs = {
                key: plain(value) for key, value in values.items() if key in OUTPUTS and not _is_input(kind, key)
            }
            inputs = {**{k: v for k, v in given.items() if k not in OUTPUTS or _is_input(kind, k)}, "case": name}
            found.append(Case("48", place, kind, "released" if own is None else "paper", name, inputs, outputs))
    return found


def _is_input(kind: str, key: str) -> bool:
    return kind == "filter" and key == "logits"


def network(given: Any) -> Any:
    from torch import nn

    classes, features = given["net.fc.weight"].shape
    parts = {
        "conv1": nn.Conv2d(3, len(given["net.bn1.weight"]), 3, padding=1, bias=False),
        "bn1": nn.BatchNorm2d(len(given["net.bn1.weight"])),
        "conv2": nn.Conv2d(len(given["net.bn1.weight"]), features, 3, stride=2, padding=1, bias=False),
        "bn2": nn.BatchNorm2d(features),
        "fc": nn.Linear(features, classes),
    }

    def forward(net: Any, x: Any) -> Any:
        return net.fc(net.bn2(net.conv2(net.bn1(net.conv1(x)).relu())).relu().mean((2, 3)))

    return load(build(parts, forward), given, "net.")


def flat(values: Any) -> list[float]:
    return [float(number) for value in values.values() for number in value.detach().flatten()]


def penalty_of(adapter: EATA, origin: dict[str, Any]) -> float:
    """The penalty as equation 8 writes it."""
    far = [(adapter.importance[name] * (p - origin[name]).square()).sum() for name, p in adapter.parameters.items()]
    return adapter.fisher_weight * float(sum(part.detach() for part in far))


def online(given: Any) -> dict[str, Any]:
    lr, momentum, margin, similarity, beta, steps, episodic = map(float, given["cfg"])
    clean = given["case"].startswith("clean_")
    sample = given["case"].startswith("paper_fisher")
    settings: dict[str, Any] = {
        **{"lr": lr, "momentum": momentum, "margin": margin, "similarity": similarity, "steps": int(steps)},
        **{"episodic": bool(episodic), "parity": "paper" if clean else "released", "backward": "masked"},
    }
    out: dict[str, list[Any]] = {name: [] for name in OUTPUTS - {"fisher_released", "fisher_paper", "loss"}}
    found: dict[str, Any] = dict(out)
    if math.isnan(beta):
        adapter: Any = ETA(network(given), **settings)
    else:
        source = list(double(given["fisher_x"]))
        both: list[tuple[str, Any]] = [("fisher_released", "batch"), ("fisher_paper", "sample")]
        for name, each in both:
            twin = EATA(network(given), source=source, fisher=each, fisher_weight=beta, **settings)
            found[name] = flat(twin.importance)
            if sample is (each == "sample"):
                adapter = twin
    origin = {name: p.detach().clone() for name, p in adapter.parameters.items()}
    for x in double(given["x"]):
        # A batch that selects nothing makes no step and has no penalty; the fixture states its value all the same.
        penalty = penalty_of(adapter, origin) if isinstance(adapter, EATA) else 0.0
        out["logits"].append(plain(adapter(x)))
        seen = adapter.evidence
        weights = (margin - seen["entropy"]).exp() * seen["selected"]
        out["entropy"].append(plain(seen["entropy"]))
        out["reliable"].append(plain(seen["reliable"]))
        out["selected"].append(plain(seen["selected"]))
        out["cos"].append([math.nan] * len(x) if seen["cosine"] is None else plain(seen["cosine"]))
        out["weight"].append(plain(weights))
        out["loss_ent"].append(plain(seen["loss"]))
        out["prob_ema"].append(
            [math.nan] * len(out["logits"][0][0]) if adapter._average is None else plain(adapter._average)
        )
        out["counters"].append([adapter.reliable, adapter.selected])
        out["params_after"].append(flat(adapter.parameters))
        out["loss_fisher"].append(plain(seen.get("penalty", penalty)))
    return found


def tent(given: Any) -> dict[str, Any]:
    lr, momentum = map(float, given["cfg"])
    model = network(given)
    adapter = Tent(model, lr=lr, momentum=momentum)
    out: dict[str, list[Any]] = {"logits": [], "loss": [], "params_after": []}
    for x in double(given["x"]):
        logits = adapter(x)
        out["logits"].append(plain(logits))
        out["loss"].append(float(-(logits.softmax(1) * logits.log_softmax(1)).sum(1).mean()))
        out["params_after"].append(flat(adapter.parameters))
    return out


def plain_filter(given: Any) -> dict[str, Any]:
    """The naive form in `numerics`, and the adapter's gradient on a model that is nothing but its logits."""
    import torch

    margin, similarity = map(float, given["cfg"])
    before = None if math.isnan(given["prob_ema_in"][0]) else given["prob_ema_in"].tolist()
    found = filter_samples(given["logits"].tolist(), before, margin=margin, similarity=similarity)
    logits = double(given["logits"])

    class Table(torch.nn.Module):  # type: ignore[misc]  # torch is not typed here
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Parameter(logits.clone())

        def forward(self, x: Any) -> Any:
            return self.table[x]

    adapter = ETA(
        Table().double(), select="all", lr=1.0, momentum=0.0, margin=margin, similarity=similarity, backward="masked"
    )
    adapter._average = None if before is None else torch.tensor(before, dtype=torch.float64)
    adapter(torch.arange(len(logits)))
    assert plain(adapter.evidence["selected"]) == found.selected
    assert plain(adapter.evidence["entropy"]) == pytest.approx(found.entropies, abs=1e-12)
    nothing = [math.nan] * logits.shape[1]
    return {
        "entropy": found.entropies,
        "reliable": found.reliable,
        "cos": [math.nan if value is None else value for value in found.similarities],
        "selected": found.selected,
        "weight": found.weights,
        "loss_ent": plain(found.loss),
        "grad_logits": plain(logits - adapter.parameters["table"].detach()),
        "prob_ema_out": nothing if found.average is None else found.average,
    }


KINDS: Kinds = {
    ("online", "released"): Kind(online, TOLERANCE),
    ("online", "paper"): Kind(online, TOLERANCE),
    ("tent", "released"): Kind(tent, TOLERANCE),
    ("filter", "released"): Kind(plain_filter, TOLERANCE),
}


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_fixture_case(case: Case, agree: Callable[[Case, Kinds], None]) -> None:
    with all_read(case.inputs, others=("net.", "case")) as fields:  # `load` refuses a net not read whole
        agree(replace(case, inputs=fields), KINDS)
