"""`ponder doctor`: what is installed, what is missing and how to get it, how fast this machine is right now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ponder.models._probe import Probe

__all__ = ["Finding", "doctor"]

_PROBE_SECONDS = 0.4
_TOKENS = 64
_BUSY = 0.85  # share of the cores below which neighbours are said to slow the machine
_PACKAGES = {
    "bubblewrap": ("bwrap", "the sandbox in which code is run"),
    "chromium": ("chromium", "tests of the report page"),
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the report.

    Attributes:
        section: what it is about.
        name: the thing.
        ok: whether it is as it should be; None where that is a matter of need.
        text: in words.
        fix: what to do about it, where there is something.
    """

    section: str
    name: str
    ok: bool | None
    text: str
    fix: str = ""


def doctor(
    endpoint: Annotated[
        str | None,
        typer.Option(metavar="URL#MODEL", help="Ask this OpenAI-compatible server what it can do, and nothing else."),
    ] = None,
    endpoints: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML file of endpoints; --endpoint is then a name in it.")
    ] = None,
    model_option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="An option of the endpoint, such as api_key_env=NAME; repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the installation and the machine. The embedded model, too.

    It says what each extra would add, and how fast the model answers here right now. It ends with exit code 1 where
    something that is installed does not work.
    """
    from ponder.cli.console import show_json
    from ponder.core.errors import ConfigError

    if endpoint is not None:
        from ponder.cli.inputs import model_options

        report = _ask(endpoint, endpoints, model_options(model_option or []))
        if as_json:
            show_json(report.to_json())
        else:
            _show_probe(report)
        return
    if endpoints is not None or model_option:
        raise ConfigError("--endpoints and --model-option go with --endpoint")
    found = _installed() + _machine() + _files() + _embedded()
    if as_json:
        show_json([asdict(finding) for finding in found])
    else:
        _show(found)
    if any(finding.ok is False for finding in found):
        raise typer.Exit(1)


def _show(found: list[Finding]) -> None:
    from rich.text import Text

    from ponder.cli.console import show, table

    marks = {True: Text("ok", style="green"), False: Text("bad", style="red"), None: Text("-", style="dim")}
    rows = table("", "", "", "")
    rows.show_header = False
    section = ""
    for finding in found:
        head = Text(finding.section if finding.section != section else "", style="bold")
        section = finding.section
        text = Text(finding.text)
        if finding.fix:
            text.append(f"\n→ {finding.fix}", style="cyan")
        rows.add_row(head, finding.name, marks[finding.ok], text)
    show(rows)


# -- installation ------------------------------------------------------------------------------------------------------


def _installed() -> list[Finding]:
    import platform

    from ponder._version import __version__
    from ponder.cli.extras import extras

    python = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    found = [Finding(section="ponder", name=__version__, ok=True, text=python)]
    for extra in extras().values():
        adds = ", ".join(extra.adds) or ", ".join(extra.packages)
        if extra.missing:
            text, fix, ok = f"not installed; would add: {adds}", extra.install, None
        else:
            text, fix, ok = adds, "", True
        found.append(Finding(section="extras", name=extra.name, ok=ok, text=text, fix=fix))
    return found


def _files() -> list[Finding]:
    import shutil
    import tempfile

    from ponder.models.convert import cache_directory

    found = []
    for package, (program, use) in _PACKAGES.items():
        path = shutil.which(program)
        fix = "" if path else f"apt-get install {package}"
        found.append(
            Finding(section="Debian", name=package, ok=True if path else None, text=path or f"for {use}", fix=fix)
        )
    cache = cache_directory()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache):
            pass
        free = f"{cache}, {shutil.disk_usage(cache).free / 1e9:.1f} GB free"
        found.append(Finding(section="cache", name="directory", ok=True, text=free))
    except OSError as err:
        text = f"{cache} cannot be written: {err.strerror or err}"
        fix = "set PONDER_CACHE to a directory that can be written"
        found.append(Finding(section="cache", name="directory", ok=False, text=text, fix=fix))
    return found


# -- the machine -------------------------------------------------------------------------------------------------------


def _machine() -> list[Finding]:
    import os

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = []
    if hasattr(os, "getloadavg"):
        load = os.getloadavg()[0]
        text = f"{load:.1f} over the last minute, {cores} cores"
        found.append(Finding(section="machine", name="load", ok=True if load <= cores else None, text=text))
    share = _share_of(cores)
    slowed = share < _BUSY
    text = f"a probe got {share:.0%} of {cores} cores" + (": other programs slow this one" if slowed else "")
    found.append(Finding(section="machine", name="speed", ok=None if slowed else True, text=text))
    return found


def _share_of(cores: int) -> float:
    """Compute on every core for a moment and return the share of the time that the system gave, in [0, 1]."""
    import hashlib
    import threading
    import time

    block = bytes(2**20)  # hashing it gives other threads their turn
    end = time.perf_counter() + _PROBE_SECONDS

    def compute() -> None:
        while time.perf_counter() < end:
            hashlib.sha256(block).digest()

    threads = [threading.Thread(target=compute) for _ in range(cores)]
    wall, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return min(1.0, cpu / (wall * cores))


# -- the embedded model ------------------------------------------------------------------------------------------------


def _embedded() -> list[Finding]:
    """Let the embedded model write a little, where it is installed."""
    from ponder.core.errors import MissingExtra, PonderError
    from ponder.models import fetch

    name = "smollm2"
    about: dict[str, Any] = {"section": "model", "name": name}
    try:
        fetch.path(name)
    except PonderError as err:
        return [Finding(**about, ok=None, text=str(err).partition(":")[0], fix=f"ponder models get {name}")]
    try:
        text = _speed(f"llamacpp:{name}")
    except MissingExtra as err:
        return [Finding(**about, ok=None, text="fetched; nothing here can run it", fix=str(err).rpartition(": ")[2])]
    except PonderError as err:
        return [Finding(**about, ok=False, text=f"does not answer: {err}")]
    return [Finding(**about, ok=True, text=text)]


def _speed(spec: str) -> str:
    """Return how fast a model opens and writes one answer."""
    import time

    from ponder.core.model import Sampling
    from ponder.core.result import Result
    from ponder.core.solve import load, solve

    async def write() -> tuple[float, Result]:
        begun = time.perf_counter()
        model = load(spec, slots=1)
        opened = time.perf_counter() - begun
        try:
            law = Sampling(max_tokens=_TOKENS)
            return opened, await solve("Tell a story of a ship.", model=model, method="greedy", sampling=law)
        finally:
            await model.close()

    opened, result = _run(write)
    tokens = result.cost.completion_tokens
    return (
        f"opens in {opened:.1f} s, answers: {tokens} tokens in {result.seconds:.1f} s,"
        f" {tokens / max(result.seconds, 1e-9):.0f} tokens/s in one stream"
    )


def _run(job: Callable[[], Any]) -> Any:
    import asyncio

    return asyncio.run(job())


# -- an endpoint -------------------------------------------------------------------------------------------------------


def _ask(endpoint: str, endpoints: Path | None, options: Mapping[str, Any]) -> Probe:
    from ponder.cli.inputs import open_model
    from ponder.core.errors import ConfigError
    from ponder.models.openai import OpenAI

    async def probe() -> Probe:
        spec = f"openai:{endpoint}" if endpoint.startswith(("http://", "https://")) else endpoint
        model = open_model(spec, options=options, endpoints=endpoints)
        try:
            if not isinstance(model, OpenAI):
                raise ConfigError(f"{endpoint!r} is no single OpenAI-compatible endpoint")
            return await model.probe()
        finally:
            await model.close()

    result: Probe = _run(probe)
    return result


def _show_probe(report: Probe) -> None:
    from ponder.cli.console import show, table

    rows = table("", "")
    rows.show_header = False
    rows.add_row("server", report.url)
    rows.add_row("kind", report.kind)
    rows.add_row("model", report.model)
    rows.add_row("first answer", f"{report.seconds:.2f} s")
    if report.models:
        rows.add_row("serves", ", ".join(report.models[:20]) + (" ..." if len(report.models) > 20 else ""))
    if report.template_tokens is not None:
        rows.add_row("chat template", f"{report.template_tokens} tokens")
    notes = table("access", "")
    for name, note in report.notes.items():
        notes.add_row(name, note)
    show(rows, "", notes)
