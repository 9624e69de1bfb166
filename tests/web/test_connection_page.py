"""The page about the reader's own connection."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import pytest
from web.pages import check_page
from web.reports import REPORTS, TCP, UNIX, with_syn

from tcpd.handshake.hints import IDS, Hint
from tcpd.handshake.report import Report, build
from tcpd.web import connection_page
from tcpd.web.diagram import svg
from tcpd.web.lesson import chapter_page
from tcpd.web.rendering import NAVIGATION, Templates, static_files
from tcpd.web.terms import chips, numbers


@pytest.fixture(scope="module")
def templates() -> Templates:
    return Templates()


@pytest.mark.parametrize("name", REPORTS)
def test_page_of_any_connection(name: str, templates: Templates) -> None:
    page = check_page(connection_page.html(REPORTS[name], templates))
    assert page.links[0] == "#content"
    assert "/connection.svg" in page.links
    assert "/connection.json" in page.links


@pytest.mark.parametrize("name", REPORTS)
def test_all_values_of_all_layers_are_on_the_page(name: str, templates: Templates) -> None:
    """Each layer opens to its values: value, unit, source and why."""
    report = REPORTS[name]
    html = connection_page.html(report, templates)
    page = check_page(html)
    assert [a["id"] for name, a in page.elements if name == "details"] == [
        f"layer-{section.name}" for section in reversed(report.layers)
    ]
    for section in report.layers:
        described = connection_page.layer(section, 1)
        for value, row in zip(section.values, described.rows, strict=True):
            assert row.source == value.source
            assert f"{row.label} {row.text} {row.mark} {row.why}".strip() in page.text


@pytest.mark.parametrize("name", TCP)
def test_each_link_of_the_diagram_has_its_explanation(name: str, templates: Templates) -> None:
    page = check_page(connection_page.html(TCP[name], templates))
    for section in TCP[name].steps:
        for chip in (*numbers(section), *chips(section)):
            assert f"#{chip.id}" in page.links
            assert chip.id in page.ids
            assert chip.sentence in page.text


def test_hints_link_to_their_paragraphs(templates: Templates) -> None:
    every = tuple(Hint(id, f"Sentence of {id}.") for id in IDS)
    page = check_page(connection_page.html(replace(REPORTS["veth"], hints=every), templates))
    chapter = check_page(chapter_page("trouble", REPORTS["veth"], templates))
    for hint in every:
        assert hint.sentence in page.text
        assert f"/learn/trouble#{hint.id}" in page.links
        assert hint.id in chapter.ids


def test_no_hints(templates: Templates) -> None:
    page = check_page(connection_page.html(REPORTS["veth"], templates))
    assert "this handshake has no anomalies" in page.text


@pytest.mark.parametrize("name", ["hostile", "tls", "proxied"])
def test_text_of_the_peer_is_escaped(name: str, templates: Templates) -> None:
    html = connection_page.html(REPORTS[name], templates)
    assert "alert(" in html
    assert "<script>" not in html
    assert "<b>" not in html
    for raw in "\x1b\u202e\ud800":
        assert raw not in html
    html.encode("utf-8")


def test_round_trip_in_words(templates: Templates) -> None:
    page = check_page(connection_page.html(REPORTS["veth"], templates))
    assert "Three packets opened the connection from 192.0.2.2:50158." in page.text
    assert "The last one arrived 15 µs after the server's answer" in page.text


def test_behind_a_proxy_the_packets_are_the_proxy_s(templates: Templates) -> None:
    page = check_page(connection_page.html(REPORTS["proxied"], templates))
    assert "from your proxy at 192.0.2.2:50158" in page.text
    assert "you and this server" not in page.text


def test_unix_socket(templates: Templates) -> None:
    page = check_page(connection_page.html(build(UNIX), templates))
    assert "Your connection has no handshake" in page.text
    assert "The three packets" not in page.text


def test_charts_have_a_place_and_a_sentence_without_scripts(templates: Templates) -> None:
    html = connection_page.html(REPORTS["veth"], templates)
    page = check_page(html)
    assert ("div", {"id": "live-charts"}) in page.elements
    assert "<noscript>" in html
    assert ("script", {"type": "module", "src": "/static/connection.js"}) in page.elements


def test_origin_is_escaped_and_optional(templates: Templates) -> None:
    assert "curl" not in connection_page.html(REPORTS["veth"], templates)
    html = connection_page.html(REPORTS["veth"], templates, origin="http://<a>")
    assert "curl http://&lt;a&gt;/" in html


def test_navigation_is_the_caller_s() -> None:
    few = Templates(NAVIGATION[:2])
    page = check_page(connection_page.html(REPORTS["veth"], few))
    assert "/learn" in page.links
    assert "/chat" not in page.links
    assert ("a", {"href": "/", "aria-current": "page"}) in page.elements


def test_error_page(templates: Templates) -> None:
    html = templates.error(404, "There is no page <here>", "Check the address.")
    page = check_page(html)
    assert "There is no page <here>" in page.text
    assert "<here>" not in html


def test_static_files() -> None:
    files = static_files()
    assert set(files) >= {"page.css", "connection.js"}
    style = files["page.css"].decode()
    # no third-party requests, no data: URLs
    assert "url(" not in style
    assert "@import" not in style
    assert style.count("{") == style.count("}")


def _calls(report: Report, templates: Templates) -> int:
    """Count the calls of Python functions while the page is rendered."""
    count = 0

    def profile(_frame: Any, event: str, _arg: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        connection_page.html(report, templates)
    finally:
        sys.setprofile(before)
    return count


def test_work_grows_linearly_with_the_report(templates: Templates) -> None:
    base = build(with_syn(window=b"\x01\x00"))

    def grown(times: int) -> Report:
        layers = tuple(replace(one, values=one.values * times) for one in base.layers)
        steps = tuple(replace(one, values=one.values * times) for one in base.steps)
        hints = (Hint("mss-low", "Low."),) * times
        return replace(base, layers=layers, steps=steps, hints=hints)

    few, more, most = (_calls(grown(times), templates) for times in (1, 11, 21))
    assert few < 20_000
    assert most - more == pytest.approx(more - few, rel=0.05)


def test_work_is_the_same_each_time(templates: Templates) -> None:
    """Templates are compiled once."""
    counts = [_calls(REPORTS["veth"], templates) for _ in range(4)]
    # the garbage collector may call some functions, too
    assert max(counts) < min(counts) * 1.02


def test_no_text_of_the_peer_is_in_the_size_of_the_drawing() -> None:
    """The report truncates texts of the peer; the drawing has none of them twice as often."""
    assert len(svg(REPORTS["hostile"])) < 2 * len(svg(REPORTS["veth"]))
