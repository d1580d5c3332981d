"""A real Chromium on the page of a gateway in the test's own loop; what the browser complains about is collected.

Pictures go to `.artefacts/web` (PONDER_ARTEFACTS names another folder); git does not keep them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from ponder.bench.runner import run_job
from ponder.core.model import Model, ModelInfo, Request
from ponder.core.registry import models
from ponder.gateway.settings import Server, Settings, Traces, Upstream
from ponder.models.scripted import ScriptedModel
from ponder.planning.policy import Choice, Known, Policy
from tests.bench.job_worlds import job, small
from tests.gateway.house import Address, serving

__all__ = [
    "ARTEFACTS",
    "EVIL",
    "Seen",
    "browsing",
    "grader",
    "house",
    "judge",
    "policy",
    "recorded_bench",
    "solver",
    "thinker",
]

EVIL = '<script>window.evil = 1</script><img src=x onerror="window.evil = 2">'
ARTEFACTS = Path(os.environ.get("PONDER_ARTEFACTS", Path(__file__).parents[2] / ".artefacts")) / "web"
CHROMIUM = shutil.which("chromium")
FINGERPRINT = "scripted:page"


def _solve(request: Request, number: int) -> str:
    texts = (
        "17 times 24 is 340 + 68, so the answer is 408",
        f"I would say {EVIL} and the answer is 398",
        "17 * 20 = 340 and 17 * 4 = 68. The answer is 408",
        "The answer is 41",
    )
    return texts[number % len(texts)]


def _think(request: Request, number: int) -> str:
    if request.prefix and request.prefix.count("\n") >= 2:
        return f"so it is \\boxed{{{400 + 4 * (number % 3)}}}"
    return f"thought {number} of many words, one after another\n"


def _grade(request: Request, number: int) -> str:
    return f"Score: {1 + number % 9}"


def _judge(request: Request, number: int) -> str:
    text = request.messages[-1].text
    return "Score: 9" if "408" in text else "Score: 2\nThe sum is wrong: " + EVIL


def solver(**options: Any) -> ScriptedModel:
    info = ModelInfo(fingerprint=FINGERPRINT, vocabulary=100)
    return ScriptedModel(replies=_solve, stream=True, name="m", info=info, **{"latency": 0.15, **options})


def judge() -> ScriptedModel:
    return ScriptedModel(replies=_judge, name="j", latency=0.05)


def thinker() -> ScriptedModel:
    """One that thinks step by step, for searches."""
    return ScriptedModel(replies=_think, name="m", info=ModelInfo(fingerprint=FINGERPRINT, vocabulary=100))


def grader() -> ScriptedModel:
    """A judge whose scores go up and down."""
    return ScriptedModel(replies=_grade, name="j")


def policy(n: int, fingerprint: str = FINGERPRINT) -> Policy:
    held = {
        "accuracy": [0.7, 0.6, 0.8],
        "cost": 300.0,
        "fixed": {"accuracy": 0.7, "cost": 600.0, "difference": [0.0, -0.1, 0.1], "ratio": [0.5, 0.4, 0.6]},
    }
    return Policy(
        models={"policy": Known(name="m", fingerprint=fingerprint)},
        otherwise=Choice(method="self_consistency", settings={"n": n}),
        evidence={"held_out": held, "questions": 40},
        created="2026-11-27",
    )


async def recorded_bench(folder: Path, *, count: int = 4) -> None:
    """Record a small bench with a scripted model into a folder."""
    await run_job(job(count=count), folder, opener=small)


def house(folder: Path, **more: Any) -> Settings:
    """Settings of a gateway with two models, traces, benches and a policy."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "runs").mkdir(exist_ok=True)
    policy(3).save(folder / "policy.json")
    server = more.pop("server", Server())
    return Settings(
        **{
            "upstreams": (
                Upstream(name="m", spec="scripted:x", max_concurrent=4),
                Upstream(name="j", spec="scripted:x"),
            ),
            "roles": {"judge": "j"},
            "traces": Traces(file=str(folder / "traces.sqlite")),
            "policy": str(folder / "policy.json"),
            "server": replace(server, benches=str(folder / "runs")),
            **more,
        }
    )


@dataclass
class Seen:
    """A page, where it is, and what the browser said against it."""

    page: Any
    at: Address
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    async def open(self, view: str = "") -> None:
        await self.page.goto(f"{self.at.url}/#/{view}")

    async def picture(self, name: str, *, whole: bool = True) -> None:
        ARTEFACTS.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=str(ARTEFACTS / f"{name}.png"), full_page=whole)

    async def overflow(self) -> int:
        """Pixels by which the page is wider than its window."""
        wide: int = await self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return wide

    def check(self) -> None:
        """Nothing was said in the console, no policy was broken, nothing was fetched from elsewhere."""
        assert self.complaints == []
        assert {url.split("/")[2] for url in self.asked} <= {self.at.url.split("/")[2]}


@asynccontextmanager
async def browsing(
    settings: Settings,
    found: Mapping[str, Model] | None = None,
    *,
    width: int = 1200,
    scheme: str = "light",
    expected: Sequence[str] = (),
) -> AsyncIterator[Seen]:
    """Serve, and open a browser on it.

    Args:
        settings: of the gateway.
        found: models by upstream.
        width: of the window, in pixels.
        scheme: "light" or "dark".
        expected: parts of console messages that may come.
    """
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    api = pytest.importorskip("playwright.async_api", reason="no Playwright here: pip install playwright")
    assert "scripted" in models.names()
    async with (
        serving(settings, {"m": solver(), "j": judge()} if found is None else found) as at,
        api.async_playwright() as tool,
    ):
        browser = await tool.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            page = await browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            page.set_default_timeout(30_000)
            seen = Seen(page, at)
            seen.page.on("pageerror", lambda err: seen.complaints.append(f"error: {err}"))
            seen.page.on("request", lambda request: seen.asked.append(request.url))

            def said(message: Any) -> None:
                if message.type in ("error", "warning") and not any(part in message.text for part in expected):
                    seen.complaints.append(f"{message.type}: {message.text}")

            seen.page.on("console", said)
            await page.add_init_script(
                "addEventListener('securitypolicyviolation', (e) => console.error('policy: ' + e.violatedDirective))"
            )
            yield seen
        finally:
            await browser.close()
