"""The page's files: small, whole, and nothing in them that the content policy forbids."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import ponder
from ponder.web.assets import INDEX, assets

TEXTS = {name: asset.body.decode() for name, asset in assets().items()}


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""
        self._script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._script = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._script = False

    def handle_data(self, data: str) -> None:
        if self._script:
            self.inline += data


def test_all_files_are_there_and_small() -> None:
    folder = Path(ponder.__file__).parent / "web" / "static"
    on_disk = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert on_disk == set(TEXTS)
    assert sum(len(asset.body) for asset in assets().values()) < 150_000
    assert len({asset.etag for asset in assets().values()}) == len(TEXTS)


def test_the_page_has_no_inline_script_or_style() -> None:
    page = Tags()
    page.feed(TEXTS[INDEX])
    assert page.inline.strip() == ""
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") or name == "style" for name in attributes), tag
        for name in ("src", "href"):
            target = attributes.get(name) or ""
            if target.startswith("/assets/"):
                assert target.removeprefix("/assets/") in TEXTS
            else:
                assert target == "" or target.startswith("#")


@pytest.mark.parametrize("name", [name for name in TEXTS if name.endswith(".js")])
def test_modules_make_no_html_of_texts_and_import_what_is_there(name: str) -> None:
    text = TEXTS[name]
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "srcdoc"):
        assert word not in text
    folder = name.rpartition("/")[0]
    for target in re.findall(r'from "([^"]+)"', text):
        found = Path("/", folder, target).resolve().as_posix().removeprefix("/")
        assert found in TEXTS, target


def test_nothing_is_fetched_from_elsewhere() -> None:
    for name, text in TEXTS.items():
        outside = set(re.findall(r"https?://[^\s\"'`]+", text)) - {"http://www.w3.org/2000/svg"}
        assert all(url.startswith("https://arxiv.org/abs/") for url in outside), name  # a link, followed by people
        assert "@import" not in text
        assert "url(" not in text
