"""A method on a model under one name, as harnesses that only know models see it: "best_of_n@llamacpp:smollm2".

Source: our own. Cost: the method's. Needs: what method and model need.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ponder.core import registry
from ponder.core.budget import Budget
from ponder.core.context import check_verifier
from ponder.core.errors import ConfigError
from ponder.core.registry import configure

__all__ = ["MethodModel"]

EMBEDDED = "embedded:smollm2"  # what "METHOD@embedded" stands for
_VERIFIER, _MODEL = "verifier_", "model_"


@dataclass(frozen=True, kw_only=True)
class MethodModel:
    """What answers.

    Attributes:
        method: registered name, with its
        settings.
        model: spelling of the policy, with the
        options of its back-end.
        verifier: registered name, or None, with its
        judging settings.
        roles: spelling of further models by role ("judge", ...).
        budget: hard limits of one answer, or None.
        answer: type of the answers: what can be extracted from a text and compared.
        store: file of the response store, or "".
    """

    method: str
    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    verifier: str | None = None
    judging: Mapping[str, Any] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)
    budget: Budget | None = None
    answer: str = "text"
    store: str = ""

    @classmethod
    def read(cls, name: str, arguments: Mapping[str, Any]) -> MethodModel:
        """Read a name and the arguments that go with it.

        Args:
            name: "METHOD@MODEL", with MODEL as for `ponder.load`, or "embedded" for SmolLM2.
            arguments: `verifier`, `judge` (a model), `budget` ("tokens=4000,seconds=60"), `answer`, `store`;
                `verifier_KEY` and `model_KEY` are settings of the verifier and options of the back-end, and all
                others settings of the method.

        Raises:
            ConfigError: an unknown name or setting, or things that do not fit together; nothing was opened.
        """
        method, at, model = name.partition("@")
        if not at or not method or not model:
            raise ConfigError(f"cannot read {name!r}; write METHOD@MODEL, as in best_of_n@embedded")
        left = dict(arguments)
        budget = left.pop("budget", None)
        judge = left.pop("judge", None)
        verifier = left.pop("verifier", None)
        answer, store = str(left.pop("answer", "text")), str(left.pop("store", ""))
        options = _taken(left, _MODEL)
        judging = _taken(left, _VERIFIER)
        registry.answer_types.get(answer)
        entry = registry.strategies.get(method)
        settings = _configured(entry, left)
        made = entry.make(**settings)
        judge_made = None
        if verifier is not None:
            rule = registry.verifiers.get(str(verifier))
            judging = _configured(rule, judging)
            judge_made = rule.make(**judging)
        elif judging:
            raise ConfigError(f"{', '.join(_VERIFIER + key for key in judging)} go with verifier=NAME")
        check_verifier(entry, made, judge_made)
        return cls(
            method=method,
            model=EMBEDDED if model == "embedded" else model,
            settings=settings,
            options=options,
            verifier=None if verifier is None else str(verifier),
            judging=judging,
            roles={} if judge is None else {"judge": str(judge)},
            budget=None if budget is None else _budget(budget),
            answer=answer,
            store=store,
        )


def _taken(arguments: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Take the arguments with a prefix out, and return them without it."""
    return {key.removeprefix(prefix): arguments.pop(key) for key in list(arguments) if key.startswith(prefix)}


def _configured(entry: registry.Entry, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with those that came as text read as their types."""
    texts = {key: value for key, value in given.items() if isinstance(value, str)}
    return {**given, **configure(entry, texts)}


def _budget(given: Any) -> Budget:
    """Read "tokens=4000,seconds=60"; harnesses split texts at commas, and read objects."""
    if isinstance(given, Mapping):
        return Budget.parse(",".join(f"{unit}={limit}" for unit, limit in given.items()))
    if isinstance(given, list | tuple):
        return Budget.parse(",".join(map(str, given)))
    return Budget.parse(str(given))
