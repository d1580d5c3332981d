"""Test data that a user brings as arrays: read from a file, and checked against the model before anything runs.

Source: our own. Pictures of whole numbers 0 to 255 are divided by 255, and other floats become those of the model, one
batch at a time, so that the file's own size is all that is held.
Cost: reading, one look at every number, and one pass of the model over two samples. Needs: the extra `torch`; numpy.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ponder.core.errors import BadInput, PonderError
from ponder.core.registry import need
from ponder.engines.online_calls import predict_with
from ponder.tasks.streams import Domain

__all__ = ["Arrays", "check_fit", "read_arrays"]

_READ = ("x", "y", "domain", "clean_x", "clean_y", "source_x", "source_y")
_ROWS = 64  # of a batch of clean or source data
_CHANNELS = (1, 3, 4)


@dataclass(frozen=True, kw_only=True)
class Arrays:
    """What a file holds.

    Attributes:
        domains: in the order in which they first come.
        clean, source: batches (x, y); may be empty.
        recorded: (domain, row) of each sample, in the order of the file.
        facts: what was done to them, for people.
    """

    domains: tuple[Domain, ...]
    clean: tuple[tuple[Any, Any], ...]
    source: tuple[tuple[Any, Any], ...]
    recorded: tuple[tuple[int, int], ...]
    facts: tuple[str, ...]


def read_arrays(file: Path, model: Any = None) -> Arrays:
    """Read x (N, ...), y (N,) and, where there are any, domain (N,), clean_x, clean_y, source_x, source_y.

    Args:
        file: as `numpy.savez` writes it.
        model: inputs get the type of its first floating parameter.

    Raises:
        BadInput: what cannot be read, arrays that do not fit together, inputs that are not finite.
    """
    np = need("numpy", extra="bench", feature="data from a file")
    torch = need("torch", extra="torch", feature="adaptation at test time")
    held = _load(np, file)
    want = next((p.dtype for p in getattr(model, "parameters", list)() if p.is_floating_point()), torch.float32)
    for part in ("", "clean_", "source_"):
        _check(np, file, held, part)

    def inputs(name: str, rows: Any = slice(None)) -> Any:
        x = torch.from_numpy(held[name][rows])
        return x if x.dtype == want or (not x.is_floating_point() and x.dtype != torch.uint8) else _Read(x, want)

    def labels(name: str, rows: Any = slice(None)) -> Any:
        return torch.from_numpy(held[name][rows].astype("int64"))

    def batches(part: str) -> tuple[tuple[Any, Any], ...]:
        if f"{part}_x" not in held:
            return ()
        x, y = inputs(f"{part}_x"), labels(f"{part}_y")
        places = [list(range(at, min(at + _ROWS, len(y)))) for at in range(0, len(y), _ROWS)]
        return tuple((x[rows], y[rows]) for rows in places)

    names = held.get("domain", np.array(["test"] * len(held["y"]))).astype(str)
    domains = []
    recorded = [(0, 0)] * len(names)
    for at, name in enumerate(dict.fromkeys(names.tolist())):
        rows = np.flatnonzero(names == name)
        for row, place in enumerate(rows.tolist()):
            recorded[place] = at, row
        whole = slice(int(rows[0]), int(rows[-1]) + 1)  # neighbours are not copied
        chosen = whole if len(rows) == whole.stop - whole.start else rows
        domains.append(Domain(name=name, x=inputs("x", chosen), y=labels("y", chosen)))
    facts = [f"{len(names):,} samples of {file.name}"]
    if any(held[name].dtype == np.uint8 for name in ("x", "clean_x", "source_x") if name in held):
        facts.append("whole numbers 0 to 255 divided by 255, and not normalised further")
    if unread := sorted(held.keys() - set(_READ)):
        facts.append(f"not read from the file: {', '.join(unread)} (read are {', '.join(_READ)})")
    return Arrays(
        domains=tuple(domains),
        clean=batches("clean"),
        source=batches("source"),
        recorded=tuple(recorded),
        facts=tuple(facts),
    )


def check_fit(model: Any, domains: Sequence[Domain], *others: Sequence[tuple[Any, Any]], device: Any = None) -> None:
    """Let the model predict two samples, and look whether every label is one of its classes.

    Args:
        model: in evaluation mode; it is not changed.
        domains: the first one's first samples are predicted.
        others: batches (x, y) whose labels are looked at too.
        device: where the model is.

    Raises:
        BadInput: the model cannot take the inputs, returns no logits, or has fewer classes than there are labels.
    """
    import torch

    x = domains[0].x[[0, min(1, len(domains[0].y) - 1)]]
    shape = tuple(getattr(x, "shape", ()))
    try:
        with torch.no_grad():
            logits = predict_with(model, x if device is None or not hasattr(x, "to") else x.to(device))
    except PonderError:
        raise
    except Exception as err:  # whatever a user's model may raise
        said = " ".join(str(err).split())[:200]
        looks = len(shape) == 4 and shape[-1] in _CHANNELS and shape[1] not in _CHANNELS
        last = "pictures are (N, channels, height, width), these look like channels last: transpose by (0, 3, 1, 2)"
        hint = last if looks else "give x as the model takes it"
        kind = str(getattr(x, "dtype", type(x).__name__)).removeprefix("torch.")
        raise BadInput(f"the model cannot take a batch {shape} of {kind} ({said}): {hint}") from err
    classes = logits.shape[1]
    named = [(f"domain {domain.name!r}", domain.y) for domain in domains]
    named += [("the clean or source data", y) for batches in others for _, y in batches]
    for where, y in named:
        known = torch.as_tensor(y)
        low, high = int(known.min()), int(known.max())
        if low < 0 or high >= classes:
            raise BadInput(
                f"labels of {where} go from {low} to {high}, but the model has classes 0 to {classes - 1}: "
                "drop samples without a label, and number classes as the model does"
            )


class _Read:
    """Inputs that become the model's floats when rows are taken; a slice stays as it is stored."""

    def __init__(self, x: Any, want: Any) -> None:
        self._x, self._want = x, want

    def __len__(self) -> int:
        return len(self._x)

    def __getitem__(self, rows: Any) -> Any:
        part = self._x[rows]
        if isinstance(rows, slice):
            return _Read(part, self._want)
        return part.to(self._want) if part.is_floating_point() else part.to(self._want) / 255


