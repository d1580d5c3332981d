from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from ponder.core import registry
from ponder.core.errors import ConfigError, MissingExtra, UnknownName
from ponder.core.registry import Registry, configure, need, parameters


@dataclass(frozen=True, kw_only=True)
class Toy:
    """A component."""

    n: int = 4
    mode: Literal["a", "b"] = "a"
    share: float | None = None
    on: bool = False

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ConfigError("n must be at least 1")


def filled() -> Registry[type]:
    kind: Registry[type] = Registry("toy")
    kind("toy_method", card=4, needs=("verifier",), since="0.1")(Toy)
    return kind


def test_entry_carries_the_metadata() -> None:
    entry = filled().get("toy_method")
    assert (entry.cls, entry.card, entry.needs, entry.kind) == (Toy, (4,), ("verifier",), "toy")
    assert entry.make(n=2) == Toy(n=2)


def test_unknown_name_lists_near_matches() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'toy_method'"):
        filled().get("toy_methd")
    with pytest.raises(UnknownName, match="There are: toy_method"):
        filled().get("zzz")


def test_name_is_taken_once_but_a_reload_is_harmless() -> None:
    kind = filled()
    kind("toy_method")(Toy)

    class Other:
        pass

    with pytest.raises(ConfigError, match="registered twice"):
        kind("toy_method")(Other)


def test_wrong_settings_are_named() -> None:
    entry = filled().get("toy_method")
    with pytest.raises(ConfigError, match="Did you mean 'mode'"):
        entry.make(mod="a")
    with pytest.raises(ConfigError, match="at least 1"):
        entry.make(n=0)


def test_text_settings_are_read_by_type_and_round_trip() -> None:
    entry = filled().get("toy_method")
    values = configure(entry, {"n": "7", "mode": "b", "share": "0.5", "on": "true"})
    assert entry.make(**values) == Toy(n=7, mode="b", share=0.5, on=True)
    assert entry.make(**parameters(Toy(n=7))) == Toy(n=7)
    assert configure(entry, {"share": "none"}) == {"share": None}


@pytest.mark.parametrize("settings", [{"n": "many"}, {"mode": "c"}, {"on": "perhaps"}, {"size": "1"}])
def test_text_that_is_no_value_is_refused(settings: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        configure(filled().get("toy_method"), settings)


def test_need_says_how_to_install() -> None:
    with pytest.raises(MissingExtra, match=r"pip install 'ponder\[nothing\]'"):
        need("a_module_that_is_not_there", extra="nothing", feature="this test")


def test_every_kind_discovers_its_rooms() -> None:
    for kind, found in registry.registries().items():
        assert found.names(), kind
        for entry in found.entries():
            assert entry.summary, entry.name
