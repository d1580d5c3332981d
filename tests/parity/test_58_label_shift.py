"""Card 58 (Park et al. 2023, reconstructed): degree, loss, network and its training, online and other estimates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ponder.adapt.label_shift import LabelShift
from ponder.numerics.label_shift import (
    adjusted_losses,
    confusion_prior,
    confusion_weights,
    corrected_logits,
    em_prior,
    imbalance_degree,
    power_prior,
)
from tests.parity.cases import Case, Kind, Kinds, arrays, folders
from tests.parity.fields import all_read
from tests.parity.networks import double, plain

OUTPUTS = {
    "degree": ("degree", "degree_irregular", "degree_irregular_self", "degree_irregular_reversed"),
    "loss": ("loss_each", "loss", "grad_logits"),
    "adapter": ("out", "logits", "source_logits", "input"),
    "training": ("degree", "loss", "grad_phi", "phi_after"),
    "online": ("degree", "pi_after", "logits"),
    "posthoc": ("logits_adjusted",),
    "em": ("pi_iter",),
    "bbse": ("importance", "pi_t"),
}
ORDER = ("l1.weight", "l1.bias", "l2.weight", "l2.bias")
pytestmark = pytest.mark.torch


def kind_of(values: Any) -> str:
    marks = {"h0": "online", "u": "training", "phi.l1.weight": "adapter", "loss_each": "loss"}
    marks |= {"degree": "degree", "logits_adjusted": "posthoc", "posteriors": "em", "joint_confusion": "bbse"}
    return next(kind for mark, kind in marks.items() if mark in values)


def cases() -> list[Case]:
    found = []
    for folder in folders("58"):
        for place, (name, values) in enumerate(arrays(folder / "cases.npz").items()):
            kind = kind_of(values)
            wanted = {
                key
                for key in values
                if key in OUTPUTS[kind] or (key.rstrip("0123456789") in OUTPUTS[kind] and key[-1].isdigit())
            }
            outputs = {key: plain(values[key]) for key in wanted}
            found.append(Case("58", place, kind, "paper", name, values, outputs))
    return found


def degree(given: Any) -> dict[str, Any]:
    source, uneven = given["pi_s"].tolist(), given["pi_s_irregular"].tolist()
    known = {"source": source, "uniform": [1 / len(source)] * len(source), "reversed": source[::-1]}
    for name, target in zip(given["target_names"].tolist(), given["targets"].tolist(), strict=True):
        assert target == pytest.approx(known.get(name, target), abs=1e-12), f"{name} is not what its name says"
    return {
        "degree": [imbalance_degree(target, source) for target in given["targets"].tolist()],
        "degree_irregular": [imbalance_degree(target, uneven) for target in given["targets"].tolist()],
        "degree_irregular_self": imbalance_degree(uneven, uneven),
        "degree_irregular_reversed": imbalance_degree(uneven[::-1], uneven),
    }


def loss(given: Any) -> dict[str, Any]:
    import torch

    from ponder.adapt._label_shift_network import adjusted_cross_entropy

    tau = float(given["tau"])
    each = adjusted_losses(
        given["logits"].tolist(), given["y"].tolist(), given["pi_s"].tolist(), given["pi_t"].tolist(), tau
    )
    logits = double(given["logits"]).requires_grad_()
    labels = torch.from_numpy(given["y"])
    mean = adjusted_cross_entropy(logits, labels, double(given["pi_s"]), double(given["pi_t"]), tau)
    mean.backward()
    assert sum(each) / len(each) == pytest.approx(mean.item(), abs=1e-12)
    return {"loss_each": each, "loss": mean.item(), "grad_logits": plain(logits.grad)}


def network(given: Any) -> Any:
    from ponder.adapt._label_shift_network import HeadNetwork

    classes, features = given["W"].shape
    hidden, inputs = given["phi.l1.weight"].shape
    made = HeadNetwork(inputs, features, classes, hidden=hidden).double()
    made.load_state_dict({name: double(given[f"phi.{name}"]) for name in ORDER})
    return made


def linear(given: Any) -> Any:
    import torch

    head = torch.nn.Linear(*given["W"].shape[::-1]).double()
    head.load_state_dict({"weight": double(given["W"]), "bias": double(given["b"])})
    return head


def adapter(given: Any) -> dict[str, Any]:
    import torch

    from ponder.adapt._label_shift_network import describe

    made, h, weight, bias = network(given), double(given["h"]), double(given["W"]), double(given["b"])
    changes = ("scale", "shift", "weight", "bias")
    with torch.no_grad():
        if "pi" in given:
            prior = given["pi"].tolist()
            text = describe(prior, prior, vector=True, like=h)
            return {"input": plain(text), "logits": plain(made.head(text, h, weight, bias, changes))}
        texts = double(given["degrees"]).unsqueeze(1)
        return {
            "out": [plain(made(text)) for text in texts],
            "logits": [plain(made.head(text, h, weight, bias, changes)) for text in texts],
            "source_logits": plain(made.head(texts[0], h, weight, bias, ())),
        }


def training(given: Any) -> dict[str, Any]:
    import torch

    from ponder.adapt._label_shift_network import adjusted_cross_entropy, describe

    made, source = network(given), given["pi_s"].tolist()
    lr, tau = map(float, given["cfg"])
    weight, bias = double(given["W"]), double(given["b"])
    optimizer = torch.optim.Adam(made.parameters(), lr=lr)
    rows: dict[str, list[Any]] = {"degree": [], "loss": [], "grad_phi": []}
    for h, y, power in zip(double(given["h"]), torch.from_numpy(given["y"]), given["u"].tolist(), strict=True):
        target = power_prior(source, power)
        text = describe(target, source, vector=False, like=h)
        logits = made.head(text, h, weight, bias, ("scale", "shift", "weight", "bias"))
        value = adjusted_cross_entropy(logits, y, double(given["pi_s"]), double(given["pi_s"]).new_tensor(target), tau)
        optimizer.zero_grad()
        value.backward()
        rows["degree"].append(plain(text)[0])
        rows["loss"].append(value.item())
        rows["grad_phi"].append(flat({name: p.grad for name, p in made.named_parameters()}))
        optimizer.step()
    return {**rows, "phi_after": flat(dict(made.named_parameters()))}


def flat(values: Any) -> list[float]:
    return [number for name in ORDER for number in values[name].detach().flatten().tolist()]


def online(given: Any) -> dict[str, Any]:
    alpha, count = float(given["cfg"][0]), int(given["cfg"][1])
    worn = LabelShift(
        linear(given),
        network=network(given),
        source_prior=given["pi_s"].tolist(),
        start=given["pi_start"].tolist(),
        alpha=alpha,
    )
    out: dict[str, Any] = {"degree": [], "pi_after": []}
    for at in range(count):
        out[f"logits{at}"] = plain(worn(double(given[f"h{at}"])))
        out["degree"].append(worn.evidence["degree"])
        out["pi_after"].append(list(worn.prior))
    return out


def posthoc(given: Any) -> dict[str, Any]:
    source = given["pi_s"].tolist()
    rows = given["logits"].tolist()
    adjusted = [[corrected_logits(row, source, target) for row in rows] for target in given["targets"].tolist()]
    return {"logits_adjusted": adjusted}


def em(given: Any) -> dict[str, Any]:
    rows, source = given["posteriors"].tolist(), given["pi_s"].tolist()
    rounds = [key.removeprefix("pi_iter") for key in given if key.startswith("pi_iter")]
    return {f"pi_iter{count}": em_prior(rows, source, rounds=int(count)) for count in rounds}


def bbse(given: Any) -> dict[str, Any]:
    table, seen = given["joint_confusion"].tolist(), given["pred_freq"].tolist()
    return {
        "importance": confusion_weights(table, seen),
        "pi_t": confusion_prior(table, seen, given["pi_s"].tolist()),
    }


TOLERANCE = 1e-9
KINDS: Kinds = {
    ("degree", "paper"): Kind(degree, TOLERANCE),
    ("loss", "paper"): Kind(loss, TOLERANCE),
    ("adapter", "paper"): Kind(adapter, TOLERANCE),
    ("training", "paper"): Kind(training, TOLERANCE),
    ("online", "paper"): Kind(online, TOLERANCE),
    ("posthoc", "paper"): Kind(posthoc, TOLERANCE),
    ("em", "paper"): Kind(em, TOLERANCE),
    ("bbse", "paper"): Kind(bbse, TOLERANCE),
}


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_fixture_case(case: Case, agree: Callable[[Case, Kinds], None]) -> None:
    with all_read(case.inputs) as fields:
        for name in case.outputs:
            fields.unread.discard(name)
        agree(replace(case, inputs=fields), KINDS)
