"""Cross-protocol requests of web pages to chat, IRC and the line service of a live daemon."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families
from running import PATIENCE, Daemon, client_context, metrics, receive_all, receive_until

pytestmark = pytest.mark.live

CONFIG = """
[tls:main]
certificate = localhost.pem
key = localhost-key.pem
[service:chat]
protocol = chat
listen =
  127.0.0.1:0
  127.0.0.1:0 tls=main
[service:irc]
protocol = irc
listen =
  127.0.0.1:0
  127.0.0.1:0 tls=main
[service:line]
protocol = line
listen =
  127.0.0.1:0
  127.0.0.1:0 tls=main
[metrics]
listen =
  127.0.0.1:0
"""

#: Body of the page's request, by service.
BODIES = {
    "chat": "eve\r\nspam\r\n",
    "irc": "NICK eve\r\nUSER eve 0 * :Eve\r\nJOIN #lobby\r\nPRIVMSG #lobby :spam\r\n",
    "line": "ECHO spam\r\n",
}

#: Methods; the last two are possible by DNS rebinding.
METHODS = ("POST", "OPTIONS", "NICK", "ECHO")

HEADERS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "*/*",
    "Content-Type": "text/plain;charset=UTF-8",
    "Origin": "https://page.example",
    "Connection": "keep-alive",
}


def refused(daemon: Daemon, service: str, reason: str) -> float:
    return sum(
        sample.value
        for family in text_string_to_metric_families(metrics(daemon))
        for sample in family.samples
        if sample.name == "tcpd_connections_refused_total"
        and sample.labels == {"service": service, "reason": reason}
    )


def browser_context(daemon: Daemon) -> ssl.SSLContext:
    context = client_context(daemon.directory)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@pytest.mark.parametrize("service", BODIES)
def test_http_requests_are_refused(start: Callable[[str], Daemon], service: str) -> None:
    """'A web page must not be able to make a visitor's browser talk here': with any method, plain
    or over TLS, or with a ClientHello on a plain port, whose session ticket the page chooses."""
    daemon = start(CONFIG)
    with daemon.connect("chat") as ann:
        receive_until(ann, b"Enter.\r\n")
        ann.sendall(b"ann\r\n")
        receive_until(ann, b"In #lobby (1): ann\r\n")
        for method in METHODS:
            for words in ("", "tls=main"):
                port = daemon.ports[service, words]
                if words:
                    secure = browser_context(daemon)
                    browser: http.client.HTTPConnection = http.client.HTTPSConnection(
                        "localhost", port, timeout=PATIENCE, context=secure
                    )
                else:
                    browser = http.client.HTTPConnection("localhost", port, timeout=PATIENCE)
                browser.request(method, "/", BODIES[service], HEADERS)
                with pytest.raises((http.client.HTTPException, OSError)):
                    browser.getresponse()
                browser.close()
        with daemon.connect(service) as client:
            hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n"
            client.sendall(hello + BODIES[service].encode())
            with contextlib.suppress(ConnectionResetError):
                receive_all(client)
        ann.sendall(b"/who\r\n/quit\r\n")
        assert receive_all(ann) == b"  In #lobby (1): ann\r\nGoodbye.\r\n"
    assert refused(daemon, service, "http") == 2 * len(METHODS)
    assert refused(daemon, service, "tls") == 1
    start_of_line = f"service {service}: refused 127.0.0.1:"
    daemon.wait_for(lambda line: start_of_line in line and ": http (" in line)


def test_irc_client_with_http_alpn_is_served(start: Callable[[str], Daemon]) -> None:
    daemon = start(CONFIG)
    raw = socket.create_connection(("127.0.0.1", daemon.ports["irc", "tls=main"]), PATIENCE)
    with browser_context(daemon).wrap_socket(raw, server_hostname="localhost") as client:
        client.sendall(BODIES["irc"].encode())
        assert b" 001 eve " in receive_until(client, b":End of /NAMES list\r\n")
