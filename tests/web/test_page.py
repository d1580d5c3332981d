"""The page in a real Chromium: a comparison, its trace, a branch that lost and why; every view; narrow, dark, keyed."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from ponder.gateway.keys import hash_key, make_key
from ponder.gateway.settings import Key
from ponder.planning.policy import load_policy
from tests.web.browser import EVIL, Seen, browsing, grader, house, judge, policy, recorded_bench, solver, thinker

pytestmark = [pytest.mark.slow, pytest.mark.system("chromium")]

VIEWS = ("playground", "traces", "traffic", "benches", "catalogue")


async def choose(seen: Seen, *ids: str) -> None:
    """Choose the methods of the columns, in their order."""
    columns = seen.page.locator(".column")
    await columns.first.wait_for()
    for at, name in enumerate(ids):
        await columns.nth(at).locator("select").first.select_option(name)


async def compare(seen: Seen) -> None:
    """Run best-of-4 by the judge beside a vote, and wait for both."""
    await seen.open("playground")
    await choose(seen, "best_of_n@m", "self_consistency@m")
    columns = seen.page.locator(".column")
    for at in range(2):
        await columns.nth(at).locator("details > summary").first.click()
        await columns.nth(at).get_by_label("n", exact=True).fill("4")
        await columns.nth(at).locator("details > summary").first.click()
    await seen.page.get_by_label("Prompt").fill("What is 17 × 24?")
    await seen.page.get_by_label("Answer type").select_option("number")
    await seen.page.get_by_role("button", name="Run", exact=True).click()


async def test_a_comparison_its_trace_and_why_a_branch_lost(tmp_path: Path) -> None:
    async with browsing(house(tmp_path)) as seen:
        page = seen.page
        await compare(seen)
        await page.locator(".column progress").first.wait_for()
        await page.locator(".column .progress", has_text=re.compile("[1-4] of 4 calls")).first.wait_for()
        await seen.picture("playground-running")
        traces = page.locator(".column a.trace")
        await traces.nth(1).wait_for()
        assert await traces.count() == 2
        first = page.locator(".column").first
        assert "408" in await first.locator(".answer").inner_text()
        assert await first.locator("details").count() == 5  # four candidates, and the settings
        said = await first.inner_text()
        assert "judge 9" in said
        assert "judge 2" in said
        assert "calls" in said
        await first.get_by_text("judge 2").first.click()
        assert EVIL in await first.locator("details[open] pre").first.inner_text()
        await seen.picture("playground-done")

        await traces.first.click()
        await page.get_by_role("tree").wait_for()
        assert await page.locator(".node.chosen").count() == 1
        losers = page.locator(".node.answer.lost")
        assert await losers.count() == 3
        await losers.nth(0).click()
        panel = page.locator(".node-panel")
        why = await panel.locator(".why").inner_text()
        assert "Why it lost" in why
        texts = []
        for at in range(3):
            await losers.nth(at).click()
            texts.append(await panel.inner_text())
        assert any("Its score is lower: judge 2, the chosen one judge 9." in text for text in texts)
        assert any("came out once of 4" in text for text in texts)
        assert any(EVIL in text for text in texts)
        assert all("tokens" in text and "time" in text for text in texts)
        await seen.picture("trace")

        # by keys alone: up and down walk, + zooms
        before = await page.locator("svg.tree").get_attribute("width")
        await page.keyboard.press("+")
        assert float(await page.locator("svg.tree").get_attribute("width")) > float(before)
        await page.keyboard.press("Home")
        assert await page.locator(".node[aria-selected=true]").get_attribute("aria-level") == "1"
        await page.keyboard.press("ArrowRight")
        assert await page.locator(".node[aria-selected=true]").get_attribute("aria-level") == "2"
        assert await page.evaluate("window.evil") is None
        seen.check()


async def test_a_search_shows_its_pruned_branches_and_zooms(tmp_path: Path) -> None:
    async with browsing(house(tmp_path), {"m": thinker(), "j": grader()}) as seen:
        page = seen.page
        body = {"params": {"n": 8, "branch": 4}, "answer": "math"}
        status, _ = await seen.at.chat("beam_search@m", "What is 17 × 24?", ponder=body)
        assert status == 200
        await seen.open(f"traces/{seen.at.headers['x-ponder-trace']}")
        await page.get_by_role("tree").wait_for()
        assert await page.locator(".node.step.chosen").count() > 1  # a whole path
        await page.get_by_role("button", name="Whole tree").click()
        await seen.picture("trace-search-whole", whole=False)
        await page.get_by_role("button", name="Zoom in").click()
        await page.locator(".node.step.pruned").first.click()
        why = await page.locator(".node-panel .why").inner_text()
        assert "The search did not go on from it: judge" in why
        await page.get_by_role("button", name="✓ Chosen").click()
        assert await page.locator(".node-panel .badge.chosen").count() == 1
        await page.get_by_role("button", name="Zoom in").click()
        await page.get_by_role("button", name=re.compile("Next that lost")).click()
        assert await page.locator(".node-panel .why").count() == 1
        await seen.picture("trace-search", whole=False)
        seen.check()


async def test_a_run_is_cancelled_and_gives_its_best_so_far(tmp_path: Path) -> None:
    models = {"m": solver(latency=0.4), "j": judge()}
    async with browsing(house(tmp_path), models) as seen:
        await seen.open("playground")
        await choose(seen, "self_consistency@m", "single@m")
        await seen.page.get_by_label("Prompt").fill("slow")
        await seen.page.get_by_role("button", name="Run", exact=True).click()
        first = seen.page.locator(".column").first
        await first.locator(".progress", has_text=re.compile(r"^[1-9]\d* of")).wait_for()
        await first.get_by_role("button", name="Cancel").click()
        await first.get_by_text("the page stopped it").wait_for()
        assert "cancelled" in await first.inner_text()
        assert models["m"].calls < 16
        seen.check()


async def test_every_view_is_readable_in_a_narrow_window_and_in_the_dark(tmp_path: Path) -> None:
    settings = house(tmp_path)
    await recorded_bench(tmp_path / "runs" / "one")
    policy(5).save(tmp_path / "runs" / "policy-five.json")
    async with browsing(settings, width=400, scheme="dark") as seen:
        await compare(seen)
        await seen.page.locator(".column a.trace").nth(1).wait_for()
        assert await seen.overflow() == 0
        await seen.picture("narrow-playground")
        await seen.page.locator(".column a.trace").first.click()
        await seen.page.get_by_role("tree").wait_for()
        assert await seen.overflow() == 0
        await seen.picture("narrow-trace")
        for view in VIEWS[1:]:
            await seen.open(view)
            await seen.page.locator("main h1").filter(has_not_text="Playground").wait_for()
            await seen.page.wait_for_timeout(200)
            assert await seen.overflow() == 0, view
            await seen.picture(f"narrow-{view}")
        await seen.open("benches/one")
        await seen.page.get_by_text("What the runs say").wait_for()
        assert await seen.overflow() == 0
        await seen.picture("narrow-report")
        dark = await seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert dark == "rgb(18, 22, 28)"
        await seen.page.locator("#theme").click()
        assert await seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(246, 247, 249)"
        seen.check()


async def test_traffic_benches_policies_and_catalogue(tmp_path: Path) -> None:
    settings = house(tmp_path)
    await recorded_bench(tmp_path / "runs" / "one")
    await recorded_bench(tmp_path / "runs" / "more" / "two", count=3)
    policy(5).save(tmp_path / "runs" / "policy-five.json")
    policy(7, fingerprint="another").save(tmp_path / "runs" / "policy-other.json")
    async with browsing(settings) as seen:
        page = seen.page
        for name in ("auto@m", "auto@m", "greedy@m"):
            status, _ = await seen.at.chat(name, "What is 17 × 24?")
            assert status == 200
        status, _ = await seen.at.chat("auto@j", "?")
        assert status == 400
        await seen.open("traffic")
        await page.get_by_text("What auto saves").wait_for()
        said = await page.locator("main").inner_text()
        assert "m: 2 requests" in said
        assert "50.0 % less" in said
        assert "saved (estimate)" in said
        assert "p99" in said
        await seen.picture("traffic")

        await seen.open("benches")
        await page.get_by_role("heading", name="Benches and policies").wait_for()
        await page.get_by_label("Compare one").check()
        await page.get_by_label("Compare more/two").check()
        await page.get_by_role("button", name="Compare what is marked").click()
        await page.get_by_text("Points in common with").wait_for()
        await seen.picture("benches-compared")
        await page.get_by_text("policy-five.json").click()
        await page.get_by_role("button", name="Activate").first.click()
        await page.get_by_text("policy-five.json is active.").wait_for()
        assert load_policy(tmp_path / "policy.json") == policy(5)
        status, answer = await seen.at.chat("auto@m", "What is 17 × 24?")
        assert "n=5" in answer["ponder"]["detail"]
        await page.get_by_role("button", name="Roll back").click()
        await page.get_by_text("The policy before is active again.").wait_for()
        assert load_policy(tmp_path / "policy.json") == policy(3)
        await page.get_by_text("policy-other.json").click()
        await page.get_by_text("m: the policy was measured with").wait_for()
        await seen.picture("policies")
        await page.get_by_role("link", name="one", exact=True).click()
        await page.get_by_text("How to read it").wait_for()
        await seen.picture("report")

        await seen.open("catalogue")
        await page.locator(".papers details").first.wait_for()
        assert await page.locator(".papers > div > details").count() == 65
        await page.get_by_label("Search").fill("QAlign")
        assert await page.locator(".papers > div > details").count() == 1
        await page.locator(".papers summary").first.click()
        await page.get_by_text("arXiv:2504.03790").first.wait_for()
        await seen.picture("catalogue")
        seen.check()


async def test_keys_are_asked_for_and_kept_in_the_tab_only(tmp_path: Path) -> None:
    mine = make_key()
    keys = (Key(name="mine", hash=hash_key(mine)),)
    async with browsing(house(tmp_path, keys=keys), expected=("401", "403")) as seen:
        page = seen.page
        await seen.open("playground")
        await page.get_by_label("Key").fill("wrong")
        await page.get_by_role("button", name="Use it").click()
        await page.get_by_text("This key is not known here.").wait_for()
        await seen.picture("key")
        await page.get_by_label("Key").fill(mine)
        await page.get_by_role("button", name="Use it").click()
        await page.locator(".column").first.wait_for()
        kept = await page.evaluate("[JSON.stringify(sessionStorage), JSON.stringify(localStorage), document.cookie]")
        assert mine in kept[0]
        assert mine not in kept[1] + kept[2]
        assert not any(mine in url for url in seen.asked)
        await seen.open("benches")
        await page.get_by_text("may not see benches").wait_for()
        await page.get_by_role("button", name="Forget key").click()
        await page.get_by_text("This gateway needs a key").wait_for()
        assert await page.evaluate("sessionStorage.length") == 0
        seen.check()


async def test_the_first_paint_is_soon_and_all_is_small(tmp_path: Path) -> None:
    async with browsing(house(tmp_path)) as seen:
        sizes: list[int] = []
        waiting: list[asyncio.Future[bytes]] = []
        seen.page.on("response", lambda reply: waiting.append(asyncio.ensure_future(reply.body())))  # noqa: TID251
        await seen.open("playground")
        await seen.page.locator(".column").first.wait_for()
        for body in list(waiting):
            sizes.append(len(await body))
        paints = await seen.page.evaluate(
            "performance.getEntriesByName('first-contentful-paint').map((e) => e.startTime)"
        )
        print(f"{sum(sizes):,} bytes in {len(sizes)} answers, first paint after {paints[0]:.0f} ms")
        assert sum(sizes) < 300_000
        seen.check()
