"""PROXY headers for the real daemon: a real HAProxy's, spoofed ones, on each kind of listener."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import certificates
import pytest
from running import PATIENCE, TWISTD, Daemon, client_context, receive_all, receive_until

from tcpd.wire.proxy_header import Ends, version_1, version_2

pytestmark = pytest.mark.live

CLIENT = Ends(ip_address("192.0.2.1"), 4711, ip_address("198.51.100.7"), 7100)

#: Keys of a [policy:default] behind a proxy.
POLICY = "access_log = yes"


def config(*listeners: str, policy: str = POLICY) -> str:
    lines = "".join(f"    {listener}\n" for listener in listeners)
    return (
        "[tcpd]\ndrain = 2s\nserver_name = test.example\n"
        f"[policy:default]\n{policy}\n"
        "[tls:main]\ncertificate = localhost.pem\nkey = localhost-key.pem\n"
        f"[service:line]\nprotocol = line\nlisten =\n{lines}"
    )


HAPROXY = """
global
    stats socket {directory}/stats
defaults
    mode tcp
    timeout connect 10s
    timeout client 30s
    timeout server 30s
frontend clients
    bind fd@{descriptor} {bind}
    bind unix@{directory}/clients
    unique-id-format %{{+X}}o\\ %ci:%cp
    default_backend tcpd
backend tcpd
    server tcpd {server}
"""

GREETING = b"220 test.example line service ready, HELP lists the commands\r\n"


class HAProxy:
    """A real HAProxy before a daemon."""

    def __init__(self, directory: Path, server: str, bind: str) -> None:
        program = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            pytest.skip("haproxy is not installed (Debian: haproxy)")
        self.directory = directory
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.port = listening.getsockname()[1]
            file = directory / "haproxy.cfg"
            file.write_text(
                HAPROXY.format(
                    directory=directory, descriptor=listening.fileno(), server=server, bind=bind
                )
            )
            self._process = subprocess.Popen(
                [program, "-db", "-q", "-f", str(file)], pass_fds=[listening.fileno()]
            )
        deadline = time.monotonic() + PATIENCE
        while not (directory / "clients").exists():
            assert self._process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def connect(self) -> socket.socket:
        """Connect to it."""
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    def server_state(self) -> str:
        """What it thinks of the daemon: UP, DOWN, and in between."""
        with socket.socket(socket.AF_UNIX) as stats:
            stats.settimeout(PATIENCE)
            stats.connect(str(self.directory / "stats"))
            stats.sendall(b"show stat\n")
            head, *rows = receive_all(stats).decode().splitlines()
        at = head.split(",").index("status")
        (state,) = [row.split(",")[at] for row in rows if row.startswith("tcpd,tcpd,")]
        return state

    def stop(self) -> None:
        """Stop it."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(PATIENCE)


@pytest.fixture
def haproxy(tmp_path: Path) -> Iterator[Callable[..., HAProxy]]:
    """Put a HAProxy before a daemon: ``server`` is its address and words in HAProxy's language."""
    started: list[HAProxy] = []

    def start(server: str, bind: str = "") -> HAProxy:
        started.append(HAProxy(tmp_path, server, bind))
        return started[-1]

    yield start
    for each in started:
        each.stop()


def connections(daemon: Daemon) -> list[dict[str, Any]]:
    """What an operator is told of the line service's connections."""
    told = daemon.ctl("connections", "--service", "line", "--json")
    assert told.returncode == 0, told
    found: list[dict[str, Any]] = json.loads(told.stdout)["connections"]
    return found


def shown(address: Any) -> str:
    return f"{address[0]}:{address[1]}"


def port(daemon: Daemon, words: str = "proxy=127.0.0.0/8") -> str:
    return f"127.0.0.1:{daemon.ports['line', words]}"


@pytest.mark.parametrize("words", ["send-proxy", "send-proxy-v2"])
def test_haproxy_tells_who_the_client_is(
    start: Callable[[str], Daemon], haproxy: Callable[..., HAProxy], words: str
) -> None:
    daemon = start(config("127.0.0.1:0 proxy=127.0.0.0/8"))
    proxy = haproxy(f"{port(daemon)} {words}")
    with proxy.connect() as client:
        receive_until(client, GREETING)
        (told,) = connections(daemon)
        assert told["peer"] == shown(client.getsockname())
        assert told["proxy"]["version"] == (1 if words == "send-proxy" else 2)
        assert told["proxy"]["address"].startswith("127.0.0.1:")
        assert told["proxy"]["address"] != told["peer"]
        client.sendall(b"QUIT\r\n")
        receive_all(client)
        (line,) = daemon.wait_for(lambda line: "ended after" in line)
        assert f" from {told['peer']} ended" in line
        assert line.endswith(f"no TLS, proxy {told['proxy']['address']}")


