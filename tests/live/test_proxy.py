"""PROXY headers for a live daemon: from HAProxy, forged, missing; on each kind of listener."""

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

from tcpd.wire.proxy_header import AddressPair, version_1, version_2

pytestmark = pytest.mark.live

CLIENT = AddressPair(ip_address("192.0.2.1"), 4711, ip_address("198.51.100.7"), 7100)

#: Keys of [policy:default].
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
    """A real HAProxy in front of a daemon."""

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
        """Connect to its frontend."""
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    def server_state(self) -> str:
        """Return the daemon's status in HAProxy's statistics, such as UP or DOWN."""
        with socket.socket(socket.AF_UNIX) as stats:
            stats.settimeout(PATIENCE)
            stats.connect(str(self.directory / "stats"))
            stats.sendall(b"show stat\n")
            head, *rows = receive_all(stats).decode().splitlines()
        at = head.split(",").index("status")
        (state,) = [row.split(",")[at] for row in rows if row.startswith("tcpd,tcpd,")]
        return state

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(PATIENCE)


@pytest.fixture
def haproxy(tmp_path: Path) -> Iterator[Callable[..., HAProxy]]:
    """Start an HAProxy; ``server`` is the daemon's address and options of HAProxy's ``server``."""
    started: list[HAProxy] = []

    def start(server: str, bind: str = "") -> HAProxy:
        started.append(HAProxy(tmp_path, server, bind))
        return started[-1]

    yield start
    for each in started:
        each.stop()


def connections(daemon: Daemon) -> list[dict[str, Any]]:
    """Return the line service's connections, as tcpd-ctl shows them."""
    done = daemon.ctl("connections", "--service", "line", "--json")
    assert done.returncode == 0, done
    found: list[dict[str, Any]] = json.loads(done.stdout)["connections"]
    return found


def shown(address: Any) -> str:
    return f"{address[0]}:{address[1]}"


def port(daemon: Daemon, words: str = "proxy=127.0.0.0/8") -> str:
    return f"127.0.0.1:{daemon.ports['line', words]}"


@pytest.mark.parametrize("words", ["send-proxy", "send-proxy-v2"])
def test_haproxy_sends_the_address_of_the_client(
    start: Callable[[str], Daemon], haproxy: Callable[..., HAProxy], words: str
) -> None:
    daemon = start(config("127.0.0.1:0 proxy=127.0.0.0/8"))
    proxy = haproxy(f"{port(daemon)} {words}")
    with proxy.connect() as client:
        receive_until(client, GREETING)
        (row,) = connections(daemon)
        assert row["peer"] == shown(client.getsockname())
        assert row["proxy"]["version"] == (1 if words == "send-proxy" else 2)
        assert row["proxy"]["address"].startswith("127.0.0.1:")
        assert row["proxy"]["address"] != row["peer"]
        client.sendall(b"QUIT\r\n")
        receive_all(client)
        (line,) = daemon.wait_for(lambda line: "ended after" in line)
        assert f" from {row['peer']} ended" in line
        assert line.endswith(f"no TLS, proxy {row['proxy']['address']}")


def test_haproxy_sends_tls_and_unique_id(
    start: Callable[[str], Daemon], haproxy: Callable[..., HAProxy], tmp_path: Path
) -> None:
    """With a checksum, which is verified; TLS is terminated by the proxy."""
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
        (row,) = connections(daemon)
        host, at = client.getsockname()
        assert row["peer"] == f"{host}:{at}"
        assert row["tls"] is None, "terminated by the proxy"
        assert row["proxy"]["authority"] == "localhost"
        # the frontend's unique-id-format, in hexadecimal
        assert row["proxy"]["unique_id"] == f"7F000001:{at:04X}"
        assert row["proxy"]["tls"] == {
            "version": "TLSv1.3",
            "cipher": client.cipher()[0],  # type: ignore[index]
            "verified": False,
            "common_name": None,
        }
        client.sendall(b"QUIT\r\n")
        receive_all(client)
    (line,) = daemon.wait_for(lambda line: "ended after" in line)
    assert line.endswith(
        f" id 7F000001:{at:04X} name localhost TLSv1.3 {row['proxy']['tls']['cipher']}"
    )


@pytest.mark.parametrize("words", ["send-proxy", "send-proxy-v2"])
def test_tls_follows_the_header(
    start: Callable[[str], Daemon], haproxy: Callable[..., HAProxy], words: str
) -> None:
    """HAProxy passes TLS through, and the daemon terminates it."""
    daemon = start(config("127.0.0.1:0 tls=main proxy=127.0.0.0/8"))
    proxy = haproxy(f"{port(daemon, 'tls=main proxy=127.0.0.0/8')} {words}")
    with client_context(daemon.directory).wrap_socket(
        proxy.connect(), server_hostname="localhost"
    ) as client:
        receive_until(client, GREETING)
        (row,) = connections(daemon)
        assert (row["peer"], row["tls"]) == (shown(client.getsockname()), "TLSv1.3")


