from __future__ import annotations

import asyncio
import re
from html.parser import HTMLParser

import pytest

from ponder.bench.demo import run_demo
from ponder.bench.findings import NOTES, findings
from ponder.bench.report import render_report
from tests.bench.bench_doubles import small_model

VOID = {"meta", "br", "img", "link", "hr"}


class Page(HTMLParser):
    """Collects tags and text, and checks that every tag is closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text, self.attributes = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def job():
    return asyncio.run(run_demo(small_model(), count=6, sizes=(1, 2, 4), seed=5))


@pytest.fixture(scope="module")
def page(job):
    parsed = Page()
    parsed.feed(render_report(job, extra=("peak <memory>",)))
    parsed.close()
    return parsed


def test_report_is_balanced_html(page):
    assert page.open == []


def test_report_escapes_what_the_model_wrote(job, page):
    assert any("<script>" in c.text for run in job.runs for c in run.result.candidates)
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert 'I think <script>alert("x")</script> & <img src=x onerror=alert(1)> \ufffd' in "".join(page.text)
    assert "\x00" not in render_report(job)


def test_report_needs_nothing_from_outside(job, page):
    assert not [value for name, value in page.attributes if name in ("src", "href") or name.startswith("on")]
    assert "url(" not in render_report(job)
    assert "default-src 'none'" in render_report(job)


def test_report_shows_every_prompt_candidate_and_label(job, page):
    text = "".join(page.text)
    assert page.tags.count("details") == 12
    for run in job.runs:
        assert run.problem.task.prompt in text
    assert page.tags.count("pre") == 12 * (1 + 4)
    assert "verifier = grader" in text
    assert "peak <memory>" in text
    for note in NOTES:
        assert note in text
    assert page.tags.count("svg") == 2 + len([s for f in findings(job).figures.values() for s in f.series])


def test_report_numbers_are_those_of_the_rows(job, page):
    text = " ".join("".join(page.text).split())
    right = [run.row.correct for run in job.runs if run.point.curve == "greedy" and run.row.family == "writing"]
    assert f"{sum(right) / len(right):.0%}" in text
    paid = sum(run.row.paid["policy"].calls for run in job.runs if run.row.family == "writing" and run.row.paid)
    assert f"paid: {paid} policy calls" in text
    assert paid == 6 * 5


async def test_report_says_when_the_job_ended_early(job):
    shorter = await run_demo(small_model(latency=0.05), count=20, sizes=(1, 2), limit=0.6)
    assert shorter.stopped == "deadline"
    assert re.search(rf"ended after \d+ of 40 prompts: {re.escape(shorter.detail)}", render_report(shorter))
    assert "ended after" not in render_report(job)