def test_what_else_haproxy_tells(
    start: Callable[[str], Daemon], haproxy: Callable[..., HAProxy], tmp_path: Path
) -> None:
    """With a checksum, which is verified, and TLS that ends at the proxy."""
    daemon = start(config("127.0.0.1:0 proxy=127.0.0.1"))
    pem = tmp_path / "both.pem"
    names = ("localhost.pem", "localhost-key.pem")
    pem.write_text("".join((daemon.directory / name).read_text() for name in names))
    proxy = haproxy(
        f"{port(daemon, 'proxy=127.0.0.1/32')} send-proxy-v2-ssl "
        "proxy-v2-options crc32c,unique-id,authority,ssl,cert-cn,ssl-cipher",
        f"ssl crt {pem}",
    )
    with client_context(daemon.directory).wrap_socket(
        proxy.connect(), server_hostname="localhost"
    ) as client:
        receive_until(client, GREETING)
        (told,) = connections(daemon)
        host, at = client.getsockname()
        assert told["peer"] == f"{host}:{at}"
        assert told["tls"] is None, "it ended at the proxy"
        assert told["proxy"]["authority"] == "localhost"
        # the frontend's unique-id-format, in hexadecimal
        assert told["proxy"]["unique_id"] == f"7F000001:{at:04X}"
        assert told["proxy"]["tls"] == {
            "version": "TLSv1.3",
            "cipher": client.cipher()[0],  # type: ignore[index]
            "verified": False,
            "common_name": None,
        }
        client.sendall(b"QUIT\r\n")
        receive_all(client)
    (line,) = daemon.wait_for(lambda line: "ended after" in line)
    assert line.endswith(
        f" id 7F000001:{at:04X} name localhost TLSv1.3 {told['proxy']['tls']['cipher']}"
    )


@pytest.mark.parametrize("words", ["send-proxy", "send-proxy-v2"])
def test_tls_behind_the_header(
    start: Callable[[str], Daemon], haproxy: Callable[..., HAProxy], words: str
) -> None:
    """HAProxy passes the client's TLS on, which is the daemon's."""
    daemon = start(config("127.0.0.1:0 tls=main proxy=127.0.0.0/8"))
    proxy = haproxy(f"{port(daemon, 'tls=main proxy=127.0.0.0/8')} {words}")
    with client_context(daemon.directory).wrap_socket(
        proxy.connect(), server_hostname="localhost"
    ) as client:
        receive_until(client, GREETING)
        (told,) = connections(daemon)
        assert (told["peer"], told["tls"]) == (shown(client.getsockname()), "TLSv1.3")


def test_a_client_of_haproxy_without_an_address(
    start: Callable[[str], Daemon], haproxy: Callable[..., HAProxy]
) -> None:
    """HAProxy says LOCAL of one that came by a UNIX socket: it stands under the proxy's address."""
    daemon = start(config("127.0.0.1:0 proxy=127.0.0.0/8", policy="per_address = 1"))
    proxy = haproxy(f"{port(daemon)} send-proxy-v2")
    with contextlib.ExitStack() as clients:
        for _ in range(2):
            client = clients.enter_context(socket.socket(socket.AF_UNIX))
            client.settimeout(PATIENCE)
            client.connect(str(proxy.directory / "clients"))
            receive_until(client, GREETING)
        for told in connections(daemon):
            assert told["peer"] == told["proxy"]["address"]
            assert told["proxy"]["local"] is True


@pytest.mark.parametrize("words", ["send-proxy", "send-proxy-v2"])
def test_haproxys_checks_are_let_in_and_fill_no_log(
    start: Callable[[str], Daemon], haproxy: Callable[..., HAProxy], words: str
) -> None:
    """LOCAL in version 2, for which the limits of an address do not hold; in version 1 the check's
    own address and port (section 2.1), which are taken for the same."""
    policy = "per_address = 1\naddress_rate = 1/min burst 2\naccess_log = yes"
    daemon = start(config("127.0.0.1:0 proxy=127.0.0.0/8", policy=policy))
    proxy = haproxy(f"{port(daemon)} {words} check check-send-proxy inter 20ms fall 1 rise 1")
    with proxy.connect() as client:
        receive_until(client, GREETING)
        deadline = time.monotonic() + PATIENCE
        while accepted(daemon) < 10:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert proxy.server_state() == "UP"
    told = [line for line in daemon.log if "PROXY" in line or "refused" in line or "ended" in line]
    assert len(told) <= 1, told  # the client's end, perhaps
    assert all("proxy" in line and " 0 bytes out" not in line for line in told)


def accepted(daemon: Daemon) -> int:
    told = daemon.ctl("services", "--json")
    assert told.returncode == 0, told
    (service,) = [each for each in json.loads(told.stdout)["services"] if each["name"] == "line"]
    count: int = service["accepted"]
    return count


# --- who is no proxy, or a bad one ---


