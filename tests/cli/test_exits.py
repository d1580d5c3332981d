"""Exit codes: the table, and that the help shows it."""

from __future__ import annotations

import typing

import pytest

from ponder.cli import exits
from ponder.core.errors import BadInput, ConfigError, EndpointDown, PonderError, Stopped
from tests.cli.command import Command


@pytest.mark.parametrize(
    ("stopped", "code"),
    [
        ("done", 0),
        ("agreement", 0),
        ("budget", 0),
        ("deadline", 3),
        ("endpoint", 4),
        ("overrun", 5),
        ("cancelled", 130),
    ],
)
def test_runs_have_documented_codes(stopped: Stopped, code: int) -> None:
    assert exits.of_run(stopped, answered=True) == code
    assert exits.of_run(stopped, answered=False) == (code or 1)


def test_every_reason_to_stop_has_a_code() -> None:
    assert set(exits.CODES) == set(typing.get_args(Stopped))


@pytest.mark.parametrize(("error", "code"), [(ConfigError("a"), 2), (BadInput("a"), 2), (EndpointDown("a"), 4)])
def test_errors_have_documented_codes(error: PonderError, code: int) -> None:
    assert exits.of_error(error) == code


def test_help_shows_every_code(ponder: Command) -> None:
    said = ponder("solve", "--help").out
    assert all(line.strip() in said for line in exits.explain().splitlines())
    assert {int(line.split()[0]) for line in exits.explain().splitlines()} >= {*exits.CODES.values(), 1, 2}
