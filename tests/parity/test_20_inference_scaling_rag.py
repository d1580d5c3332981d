"""Card 20 (Yue et al. 2024): sigmoid, linear part, grid optimum, fits, normalisation, informativeness, length."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from ponder.numerics.rag_allocation import (
    PAPER_MODEL,
    PAPER_SIGMOID,
    LogLinear,
    best_setting,
    effective_length,
    fit_log_linear,
    fit_sigmoid,
    informativeness,
    mean_squared_error,
    normalise,
    paper_grid,
    r_squared,
    setting_length,
)
from tests.parity.cases import Case, Kind, Kinds, arrays, folders

Given = Mapping[str, Any]
# Keys without a dot belong to a group of their own; the inputs of a group, the rest of it is what it must give.
GROUPS = {"theta": "model", "inform": "model", "linear": "model", "predicted": "model", "budgets": "budget"}
INPUTS = {
    "model": {"theta", "inform"},
    "sigma": {"x"},
    "grid": set(),
    "best": {"budget", "inform"},
    "ols": {"theta", "inform", "truth", "linear_noise_free", "linear_noisy"},
    "norm": {"accuracy", "constant"},
    "inform": {"P001_P101_P011"},
    "alt": {"P", "theta", "inform"},
    "efflen": {"calls"},
}


def tuples(rows: Any) -> Any:
    return [tuple(row) for row in rows]


def model(given: Given) -> Given:
    linear = [[PAPER_MODEL.value(theta, inform[:2]) for theta in tuples(given["theta"])] for inform in given["inform"]]
    return {"linear": linear, "predicted": [[PAPER_SIGMOID.value(x) for x in row] for row in linear]}


def sigma(given: Given) -> Given:
    y = [PAPER_SIGMOID.value(x) for x in given["x"]]
    return {"y": y, "inverse_of_y": [PAPER_SIGMOID.inverse(value) for value in y]}


def grid(given: Given) -> Given:
    thetas = paper_grid()
    return {"theta": [list(theta) for theta in thetas], "length": [setting_length(theta) for theta in thetas]}


def best(given: Given) -> Given:
    inform = tuple(given["inform"][:2])
    theta = best_setting(PAPER_MODEL, inform, given["budget"])
    assert theta is not None
    return {"best": list(theta), "linear": PAPER_MODEL.value(theta, inform)}


def ols(given: Given) -> Given:
    thetas, informs = tuples(given["theta"]), [row[:2] for row in given["inform"]]
    noisy, _ = fit_log_linear(thetas, informs, given["linear_noisy"])
    said = [noisy.value(*at) for at in zip(thetas, informs, strict=True)]
    return {
        "coef_noise_free": coefficients(fit_log_linear(thetas, informs, given["linear_noise_free"])[0]),
        "coef_noisy": coefficients(noisy),
        "r2": r_squared(given["linear_noisy"], said),
        "mse": mean_squared_error(given["linear_noisy"], said),
    }


def coefficients(fitted: LogLinear) -> list[float]:
    return [*fitted.a, *fitted.b, fitted.c]


def norm(given: Given) -> Given:
    for row in given["constant"]:
        assert normalise(row) == [0.0] * len(row)
    return {"z": [normalise(row) for row in given["accuracy"]]}


def inform(given: Given) -> Given:
    found = [informativeness(*row) for row in given["P001_P101_P011"]]
    return {"i": [[*pair, 0.0] for pair in found]}


def alt(given: Given) -> Given:
    thetas, informs, seen = tuples(given["theta"]), [row[:2] for row in given["inform"]], given["P"]
    first, _ = fit_log_linear(thetas, informs, seen)
    inverted = [PAPER_SIGMOID.inverse(PAPER_SIGMOID.clip(value)) for value in seen]
    return {
        "inverted": inverted,
        "coef": coefficients(fit_log_linear(thetas, informs, inverted)[0]),
        "stage1_linear": [first.value(*at) for at in zip(thetas, informs, strict=True)],
    }


def efflen(given: Given) -> Given:
    return {"total": [effective_length(tokens for tokens in row if tokens >= 0) for row in given["calls"]]}


KINDS: Kinds = {
    (kind.__name__, "paper"): Kind(kind, 1e-9) for kind in (model, sigma, grid, best, ols, norm, inform, alt, efflen)
}
CURVED = {"stage2_sigmoid_values", "stage2_sse"}


def groups() -> dict[str, dict[str, Any]]:
    """The arrays of the file by group: the part of the key before its dot."""
    found: dict[str, dict[str, Any]] = {}
    for folder in folders("20"):
        for key, value in arrays(folder / "cases.npz").get("", {}).items():
            head, dot, name = key.partition(".")
            group, name = (head, name) if dot else (GROUPS.get(head, head), head)
            if head == "grid" and not dot:
                group, name = "grid", "theta"
            found.setdefault(group, {})[name] = value.tolist()
    return found


def cases() -> list[Case]:
    """One case a group, and one for each budget and task."""
    held = groups()
    made: list[Case] = []
    budgets = held.pop("budget", {}).get("budgets", [])
    for group, values in held.items():
        kind, given = group, dict(values)
        if at := re.fullmatch(r"budget(\d+)_task(\d+)", group):
            kind = "best"
            given |= {"budget": budgets[int(at[1])], "inform": held["model"]["inform"][int(at[2])]}
        if kind == "alt":
            given |= {name: held["ols"][name] for name in ("theta", "inform")}
        inputs = INPUTS.get(kind, set())
        outputs = {name: value for name, value in given.items() if name not in inputs | CURVED}
        made.append(
            Case("20", len(made), kind, "paper", group, {k: v for k, v in given.items() if k in inputs}, outputs)
        )
    return made


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_fixture_case(case: Case, agree: Callable[[Case, Kinds], None]) -> None:
    agree(case, KINDS)


@pytest.mark.skipif("alt" not in groups(), reason="exempt: no fitted sigmoid in PONDER_FIXTURES")
def test_fitted_sigmoid_misses_no_more_than_the_fixture() -> None:
    given = groups()["alt"]
    sigmoid = fit_sigmoid(given["stage1_linear"], given["P"])
    assert sigmoid is not None
    values = [sigmoid.value(x) for x in given["stage1_linear"]]
    miss = mean_squared_error(given["P"], values) * len(values)
    assert miss <= given["stage2_sse"] * (1 + 1e-4)
    np.testing.assert_allclose(values, given["stage2_sigmoid_values"], atol=1e-3)