@pytest.mark.parametrize("header", [version_1(CLIENT), version_2(CLIENT)], ids=["v1", "v2"])
def test_a_header_of_who_is_not_trusted_is_not_believed(
    start: Callable[[str], Daemon], header: bytes
) -> None:
    """Else anybody could be anybody: allowed, unlimited, and somebody else banned for it."""
    daemon = start(config("127.0.0.1:0 proxy=192.0.2.0/24", policy="allow = 192.0.2.1"))
    with daemon.connect("line", "proxy=192.0.2.0/24") as client:
        own = shown(client.getsockname())
        with contextlib.suppress(ConnectionError):
            client.sendall(header + b"WHOAMI\r\n")
            assert receive_all(client) == (
                b"421 test.example this port is for proxies that are known to it\r\n"
            )
    (line,) = daemon.wait_for(lambda line: "untrusted-proxy" in line)
    assert line.endswith(f"refused {own}: untrusted-proxy (0 more since last logged)")
    assert connections(daemon) == []


def test_a_header_where_none_is_expected_is_the_client_s_words(
    start: Callable[[str], Daemon],
) -> None:
    daemon = start(config("127.0.0.1:0"))
    with daemon.connect("line") as client:
        receive_until(client, GREETING)
        client.sendall(version_1(CLIENT))
        receive_until(client, b"\r\n")
        (told,) = connections(daemon)
        assert (told["peer"], told["proxy"]) == (shown(client.getsockname()), None)


def test_a_proxy_that_sends_no_header(start: Callable[[str], Daemon]) -> None:
    """Of three that do it wrong one line a fault is told; others are served all the while."""
    policy = f"proxy_header = 0.3s\n{POLICY}"
    daemon = start(config("127.0.0.1:0 proxy=127.0.0.1", policy=policy))
    words = "proxy=127.0.0.1/32"
    with daemon.connect("line", words) as silent, daemon.connect("line", words) as other:
        for _ in range(3):
            with daemon.connect("line", words) as client:
                client.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
                with contextlib.suppress(ConnectionError):
                    assert receive_all(client) == b""
        other.sendall(version_2(CLIENT))
        receive_until(other, GREETING)
        with contextlib.suppress(ConnectionError):
            assert receive_all(silent) == b""
    daemon.wait_for(lambda line: "ended after" in line, 5)
    told = [line.partition("no PROXY header from ")[2] for line in daemon.log if "no PROXY" in line]
    assert [line.split(": ", 1)[1] for line in told] == [
        "no-header: the first bytes are those of no PROXY header (0 more since last logged)",
        "timeout: it did not come in time (0 more since last logged)",
    ]


def test_bans_are_of_clients_those_connected_included(start: Callable[[str], Daemon]) -> None:
    daemon = start(config("127.0.0.1:0 proxy=127.0.0.1"))
    words = "proxy=127.0.0.1/32"
    with daemon.connect("line", words) as client:
        client.sendall(version_2(CLIENT))
        receive_until(client, GREETING)
        assert daemon.ctl("ban", "192.0.2.0/24").returncode == 0
        assert b"banned" in receive_all(client)
    with daemon.connect("line", words) as client:
        client.sendall(version_1(CLIENT))
        assert receive_all(client) == b"421 test.example your address is banned\r\n"
    daemon.wait_for(
        lambda line: line.endswith("refused 192.0.2.1:4711: banned (0 more since last logged)")
    )


# --- each kind of listener ---

#: Starts twistd with a socket, as systemd does.
SYSTEMD = """#!{python}
import os, socket, sys
listening = socket.socket(socket.AF_UNIX)
listening.bind("{path}")
listening.listen()
os.dup2(listening.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="line")
os.execv("{twistd}", ["{twistd}", *sys.argv[1:]])
"""


@pytest.mark.parametrize("place", ["unix:", "endpoint:unix:", "systemd:"])
@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_every_listener_takes_it(tmp_path: Path, place: str, tls: bool) -> None:
    path = tmp_path / "line"
    words = "proxy=unix tls=main" if tls else "proxy=unix"
    where = "line" if place == "systemd:" else path
    twistd = tmp_path / "twistd"
    twistd.write_text(SYSTEMD.format(python=sys.executable, twistd=TWISTD, path=path))
    twistd.chmod(0o755)
    certificates.make(tmp_path, "localhost")
    daemon = Daemon(
        tmp_path,
        config(f"{place}{where} {words}"),
        twistd if place == "systemd:" else TWISTD,
    )
    try:
        look_at_socket(daemon, path, tls)
    finally:
        daemon.stop()


def look_at_socket(daemon: Daemon, path: Path, tls: bool) -> None:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(PATIENCE)
    client.connect(str(path))
    client.sendall(version_2(CLIENT, unique_id=b"a"))
    if tls:
        client = client_context(daemon.directory).wrap_socket(client, server_hostname="localhost")
    with client:
        receive_until(client, GREETING)
        (told,) = connections(daemon)
        assert told["peer"] == "192.0.2.1:4711"
        assert (told["proxy"]["address"], told["proxy"]["unique_id"]) == ("unix", "a")
        assert isinstance(client, ssl.SSLSocket) is tls