def test_local_header_keeps_the_address_of_the_proxy(
    start: Callable[[str], Daemon], haproxy: Callable[..., HAProxy]
) -> None:
    """HAProxy sends LOCAL for clients of a UNIX socket."""
    daemon = start(config("127.0.0.1:0 proxy=127.0.0.0/8", policy="per_address = 1"))
    proxy = haproxy(f"{port(daemon)} send-proxy-v2")
    with contextlib.ExitStack() as clients:
        for _ in range(2):
            client = clients.enter_context(socket.socket(socket.AF_UNIX))
            client.settimeout(PATIENCE)
            client.connect(str(proxy.directory / "clients"))
            receive_until(client, GREETING)
        for row in connections(daemon):
            assert row["peer"] == row["proxy"]["address"]
            assert row["proxy"]["local"] is True


@pytest.mark.parametrize("words", ["send-proxy", "send-proxy-v2"])
def test_health_checks_of_haproxy_are_accepted_and_not_logged(
    start: Callable[[str], Daemon], haproxy: Callable[..., HAProxy], words: str
) -> None:
    """Version 2: LOCAL, without limits by address. Version 1: the check's own address and port
    (section 2.1), which count as LOCAL."""
    policy = "per_address = 1\naddress_rate = 1/min burst 2\naccess_log = yes"
    daemon = start(config("127.0.0.1:0 proxy=127.0.0.0/8", policy=policy))
    proxy = haproxy(f"{port(daemon)} {words} check check-send-proxy inter 20ms fall 1 rise 1")
    with proxy.connect() as client:
        receive_until(client, GREETING)
        deadline = time.monotonic() + PATIENCE
        while daemon.counts("line")["accepted"] < 10:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert proxy.server_state() == "UP"
    lines = [line for line in daemon.log if "PROXY" in line or "refused" in line or "ended" in line]
    assert len(lines) <= 1, lines  # the client's connection, if its end is logged already
    assert all("proxy" in line and " 0 bytes out" not in line for line in lines)


# --- untrusted and faulty proxies ---


@pytest.mark.parametrize("header", [version_1(CLIENT), version_2(CLIENT)], ids=["v1", "v2"])
def test_untrusted_peer_with_a_header_is_refused(
    start: Callable[[str], Daemon], header: bytes
) -> None:
    """A forged address would evade ``deny`` and limits, and have another client banned."""
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


def test_header_without_proxy_option_is_client_data(
    start: Callable[[str], Daemon],
) -> None:
    daemon = start(config("127.0.0.1:0"))
    with daemon.connect("line") as client:
        receive_until(client, GREETING)
        client.sendall(version_1(CLIENT))
        receive_until(client, b"\r\n")
        (row,) = connections(daemon)
        assert (row["peer"], row["proxy"]) == (shown(client.getsockname()), None)


def test_missing_header_is_logged_once_a_burst(start: Callable[[str], Daemon]) -> None:
    """Three faulty proxies get one line a fault; others are served."""
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
    faults = [
        line.partition("no PROXY header from ")[2] for line in daemon.log if "no PROXY" in line
    ]
    assert [fault.split(": ", 1)[1] for fault in faults] == [
        "no-header: the first bytes are not those of a PROXY header (0 more since last logged)",
        "timeout: it was not received in time (0 more since last logged)",
    ]


def test_bans_apply_to_the_address_in_the_header(start: Callable[[str], Daemon]) -> None:
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

#: Starts twistd with a listening socket, as systemd does.
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
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_each_kind_of_listener_reads_the_header(tmp_path: Path, place: str, tls: bool) -> None:
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
        check_connection(daemon, path, tls)
    finally:
        daemon.stop()


def check_connection(daemon: Daemon, path: Path, tls: bool) -> None:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(PATIENCE)
    client.connect(str(path))
    client.sendall(version_2(CLIENT, unique_id=b"a"))
    if tls:
        client = client_context(daemon.directory).wrap_socket(client, server_hostname="localhost")
    with client:
        receive_until(client, GREETING)
        (row,) = connections(daemon)
        assert row["peer"] == "192.0.2.1:4711"
        assert (row["proxy"]["address"], row["proxy"]["unique_id"]) == ("unix", "a")
        assert isinstance(client, ssl.SSLSocket) is tls
