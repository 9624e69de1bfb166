"""Reads the HTML of a page, for tests."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser

#: Elements without an end tag.
_VOID = frozenset({"meta", "link", "br", "hr", "img", "input"})


class ParsedPage(HTMLParser):
    """A parsed page.

    :ivar elements: names and attributes.
    :ivar text: the text, with single spaces.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self._open: list[str] = []
        self._texts: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, self._open

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self._texts))

    @property
    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]

    @property
    def links(self) -> list[str]:
        return [a["href"] for name, a in self.elements if name == "a"]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self._texts.append(data)


def check_page(html: str) -> ParsedPage:
    """Parse a page and check the rules of all pages."""
    page = ParsedPage(html)
    names = [name for name, _ in page.elements]
    assert html.startswith("<!DOCTYPE html>")
    assert ("html", {"lang": "en"}) in page.elements
    assert names.count("main") == names.count("h1") == 1
    # default-src 'none'; script-src 'self'; style-src 'self'
    assert "style" not in names
    for name, attributes in page.elements:
        assert not [key for key in attributes if key == "style" or key.startswith("on")]
        assert name != "script" or attributes["src"].startswith("/static/")
        assert not attributes.get("href", "/").startswith(("javascript:", "data:", "http"))
    assert len(page.ids) == len(set(page.ids))
    for link in page.links:
        assert not link.startswith("#") or link[1:] in page.ids, link
    # headings do not skip a level
    levels = [int(name[1]) for name in names if re.fullmatch("h[1-6]", name)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    return page
