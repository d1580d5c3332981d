"""The catalogue of the 65 papers: which of them work here, shown by tests, and which are planned.

Source: our own. `papers.json` says what each paper's row needs, `state.json` what the tests of each component said.
`make catalogue` writes the latter from a test run and a stale file fails `make test`, so nobody declares a paper done.
Cost: two small files and one walk over the registries. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal

from ponder.core.registry import Entry, Fidelity, registries

__all__ = ["Outcome", "Paper", "Row", "State", "component_key", "papers", "rows", "shipped_state"]

Outcome = Literal["passed", "failed", "skipped", "missing"]


@dataclass(frozen=True, kw_only=True)
class Paper:
    """What the package holds against one paper.

    Attributes:
        card: its number, 1 to 65.
        name: the name it goes by.
        title: the rest of its title.
        arxiv: identifier.
        year: of the first version.
        fidelity: how we know the method: from the "paper", from the authors' "code", or "reconstructed" from abstracts
            and notes.
        components: what must be registered for this card and pass its tests, as "kind/name"; none: still planned.
        taxonomy: where the survey (card 63) puts it, by axis; labels of rows that the survey does not hold are ours.
    """

    card: int
    name: str
    title: str
    arxiv: str
    year: int
    fidelity: Fidelity
    components: tuple[str, ...]
    taxonomy: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class State:
    """What a test run said.

    Attributes:
        components: by "kind/name": the outcome of the "conformance" suite and of its own "tests", where there are any.
        parity: by card: the outcome of its parity tests; a card without fixtures is absent.
    """

    components: Mapping[str, Mapping[str, Outcome]]
    parity: Mapping[int, Outcome]

    @classmethod
    def from_json(cls, text: str) -> State:
        """Read what `to_json` wrote."""
        data = json.loads(text)
        return cls(components=data["components"], parity={int(card): said for card, said in data["parity"].items()})

    def to_json(self) -> str:
        """Return a text that is the same for the same state: sorted, without times or machines."""
        parity = {f"{card:02}": said for card, said in sorted(self.parity.items())}
        components = {key: dict(sorted(said.items())) for key, said in sorted(self.components.items())}
        return json.dumps({"schema": 1, "components": components, "parity": parity}, indent=1) + "\n"

    def supports(self, paper: Paper, registered: Iterable[str]) -> bool:
        """Return whether `paper` works: all it needs is among `registered`, and every test of it passed."""
        there = set(registered)
        return (
            bool(paper.components)
            and all(key in there and self._passed(key) for key in paper.components)
            and self.parity.get(paper.card, "passed") == "passed"
        )

    def _passed(self, key: str) -> bool:
        said = self.components.get(key, {})
        return said.get("conformance") == said.get("tests") == "passed"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of `ponder methods --papers`.

    Attributes:
        paper: what the line is about.
        state: "works" or "planned".
        components: names of the registered components that carry this card, sorted.
    """

    paper: Paper
    state: Literal["works", "planned"]
    components: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the line as `ponder methods --papers --json` prints it."""
        return {
            "card": self.paper.card,
            "name": self.paper.name,
            "state": self.state,
            "fidelity": self.paper.fidelity,
            "components": list(self.components),
        }


def component_key(entry: Entry) -> str:
    """Return "kind/name": names are unique within a kind only."""
    return f"{entry.kind}/{entry.name}"


def papers() -> list[Paper]:
    """Return the 65 papers in the order of their cards."""
    found = []
    for item in json.loads(_read("papers.json")):
        taxonomy = {axis: tuple(words) for axis, words in item["taxonomy"].items()}
        found.append(Paper(**{**item, "components": tuple(item["components"]), "taxonomy": taxonomy}))
    return found


def shipped_state() -> State:
    """Return the state that came with this version."""
    return State.from_json(_read("state.json"))


def rows(state: State | None = None) -> list[Row]:
    """Return the 65 lines of the catalogue.

    Args:
        state: a test run's outcome; by default the one shipped.
    """
    state = shipped_state() if state is None else state
    entries = [entry for registry in registries().values() for entry in registry.entries()]
    lines = []
    for paper in papers():
        ours = [entry for entry in entries if paper.card in entry.card]
        works = state.supports(paper, map(component_key, ours))
        names = tuple(sorted({entry.name for entry in ours}))
        lines.append(Row(paper=paper, state="works" if works else "planned", components=names))
    return lines


def _read(name: str) -> str:
    return files("ponder.core").joinpath(name).read_text(encoding="utf-8")
