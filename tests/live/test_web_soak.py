"""Mutated HTTP requests against the pages of a live daemon.

``TCPD_SOAK_SEED`` makes the same requests again; it is printed at a failure.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable

import amounts
import pytest
from running import Daemon, descriptors, resident

pytestmark = [pytest.mark.soak, pytest.mark.live]

REQUESTS = amounts.soak(100_000)
SEED = os.environ.get("TCPD_SOAK_SEED") or str(random.SystemRandom().randrange(10**9))

#: Requests on one connection, at most.
_TOGETHER = 8

#: Growth of the daemon's memory after the warm-up, in bytes.
_GROWTH = 8 << 20

CONFIG = """
[policy:default]
per_address = 1000
linger = 1s
[service:web]
protocol = web
listen =
    127.0.0.1:0
[service:irc]
protocol = irc
listen =
    127.0.0.1:0
[metrics]
listen =
    127.0.0.1:0
"""

_PATHS = [
    b"/",
    b"/connection.svg",
    b"/connection.json",
    b"/learn",
    b"/learn/exercises",
    b"/learn/check/ipv6",
    b"/static/page.css",
    b"/chat",
    b"/irc",
    b"/status",
    b"/live",
    b"/metrics",
    b"*",
    b"http://x/",
    b"/%00?%zz=\xff&a=1&a=2",
]
_FIELDS = [
    b"Accept: text/html",
    b"Accept: application/json",
    b"Connection: close",
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    b"Origin: http://other.example",
    b'If-None-Match: "x", W/"y"',
    b"Content-Length: 5",
    b"Content-Length: 99999999999999999999",
    b"Transfer-Encoding: chunked",
    b"Expect: 100-continue",
    b"Host: y",
    b"X: " + b"a" * 9000,
    b" folded",
    b"no colon",
]


def request(dice: random.Random) -> bytes:
    """Make a request, and change some of its bytes."""
    method = dice.choice([b"GET"] * 6 + [b"HEAD", b"POST", b"OPTIONS", b"CONNECT", b"get"])
    version = dice.choice([b"1.1"] * 6 + [b"1.0", b"2.0", b"0.9"])
    lines = [method + b" " + dice.choice(_PATHS) + b" HTTP/" + version, b"Host: localhost"]
    lines += dice.sample(_FIELDS, dice.choice([0, 0, 1, 2, 4]))
    made = bytearray(dice.choice([b"\r\n", b"\r\n", b"\n"]).join([*lines, b"", b""]))
    for _ in range(dice.choice([0, 1, 1, 2, 8])):
        at = dice.randrange(len(made))
        match dice.randrange(4):
            case 0:
                made[at] = dice.randrange(256)
            case 1:
                del made[at : at + dice.randrange(1, 20)]
            case 2:
                made[at:at] = dice.randbytes(dice.randrange(1, 20))
            case _:
                made[at:at] = made[max(0, at - 30) : at]
        if not made:
            break
    return bytes(made)


def send(daemon: Daemon, service: str, dice: random.Random) -> int:
    """Send some requests on one connection, cut at random; return their number."""
    count = dice.randrange(1, _TOGETHER + 1)
    data = b"".join(request(dice) for _ in range(count))
    client = daemon.connect(service)
    with client:
        client.setblocking(True)
        try:
            cut = dice.randrange(len(data) + 1)
            client.sendall(data[:cut])
            client.sendall(data[cut:])
            if dice.random() < 0.5:
                client.shutdown(socket.SHUT_WR)
                client.settimeout(0.005)  # event streams have no end
                for _ in range(20):
                    if not client.recv(1 << 18):
                        break
        except OSError:  # the daemon closed or reset it, or does not end its response
            pass
    return count


def test_mutated_requests_leave_the_daemon_serving(start: Callable[[str], Daemon]) -> None:
    daemon = start(CONFIG)
    dice = random.Random(SEED)
    sent = warm = 0
    memory = 0
    while sent < REQUESTS:
        sent += send(daemon, dice.choice(["web", "web", "web", "metrics"]), dice)
        if not warm and sent > REQUESTS * 0.3:
            warm, memory = sent, resident(daemon)
    with daemon.connect("web") as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        received = b""
        while piece := client.recv(1 << 16):
            received += piece
    assert received.startswith(b"HTTP/1.1 200 "), f"TCPD_SOAK_SEED={SEED}"
    assert resident(daemon) < memory + _GROWTH, f"TCPD_SOAK_SEED={SEED}"
    assert descriptors(daemon) < 100, f"TCPD_SOAK_SEED={SEED}"
    failed = [line for line in daemon.log if "Traceback" in line or "a page failed" in line]
    assert not failed, f"TCPD_SOAK_SEED={SEED}"
