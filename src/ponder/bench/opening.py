"""How a job's models are opened: the spelling, and what the command line adds to it; a value that can be sent away.

Source: our own. Cost: no model call. Needs: the back-end's extra.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ponder.core.errors import ConfigError
from ponder.core.model import Model
from ponder.core.solve import load

__all__ = ["Opener"]


@dataclass(frozen=True, kw_only=True)
class Opener:
    """Opens models by their spelling.

    Attributes:
        options: of the back-end, for every model that is not in `endpoints`.
        endpoints: TOML file of named endpoints, or "".
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    endpoints: str = ""

    def __call__(self, spec: str) -> Model:
        """Open a model.

        Raises:
            ConfigError: no such back-end or endpoint, or options that it does not have.
            MissingExtra: the back-end's extra is not installed.
            BadInput: a file is missing or broken.
        """
        if self.endpoints:
            from ponder.models.endpoints import read

            named = read(self.endpoints)
            if spec in named:
                return named[spec].open()
            if ":" not in spec:
                raise ConfigError(f"{self.endpoints} has no endpoint {spec!r}; there are: {', '.join(named)}")
        return load(spec, **self.options)
