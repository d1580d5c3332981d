"""Recorded benches and policies for the page: what lies in the folder of the settings, reports, and activation.

A name from the page is looked up in what the folder lists, never put into a path. Reports are made one at a time and
kept until their rows change. A policy is activated by copying it over the one that the settings name; the
one before is kept beside it, so that it can be rolled back.
Source: our own; reports are those of `ponder.bench.run_report`.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from ponder.core.errors import BadInput, ConfigError
from ponder.gateway.errors import ApiError
from ponder.gateway.gateway import Gateway
from ponder.gateway.pages.reports import in_process
from ponder.planning.policy import Policy, load_policy, previous, roll_back

__all__ = ["Benches"]

_FOLDERS = 200
_KEPT = 8  # reports in memory
_DEPTH = 4  # folders between the root and a bench


class Benches:
    """The folder of benches of one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._reports: dict[tuple[str, float], dict[str, Any]] = {}
        self._one = asyncio.Lock()

    async def listed(self) -> dict[str, Any]:
        """Return benches and policies."""
        return await asyncio.to_thread(self._listed)

    async def report(self, name: str) -> dict[str, Any]:
        """Return a report.

        Raises:
            ApiError: 404; the rows cannot be read; a library is missing.
        """
        folder = _find(name, self._folders(), "bench")
        key = (name, (folder / "rows.jsonl").stat().st_mtime)
        async with self._one:
            if key not in self._reports:
                made = await in_process(folder)
                while len(self._reports) >= _KEPT:
                    self._reports.pop(next(iter(self._reports)))
                self._reports[key] = made
        return self._reports[key]

    def activate(self, name: str) -> dict[str, Any]:
        """Make a policy of the folder the one that `auto` follows.

        Raises:
            ApiError: 404, no policy is named in the settings, or it fits no model that is served.
        """
        target = self._target()
        policy = load_policy(_find(name, self._policies(), "policy"))
        fits, why = self._fits(policy)
        if not fits:
            raise ApiError(f"this policy fits no model here: {'; '.join(why)}", code="policy_unfit")
        policy.save(target)
        return self._active()

    def roll_back(self) -> dict[str, Any]:
        """Go back to the policy before.

        Raises:
            ApiError: no policy is named in the settings.
            BadInput: there is none before.
        """
        roll_back(self._target())
        return self._active()

    # -- what is there -------------------------------------------------------------------------------------------

    @property
    def _root(self) -> Path | None:
        folder = self._gateway.house.settings.server.benches
        return None if folder is None else Path(folder)

    def _target(self) -> Path:
        file = self._gateway.house.settings.policy
        if file is None:
            raise ApiError(
                "the settings name no policy: write `policy = FILE` into them, and that file can be changed here",
                code="no_policy",
            )
        return Path(file)

    def _listed(self) -> dict[str, Any]:
        root = self._root
        return {
            "folder": None if root is None else str(root),
            "benches": [_about(name, folder) for name, folder in self._folders().items()],
            "policies": [self._described(name, file) for name, file in self._policies().items()],
            "active": self._active(),
        }

    def _folders(self) -> dict[str, Path]:
        return {name: file.parent for name, file in self._files("rows.jsonl", parent=True).items()}

    def _policies(self) -> dict[str, Path]:
        return self._files("policy*.json", parent=False)

    def _files(self, pattern: str, *, parent: bool) -> dict[str, Path]:
        root, found = self._root, {}
        if root is None or not root.is_dir():
            return {}
        for depth in range(_DEPTH + 1):
            for file in sorted(root.glob("*/" * depth + pattern)):
                if file.resolve().is_relative_to(root.resolve()) and file.is_file():
                    at = (file.parent if parent else file).relative_to(root).as_posix()
                    found[at] = file
        return dict(sorted(found.items())[:_FOLDERS])

    def _described(self, name: str, file: Path) -> dict[str, Any]:
        try:
            policy = load_policy(file)
        except BadInput as err:
            return {"name": name, "error": str(err)}
        fits, why = self._fits(policy)
        return {"name": name, **_policy(policy), "fits": fits, "why": why}

    def _fits(self, policy: Policy) -> tuple[list[str], list[str]]:
        """Return the served models that a policy may steer, and what is wrong with the others."""
        lines = self._gateway.house.lines
        fits, why = [], []
        for name, line in lines.by_model.items():
            try:
                policy.check({**lines.by_role, "policy": line})
                fits.append(name)
            except (ConfigError, BadInput) as err:
                why.append(f"{name}: {err}")
        return fits, why

    def _active(self) -> dict[str, Any]:
        file = self._gateway.house.settings.policy
        if file is None:
            return {"file": None, "previous": False}
        try:
            said = _policy(load_policy(file))
        except BadInput as err:
            said = {"error": str(err)}
        return {"file": file, "previous": previous(file).exists(), **said}


def _find(name: str, among: dict[str, Path], what: str) -> Path:
    if name not in among:
        raise ApiError(f"no {what} is called {name[:100]!r}", status=404, code="not_found")
    return among[name]


def _about(name: str, folder: Path) -> dict[str, Any]:
    try:
        job = json.loads((folder / "job.json").read_text(encoding="utf-8")).get("job", {})
        models = [str(model) for model in job.get("models", ())]
        methods = sorted({str(method["method"]) for method in job.get("methods", ())})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        models, methods = [], []
    rows = folder / "rows.jsonl"
    with rows.open("rb") as file:
        count = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    return {"name": name, "models": models, "methods": methods, "runs": count, "changed": rows.stat().st_mtime}


def _policy(policy: Policy) -> dict[str, Any]:
    return {
        "models": {role: known.name for role, known in policy.models.items()},
        "objective": policy.objective,
        "budget": policy.budget,
        "unit": policy.unit,
        "probe": None if policy.probe is None else f"{policy.probe.n} samples by {policy.probe.estimator}",
        "otherwise": policy.otherwise.label,
        "table": {name: choice.label for name, choice in policy.table.items()},
        "held_out": policy.evidence.get("held_out"),
        "questions": policy.evidence.get("questions"),
        "created": policy.created,
    }
