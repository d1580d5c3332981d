"""A policy: what to run on a question, by its difficulty for the model, learned from recorded runs.

It is one readable JSON file with the evidence it rests on. It names the models it was measured with, and is refused on
any other: what pays depends on the model. Saving keeps the version before, so that a change can be rolled back.
Source: our own (DESIGN §6); choice by difficulty, Snell et al. 2024, arXiv:2408.03314 (card 04), and Liu et al. 2025,
arXiv:2502.06703 (card 13).
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ponder.core import registry
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Model
from ponder.planning.difficulty import UNKNOWN, Bins, Difficulty, Estimator, Evidence

__all__ = ["SCHEMA", "Choice", "Known", "Objective", "Policy", "Probe", "load_policy", "previous", "roll_back"]

SCHEMA = 1
Objective = Literal["accuracy", "cost"]

_NONE = object()
_ALL = Bins(edges=(), names=("all",))


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One thing to run.

    Attributes:
        method: registered name.
        settings: of the method.
        verifier: registered name, or "".
        judging: settings of the verifier.
        role: whose model answers.
    """

    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    verifier: str = ""
    judging: Mapping[str, Any] = field(default_factory=dict)
    role: str = "policy"

    @property
    def label(self) -> str:
        """The choice in one line: its size, and the settings that are not their defaults."""
        usual = registry.defaults(registry.strategies.get(self.method))
        said = {name: v for name, v in self.settings.items() if name == "n" or usual.get(name, _NONE) != v}
        inside = ", ".join(f"{name}={value}" for name, value in said.items())
        by = f" by {self.verifier}" if self.verifier else ""
        on = f" on {self.role}" if self.role != "policy" else ""
        return f"{self.method}({inside}){by}{on}"


@dataclass(frozen=True, kw_only=True)
class Probe:
    """The cheap look at a question that its difficulty is estimated from.

    Attributes:
        n: samples, >= 1.
        estimator: what they are read by; never "oracle".
        verifier: registered name, for the estimator "verifier".
        judging: its settings.
    """

    n: int
    estimator: Estimator = "agreement"
    verifier: str = ""
    judging: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ConfigError(f"a probe needs at least 1 sample, got {self.n!r}")
        if (self.estimator == "verifier") != bool(self.verifier):
            raise ConfigError("a probe names a verifier if, and only if, difficulty is estimated from its scores")
        if self.estimator == "oracle":
            raise ConfigError("a probe cannot see gold: its estimator is agreement, certainty or verifier")

    def value(self, evidence: Evidence) -> float | None:
        """Return the estimate of easiness (high is easy), or None."""
        return Difficulty(estimator=self.estimator).value(evidence.head(self.n))


