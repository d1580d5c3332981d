"""Card 47 (Niu et al. 2023): SAR online as released and clean, the sharpness-aware step alone, the rule of names."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ponder.adapt.sar import SAR, climb, descend
from ponder.engines.online_parameters import released_sar_rule, select_parameters
from tests.parity.cases import Case, Kind, Kinds, arrays, folders
from tests.parity.fields import all_read
from tests.parity.networks import build, double, load, plain

TOLERANCE = 1e-9  # of numbers below 1 as the README says, of larger ones a hundred times closer
VERSIONS = ("released", "clean")
SAM_OUTPUTS = ("grad", "climbed", "grad2", "after")
pytestmark = pytest.mark.torch


def cases() -> list[Case]:
    found = []
    for folder in folders("47"):
        held = arrays(folder / "cases.npz")
        for place, (name, values) in enumerate(held.items()):
            if name == "names":
                wanted = {"collected": sorted(plain(values["collected"]))}
                found.append(Case("47", place, "names", "released", name, {"modules": values["modules"]}, wanted))
            elif "w1" in values:
                outputs = {key: plain(values[key]) for key in SAM_OUTPUTS}
                found.append(Case("47", place, "sam", "released", name, values, outputs))
            else:
                given = {key: v for key, v in values.items() if not key.startswith(VERSIONS)}
                if not _net(given):  # the README: `online_rho_large` runs on the net of `online`
                    given |= _net(held[max((n for n in held if name.startswith(n) and _net(held[n])), key=len)])
                given["norm"] = "batch" if name.startswith("batchnorm") else "group"
                for version in VERSIONS:
                    outputs = {
                        key.removeprefix(f"{version}."): plain(v)
                        for key, v in values.items()
                        if key.startswith(f"{version}.")
                    }
                    if outputs:
                        inputs = {**given, "version": version}
                        found.append(Case("47", place, "online", version, name, inputs, outputs))
    return found


def _net(arrays: Any) -> dict[str, Any]:
    return {key: value for key, value in arrays.items() if key.startswith("net.")}


def network(given: Any) -> Any:
    from torch import nn

    names = [key.split(".")[1] for key in given if key.startswith("net.") and key.endswith(".conv.weight")]
    last = next(
        key.split(".")[1] for key in given if key.startswith("net.") and key.count(".") == 2 and ".fc." not in key
    )
    shape = [given[f"net.{name}.conv.weight"].shape for name in names]
    groups, strides = (2, 4, 3), (1, 2, 1)
    parts: dict[str, Any] = {}
    for name, (out, into, *_), group, stride in zip(names, shape, groups, strides, strict=True):
        norm = nn.BatchNorm2d(out) if given["norm"] == "batch" else nn.GroupNorm(group, out)
        block = {"conv": nn.Conv2d(into, out, 3, stride=stride, padding=1), "gn": norm}
        parts[name] = build(block, lambda net, x: net.gn(net.conv(x)).relu())
    parts[last] = nn.LayerNorm(len(given[f"net.{last}.weight"]))
    parts["fc"] = nn.Linear(*given["net.fc.weight"].shape[::-1])

    def forward(net: Any, x: Any) -> Any:
        for name in names:
            x = getattr(net, name)(x)
        return net.fc(getattr(net, last)(x.mean((2, 3))))

    return load(build(parts, forward), given, "net.")


def online(given: Any) -> dict[str, Any]:
    lr, momentum, margin, rho, reset_below, count = map(float, given["cfg"])
    adapter = SAR(
        network(given),
        lr=lr,
        momentum=momentum,
        margin=margin,
        rho=rho,
        reset_below=reset_below,
        exclude="released",
        second="whole",
        parity="released" if given["version"] == "released" else "paper",
    )
    rows: dict[str, list[Any]] = {}
    for at in range(int(count)):
        before = adapter._loss_average
        x = double(given[f"x{at}"])
        logits, seen = plain(adapter(x)), adapter.evidence
        loss = seen["loss"]
        old = math.nan if before is None else before
        new = math.nan if loss is None else float(loss)
        followed = old if math.isnan(new) else new if before is None else 0.9 * old + 0.1 * new
        again = seen.get("second_entropy")
        if again is None:  # not run, since no sample was reliable: nothing was climbed either
            again = seen["entropy"]
        params = [number for p in adapter.parameters.values() for number in plain(p.detach().flatten())]
        values = {
            "logits": logits,
            "entropy1": plain(seen["entropy"]),
            "sel1": plain(seen["selected"]),
            "grad_norm": float(seen["norm"]),
            "entropy2": plain(again),
            "sel2": plain(seen.get("second_selected", seen["selected"])),
            "loss2": new,
            "ema_before_reset": followed,
            "ema_after": plain(adapter._loss_average),
            "reset": seen["reset"],
            "params_after": params,
        }
        for name, value in values.items():
            rows.setdefault(name, []).append(value)
    sizes = {len(given[f"x{at}"]) for at in range(int(count))}
    if len(sizes) > 1:  # kept apart by batch, since they differ in size
        for name in ("logits", "entropy1", "entropy2", "sel1", "sel2"):
            rows |= {f"{name}{at}": value for at, value in enumerate(rows.pop(name))}
    return rows


def sam(given: Any) -> dict[str, Any]:
    import torch

    lr, momentum, rho, adaptive = map(float, given["cfg"])
    w1, w2 = (torch.nn.Parameter(double(given[name])) for name in ("w1", "w2"))
    c, points = double(given["c"]), [w1, w2]
    optimizer = torch.optim.SGD(points, lr=lr, momentum=momentum)

    def loss() -> Any:
        return 0.5 * (c * w1**2).sum() + 0.25 * (w2**4).sum() + 0.1 * w1.sum() ** 2 * (w2**2).sum()

    def flat(gradients: bool) -> list[float]:
        return [number for p in points for number in plain((p.grad if gradients else p.detach()).flatten())]

    rows: dict[str, list[Any]] = {name: [] for name in SAM_OUTPUTS}
    for _ in given["after"]:
        loss().backward()
        rows["grad"].append(flat(gradients=True))
        held, _ = climb(points, rho, adaptive=bool(adaptive))
        optimizer.zero_grad()
        rows["climbed"].append(flat(gradients=False))
        loss().backward()
        rows["grad2"].append(flat(gradients=True))
        descend(points, held)
        optimizer.step()
        optimizer.zero_grad()
        rows["after"].append(flat(gradients=False))
    return rows


def names(given: Any) -> dict[str, Any]:
    from torch import nn

    root = nn.Module()
    for name in map(str, given["modules"]):
        at, *rest = root, *name.split(".")
        for part in rest[:-1]:
            if not hasattr(at, part):
                setattr(at, part, nn.Module())
            at = getattr(at, part)
        setattr(at, rest[-1], nn.LayerNorm(2))
    found = select_parameters(root, exclude=released_sar_rule)
    return {"collected": sorted(found)}


KINDS: Kinds = {
    ("online", "released"): Kind(online, TOLERANCE),
    ("online", "clean"): Kind(online, TOLERANCE),
    ("sam", "released"): Kind(sam, TOLERANCE),
    ("names", "released"): Kind(names, 0.0),
}


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case.name}-{case.version}")
def test_fixture_case(case: Case, agree: Callable[[Case, Kinds], None]) -> None:
    with all_read(case.inputs, others=("net.",)) as fields:  # `load` refuses a net that is not read whole
        for name in case.outputs.keys() & fields.keys():
            fields.unread.discard(name)
        agree(replace(case, inputs=fields), KINDS)
