"""Which extras are installed, what each adds, and how to install it: read from the package's metadata."""

from __future__ import annotations

import importlib.metadata
import re
from dataclasses import dataclass

__all__ = ["Extra", "extras"]

_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)(.*?);\s*extra\s*==\s*['\"]([^'\"]+)['\"]")
_BUNDLES = ("all", "dev")


@dataclass(frozen=True, kw_only=True)
class Extra:
    """One extra.

    Attributes:
        name: as in `pip install 'ponder[NAME]'`.
        packages: what it installs.
        missing: those of them that are not here.
        adds: the components that need it, as "kind name".
    """

    name: str
    packages: tuple[str, ...]
    missing: tuple[str, ...]
    adds: tuple[str, ...]

    @property
    def install(self) -> str:
        """The line that installs it."""
        return f"pip install 'ponder[{self.name}]'"


def extras() -> dict[str, Extra]:
    """Return the extras by name; those that only bundle others are left out."""
    from ponder.core.registry import registries

    packages: dict[str, list[str]] = {}
    for line in importlib.metadata.requires("ponder") or ():
        if (found := _REQUIREMENT.match(line)) and found[3] not in _BUNDLES:
            packages.setdefault(found[3], []).append(found[1])
    adds: dict[str, list[str]] = {}
    for registry in registries().values():
        for entry in registry.entries():
            for need in entry.needs:
                adds.setdefault(need, []).append(f"{entry.kind} {entry.name}")
    return {
        name: Extra(
            name=name,
            packages=tuple(needed),
            missing=tuple(package for package in needed if not _installed(package)),
            adds=tuple(adds.get(name, ())),
        )
        for name, needed in packages.items()
    }


def _installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
