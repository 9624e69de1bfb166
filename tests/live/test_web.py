"""The pages of ``protocol = web`` on a live daemon, with clients that are no browsers."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from xml.etree import ElementTree

import pytest
from running import PATIENCE, Daemon, receive_all
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import TextMessage

pytestmark = pytest.mark.live

CONFIG = """
[tcpd]
server_name = test.example
[tls:main]
certificate = localhost.pem
key = localhost-key.pem
[policy:default]
per_address = 1000
[service:web]
protocol = web
listen =
    127.0.0.1:0
    127.0.0.1:0 tls=main
    127.0.0.1:0 proxy=127.0.0.0/8
[service:narrow]
protocol = web
chat = none
status =
streams = 1
listen =
    127.0.0.1:0
[service:away]
protocol = web
status = 192.0.2.0/24
listen =
    127.0.0.1:0
[service:irc]
protocol = irc
listen =
    127.0.0.1:0
[service:chat]
protocol = chat
listen =
    127.0.0.1:0
"""

HTML = {"Accept": "text/html"}


class PageClient:
    """An HTTP client that keeps its connection."""

    def __init__(self, daemon: Daemon, service: str = "web") -> None:
        self.port = daemon.ports[service, ""]
        self.http = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, str]:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        self.http.request(method, path, headers=fields)
        response = self.http.getresponse()
        return response, response.read().decode()

    @property
    def source(self) -> str:
        host, port = self.http.sock.getsockname()
        return f"{host}:{port}"


@pytest.fixture
def daemon(start: Callable[[str], Daemon]) -> Daemon:
    return start(CONFIG)


@pytest.fixture
def browser(daemon: Daemon) -> Iterator[PageClient]:
    found = PageClient(daemon)
    with closing(found.http):
        yield found


def test_each_form_of_the_report_is_about_the_same_connection(browser: PageClient) -> None:
    """docs/reference/web.rst: "A client that accepts ``text/html`` gets a page, one that accepts
    ``application/json`` the report ..., and any other, such as ``curl``, the drawing as text"."""
    _, text = browser.get("/", Accept="*/*")
    _, plain = browser.get("/", Accept="application/json")
    _, html = browser.get("/", Accept="text/html,application/xhtml+xml,*/*;q=0.8")
    _, drawing = browser.get("/connection.svg")
    report = json.loads(plain)
    assert report["remote"] == browser.source
    number = report["handshake"]["syn"]["values"]["sequence_number"]["value"]
    for form in (text, html, drawing):
        assert browser.source in form
        assert str(number) in form
    assert ElementTree.fromstring(drawing).tag.endswith("svg")


def test_pages_have_no_inline_script_or_style_and_no_other_origin(browser: PageClient) -> None:
    """The Content-Security-Policy allows neither."""
    for path in ("/", "/learn", "/learn/exercises", "/chat", "/status", "/nowhere"):
        response, html = browser.get(path, **HTML)
        policy = response.getheader("Content-Security-Policy") or ""
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert not re.search(
            r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", html
        )
        assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", html), path


def test_files_are_not_sent_again(browser: PageClient) -> None:
    """RFC 9110 section 13.1.2, If-None-Match."""
    _, html = browser.get("/", **HTML)
    for path in set(re.findall(r'(?:src|href)="(/static/[^"]+)"', html)):
        response, content = browser.get(path)
        assert response.status == 200, path
        assert content
        tag = response.getheader("ETag") or ""
        again, nothing = browser.get(path, If_None_Match=tag)
        assert (again.status, nothing) == (304, "")
        head, nothing = browser.get(path, "HEAD")
        assert (head.status, nothing) == (200, "")
        assert head.getheader("Content-Length") == response.getheader("Content-Length")


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/nowhere", "GET", 404),
        ("/static/", "GET", 404),
        ("/static/../pages.py", "GET", 404),
        ("/static/%2e%2e/pages.py", "GET", 404),
        ("/learn/nowhere", "GET", 404),
        ("/learn/check/nowhere", "GET", 404),
        ("/", "DELETE", 405),
        ("/irc", "GET", 426),
    ],
)
def test_errors_are_short_and_say_what_to_do(
    browser: PageClient, path: str, method: str, status: int
) -> None:
    response, text = browser.get(path, method)
    assert response.status == status
    assert 0 < len(text.splitlines()) <= 2
    if status != 426:
        response, html = browser.get(path, method, **HTML)
        assert response.status == status
        assert "<h1>" in html


