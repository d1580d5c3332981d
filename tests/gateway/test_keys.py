"""Keys: random, hashed, compared without a hint, never shown."""

from __future__ import annotations

import hmac
import json
import logging
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from ponder.cli.main import app
from ponder.gateway.keys import ANYONE, HASH, authenticate, hash_key, make_key
from ponder.gateway.settings import Key, Settings
from ponder.gateway.settings_file import load_settings

SECRETS = [make_key() for _ in range(3)]
SETTINGS = Settings(keys=tuple(Key(name=f"k{i}", hash=hash_key(secret)) for i, secret in enumerate(SECRETS)))


def test_the_hash_is_sha256_of_the_key() -> None:
    # FIPS 180-2, appendix B.1: the digest of "abc".
    assert hash_key("abc") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_keys_are_long_and_never_the_same() -> None:
    made = {make_key() for _ in range(200)}
    assert len(made) == 200
    assert all(re.fullmatch(r"ponder-[A-Za-z0-9_-]{43}", key) for key in made)
    assert all(HASH.fullmatch(hash_key(key)) for key in made)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "  Bearer  "])
def test_each_key_is_recognised(scheme: str) -> None:
    found = [authenticate(f"{scheme} {secret}", SETTINGS) for secret in SECRETS]
    assert [key.name for key in found if key is not None] == ["k0", "k1", "k2"]


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        SECRETS[0],
        f"Basic {SECRETS[0]}",
        f"Bearer {SECRETS[0]}x",
        f"Bearer {SECRETS[0][:-1]}",
        f"Bearer {hash_key(SECRETS[0])}",
        "Bearer \udcff",
        "Bearer " + "x" * 10**6,
    ],
    ids=["none", "empty", "scheme", "blank", "bare", "basic", "longer", "shorter", "hash", "odd", "huge"],
)
def test_anything_else_is_nobody(header: str | None) -> None:
    assert authenticate(header, SETTINGS) is None


@given(st.text())
def test_no_text_is_a_key_or_an_error(text: str) -> None:
    assert authenticate(f"Bearer {text}", SETTINGS) is None


def test_without_keys_everyone_may_call() -> None:
    assert authenticate(None, Settings()) is ANYONE
    assert authenticate("Bearer whatever", Settings()) is ANYONE


@pytest.mark.parametrize("secret", [*SECRETS, "wrong", ""], ids=["first", "second", "third", "wrong", "empty"])
def test_every_hash_is_compared_whichever_matches(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []
    real = hmac.compare_digest

    def spy(left: Any, right: Any) -> bool:
        compared.append((len(left), len(right)))
        return real(left, right)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    authenticate(f"Bearer {secret}", SETTINGS)
    assert compared == [(71, 71)] * 3  # equal lengths: how long it takes does not depend on the content


def test_nothing_is_logged_or_shown(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        key = authenticate(f"Bearer {SECRETS[0]}", SETTINGS)
        authenticate("Bearer wrong-secret", SETTINGS)
    assert caplog.text == ""
    assert SECRETS[0] not in repr(SETTINGS) + repr(key)
    assert hash_key(SECRETS[0]) not in repr(SETTINGS) + repr(key)


def test_the_command_prints_a_key_and_lines_that_fit_the_settings_file(tmp_path: Path) -> None:
    run = CliRunner().invoke(app, ["keys", "alice"])
    assert run.exit_code == 0
    secret, _, table = run.stdout.partition("\n")
    assert tomllib.loads(table) == {"keys": {"alice": {"hash": hash_key(secret)}}}
    assert secret not in table
    file = tmp_path / "ponder.toml"
    file.write_text(f"[upstreams.x]\nspec = 'scripted:x'\n{table}")
    found = authenticate(f"Bearer {secret}", load_settings(file))
    assert found is not None
    assert found.name == "alice"


def test_the_command_gives_json() -> None:
    body = json.loads(CliRunner().invoke(app, ["keys", "bob", "--json"]).stdout)
    assert body == {"name": "bob", "key": body["key"], "hash": hash_key(body["key"])}


@pytest.mark.parametrize("name", ["", "a b", "a.b", "x" * 65, "é", "a]\nhash = 'x'"])
def test_the_command_refuses_names_that_are_no_toml_key(name: str) -> None:
    run = CliRunner().invoke(app, ["keys", name])
    assert run.exit_code != 0
    assert "ponder-" not in run.stdout