def _load(np: Any, file: Path) -> dict[str, Any]:
    """Return the arrays by name."""
    try:
        with file.open("rb") as open_file:  # numpy leaves a torn one open
            found = np.load(open_file, allow_pickle=False)
            if hasattr(found, "files"):
                held = {name: found[name] for name in found.files}
                # bytes the other way round, as some instruments write them, are nothing that torch reads
                return {name: array.astype(array.dtype.newbyteorder("="), copy=False) for name, array in held.items()}
    except MemoryError as err:
        raise BadInput(f"{str(file)!r} does not fit into memory: give fewer samples") from err
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as err:
        why = "it holds objects; save names as an array of str" if "Object arrays" in str(err) else _plain(err)
        raise BadInput(f"cannot read {str(file)!r} as arrays (numpy.savez): {why}") from err
    raise BadInput(f"{str(file)!r} holds one array without a name: write numpy.savez(FILE, x=..., y=...)")


def _plain(err: Exception) -> str:
    """Return why a file cannot be read; what numpy says of a file of no known kind is advice to open it unsafely."""
    return "it is not such a file" if "pickle" in str(err) else getattr(err, "strerror", None) or str(err)


def _check(np: Any, file: Path, held: Mapping[str, Any], part: str) -> None:
    """Look at the inputs and labels of one part."""
    xs, ys = f"{part}x", f"{part}y"
    if part and xs not in held and ys not in held:
        return
    if xs not in held or ys not in held:
        raise BadInput(f"{str(file)!r} needs arrays {xs} and {ys}, and has no {xs if xs not in held else ys}")
    x, y = held[xs], held[ys]
    if x.ndim < 1 or y.ndim != 1 or len(x) != len(y) or not len(y):
        raise BadInput(
            f"{str(file)!r} needs {xs} (N, ...) and {ys} (N,), a class for each sample, N at least 1: "
            f"got {x.shape} and {y.shape}"
        )
    if y.dtype.kind not in "iufb" or not np.array_equal(y, np.floor(y)):
        raise BadInput(f"{ys} of {str(file)!r} holds classes as whole numbers 0, 1, ...: got {y.dtype}")
    if x.dtype.kind not in "iufb":
        raise BadInput(f"{xs} of {str(file)!r} must hold numbers, got {x.dtype}")
    if x.dtype.kind == "f":
        bad = [row for row in range(len(x)) if not np.isfinite(x[row]).all()]  # by row: no copy of all
        if bad:
            raise BadInput(
                f"{xs} of {str(file)!r} is not finite in {len(bad)} of {len(x)} samples, the first is row {bad[0]}: "
                "drop or fill them"
            )
    if not part and "domain" in held and held["domain"].shape != y.shape:
        raise BadInput(f"{str(file)!r} has {len(y)} samples and domains of shape {held['domain'].shape}: give one each")