def test_every_chapter_and_exercise_is_served(browser: PageClient) -> None:
    _, index = browser.get("/learn", **HTML)
    chapters = set(re.findall(r'href="(/learn/[^"#]+)"', index))
    assert len(chapters) >= 6
    for path in chapters:
        response, html = browser.get(path, **HTML)
        assert response.status == 200, path
        for link in set(re.findall(r'href="(/[^"#]*)"', html)):
            assert browser.get(link, **HTML)[0].status == 200, (path, link)
    _, exercises = browser.get("/learn/exercises", **HTML)
    checks = set(re.findall(r"/learn/check/[a-z0-9-]+", exercises))
    assert len(checks) >= 4
    for path in checks:
        assert browser.get(path)[1].startswith(("PASSED", "NOT YET")), path


@pytest.mark.parametrize("path", ["/learn/exercises", "/learn/check/ipv6"])
def test_check_is_of_a_new_connection(browser: PageClient, path: str) -> None:
    """docs/reference/web.rst: "The connection is closed after these pages": a browser that keeps it
    would have the former handshake checked."""
    browser.get("/learn", **HTML)
    before = browser.source
    response, _ = browser.get(path, **HTML)
    assert response.getheader("Connection") == "close"
    browser.get("/learn/check/ipv6", **HTML)
    assert browser.http.sock is None
    browser.get("/learn")
    assert browser.source != before


def test_ipv4_connection_does_not_pass_the_exercise_on_ipv6(browser: PageClient) -> None:
    assert browser.get("/learn/check/ipv6")[1].startswith("NOT YET")


def test_pages_that_are_off_do_not_exist(daemon: Daemon) -> None:
    narrow = PageClient(daemon, "narrow")
    with closing(narrow.http):
        for path in ("/chat", "/irc", "/status", "/status/events"):
            assert narrow.get(path)[0].status == 404, path
        _, html = narrow.get("/", **HTML)
        assert 'href="/chat"' not in html
        assert 'href="/status"' not in html


def test_status_is_for_the_listed_networks(daemon: Daemon, browser: PageClient) -> None:
    response, plain = browser.get("/status", Accept="application/json")
    assert response.status == 200
    found = json.loads(plain)
    assert found["status"]["server_name"] == "test.example"
    assert {each["name"] for each in found["services"]} >= {"web", "irc", "chat"}
    away = PageClient(daemon, "away")
    with closing(away.http):
        for path in ("/status", "/status/events"):
            assert away.get(path)[0].status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.example"},
        {"Host": "rebound.example:80", "Origin": "http://rebound.example:80"},
        {"Origin": "http://other.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
    ],
)
def test_status_is_not_for_pages_of_other_sites(
    browser: PageClient, headers: dict[str, str]
) -> None:
    """DNS rebinding: a name of the attacker's resolves to this host."""
    for path in ("/status", "/status/events", "/live"):
        if path != "/status" or "Host" in headers or "Origin" in headers:
            assert browser.get(path, **headers)[0].status == 403, path


@pytest.mark.parametrize("field", ["X_Forwarded_For", "Forwarded", "Via", "X_Real_IP"])
def test_status_is_not_for_clients_of_an_http_proxy(browser: PageClient, field: str) -> None:
    """docs/reference/web.rst: "A request with a field that HTTP proxies add ... is refused"."""
    for path in ("/status", "/status/events"):
        assert browser.get(path, **{field: "198.51.100.1"})[0].status == 403, path


