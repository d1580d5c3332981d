"""Code sessions: a namespace that outlives its programs."""

from __future__ import annotations

import pytest

from ponder.verifiers.code_session import CodeSession
from ponder.verifiers.sandbox import Limits

pytestmark = pytest.mark.system("bubblewrap")


async def test_names_outlive_a_program_and_its_output_does_not() -> None:
    session = CodeSession()
    assert (await session.run("print('first'); x = 3")).stdout == "first\n"
    assert (await session.run("def f(y): return x + y")).stdout == ""
    assert (await session.run("print(f(1), __name__)")).stdout == "4 __main__\n"


async def test_names_set_before_an_error_stay() -> None:
    session = CodeSession()
    assert (await session.run("y = 1\nraise SystemExit(3)")).status == "error"
    assert (await session.run("z = y + 1\n1 / 0")).problem == "ZeroDivisionError: division by zero"
    assert (await session.run("print(y, z)")).stdout == "1 2\n"


async def test_no_name_is_ours() -> None:
    session = CodeSession()
    await session.run("text = 'a'; io = 1")
    await session.run("earlier = sorted(name for name in globals() if not name.startswith('__'))")
    assert (await session.run("print(text, io, earlier)")).stdout == "a 1 ['io', 'text']\n"


async def test_sessions_do_not_share() -> None:
    first, second = CodeSession(), CodeSession()
    await first.run("x = 1")
    assert (await second.run("print(x)")).problem == "NameError: name 'x' is not defined"


async def test_endless_program_is_told_and_not_run_again() -> None:
    session = CodeSession(limits=Limits(seconds=10.0, cpu_seconds=1))
    await session.run("x = 1")
    assert (await session.run("while True: pass")).problem == "timeout"
    assert (await session.run("print(x)")).stdout == "1\n"
    assert session.earlier == ["x = 1", "print(x)"]
