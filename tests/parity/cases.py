"""The fixtures of the papers: whatever cases the files hold, as pytest parameters, and how to compare with them.

`PONDER_FIXTURES` names the folder that holds `NN-<method>/cases.json` or `.npz`; by default `tests/fixtures`. Nothing
here knows a case's name, size or values. A kind or an output that no test computes fails loudly.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

__all__ = [
    "Case",
    "Kind",
    "Kinds",
    "Measured",
    "arrays",
    "compare",
    "each_case",
    "folders",
    "measure",
    "numbers",
    "read_cases",
]

_HERE = Path(__file__).parents[1] / "fixtures"
_WORDS = ("nan", "inf", "-inf")


@dataclass(frozen=True)
class Case:
    """One case of a file, with the inputs that it shares with an earlier one filled in."""

    card: str
    place: int
    kind: str
    version: str
    name: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]


class Kind(NamedTuple):
    """How a kind of case is computed, from inputs to named outputs, and the tolerance its README states.

    Errors are taken relative to max(1, |expected|): absolute for small numbers, relative for large ones.
    """

    compute: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    tolerance: float


Kinds = Mapping[tuple[str, str], Kind]  # by (kind, version)


@dataclass(frozen=True)
class Measured:
    """How far one case was from its fixture, and where by more than the tolerance (infinite: no comparison at all)."""

    card: str
    kind: str
    version: str
    error: float
    tolerance: float
    wrong: Mapping[str, float]


def folders(card: str) -> list[Path]:
    """The card's folders; none at all is an error, unless the caller chose the fixtures and left this card out."""
    chosen = os.environ.get("PONDER_FIXTURES")
    root = Path(chosen) if chosen else _HERE
    if not root.is_dir():
        raise pytest.UsageError(f"no folder of fixtures at {root}")
    found = sorted(path for path in root.glob(f"{card}-*") if path.is_dir())
    if not found and not chosen:
        raise pytest.UsageError(f"no fixtures of card {card} in {root}")
    return found


def each_case(card: str) -> pytest.MarkDecorator:
    """Run a test with every case of the card's JSON files, as its argument `case`."""
    found = [case for folder in folders(card) for case in read_cases(card, folder / "cases.json")]
    if not found:
        skip = pytest.mark.skip(reason=f"exempt: no cases of card {card} in PONDER_FIXTURES")
        return pytest.mark.parametrize("case", [pytest.param(None, marks=skip, id="none")])
    ids = [f"{case.place:03}-{case.kind}-{case.version}-{case.name}" for case in found]
    return pytest.mark.parametrize("case", found, ids=ids)


def read_cases(card: str, path: Path) -> list[Case]:
    """Read a JSON file of cases."""
    cases: list[Case] = []
    for place, raw in enumerate(json.loads(path.read_text(encoding="utf-8"))["cases"]):
        inputs = dict(raw["inputs"])
        if "same_inputs_as" in inputs:
            name = inputs.pop("same_inputs_as")
            # Of the same kind, or of the kind that this one is a form of ("flops" of "flops_units").
            family = [c for c in cases if (c.name, c.version) == (name, "released") and _of(raw["kind"], c.kind)]
            earlier = [c for c in family if c.kind == raw["kind"]] or family
            if not earlier:
                raise pytest.UsageError(f"{path}, case {place}: no earlier released {raw['kind']} case {name!r}")
            inputs = {**earlier[-1].inputs, **inputs}
        cases.append(Case(card, place, raw["kind"], raw["version"], raw["name"], inputs, raw["outputs"]))
    return cases


def _of(kind: str, other: str) -> bool:
    return kind == other or kind.startswith(f"{other}_")


def arrays(path: Path) -> dict[str, dict[str, Any]]:
    """Read an `.npz` file of `case/array` keys: the arrays of each case; "" holds those without a case."""
    import numpy

    cases: dict[str, dict[str, Any]] = {}
    with numpy.load(path, allow_pickle=False) as file:
        for key in file.files:
            case, _, name = key.rpartition("/")
            cases.setdefault(case, {})[name] = file[key]
    return cases


def measure(case: Case, kinds: Kinds) -> Measured:
    """Compute a case by its kind and compare every output that the fixture holds."""
    kind = kinds.get((case.kind, case.version))
    if kind is None:
        return Measured(case.card, case.kind, case.version, math.inf, 0.0, {"kind": math.inf})
    ours = {name: value for name, value in kind.compute(case.inputs).items() if name in case.outputs}
    found = list(compare(ours, case.outputs)) or [("outputs", math.inf)]
    return Measured(
        card=case.card,
        kind=case.kind,
        version=case.version,
        error=max(error for _, error in found),
        tolerance=kind.tolerance,
        wrong={path.removeprefix("."): error for path, error in found if error > kind.tolerance},
    )


def numbers(value: Any) -> Any:
    """Turn the words "nan", "inf" and "-inf" into numbers, anywhere in nested lists."""
    if isinstance(value, list):
        return [numbers(part) for part in value]
    return float(value) if value in _WORDS else value


def compare(ours: Any, wanted: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield where and by how much they differ; what must match exactly differs by 0 or by infinity."""
    if isinstance(wanted, Mapping) and isinstance(ours, Mapping):
        ours = {str(key): value for key, value in ours.items()}
        if path and not wanted and not ours:
            yield path, 0.0
        for key in wanted.keys() | ours.keys():
            if key in wanted and key in ours:
                yield from compare(ours[key], wanted[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}", math.inf
    elif isinstance(wanted, list) and isinstance(ours, list | tuple):
        if len(wanted) != len(ours):
            yield f"{path} (length)", math.inf
        for at, (left, right) in enumerate(zip(ours, wanted, strict=False)):
            yield from compare(left, right, f"{path}[{at}]")
    elif isinstance(ours, float) and (wanted in _WORDS or type(wanted) in (int, float)):
        yield path, _error(ours, float(wanted))
    elif type(ours) is int and type(wanted) is float:
        yield path, _error(ours, wanted)
    else:
        yield path, 0.0 if type(ours) is type(wanted) and ours == wanted else math.inf


def _error(ours: float, wanted: float) -> float:
    if ours == wanted or (math.isnan(ours) and math.isnan(wanted)):
        return 0.0
    error = abs(ours - wanted) / max(1.0, abs(wanted))
    return error if math.isfinite(error) else math.inf