def test_live_figures_are_of_the_connection(daemon: Daemon) -> None:
    client = daemon.connect("web")
    with client:
        client.sendall(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = read_to(client, b"}\n\n")
        assert b"\r\nContent-Type: text/event-stream" in received
        figures = json.loads(received.partition(b"data: ")[2])
        assert figures["bytes_received"] == len(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert figures["rtt"] > 0


def test_streams_are_limited(daemon: Daemon) -> None:
    one, two = daemon.connect("narrow"), daemon.connect("narrow")
    request = b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with one, two:
        one.sendall(request)
        read_to(one, b"}\n\n")
        two.sendall(request)
        assert read_to(two, b"\r\n\r\n").startswith(b"HTTP/1.1 503 ")


def test_events_of_the_log_reach_the_status_page(daemon: Daemon) -> None:
    client = daemon.connect("web")
    with client:
        client.sendall(b"GET /status/events HTTP/1.1\r\nHost: test.example\r\n\r\n")
        read_to(client, b"event: status\n")
        daemon.ctl("ban", "192.0.2.7", "1h", "<script>")
        log = read_to(client, b"192.0.2.7")
        assert b"event: log" in log


def read_to(client: Any, part: bytes) -> bytes:
    """Read until the data contains ``part``."""
    received = b""
    while part not in received:
        piece = client.recv(65536)
        assert piece, received
        received += piece
    return received


def irc(client: Any, *lines: str, until: str) -> str:
    """Open a WebSocket, send lines of IRC, and return all lines up to one with ``until``."""
    client.sendall(
        b"GET /irc HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Protocol: text.ircv3.net\r\n\r\n"
    )
    response = read_to(client, b"\r\n\r\n")
    assert response.startswith(b"HTTP/1.1 101 ")
    return exchange(Connection(ConnectionType.CLIENT), client, *lines, until=until)


def exchange(websocket: Connection, client: Any, *lines: str, until: str) -> str:
    for line in lines:
        client.sendall(websocket.send(TextMessage(line)))
    found = ""
    while until not in found:
        websocket.receive_data(client.recv(65536))
        for event in websocket.events():
            found += f"{event.data}\n"  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("secure", [False, True])
def test_websocket_after_pages_on_one_connection(daemon: Daemon, secure: bool) -> None:
    """Proxies reuse connections: a page and a WebSocket come over the same one."""
    client: Any = daemon.connect_tls("web") if secure else daemon.connect("web")
    with client:
        for path in (b"/learn", b"/static/page.css"):
            client.sendall(b"HEAD " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert read_to(client, b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        lines = irc(client, "NICK ann", "USER a 0 * :A", "JOIN #tea", until=" 366 ")
        assert " JOIN " in lines
        other = daemon.connect("chat")
        with other:
            other.sendall(b"bob\n/join #tea\nhello <b>ann</b>\n")
            exchange_lines = exchange(
                Connection(ConnectionType.CLIENT), client, "PING x", until="hello <b>ann</b>"
            )
            assert "bob" in exchange_lines


def test_websocket_of_another_site_is_refused(daemon: Daemon) -> None:
    """RFC 6455 section 10.2."""
    client = daemon.connect("web")
    with client:
        client.sendall(
            b"GET /irc HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
            b"Origin: http://other.example\r\n\r\n"
        )
        assert receive_all(client).startswith(b"HTTP/1.1 403 ")


def test_only_tls_asks_for_tls(daemon: Daemon, browser: PageClient) -> None:
    """RFC 6797 section 7.2: no Strict-Transport-Security "over non-secure transport"."""
    response, _ = browser.get("/")
    assert response.getheader("Strict-Transport-Security") is None
    # a browser logs an error for it
    assert response.getheader("Cross-Origin-Opener-Policy") is None
    client: ssl.SSLSocket = daemon.connect_tls("web")
    with client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n")
        received = read_to(client, b"\n}\n")
        assert b"\r\nStrict-Transport-Security: max-age=" in received
        assert b"\r\nCross-Origin-Opener-Policy: same-origin\r\n" in received
        assert b'"TLSv1.3"' in received


def test_report_of_a_proxied_connection_says_so(daemon: Daemon) -> None:
    client = daemon.connect("web", "proxy=127.0.0.0/8")
    with client:
        client.sendall(
            b"PROXY TCP4 192.0.2.9 192.0.2.1 4711 80\r\n"
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET /status HTTP/1.1\r\nHost: x\r\n\r\n"
        )
        received = read_to(client, b"is for operators").decode()
        assert "proxy" in received
        assert "192.0.2.9" in received