@dataclass(frozen=True, kw_only=True)
class Known:
    """A model that a policy was measured with."""

    name: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What to run, by difficulty.

    Attributes:
        models: by role: those it was measured with.
        otherwise: the robust default: where nothing else is said, and for questions of unknown difficulty.
        probe: how difficulty is looked at; None where every question takes the default.
        bins: of difficulty.
        table: by name of a bin; a bin that is absent takes the default.
        objective: what it was learned for.
        budget: most expected cost of a question, in `unit`; None: no limit.
        unit: of costs: "tokens", "flops", "eflops" or "usd".
        evidence: what it rests on, for people: counts, intervals, held-out comparison, the table of all options.
        created: date of the fit.
        version: of ponder.
    """

    models: Mapping[str, Known]
    otherwise: Choice
    probe: Probe | None = None
    bins: Bins = _ALL
    table: Mapping[str, Choice] = field(default_factory=dict)
    objective: Objective = "accuracy"
    budget: float | None = None
    unit: str = "tokens"
    evidence: Mapping[str, Any] = field(default_factory=dict)
    created: str = ""
    version: str = ""

    def __post_init__(self) -> None:
        if unknown := set(self.table) - {*self.bins.names, UNKNOWN}:
            raise BadInput(f"the policy's table has bins that it does not define: {', '.join(sorted(unknown))}")
        if self.table and self.probe is None:
            raise BadInput("the policy chooses by difficulty but has no probe to estimate it")
        if missing := {choice.role for choice in self.choices} - set(self.models):
            raise BadInput(f"the policy names no model for the role {', '.join(sorted(missing))}")

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Everything that it may run, the default first."""
        return (self.otherwise, *self.table.values())

    def pick(self, evidence: Evidence | None) -> tuple[str, Choice]:
        """Return the bin of a question and what to run on it.

        Args:
            evidence: what the probe showed; None where there was none.
        """
        if self.probe is None or evidence is None:
            return "all", self.otherwise
        name = self.bins.of(self.probe.value(evidence))
        return name, self.table.get(name, self.otherwise)

    def check(self, models: Mapping[str, Model]) -> None:
        """Refuse other models than those that the policy was measured with, and components that are not there.

        Raises:
            ConfigError: naming what differs and what to do.
        """
        for role in sorted({choice.role for choice in self.choices}):
            known = self.models[role]
            if role not in models:
                raise ConfigError(f"the policy uses a model in the role {role!r} ({known.name}): give one")
            found = models[role].info.fingerprint
            if found != known.fingerprint:
                raise ConfigError(
                    f"the policy was measured with {known.name} ({known.fingerprint}), and the model here is"
                    f" {models[role].name} ({found}): run `ponder bench` and `ponder tune` with it"
                )
        for choice in self.choices:
            registry.strategies.get(choice.method).make(**choice.settings)
            if choice.verifier:
                registry.verifiers.get(choice.verifier).make(**choice.judging)

    def to_json(self) -> dict[str, Any]:
        """Return one JSON object with a schema version."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Policy:
        """Rebuild a policy from `to_json`.

        Raises:
            BadInput: another schema version, or no policy.
        """
        try:
            if data["schema"] != SCHEMA:
                raise BadInput(f"policy schema {data['schema']}, this ponder reads {SCHEMA}")
            fields = {name: value for name, value in data.items() if name != "schema"}
            bins = fields["bins"]
            return cls(
                **{
                    **fields,
                    "models": {role: Known(**known) for role, known in fields["models"].items()},
                    "otherwise": Choice(**fields["otherwise"]),
                    "probe": None if fields["probe"] is None else Probe(**fields["probe"]),
                    "bins": Bins(edges=tuple(bins["edges"]), names=tuple(bins["names"])),
                    "table": {name: Choice(**choice) for name, choice in fields["table"].items()},
                }
            )
        except (KeyError, TypeError, AttributeError) as err:
            raise BadInput(f"not a policy: {err!r}") from err

    def save(self, file: Path | str) -> None:
        """Write the policy; the file that was there before becomes FILE.previous.

        Raises:
            BadInput: it cannot be written.
        """
        path = Path(file)
        text = json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n"
        fresh = path.with_name(path.name + ".new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(text, encoding="utf-8")
            if path.exists():
                os.replace(path, previous(path))
            os.replace(fresh, path)
        except OSError as err:
            raise BadInput(f"cannot write the policy {str(path)!r}: {err.strerror or err}") from err


def load_policy(file: Path | str) -> Policy:
    """Read a policy.

    Raises:
        BadInput: it cannot be read, or is no policy.
    """
    try:
        data = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise BadInput(f"cannot read the policy {str(file)!r}: {err}") from err
    try:
        return Policy.from_json(data)
    except (BadInput, ConfigError) as err:
        raise BadInput(f"{file}: {err}") from err


def previous(file: Path | str) -> Path:
    """Return where the version before is kept."""
    path = Path(file)
    return path.with_name(path.name + ".previous")


def roll_back(file: Path | str) -> Policy:
    """Exchange a policy with the version before, and return the one that now holds.

    Raises:
        BadInput: there is no version before, or it cannot be read.
    """
    path, before = Path(file), previous(file)
    if not before.exists():
        raise BadInput(f"there is no version before {str(path)!r} to go back to")
    policy = load_policy(before)
    aside = path.with_name(path.name + ".new")
    if path.exists():
        os.replace(path, aside)
    os.replace(before, path)
    if aside.exists():
        os.replace(aside, before)
    return policy
